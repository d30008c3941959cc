package branch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/shared/fault"
)

// Pace keeps the pushes to one remote apart, those of all of its branches. The zero value
// has seen none. Its methods may be called from any goroutine.
type Pace struct {
	mu    sync.Mutex
	turns []time.Time // when the newest pushes began, in order, at most keptTurns; guarded by mu
	alone time.Time   // until when the remote asked to be left alone; guarded by mu
}

// keptTurns is how many turns can be given back at a time: more than branches of a remote
// find at once that they have nothing to push.
const keptTurns = 64

// leave leaves the remote alone until a time: it asked one of its branches to.
func (p *Pace) leave(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.alone) {
		p.alone = until
	}
}

// asked is how much longer the remote is to be left alone.
func (p *Pace) asked(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.alone.Sub(now))
}

// due is how long a push has to wait that is to be an interval behind the last one.
func (p *Pace) due(interval time.Duration, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left(interval, now)
}

// left is due, with mu held.
func (p *Pace) left(interval time.Duration, now time.Time) time.Duration {
	if len(p.turns) == 0 {
		return 0
	}
	return max(0, p.turns[len(p.turns)-1].Add(interval).Sub(now))
}

// take is due, and where that is 0 a push begins now.
func (p *Pace) take(interval time.Duration, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := p.left(interval, now)
	if due == 0 {
		p.turns = append(p.turns[max(0, len(p.turns)-keptTurns+1):], now)
	}
	return due
}

// give gives back what was taken at a time: there was nothing to push.
func (p *Pace) give(taken time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turns = slices.DeleteFunc(p.turns, taken.Equal)
}

// interval is the least time between two pushes, of all that destinations of the branch
// say, as they are registered now.
func (s *session) interval() (least time.Duration) {
	for _, d := range s.destinations() {
		least = max(least, d.MinPushInterval)
	}
	return least
}

// open is for how much longer more may join what was gathered, by the window of its
// destination as it is registered now.
func (s *session) open(b *batch, now time.Time) time.Duration {
	k, since, live := b.Of()
	if !live {
		return 0
	}
	window := s.destinations()[k].Window
	return min(window, max(0, since.Add(window).Sub(now))) // the server's clock may be ahead
}

// due is how long it is until the branch's turn to push, and says so. Until then more may be
// gathered for it.
func (s *session) due(b *batch) time.Duration {
	now := time.Now()
	due := max(s.open(b, now), s.Pace.due(s.interval(), now))
	s.waits(now, due)
	return due
}

// await waits until a push may begin, or the end of ctx: the last push waits for no turn.
// It returns when the push began, or errAlone: until the remote may be asked again, what was
// gathered is safe in KS_WRITE.
func (s *session) await(ctx context.Context) (begun time.Time, err error) {
	for {
		now := time.Now()
		if s.Pace.asked(now) > 0 {
			return now, errAlone
		}
		if ctx.Err() != nil {
			s.Pace.take(0, now) // who comes next waits for this one
			return now, nil
		}
		due := s.Pace.take(s.interval(), now)
		s.waits(now, due)
		if due == 0 {
			return now, nil
		}
		_ = fault.Wait(ctx, min(due, idleWait)) // the loop sees how ctx is
	}
}

// waits shows when the next push begins.
func (s *session) waits(now time.Time, due time.Duration) {
	next := time.Time{}
	if due > 0 {
		next = now.Add(due)
	}
	s.show(func(sn *Snapshot) { sn.Next = next })
}
