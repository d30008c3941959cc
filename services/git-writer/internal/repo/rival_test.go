package repo

import (
	"errors"
	"net/http"
	"net/http/httptest"
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

// A rival's commits are seen with nothing pending too: what they were made of is
// still to come here, and must not be committed on top. Those that were there
// when all began are history.
func TestRivalWithNothingPending(t *testing.T) {
	for name, start := range map[string]bool{"on a branch": true, "on none": false} {
		t.Run(name, func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			if start {
				r.foreign("main", "start", map[string]string{"x.yaml": "1"})
			}
			b := r.fetched(withRival)
			other := r.fetched()
			put(t, other, 1, "a.yaml", "1")
			push(t, other)
			r.foreign("main", "theirs", map[string]string{"b.yaml": "1"})
			base := b.Base()
			if res, err := b.Fetch(t.Context()); !errors.Is(err, ErrRival) || res.Tip != base || b.Base() != base {
				t.Errorf("result %+v, %v", res, err)
			}

			b = r.fetched(withRival)
			put(t, b, 2, "c.yaml", "1")
			r.foreign("main", "theirs", map[string]string{"d.yaml": "1"})
			if res := push(t, b); res.Landed != 1 || res.Rebuilt != 1 {
				t.Errorf("result %+v", res)
			}
		})
	}
}

// A rival's commits on top of ours are seen although ours have landed: what comes
// next is in them.
func TestRivalOnTopOfOurs(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched(withRival)
	put(t, b, 1, "a.yaml", "1")
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if !isPush(req) {
			next.ServeHTTP(w, req)
			return
		}
		next.ServeHTTP(httptest.NewRecorder(), req)
		r.meddle(nil)
		other := r.fetched()
		put(t, other, 2, "b.yaml", "1")
		push(t, other)
		panic(http.ErrAbortHandler) // the answer is lost
	})
	if _, err := b.Push(t.Context()); !errors.Is(err, ErrRival) {
		t.Errorf("error %v", err)
	}
	equal(t, "log", r.subjects("main"), []string{"Create b.yaml", "Create a.yaml"})
}
