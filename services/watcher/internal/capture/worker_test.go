package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// running is a worker on a fake API server and a fake lane.
type running struct {
	*Worker
	server *server
	lane   *lane
	cancel context.CancelFunc
	done   chan error
	counts *prometheus.CounterVec
}

// begin runs a worker until it is stopped, or the test ends.
func begin(t *testing.T, s *server, l *lane) *running {
	t.Helper()
	return start(t, s, l, "c-1")
}

// start is begin, on the cluster of an id.
func start(t *testing.T, s *server, l *lane, clusterID string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	counts := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "events_total"}, []string{"outcome"})
	r := &running{server: s, lane: l, cancel: cancel, done: make(chan error, 1), counts: counts}
	r.Worker = New(Config{
		Type:    discover.Type{GroupVersionResource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}, Kind: "Widget", Namespaced: true},
		Cluster: "prod", ClusterID: clusterID, Part: 3, Client: s, Lane: l, Bus: l, Bookmarks: l,
		Registry: func() uint64 { return 7 }, Log: slog.New(slog.DiscardHandler), Events: counts,
	})
	go func() { r.done <- r.Run(ctx) }()
	t.Cleanup(cancel)
	synctest.Wait()
	return r
}

// stop ends a worker as a shutdown does.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Errorf("the worker ended with %v", err)
	}
}

// advance lets time pass.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// check asserts what was published since the last check.
func (r *running) check(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := r.lane.take(t); !slices.Equal(got, want) {
		t.Errorf("%s it published\n\t%s\nwant\n\t%s", when, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (r *running) counted(outcome string) int {
	return int(testutil.ToFloat64(r.counts.WithLabelValues(outcome)))
}

func bubble(t *testing.T, f func(t *testing.T, s *server, l *lane)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newServer(), newLane()) })
}

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

// TestSuppression: what changes no intent is not published, but only against
// what the lane is known to hold.
func TestSuppression(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.check(t, "at first", "CREATE a 101 1")
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

// TestGoneWithoutIndex: what happened since cannot be told, so everything is
// published again.
func TestGoneWithoutIndex(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		r := begin(t, s, l)
		r.check(t, "at first", "CREATE a 101 1", "CREATE b 102 1")
		r.stop(t)
		s.put(widget("a", 2))
		s.put(widget("a", 3))
		s.restart()
		r = begin(t, s, l)
		r.check(t, "told 410", "CREATE a 104 3")
		if n := r.counted("duplicate"); n != 1 {
			t.Errorf("%d duplicates, want that of the object that has not changed", n)
		}
		if got := l.bookmarked(t); got != "105" {
			t.Errorf("the bookmark is at %s", got)
		}
		s.put(widget("b", 2))
		r.check(t, "live again", "UPDATE b 106 2")
		r.stop(t)
	})
}

// TestGoneWithIndex: only the difference is published, the newest version of
// each object, and what is missing as deleted at the list's version.
func TestGoneWithIndex(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		for _, name := range []string{"changed", "deleted", "excluded", "kept", "poison"} {
			s.put(widget(name, 1))
		}
		r := begin(t, s, l)
		l.take(t)
		s.partition()
		s.put(widget("changed", 2))
		s.put(widget("changed", 3))
		s.put(widget("new", 1))
		s.remove("deleted")
		owned := widget("excluded", 2)
		owned.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"kind": "Gadget", "name": "g", "controller": true}}
		s.put(owned)
		poison := widget("poison", 1)
		poison.Object["spec"] = map[string]any{"text": "\xff"}
		s.put(poison)
		s.expire()
		synctest.Wait()
		changes := l.changes(t)
		var got []string
		for _, c := range changes {
			got = append(got, fmt.Sprintf("%s %s %s %s %s", c.Op, c.Name, c.ResourceVersion, c.UID, c.Resume))
		}
		slices.Sort(got)
		want := []string{
			"CREATE new 108 u-new 105",
			"DELETE deleted 112 u-deleted 105",
			"UPDATE changed 107 u-changed 105",
		}
		if !slices.Equal(got, want) {
			t.Errorf("it published\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
		if last := changes[len(changes)-1]; last.Op != event.Delete {
			t.Errorf("a deletion is published before the list is whole: %s %s at last", last.Op, last.Name)
		}
		if len(l.letters) != 1 {
			t.Errorf("%d dead letters", len(l.letters))
		}
		// What it does not publish stays known: were it deleted now, it would say so.
		s.remove("excluded")
		s.remove("poison")
		s.remove("kept")
		r.check(t, "live again", "DELETE excluded 113", "DELETE poison 114", "DELETE kept 115")
		r.stop(t)
	})
}

// TestExpiredContinueToken: the API server drops the version that a list is
// being read at, between two pages.
func TestExpiredContinueToken(t *testing.T) {
	expireOnce := func(s *server) func(metav1.ListOptions) error {
		left := 1
		return func(opts metav1.ListOptions) error {
			if opts.Continue == "" || left == 0 {
				return nil
			}
			left--
			s.remove("b") // the next list is another one
			return apierrors.NewResourceExpired("the provided continue parameter is too old")
		}
	}
	t.Run("first list", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server, l *lane) {
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				s.put(widget(name, 1))
			}
			s.refuse(expireOnce(s), nil)
			r := begin(t, s, l)
			r.check(t, "at first", "CREATE a 101 1", "CREATE b 102 1", "CREATE c 103 1", "CREATE d 104 1", "CREATE e 105 1")
			if lists, _ := s.requests(); lists != 2 {
				t.Errorf("it began %d lists", lists)
			}
			if got := l.bookmarked(t); got != "106" {
				t.Errorf("the bookmark is at %s", got)
			}
			r.stop(t)
		})
	})
	t.Run("after 410", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server, l *lane) {
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				s.put(widget(name, 1))
			}
			r := begin(t, s, l)
			l.take(t)
			s.partition()
			s.put(widget("a", 2))
			s.refuse(expireOnce(s), nil)
			advance(time.Minute)
			s.restart()
			r.check(t, "told 410", "UPDATE a 106 2", "DELETE b 108")
			if n := r.counted("duplicate"); n != 0 {
				t.Errorf("%d changes were published twice", n)
			}
			r.stop(t)
		})
	})
	t.Run("always", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server, l *lane) {
			for _, name := range []string{"a", "b", "c"} {
				s.put(widget(name, 1))
			}
			s.refuse(func(opts metav1.ListOptions) error {
				if opts.Continue == "" {
					return nil
				}
				return apierrors.NewResourceExpired("the provided continue parameter is too old")
			}, nil)
			r := begin(t, s, l)
			advance(time.Minute)
			if lists, _ := s.requests(); lists > 60*listAttempts {
				t.Errorf("it began %d lists in a minute", lists)
			}
			if err := r.Ready(); !apierrors.IsResourceExpired(err) {
				t.Errorf("its readiness is %v", err)
			}
			s.refuse(nil, nil)
			advance(10 * time.Second)
			r.check(t, "in the end", "CREATE a 101 1", "CREATE b 102 1", "CREATE c 103 1")
			r.stop(t)
		})
	})
}

// TestWatchClosedAtOnce: a server that ends each watch at once is not asked
// without end.
func TestWatchClosedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.refuse(nil, func(metav1.ListOptions) error {
			go func() {
				<-time.After(time.Millisecond)
				s.hangUp()
			}()
			return nil
		})
		r := begin(t, s, l)
		advance(time.Minute)
		_, watches := s.requests()
		if len(watches) < 5 || len(watches) > 60 {
			t.Errorf("it asked %d times in a minute", len(watches))
		}
		if r.Ready() == nil {
			t.Error("it is ready although nothing can be watched")
		}
		s.refuse(nil, nil)
		advance(10 * time.Second)
		s.put(widget("a", 2))
		r.check(t, "once it can watch", "CREATE a 101 1", "UPDATE a 102 2")
		if err := r.Ready(); err != nil {
			t.Errorf("its readiness is %v", err)
		}
		r.stop(t)
	})
}

// TestWatchEnds: a watch that lived is followed by the next without a pause, from
// where it was.
func TestWatchEnds(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		s.put(widget("a", 2))
		synctest.Wait()
		s.hangUp()
		s.put(widget("a", 3))
		r.check(t, "through a lost connection", "CREATE a 101 1", "UPDATE a 102 2", "UPDATE a 103 3")
		if _, watches := s.requests(); !slices.Equal(watches, []string{"101", "102"}) {
			t.Errorf("it watched from %v", watches)
		}
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
		s.put(widget("big", 1))
		r := begin(t, s, l)
		s.put(widget("big", 2))
		s.put(widget("small", 1))
		r.check(t, "beside one too large", "CREATE small 103 1")
		if len(l.letters) != 2 {
			t.Errorf("%d dead letters, want one a version", len(l.letters))
		}
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
	t.Run("while listing", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server, l *lane) {
			s.put(widget("a", 1))
			l.refuse(fence)
			ended(t, begin(t, s, l), bus.ErrFenced)
		})
	})
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
				r.check(t, "all the while", "CREATE a 101 1", "UPDATE a 105 2")
				r.stop(t)
			})
		})
	}
}

// ended asserts that a worker ends by itself, with an error.
func ended(t *testing.T, r *running, want error) {
	t.Helper()
	select {
	case err := <-r.done:
		if !errors.Is(err, want) {
			t.Errorf("it ended with %v, want %v", err, want)
		}
	case <-time.After(10 * time.Minute):
		t.Fatal("it goes on")
	}
	// Only a type that is gone may be left out of a run: one whose worker ended
	// for another reason is asked again, of the worker that follows.
	answer := errStopped
	if errors.Is(want, ErrTypeGone) {
		answer = ErrTypeGone
	}
	if err := r.Offer(t.Context(), Offer{}); !errors.Is(err, answer) {
		t.Errorf("asked after its end, it answers %v", err)
	}
}

// TestTypeGone: a type that is no longer served ends its worker, and nothing of
// it is taken for deleted.
func TestTypeGone(t *testing.T) {
	for name, fail := range map[string]func(s *server){
		"at a watch": func(s *server) { s.refuse(nil, func(metav1.ListOptions) error { return notFound() }); s.hangUp() },
		"at a list":  func(s *server) { s.refuse(func(metav1.ListOptions) error { return notFound() }, nil); s.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.put(widget("a", 1))
				r := begin(t, s, l)
				r.check(t, "at first", "CREATE a 101 1")
				fail(s)
				ended(t, r, ErrTypeGone)
				r.check(t, "when the type left")
			})
		})
	}
}

// TestForbidden: a type that may not be watched says so, to a run too, and is
// watched once it may.
func TestForbidden(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.refuse(func(metav1.ListOptions) error { return forbidden() }, nil)
		r := begin(t, s, l)
		if err := r.Ready(); !apierrors.IsForbidden(err) || !errors.Is(err, ErrNotAllowed) {
			t.Errorf("its readiness is %v", err)
		}
		if err := r.Offer(t.Context(), Offer{}); !Refused(err) {
			t.Errorf("a run is told %v", err)
		}
		s.refuse(nil, nil)
		advance(time.Minute)
		r.check(t, "once allowed", "CREATE a 101 1")

		// An API server that has just started may not know the rights yet.
		s.refuse(nil, func(metav1.ListOptions) error { return forbidden() })
		s.hangUp()
		synctest.Wait()
		if err := r.Ready(); !apierrors.IsForbidden(err) || errors.Is(err, ErrNotAllowed) {
			t.Errorf("forbidden after it was watched, its readiness is %v", err)
		}
		answered := make(chan error, 1)
		go func() { answered <- r.Offer(t.Context(), offered(true)) }()
		synctest.Wait()
		s.refuse(nil, nil)
		s.put(widget("a", 2))
		advance(5 * time.Second)
		r.check(t, "allowed again", "UPDATE a 102 2")
		if err := <-answered; err != nil {
			t.Errorf("a run that asked meanwhile is told %v", err)
		}
		r.stop(t)
	})
}

// TestFailureIsNoRefusal: a run waits for an API server that fails to list; only
// a refusal leaves a type out of it.
func TestFailureIsNoRefusal(t *testing.T) {
	for name, fails := range map[string]error{
		"internal":    apierrors.NewInternalError(errors.New("etcdserver: leader changed")),
		"unavailable": apierrors.NewServiceUnavailable("starting"),
		"busy":        apierrors.NewTooManyRequests("later", 1),
		"connection":  errors.New("connection refused"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.put(widget("a", 1))
				r := begin(t, s, l)
				r.stop(t)
				l.take(t)
				s.refuse(func(metav1.ListOptions) error { return fails }, nil)
				r = begin(t, s, l) // resumes, and lists its index in vain
				answered := make(chan error, 1)
				go func() { answered <- r.Offer(t.Context(), offered(true)) }()
				advance(time.Minute)
				select {
				case err := <-answered:
					t.Fatalf("the run is told %v", err)
				default:
				}
				if r.Ready() == nil {
					t.Error("it is ready although it cannot answer a run")
				}
				s.refuse(nil, nil)
				if err := <-answered; err != nil {
					t.Fatal(err)
				}
				r.check(t, "once the list works", "UPDATE a 101 1 for prod/gitops/live")
				r.stop(t)
			})
		})
	}
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

// TestGoneAgainAndAgain: a server that lists well and then knows nothing of the
// list's version is not asked without end.
func TestGoneAgainAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		s.refuse(nil, func(metav1.ListOptions) error { return apierrors.NewResourceExpired("too old resource version") })
		s.hangUp()
		advance(time.Minute)
		if lists, watches := s.requests(); lists > 60 || len(watches) > 60 {
			t.Errorf("in a minute it listed %d times and watched %d times", lists, len(watches))
		}
		if err := r.Ready(); !apierrors.IsResourceExpired(err) {
			t.Errorf("its readiness is %v", err)
		}
		s.refuse(nil, nil)
		s.put(widget("a", 2))
		advance(10 * time.Second)
		r.check(t, "in the end", "CREATE a 101 1", "UPDATE a 102 2")
		r.stop(t)
	})
}

// TestListWithoutVersion: there is nothing to watch from, which is said and not
// tried without end.
func TestListWithoutVersion(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.unversioned = true
		r := begin(t, s, l)
		advance(time.Minute)
		if lists, _ := s.requests(); lists > 60 {
			t.Errorf("it listed %d times in a minute", lists)
		}
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "no version") {
			t.Errorf("its readiness is %v", err)
		}
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

// offered is what a run asks for in these tests.
func offered(isNew bool) Offer {
	d := event.Destination{
		Key:   event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"},
		Rules: []event.Rule{{Groups: []string{"example.com"}, Resources: []string{"widgets"}, Namespaces: []string{"shop"}}},
	}
	return Offer{Destination: d, Revision: 7, Run: "run-1", Attempt: 1, New: isNew}
}

func TestOffer(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		elsewhere := widget("elsewhere", 1)
		elsewhere.SetNamespace("billing")
		s.put(elsewhere)
		r := begin(t, s, l)
		l.take(t)

		if err := r.Offer(t.Context(), offered(true)); err != nil {
			t.Fatal(err)
		}
		r.check(t, "to a destination that everything has reached")

		if err := r.Offer(t.Context(), offered(false)); err != nil {
			t.Fatal(err)
		}
		changes := l.changes(t)
		if len(changes) != 2 {
			t.Fatalf("it offered %d objects, want those its rules select", len(changes))
		}
		for _, c := range changes {
			if c.Op != event.Update || c.Origin != event.Reconcile || c.Run != "run-1" || c.Attempt != 1 || c.Destination != "prod/gitops/live" || c.Resume != "103" {
				t.Errorf("it offered %+v", c)
			}
		}
		if err := r.Offer(t.Context(), offered(false)); err != nil {
			t.Fatal(err)
		}
		r.check(t, "asked again, with the same IDs")
		r.stop(t)
	})
}

// TestOfferAfterARestart waits for an exact index, and offers what the lane has,
// not what is still on its way.
func TestOfferAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		r := begin(t, s, l)
		r.stop(t)
		l.take(t)
		r = begin(t, s, l)
		answered := make(chan error, 1)
		go func() { answered <- r.Offer(t.Context(), offered(true)) }()
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		r.check(t, "to a destination it knows nothing of", "UPDATE a 101 1 for prod/gitops/live", "UPDATE b 102 1 for prod/gitops/live")

		// A version that the list shows and the watch has not delivered yet.
		s.mu.Lock()
		late := widget("a", 2)
		late.SetResourceVersion("103")
		s.rv, s.objects["a"] = 103, late
		s.mu.Unlock()
		again := offered(false)
		again.Run = "run-2"
		if err := r.Offer(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		r.check(t, "while a change is on its way", "UPDATE b 102 1 for prod/gitops/live")
		r.stop(t)
	})
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
		r.check(t, "of one that was adopted", "CREATE adopted 105 1", "DELETE adopted 107")
		if n := r.counted("excluded"); n != 5 {
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
		{"but the scale", []any{field("kubectl", "", 5), field("autoscaler", "scale", 9)}, "autoscaler", 9},
		{"the status alone", []any{field("controller", "status", 9)}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := widget("a", 1)
			meta := o.Object["metadata"].(map[string]any)
			meta["creationTimestamp"] = at(0)
			meta["managedFields"] = tt.fields
			when, manager := lastWrite(o)
			if manager != tt.manager || !when.Equal(time.Date(2026, 3, 14, 15, tt.minute, 0, 0, time.UTC)) {
				t.Errorf("written by %q at %s", manager, when)
			}
		})
	}
}
