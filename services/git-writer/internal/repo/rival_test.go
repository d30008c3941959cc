package repo

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

func withRival(c *Config) {
	c.Rival = func(message string) bool { return strings.Contains(message, "Position: ") }
}

// What is committed while a rival's commits are being fetched is not built again
// on top of them.
func TestCommitWhileRivalIsFetched(t *testing.T) {
	for name, start := range map[string]bool{"on a branch": true, "on none": false} {
		t.Run(name, func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			if start {
				r.foreign("main", "start", map[string]string{"x.yaml": "1"})
			}
			b := r.fetched(withRival)
			other := r.fetched(withRival)
			put(t, other, 1, "a.yaml", "1")
			push(t, other)
			put(t, other, 2, "b.yaml", "1")
			push(t, other)

			var once sync.Once
			r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if req.Method == http.MethodPost {
					once.Do(func() { put(t, b, 1, "ours.yaml", "1") })
				}
				next.ServeHTTP(w, req)
			})
			base := b.Base()
			if _, err := b.Fetch(t.Context()); !errors.Is(err, ErrRival) || b.Base() != base || waiting(b) != 1 {
				t.Errorf("error %v, %d pending", err, waiting(b))
			}
			if _, err := b.Push(t.Context()); !errors.Is(err, ErrRival) {
				t.Errorf("error %v", err)
			}
			equal(t, "log", r.subjects("-2", "main"), []string{"Create b.yaml", "Create a.yaml"})
		})
	}
}

// With nothing pending a rival's commits are like anybody's, and so are those
// below our own.
func TestRivalWithNothingPending(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	other := r.fetched()
	put(t, other, 1, "a.yaml", "1")
	push(t, other)
	b := r.fetched(withRival)
	put(t, other, 2, "b.yaml", "1")
	push(t, other)
	if res, err := b.Fetch(t.Context()); err != nil || res.Tip != other.Base() {
		t.Errorf("result %+v, %v", res, err)
	}
	put(t, b, 3, "c.yaml", "1")
	r.foreign("main", "theirs", map[string]string{"d.yaml": "1"})
	if res := push(t, b); res.Landed != 1 || res.Rebuilt != 1 {
		t.Errorf("result %+v", res)
	}
}
