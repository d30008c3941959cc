package capture

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubescribe/kubescribe/shared/event"
)

// TestGoneWithoutIndex: what happened since cannot be told, so a run is asked for,
// of every destination: what was deleted is in no list.
func TestGoneWithoutIndex(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		r := begin(t, s, l)
		r.check(t, "at first")
		r.stop(t)
		s.put(widget("a", 2))
		s.put(widget("a", 3))
		s.restart()
		l.runs()
		r = begin(t, s, l)
		r.check(t, "told 410")
		r.asked(t, "elsewhere WatchGap at 102", "live WatchGap at 102")
		if got := l.bookmarked(t); got != "105" {
			t.Errorf("the bookmark is at %s", got)
		}
		s.put(widget("b", 2))
		r.check(t, "live again", "UPDATE b 106 2")
		r.stop(t)
	})
}

// TestGoneWhileListing: an index that was being listed when the past got lost is
// not needed any more, so what becomes of that list is no matter.
func TestGoneWhileListing(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.stop(t)
		l.take(t)
		var first sync.Once
		fail := make(chan struct{})
		s.refuse(func(metav1.ListOptions) (err error) {
			first.Do(func() {
				<-fail
				err = errors.New("connection refused")
			})
			return err
		}, nil)
		before, _ := s.requests()
		r = begin(t, s, l) // resumes, and lists its index
		s.refuse(nil, nil)
		s.put(widget("a", 2))
		r.check(t, "resumed", "UPDATE a 102 2")
		s.expire()
		s.put(widget("a", 3))
		r.check(t, "told 410")
		r.asked(t, "elsewhere WatchGap at 101", "live TypeAppeared", "live WatchGap at 101")
		close(fail)
		synctest.Wait()
		if err := r.Ready(); err != nil {
			t.Errorf("its readiness is %v", err)
		}
		advance(time.Minute)
		if lists, _ := s.requests(); lists-before != 1 {
			t.Errorf("it began %d lists", lists-before)
		}
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
			"DELETE excluded 110 u-excluded 105",
			"UPDATE changed 107 u-changed 105",
		}
		if !slices.Equal(got, want) {
			t.Errorf("it published\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
		if n := len(changes); n > 0 && changes[n-1].Op != event.Delete {
			t.Errorf("a deletion is published before the list is whole: %s %s at last", changes[n-1].Op, changes[n-1].Name)
		}
		if len(l.letters) != 1 {
			t.Errorf("%d dead letters", len(l.letters))
		}
		// What it does not publish stays known: were it deleted now, it would say so.
		s.remove("excluded")
		s.remove("poison")
		s.remove("kept")
		r.check(t, "live again", "DELETE poison 114", "DELETE kept 115")
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
			r.check(t, "at first")
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
			r.asked(t, "live TypeAppeared")
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
		r.check(t, "once it can watch", "UPDATE a 102 2")
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
		r.check(t, "through a lost connection", "UPDATE a 102 2", "UPDATE a 103 3")
		if _, watches := s.requests(); !slices.Equal(watches, []string{"101", "102"}) {
			t.Errorf("it watched from %v", watches)
		}
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
		r.check(t, "in the end", "UPDATE a 102 2")
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

// TestGoneCaughtUp: where a gap was closed is looked at what runs have skipped, before the
// position behind the gap is stored. If that fails, the gap is closed anew.
func TestGoneCaughtUp(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.check(t, "at first")
		l.runs()
		l.mu.Lock()
		l.onAsk = errors.New("no answer")
		l.mu.Unlock()
		s.restart()
		advance(time.Minute)
		r.asked(t)
		if got := l.bookmarked(t); got != "101" {
			t.Errorf("the bookmark is at %s", got)
		}
		l.mu.Lock()
		l.onAsk = nil
		l.mu.Unlock()
		advance(time.Minute)
		r.check(t, "told 410")
		r.asked(t, "elsewhere caught up at 101", "live caught up at 101")
		if got := l.bookmarked(t); got != "102" {
			t.Errorf("the bookmark is at %s", got)
		}
		r.stop(t)
	})
}
