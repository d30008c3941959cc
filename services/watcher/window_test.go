package watcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestContentsInOrder: whatever the order in which they are fetched, and how little
// may be held, all contents that are there are given once, in the order of paths, for as
// long as there is room; then all that is behind is left.
func TestContentsInOrder(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var wanted []want
		there := map[string]int{} // bytes, by path
		for n := range rnd.IntN(40) {
			path := fmt.Sprintf("shop/configmaps/%03d.yaml", n)
			wanted = append(wanted, want{path, "h", []event.What{event.ResultCreate, event.ResultReconcile}[n%2]})
			if rnd.IntN(4) > 0 {
				there[path] = rnd.IntN(100)
			}
		}
		limit, room := 1+rnd.IntN(300), rnd.IntN(40)
		var expected, got []string
		var tail []want // behind those that there is room for
		for i, w := range wanted {
			if _, ok := there[w.path]; ok && len(expected) == room {
				tail = wanted[i:]
				break
			} else if ok {
				expected = append(expected, fmt.Sprint(w.path, w.what))
			}
		}
		rounds := 0
		left, missing, err := contentsOf(t.Context(), wanted, limit, func(_ context.Context, left []want, dropped func(string) bool, each func(event.Change) error) ([]string, error) {
			if rounds++; rounds > len(wanted)+1 {
				t.Fatalf("seed %d: %d rounds for %d contents", seed, rounds, len(wanted))
			}
			for _, i := range rnd.Perm(len(left)) {
				size, ok := there[left[i].path]
				for range rnd.IntN(2) + 1 {
					if ok && (rnd.IntN(2) == 0 || !dropped(left[i].path)) {
						_ = each(event.Change{Path: left[i].path, Manifest: make([]byte, size)})
					}
				}
			}
			return []string{"b", "a"}, nil
		}, func(c event.Change, what event.What) error {
			if len(got) == room {
				return bus.ErrNoRoom
			}
			got = append(got, fmt.Sprint(c.Path, what))
			return nil
		})
		if err != nil || !slices.Equal(got, expected) || !slices.Equal(left, tail) {
			t.Fatalf("seed %d, %d bytes held, room for %d: %v, %d left\n\t%s\nwant %d left\n\t%s", seed, limit, room, err, len(left), strings.Join(got, "\n\t"), len(tail), strings.Join(expected, "\n\t"))
		}
		if len(wanted) > 0 && !slices.Equal(missing, []string{"a", "b"}) {
			t.Fatalf("seed %d: missing are %q", seed, missing)
		}
	}
}

// TestWindowIsBounded: never more than the limit and one content are held.
func TestWindowIsBounded(t *testing.T) {
	w := window{limit: 1000}
	for n := range 10_000 {
		w.add(event.Change{Path: fmt.Sprint(n % 997), Manifest: make([]byte, n%100)})
		held := 0
		for _, c := range w.held {
			held += len(c.Manifest)
		}
		if held > w.limit {
			t.Fatalf("%d bytes are held", held)
		}
	}
}

// TestAwaitAll: what cannot be listed is given up only if the API server answered
// all the while.
func TestAwaitAll(t *testing.T) {
	down := errors.New("connection refused")
	for _, tt := range []struct {
		name  string
		late  []int   // how many are left at the end of each wait
		up    []error // at each look
		want  int
		waits int
	}{
		{"all there", []int{0}, []error{nil}, 0, 1},
		{"one is late", []int{1}, []error{nil, nil}, 1, 1},
		{"down when it began", []int{3, 1}, []error{down, nil, nil}, 1, 2},
		{"down when it ended", []int{3, 0}, []error{nil, down, nil}, 0, 2},
		{"down for long", []int{3, 3, 3, 0}, []error{down, down, nil, down, nil}, 0, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				waits, looks := 0, 0
				begun := time.Now()
				late, err := awaitAll(t.Context(), func(ctx context.Context) []int {
					n := tt.late[waits]
					if waits++; n > 0 {
						<-ctx.Done()
					}
					return make([]int, n)
				}, func(context.Context) error { looks++; return tt.up[looks-1] }, patience)
				if err != nil || len(late) != tt.want || waits != tt.waits {
					t.Errorf("%d are given up after %d waits, %v", len(late), waits, err)
				}
				if tt.want > 0 && time.Since(begun) < patience {
					t.Errorf("it gave up after %v", time.Since(begun))
				}
			})
		})
	}
}
