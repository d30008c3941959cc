package capture

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

func TestLastWrite(t *testing.T) {
	at := func(minute int) string {
		return time.Date(2026, 3, 14, 15, minute, 0, 0, time.UTC).Format(time.RFC3339)
	}
	field := func(manager, subresource string, minute int) map[string]any {
		f := map[string]any{"manager": manager, "operation": "Update", "apiVersion": "v1", "time": at(minute)}
		if subresource != "" {
			f["subresource"] = subresource
		}
		return f
	}
	untimed := field("autoscaler", "scale", 0)
	delete(untimed, "time")
	for _, tt := range []struct {
		name    string
		fields  []any
		manager string
		minute  int
	}{
		{"nothing known", nil, "", 0},
		{"one", []any{field("kubectl", "", 5)}, "kubectl", 5},
		{"the newest", []any{field("helm", "", 9), field("kubectl", "", 5)}, "helm", 9},
		{"not the status", []any{field("kubectl", "", 5), field("controller", "status", 9)}, "kubectl", 5},
		{"nor the scale, which has no time", []any{field("kubectl", "", 5), untimed}, "kubectl", 5},
		{"an ignored one, later", []any{field("kubectl", "", 5), field("robot", "", 9)}, "robot", 9}, // it took something over
		{"an ignored one, in the same second", []any{field("kubectl", "", 5), field("robot", "", 5)}, "kubectl", 5},
		{"in any order", []any{field("injector", "", 5), field("kubectl", "", 5), field("robot", "", 5)}, "kubectl", 5},
		{"ignored ones alone", []any{field("injector", "", 5), field("robot", "", 5)}, "robot", 5},
		{"in the same second as an older one", []any{field("kubectl", "", 5), field("helm", "", 9), field("robot", "", 9)}, "helm", 9},
		{"a reaction in the same second", []any{field("kubectl", "", 5), field("operator", "", 5)}, "operator", 5},
		{"the status alone", []any{field("controller", "status", 9)}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := widget("a", 1)
			meta := o.Object["metadata"].(map[string]any)
			meta["creationTimestamp"] = at(0)
			meta["managedFields"] = tt.fields
			when, manager := lastWrite(o, func(manager string) bool { return manager == "robot" || manager == "injector" })
			if manager != tt.manager || !when.Equal(time.Date(2026, 3, 14, 15, tt.minute, 0, 0, time.UTC)) {
				t.Errorf("written by %q at %s", manager, when)
			}
		})
	}
}

// TestLastUpdate: what the watch tells and nobody wrote lately was written where the API server
// notes no time.
func TestLastUpdate(t *testing.T) {
	wrote := time.Date(2026, 3, 14, 15, 0, 0, 0, time.UTC)
	person := map[string]any{"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "time": wrote.Format(time.RFC3339)}
	scaled := map[string]any{"manager": "autoscaler", "operation": "Update", "apiVersion": "v1", "subresource": "scale"}
	status := map[string]any{"manager": "controller", "operation": "Update", "apiVersion": "v1", "subresource": "status"}
	for _, tt := range []struct {
		name    string
		fields  []any
		after   time.Duration
		manager string
	}{
		{"somebody wrote", []any{person, scaled}, time.Second, "kubectl"},
		{"nobody did", []any{person, scaled}, time.Minute, "autoscaler"},
		{"nor is it known who scaled it", []any{person, status}, time.Minute, "kubectl"},
	} {
		o := widget("a", 1)
		o.Object["metadata"].(map[string]any)["managedFields"] = tt.fields
		now, want := wrote.Add(tt.after), wrote
		if tt.manager == "autoscaler" {
			want = now
		}
		when, manager := lastUpdate(o, func(string) bool { return false }, now)
		if manager != tt.manager || !when.Equal(want) {
			t.Errorf("%s: written by %q at %s", tt.name, manager, when)
		}
	}
}
