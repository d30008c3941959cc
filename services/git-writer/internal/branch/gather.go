package branch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
)

const (
	// idleWait is how often a quiet worker looks around.
	idleWait = time.Second
	// gatherWait is how long a worker waits for a change that the server says
	// is on its way.
	gatherWait = 20 * time.Millisecond
	// bufferWait is the same where the server had no more, when it sent the last
	// one: what it sent since is here already.
	bufferWait = time.Millisecond
	// newestWait is how long it waits, when nothing comes any more, to be told what the newest message is;
	// it goes on without.
	newestWait = 100 * time.Millisecond
	// knownWait is how long it waits in all for what there is up to that one.
	knownWait = 2 * time.Second
	// moreWait is how long a worker waits for the next result of a run, so that
	// the run is one commit although its results come a batch at a time.
	moreWait = 5 * time.Second
	// recheckEvery is how often a refused folder is looked at again, and
	// recheckMoved how soon where others have pushed to the branch.
	recheckEvery = time.Minute
	recheckMoved = 2 * time.Second
)

// write is the loop: gather, commit, push, answer.
func (s *session) write(ctx context.Context, r *bus.Reader) (moved bool, err error) {
	s.begun = time.Now()
	for {
		b, err := s.gather(ctx, r)
		s.consumed, s.stored, s.held = b.Through, b.Stored, b.Held
		end := err // of the session, once what was gathered before is on the remote
		if end != nil && !errors.Is(end, errReconfigured) && !errors.Is(end, ErrNoKey) {
			return moved, end
		}
		quiet := true
		for step := b.Next(); step != ledger.Done; step = b.Next() {
			if step == ledger.Answer && ctx.Err() != nil {
				break
			}
			if err := s.do(ctx, step, &b); err != nil {
				return moved, err
			}
			moved, quiet = true, false
		}
		if quiet && ctx.Err() == nil {
			if s.consumed > s.noted || !slices.Equal(s.held.Seqs(), s.hint.Held) { // nothing but no-ops since, or what is held
				if err := s.note(ctx, s.consumed, s.held); err != nil {
					return moved, err
				}
			}
			s.Metrics.count(s.tally)
			s.flushStatus(ctx, true)
		}
		if end == nil {
			w := s.Worker
			w.said = ""
			s.show(func(sn *Snapshot) { sn.Pending, sn.Why = b.pending, nil })
		}
		s.Metrics.Lag.WithLabelValues(s.BranchKey).Set(float64(b.pending))
		s.Metrics.Held.WithLabelValues(s.BranchKey).Set(float64(len(s.held)))
		switch {
		case ctx.Err() != nil:
			return moved, nil
		case end != nil:
			return moved, end
		case s.looksAgain():
			return moved, errReconfigured
		}
	}
}

// looksAgain is whether a session with a refused folder has lasted long enough.
func (s *session) looksAgain() bool {
	after := recheckEvery
	if s.others {
		after = recheckMoved
	}
	return s.recheck && time.Since(s.begun) > after
}

// do takes the next step of a batch.
func (s *session) do(ctx context.Context, step ledger.Step, b *batch) error {
	if s.Pace.asked(time.Now()) > 0 {
		return errAlone
	}
	if step == ledger.Answer {
		if err := s.answer(ctx, *b.barrier); err != nil {
			return err
		}
		b.Answered()
		s.consumed, s.stored = b.Through, b.Stored
		if err := s.note(ctx, s.consumed, s.held); err != nil {
			return err
		}
		s.Metrics.count(s.tally)
		s.touch(b.barrier.destination)
		s.flushStatus(ctx, true) // who waits for a run that finds nothing waits for this
		return nil
	}
	if err := s.bring(ctx, b); err != nil {
		return err
	}
	b.Pushed()
	return nil
}

// batch is what one turn of the loop takes.
type batch struct {
	ledger.Batch[write]
	barrier *barrier // that ended it; nil: none did
	pending uint64   // how many more messages the server has
	known   known
}

// known is up to where there are messages, and until when they are worth waiting for. Zero: nobody has
// asked.
type known struct {
	asked  bool
	newest uint64 // 0: it was not told
	until  time.Time
}

// waiting is how many changes are not on the remote.
func (b *batch) waiting() uint64 {
	n := b.pending
	for _, g := range b.Commits {
		n += uint64(len(g.Writes))
	}
	return n
}

// wait is how long to wait for the next message, once one was taken.
func (b *batch) wait() time.Duration {
	switch {
	case b.Waits():
		return moreWait
	case b.Through < b.known.newest && time.Until(b.known.until) > 0:
		return time.Until(b.known.until)
	case b.pending > 0:
		return gatherWait
	}
	return bufferWait
}

// gather takes what waits in KS_WRITE, up to the bounds of a push or to a BARRIER: all that
// had come when it asked for the newest, which it does once, when a push may begin and nothing
// comes. A reader pauses although there is more, on a busy machine for longer than is worth
// waiting without being sure; and a push takes as long for one change as for hundreds. A
// version whose object had its commits of the minute it holds, past which the branch goes
// on; and it takes held versions whose turn has come.
func (s *session) gather(ctx context.Context, r source) (b batch, err error) {
	b.Batch = ledger.Batch[write]{Through: s.consumed, Stored: s.stored, Held: s.held, Limiter: &s.limiter}
	wait := idleWait
	for !b.Full() {
		it, err := s.next(ctx, r, &b, wait)
		if err != nil {
			return b, err
		}
		if it == nil {
			if ctx.Err() != nil {
				return b, nil
			}
			turns, err := s.turns(&b)
			if err != nil {
				return s.later(&b), err
			}
			if len(turns) > 0 {
				if err := s.release(ctx, &b, turns, s.clock.Now(s.Now())); err != nil || ctx.Err() != nil {
					return b, err
				}
				wait = b.wait()
				continue
			}
			if len(b.Commits) == 0 {
				return b, nil
			}
			due := s.due(&b)
			if due == 0 {
				if b.known.asked {
					return b, nil
				}
				b.known = known{true, s.record.newest(ctx, s.BranchKey), time.Now().Add(knownWait)}
				if b.Through >= b.known.newest {
					return b, nil
				}
				wait = b.wait()
				continue
			}
			if s.looksAgain() || s.freed() {
				return s.later(&b), errReconfigured
			}
			s.show(func(sn *Snapshot) { sn.Pending = b.waiting() })
			s.Metrics.Lag.WithLabelValues(s.BranchKey).Set(float64(b.waiting()))
			s.flushStatus(ctx, false)
			wait = min(due, idleWait)
			continue
		}
		if first := it.first(&b); len(first) > 0 {
			s.aside = it
			if err := s.release(ctx, &b, first, it.time); err != nil || ctx.Err() != nil {
				return b, err
			}
			continue
		}
		s.put(&b, it)
		wait = b.wait()
	}
	return b, nil
}

// later is a batch of nothing: what was gathered is read again, by the next session. That
// takes nothing from its window.
func (s *session) later(b *batch) batch {
	s.tally.clear()
	return batch{Batch: ledger.Batch[write]{Through: s.consumed, Stored: s.stored, Held: s.held}, pending: b.waiting()}
}
