package capture

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/kubescribe/kubescribe/shared/event"
)

func TestFirstStart(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			s.put(widget(name, int64(i)))
		}
		r := begin(t, s, l)
		all := l.changes(t)
		if len(all) != 5 {
			t.Fatalf("%d objects were published", len(all))
		}
		for _, c := range all {
			if c.Op != event.Create || c.Origin != event.Reconcile || c.Registry != 7 || c.Resume != "" || c.Cluster != "prod" || c.ClusterID != "c-1" {
				t.Errorf("it published %+v", c)
			}
		}
		if got := l.bookmarked(t); got != "105" {
			t.Errorf("after the list the bookmark is at %s", got)
		}
		if err := r.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}

		s.put(widget("a", 10))
		s.put(widget("f", 11))
		s.remove("b")
		synctest.Wait()
		var got []string
		for _, c := range l.changes(t) {
			got = append(got, fmt.Sprintf("%s %s %s %s %s", c.Op, c.Name, c.ResourceVersion, c.Origin, c.Resume))
		}
		want := []string{"UPDATE a 106 live 106", "CREATE f 107 live 107", "DELETE b 108 live 108"}
		if !slices.Equal(got, want) {
			t.Errorf("it published %q, want %q", got, want)
		}
		r.stop(t)
		if got := l.bookmarked(t); got != "108" {
			t.Errorf("stopped, the bookmark is at %s", got)
		}
	})
}

// TestRestartResumes: each version from where the lane ends, none before, and no
// snapshot.
func TestRestartResumes(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.check(t, "at first", "CREATE a 101 1")
		r.stop(t)
		s.put(widget("a", 2))
		s.put(widget("a", 3))
		s.put(widget("a", 2))
		s.put(widget("b", 1))
		s.remove("b")
		r = begin(t, s, l)
		r.check(t, "resuming", "UPDATE a 102 2", "UPDATE a 103 3", "UPDATE a 104 2", "CREATE b 105 1", "DELETE b 106")
		r.stop(t)
	})
}

// TestCrashResumesBehindTheLane: a bookmark from before what the lane holds.
func TestCrashResumesBehindTheLane(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.check(t, "at first", "CREATE a 101 1")
		old := l.bookmarked(t)
		s.put(widget("a", 2))
		r.check(t, "live", "UPDATE a 102 2")
		r.stop(t)
		for key, b := range l.bookmarks { // as if it had died before it stored its position
			b.ResourceVersion = old
			l.bookmarks[key] = b
		}
		r = begin(t, s, l)
		s.put(widget("a", 3))
		r.check(t, "resumed", "UPDATE a 103 3")
		if _, watches := s.requests(); watches[len(watches)-1] != "102" {
			t.Errorf("it watched from %v, want 102 at last", watches)
		}
		r.stop(t)
	})
}

// TestCrashInTheFirstList: without a bookmark no list was ever finished, so it
// begins anew, whatever the lane holds.
func TestCrashInTheFirstList(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		for _, name := range []string{"a", "b", "c"} {
			s.put(widget(name, 1))
		}
		boom := errors.New("no answer")
		l.refuse(func(c event.Change) error {
			if c.Name == "b" {
				return boom
			}
			return nil
		})
		r := begin(t, s, l)
		r.check(t, "at first", "CREATE a 101 1")
		if err := r.Ready(); !errors.Is(err, boom) {
			t.Errorf("its readiness is %v", err)
		}
		r.stop(t)
		if len(l.bookmarks) != 0 {
			t.Errorf("an unfinished list left %v", l.bookmarks)
		}
		l.refuse(nil)
		r = begin(t, s, l)
		r.check(t, "the second time", "CREATE b 102 1", "CREATE c 103 1")
		if n := r.counted("duplicate"); n != 1 {
			t.Errorf("%d duplicates, want the first object's", n)
		}
		r.stop(t)
	})
}

// TestNewDestinationAfterACutList: what an earlier process had published before it
// was stopped in its first list was routed before the destination was there.
func TestNewDestinationAfterACutList(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		for _, name := range []string{"a", "b", "c"} {
			s.put(widget(name, 1))
		}
		l.refuse(func(c event.Change) error {
			if c.Name == "c" {
				return errors.New("stopped here")
			}
			return nil
		})
		r := begin(t, s, l)
		r.check(t, "stopped in its list", "CREATE a 101 1", "CREATE b 102 1")
		r.stop(t)
		l.refuse(nil)
		r = begin(t, s, l)
		if err := r.Offer(t.Context(), offered(true)); err != nil {
			t.Fatal(err)
		}
		r.check(t, "for another destination", "CREATE c 103 1", "UPDATE a 101 1 for prod/gitops/live",
			"UPDATE b 102 1 for prod/gitops/live", "UPDATE c 103 1 for prod/gitops/live")
		r.stop(t)
	})
}

// TestAnotherCluster of the same name begins anew: positions of the first mean
// nothing in it, be they ahead or behind.
func TestAnotherCluster(t *testing.T) {
	for name, at := range map[string]int{"ahead": 2000, "behind": 50} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.rv = 1000
				s.put(widget("a", 1))
				r := begin(t, s, l)
				r.stop(t)
				l.take(t)
				second := newServer()
				second.rv, second.oldest = at, 0
				second.put(widget("x", 1))
				r = start(t, second, l, "c-2")
				if changes := l.changes(t); len(changes) != 1 || changes[0].Name != "x" || changes[0].ClusterID != "c-2" {
					t.Errorf("it published %+v", changes)
				}
				second.put(widget("x", 2))
				synctest.Wait()
				if changes := l.changes(t); len(changes) != 1 || changes[0].Op != event.Update {
					t.Errorf("live it published %+v", changes)
				}
				r.stop(t)
			})
		})
	}
}

// TestVersionsWentBack: a cluster restored from a backup is behind the position.
// Watched from there it would say nothing until it has caught up.
func TestVersionsWentBack(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		for range 50 {
			s.bookmark()
		}
		r.stop(t)
		l.take(t)
		s.mu.Lock()
		s.rv = 110
		s.mu.Unlock()
		r = begin(t, s, l)
		s.put(widget("a", 2))
		r.check(t, "after the restore", "UPDATE a 111 2")
		r.stop(t)
	})
}
