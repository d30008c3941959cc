package capture

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubescribe/kubescribe/shared/event"
)

// TestFirstStart: what exists comes by a run, which is asked for before the bookmark
// says that the type was listed.
func TestFirstStart(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			s.put(widget(name, int64(i)))
		}
		bad := widget("unwritable", 1)
		bad.Object["spec"] = map[string]any{"text": "\xff"}
		s.put(bad)
		r := begin(t, s, l)
		r.check(t, "at first")
		r.asked(t, "live TypeAppeared")
		if got := l.bookmarked(t); got != "106" {
			t.Errorf("after the list the bookmark is at %s", got)
		}
		if err := r.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		if r.exact != 1 {
			t.Errorf("the index was said to be exact %d times", r.exact)
		}
		objects, _ := r.Freeze(live.Key)
		if len(objects) != 6 {
			t.Errorf("%d objects are known", len(objects))
		}
		for _, o := range objects {
			if writable := o.Name != "unwritable"; (len(o.Hash()) == 40) != writable || !writable && o.Hash() != "" {
				t.Errorf("%s has hash %q", o.Name, o.Hash())
			}
		}
		if objects, exact := r.Freeze(elsewhere.Key); len(objects) != 0 || !exact {
			t.Errorf("of another namespace there are %v, exact %v", objects, exact)
		}

		s.put(widget("a", 10))
		s.put(widget("f", 11))
		s.remove("b")
		synctest.Wait()
		var got []string
		for _, c := range l.changes(t) {
			got = append(got, fmt.Sprintf("%s %s %s %s %s", c.Op, c.Name, c.ResourceVersion, c.Origin, c.Resume))
		}
		want := []string{"UPDATE a 107 live 107", "CREATE f 108 live 108", "DELETE b 109 live 109"}
		if !slices.Equal(got, want) {
			t.Errorf("it published %q, want %q", got, want)
		}
		r.stop(t)
		if got := l.bookmarked(t); got != "109" {
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
		r.check(t, "at first")
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

// TestResumedBehindTheList: an index that was listed ahead of the watch is not taken for what
// the lane has published, until the watch has come as far: else the versions in between
// would be dropped as if they were no change.
func TestResumedBehindTheList(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.check(t, "at first")
		r.stop(t)
		s.put(widget("b", 1)) // so that it cannot be listed as of where it was
		listed := make(chan struct{})
		s.refuse(func(metav1.ListOptions) error { <-listed; return nil }, nil)
		r = begin(t, s, l)
		r.check(t, "resumed", "CREATE b 102 1")
		s.partition()
		s.put(widget("a", 2))
		close(listed)
		synctest.Wait()
		if _, exact := r.Freeze(live.Key); exact {
			t.Error("an index from ahead of the watch is taken for exact")
		}
		s.hangUp()
		r.check(t, "once it is watched", "UPDATE a 103 2")
		r.frozen(t, "once it is watched", "shop/a 103", "shop/b 102")
		r.stop(t)
	})
}

// TestCrashResumesBehindTheLane: a bookmark from before what the lane holds.
func TestCrashResumesBehindTheLane(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.check(t, "at first")
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

// TestNothingToBring: where there is nothing that a destination selects, no run is
// asked for.
func TestNothingToBring(t *testing.T) {
	for name, of := range map[string]func(s *server){
		"no object": func(*server) {},
		"excluded": func(s *server) {
			owned := widget("a", 1)
			owned.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"kind": "Gadget", "name": "g", "controller": true}}
			s.put(owned)
		},
		"in no namespace of a rule": func(s *server) {
			o := widget("a", 1)
			o.SetNamespace("kitchen")
			s.put(o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				of(s)
				r := begin(t, s, l)
				r.asked(t)
				l.bookmarked(t)
				r.stop(t)
			})
		})
	}
}

// TestCrashInTheFirstList: a list whose run could not be asked for leaves no
// bookmark, so the next start lists and asks.
func TestCrashInTheFirstList(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		l.onAsk = errors.New("no answer")
		r := begin(t, s, l)
		if err := r.Ready(); !errors.Is(err, l.onAsk) {
			t.Errorf("its readiness is %v", err)
		}
		if _, exact := r.Freeze(live.Key); exact {
			t.Error("a run is told of an index that nobody was asked to bring")
		}
		r.stop(t)
		if len(l.bookmarks) != 0 {
			t.Errorf("an unfinished list left %v", l.bookmarks)
		}
		l.onAsk = nil
		r = begin(t, s, l)
		r.asked(t, "live TypeAppeared")
		l.bookmarked(t)
		r.stop(t)
	})
}

// TestCrashInAGap: the same of a type whose past was forgotten. The bookmark stays
// what it was.
func TestCrashInAGap(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.stop(t)
		l.runs()
		s.remove("a")
		s.restart()
		l.onAsk = errors.New("no answer")
		r = begin(t, s, l)
		r.stop(t)
		if got := l.bookmarked(t); got != "101" {
			t.Errorf("the bookmark is at %s", got)
		}
		l.onAsk = nil
		r = begin(t, s, l)
		r.asked(t, "elsewhere WatchGap at 101", "live WatchGap at 101")
		r.check(t, "in the gap")
		r.frozen(t, "after it")
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
				r.check(t, "at first")
				r.frozen(t, "at first", fmt.Sprint("shop/x ", at+1))
				second.put(widget("x", 2))
				synctest.Wait()
				if changes := l.changes(t); len(changes) != 1 || changes[0].Op != event.Update || changes[0].ClusterID != "c-2" {
					t.Errorf("live it published %+v", changes)
				}
				r.stop(t)
			})
		})
	}
}

// TestLogMadeAnew: a log that was made anew, or restored from a backup, does not hold
// what the bookmark says was published. Watched from there, what is in Git would come
// again, behind MARKs.
func TestLogMadeAnew(t *testing.T) {
	for name, log := range map[string]struct {
		made   time.Time
		others uint64
	}{"made anew, and as long": {time.Unix(2, 0), 1}, "restored": {time.Unix(1, 0), 0}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				l.anew(time.Unix(1, 0), 0)
				s.put(widget("a", 1))
				r := begin(t, s, l)
				s.bookmark()
				r.stop(t)
				s.put(widget("a", 2))
				r = begin(t, s, l)
				r.check(t, "resumed", "UPDATE a 103 2")
				r.stop(t)
				l.runs()
				l.anew(log.made, log.others)
				s.put(widget("a", 3))
				r = begin(t, s, l)
				r.asked(t, "elsewhere WatchGap at 103", "live WatchGap at 103")
				r.frozen(t, "as it is now", "shop/a 104")
				s.put(widget("a", 4))
				r.check(t, "behind the list", "UPDATE a 105 4")
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
		synctest.Wait()
		r.stop(t)
		l.take(t)
		s.mu.Lock()
		s.rv = 110
		s.mu.Unlock()
		l.runs()
		r = begin(t, s, l)
		r.asked(t, "elsewhere WatchGap at 151", "live WatchGap at 151")
		s.put(widget("a", 2))
		r.check(t, "after the restore", "UPDATE a 111 2")
		r.stop(t)
	})
}

// TestVersionsWentBackMeanwhile: the cluster is restored while the type is being
// watched, with an index that knows all that is undone.
func TestVersionsWentBackMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		for n := range int64(30) {
			s.put(widget("b", n))
		}
		synctest.Wait()
		l.take(t)
		l.runs()
		s.mu.Lock()
		delete(s.objects, "b")
		s.rv, s.oldest, s.history = 101, 101, nil
		for f := range s.open {
			f.end()
		}
		s.mu.Unlock()
		r.asked(t, "elsewhere WatchGap at 101", "live WatchGap at 101")
		s.put(widget("a", 2))
		r.check(t, "after the restore", "UPDATE a 102 2")
		r.frozen(t, "with what was undone gone", "shop/a 102")
		r.stop(t)
	})
}
