package capture

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// TestSuppression: what changes no intent is not published, but only against
// what the lane is known to hold.
func TestSuppression(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.check(t, "at first")
		status := func(n int64) {
			o := widget("a", 1)
			o.Object["status"] = map[string]any{"progress": n}
			o.SetGeneration(n)
			s.put(o)
		}
		status(1)
		status(2)
		r.check(t, "on updates of the status alone")
		s.put(widget("a", 2))
		s.put(widget("a", 1))
		r.check(t, "on A→B→A", "UPDATE a 104 2", "UPDATE a 105 1")
		reborn := widget("a", 1)
		reborn.SetUID("u-a-2")
		s.remove("a")
		s.put(reborn)
		r.check(t, "on the same made again", "DELETE a 106", "CREATE a 107 1")
		r.stop(t)
		if got := l.bookmarked(t); got != "107" {
			t.Errorf("the bookmark is at %s", got)
		}

		// A restarted one does not know what the lane holds until it has listed
		// and its watch has passed the list's version.
		reborn.SetGeneration(7)
		s.put(reborn)
		r = begin(t, s, l)
		r.check(t, "just restarted", "UPDATE a 108 1")
		advance(2 * catchUpLength)
		reborn.SetGeneration(8)
		s.put(reborn)
		r.check(t, "with an exact index again")
		r.stop(t)
	})
}

// TestBookmarks: a quiet type moves on with the API server's bookmarks, so that
// the next start does not ask for a version long forgotten.
func TestBookmarks(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		s.bookmark()
		synctest.Wait()
		if got := l.bookmarked(t); got != "101" {
			t.Errorf("a bookmark is stored at once: %s", got)
		}
		advance(bookmarkEvery)
		last := s.bookmark()
		synctest.Wait()
		if got := l.bookmarked(t); got != last {
			t.Errorf("the bookmark is at %s, want %s", got, last)
		}
		s.mu.Lock()
		s.oldest = s.rv // history before it is forgotten
		s.mu.Unlock()
		r.cancel() // killed: it stores nothing any more
		<-r.done
		l.take(t)
		r = begin(t, s, l)
		s.put(widget("a", 2))
		r.check(t, "resumed from the bookmark", "UPDATE a 104 2")
		r.stop(t)
	})
}

// TestPoison: a version that cannot be rendered is kept aside, without its
// content, and what follows goes on.
func TestPoison(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		r := begin(t, s, l)
		bad := widget("a", 1)
		bad.Object["spec"] = map[string]any{"text": "secret \xff"}
		rv := s.put(bad)
		s.put(widget("b", 1))
		s.put(widget("a", 2))
		r.check(t, "beside poison", "CREATE b 102 1", "UPDATE a 103 2")
		m, ok := l.letters[uint64(atoi(rv))]
		if !ok || len(l.letters) != 1 {
			t.Fatalf("the dead letters are %v", l.letters)
		}
		if len(m.Data) != 0 || strings.Contains(fmt.Sprint(m.Header), "secret") {
			t.Errorf("the letter holds content: %v %q", m.Header, m.Data)
		}
		if got := m.Header[event.HeaderName]; len(got) != 1 || got[0] != "a" || len(m.Header[event.HeaderReason]) != 1 {
			t.Errorf("the letter does not say what it is about, and why: %v", m.Header)
		}
		if got := m.Header[event.HeaderTo]; len(got) != 1 || got[0] != "gitops/live" {
			t.Errorf("the letter does not say for whom it was: %q", got)
		}
		if n := r.counted("dead_lettered"); n != 1 {
			t.Errorf("%d are counted", n)
		}
		r.stop(t)
	})
}

// TestTooLarge: so is one that the lane can never store.
func TestTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		l.refuse(func(c event.Change) error {
			if c.Name == "big" {
				return fault.As(fault.Poison, errors.New("maximum payload exceeded"))
			}
			return nil
		})
		r := begin(t, s, l)
		s.put(widget("big", 1))
		s.put(widget("big", 2))
		s.put(widget("small", 1))
		r.check(t, "beside one too large", "CREATE small 103 1")
		if len(l.letters) != 2 {
			t.Errorf("%d dead letters, want one a version", len(l.letters))
		}
		r.frozen(t, "that it is there is known", "shop/big 101", "shop/small 103")
		r.stop(t)
	})
}

// TestFenced: a worker whose lane was taken over ends, whatever it was doing.
func TestFenced(t *testing.T) {
	fence := func(event.Change) error { return fmt.Errorf("publishing: %w", bus.ErrFenced) }
	for name, then := range map[string]func(s *server){
		"while watching":      func(s *server) { s.put(widget("a", 2)) },
		"while closing a gap": func(s *server) { s.partition(); s.put(widget("a", 2)); s.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.put(widget("a", 1))
				r := begin(t, s, l)
				l.refuse(fence)
				then(s)
				ended(t, r, bus.ErrFenced)
			})
		})
	}
}

// TestBookmarkContended: a position that somebody else wrote, or that was written
// without an answer, is written over. Who owns the lane is decided by its fence.
func TestBookmarkContended(t *testing.T) {
	for name, then := range map[string]func(l *lane){
		"by another": func(l *lane) {
			for key, b := range l.bookmarks {
				b.revision += 10
				l.bookmarks[key] = b
			}
		},
		"the answer lost": func(l *lane) { l.losePut = true },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.put(widget("a", 1))
				r := begin(t, s, l)
				then(l)
				want := ""
				for range 3 {
					advance(bookmarkEvery)
					want = s.bookmark()
				}
				synctest.Wait()
				if got := l.bookmarked(t); got != want {
					t.Errorf("the bookmark is at %s, want %s", got, want)
				}
				s.put(widget("a", 2))
				r.check(t, "all the while", "UPDATE a 105 2")
				r.stop(t)
			})
		})
	}
}

// TestExcluded: objects that a controller made are not mirrored, from whichever
// way they come.
func TestExcluded(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		owned := func(name string) {
			o := widget(name, 1)
			o.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"kind": "Gadget", "name": "g", "controller": true}}
			s.put(o)
		}
		owned("listed")
		r := begin(t, s, l)
		owned("watched")
		s.remove("watched")
		s.remove("listed")
		r.check(t, "of controllers' objects")
		s.put(widget("adopted", 1))
		owned("adopted")
		s.remove("adopted")
		r.check(t, "of one that was adopted", "CREATE adopted 105 1", "DELETE adopted 106")
		if n := r.counted("unwanted"); n != 5 {
			t.Errorf("%d are counted", n)
		}
		r.stop(t)
	})
}
