package branch

import (
	"context"
	"errors"
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
		s.consumed = b.Through
		if err != nil && !errors.Is(err, errReconfigured) {
			return moved, err
		}
		reconfigured, quiet := err != nil, true
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
			if s.consumed > s.noted { // nothing but no-ops since
				if err := s.note(ctx, s.consumed); err != nil {
					return moved, err
				}
			}
			s.flushStatus(ctx, true)
		}
		s.show(func(sn *Snapshot) { sn.Pending, sn.Why = b.pending, nil })
		s.Metrics.Lag.WithLabelValues(s.BranchKey).Set(float64(b.pending))
		switch {
		case ctx.Err() != nil:
			return moved, nil
		case reconfigured:
			return moved, errReconfigured
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
	if step == ledger.Answer {
		if err := s.answer(ctx, *b.barrier); err != nil {
			return err
		}
		b.Answered()
		s.consumed = b.Through
		if err := s.note(ctx, s.consumed); err != nil {
			return err
		}
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
}

// waiting is how many changes are not on the remote.
func (b *batch) waiting() uint64 {
	n := b.pending
	for _, g := range b.Commits {
		n += uint64(len(g))
	}
	return n
}

// wait is how long to wait for the next message, once one was taken.
func (b *batch) wait() time.Duration {
	switch {
	case b.Waits():
		return moreWait
	case b.pending == 0:
		return bufferWait
	}
	return gatherWait
}

// gather takes what waits in KS_WRITE, up to the bounds of a push or to a BARRIER.
func (s *session) gather(ctx context.Context, r *bus.Reader) (b batch, err error) {
	b.Through = s.consumed
	wait := idleWait
	for !b.Full() {
		m, ok, err := r.Next(ctx, wait)
		if err != nil {
			return b, err
		}
		if !ok {
			if len(b.Commits) == 0 || ctx.Err() != nil {
				return b, nil
			}
			due := s.due(&b)
			if due == 0 {
				return b, nil
			}
			if s.looksAgain() || s.freed() {
				// What was gathered is read again: that takes nothing from its window.
				return batch{Batch: ledger.Batch[write]{Through: s.consumed}, pending: b.waiting()}, errReconfigured
			}
			s.show(func(sn *Snapshot) { sn.Pending = b.waiting() })
			s.Metrics.Lag.WithLabelValues(s.BranchKey).Set(float64(b.waiting()))
			s.flushStatus(ctx, false)
			wait = min(due, idleWait)
			continue
		}
		b.pending = m.Pending
		t, err := s.take(ctx, m)
		if err != nil {
			return b, err
		}
		switch {
		case t.barrier != nil:
			b.barrier = t.barrier
			b.End(m.Seq)
		case t.write != nil:
			b.Add(t.write.asWrite(), *t.write)
		default:
			b.Pass(m.Seq)
		}
		wait = b.wait()
	}
	return b, nil
}
