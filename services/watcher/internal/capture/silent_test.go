package capture

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// TestSilentServer: requests that are never answered end, which is a reason for
// not being ready, and are made again.
func TestSilentServer(t *testing.T) {
	t.Run("list", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server, l *lane) {
			s.put(widget("a", 1))
			s.hush(true)
			r := begin(t, s, l)
			advance(pageWait)
			if err := r.Ready(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("its readiness is %v", err)
			}
			s.hush(false)
			advance(pageWait + 10*time.Second)
			r.check(t, "in the end")
			r.asked(t, "live TypeAppeared")
			r.stop(t)
		})
	})
	t.Run("watch", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server, l *lane) {
			s.put(widget("a", 1))
			r := begin(t, s, l)
			r.check(t, "at first")
			s.hush(true)
			s.hangUp()
			advance(2*watchLength + watchGrace)
			if err := r.Ready(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("its readiness is %v", err)
			}
			s.hush(false)
			s.put(widget("a", 2))
			advance(2*watchLength + watchGrace + 10*time.Second)
			r.check(t, "in the end", "UPDATE a 102 2")
			r.stop(t)
		})
	})
}

// TestDeadWatch: a watch that says nothing any more, and does not end when it
// should, is followed by another, from where it was.
func TestDeadWatch(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.check(t, "at first")
		s.lose()
		s.put(widget("a", 2))
		r.check(t, "at once")
		advance(2*watchLength + watchGrace + time.Second)
		r.check(t, "once the watch is overdue", "UPDATE a 102 2")
		if err := r.Ready(); err != nil {
			t.Errorf("its readiness is %v", err)
		}
		_, watches := s.requests()
		if want := []string{"101", "101"}; !slices.Equal(watches, want) {
			t.Errorf("it watched from %v, want %v", watches, want)
		}
		r.stop(t)
	})
}
