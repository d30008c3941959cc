package capture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// TestBurst: events that wait are published together, each as it would be alone: what comes
// back to what it was, what is as it was, and what is written twice.
func TestBurst(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		r := begin(t, s, l)
		var want []string
		put := func(name string, size int64, op string) {
			want = append(want, fmt.Sprintf("%s %s %s %d", op, name, s.put(widget(name, size)), size))
		}
		for n := range int64(3 * burstEvents) {
			put(fmt.Sprint("w", n), n, "CREATE")
		}
		put("w7", 100, "UPDATE")
		put("w7", 7, "UPDATE")
		s.put(widget("w7", 7))
		want = append(want, "DELETE w8 "+s.remove("w8"))
		put("w8", 8, "CREATE")
		r.check(t, "of a burst", want...)
		if l.most < 8 {
			t.Errorf("%d were published at once, at most", l.most)
		}
		r.stop(t)
		if got := l.bookmarked(t); got != s.newest() {
			t.Errorf("the bookmark is at %s, want %s", got, s.newest())
		}
	})
}

// TestBurstCutShort: whatever becomes of a publish in the middle of a burst, and whether it is
// known, each version is in the lane once, in order, or in the dead letters.
func TestBurstCutShort(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	lots, chance := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1)) // the test's, and the lane's
	bubble(t, func(t *testing.T, s *server, l *lane) {
		poison := map[string]bool{} // versions
		calm := false               // guarded by the lane's mutex, as they are
		l.refuse(func(c event.Change) error {
			switch {
			case c.Op != event.Delete && poison[c.ResourceVersion]:
				return fault.As(fault.Poison, errors.New("it is too large"))
			case !calm && chance.IntN(20) == 0:
				return errors.New("it was not stored")
			}
			return nil
		})
		l.mu.Lock()
		l.onStored = func(event.Change) error {
			if !calm && chance.IntN(20) == 0 {
				return errors.New("its answer was lost")
			}
			return nil
		}
		l.mu.Unlock()
		r := begin(t, s, l)
		want := map[string][]string{} // versions, by name
		sent := map[string]bool{}     // names that are there
		for round := range 30 {
			for n := range lots.IntN(3 * burstEvents) {
				name := fmt.Sprint("w", lots.IntN(20))
				var rv string
				switch there := sent[name]; {
				case there && lots.IntN(5) == 0:
					rv, sent[name] = s.remove(name), false
				default:
					l.mu.Lock()
					bad := lots.IntN(15) == 0
					rv, sent[name] = s.put(widget(name, int64(1000*round+n))), true
					poison[rv] = bad
					l.mu.Unlock()
					if bad {
						continue
					}
				}
				want[name] = append(want[name], rv)
			}
			advance(time.Duration(lots.IntN(10)) * time.Second)
		}
		l.mu.Lock()
		calm = true
		l.mu.Unlock()
		advance(10 * time.Minute) // until all was tried again
		got := map[string][]string{}
		for _, c := range l.changes(t) {
			got[c.Name] = append(got[c.Name], c.ResourceVersion)
		}
		for name, versions := range want {
			if !slices.Equal(got[name], versions) {
				t.Errorf("%s: the lane has %v, want %v", name, got[name], versions)
			}
		}
		for rv, bad := range poison {
			if _, has := l.letters[uint64(atoi(rv))]; has != bad {
				t.Errorf("version %s is poison: %t, and in the dead letters: %t", rv, bad, has)
			}
		}
		r.stop(t)
	})
}
