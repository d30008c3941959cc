package branch

import (
	"context"
	"errors"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
)

const (
	// A push carries at most so many changes and bytes, and what completes the
	// commit of a run: what one worker holds in memory.
	batchChanges = 2000
	batchBytes   = 16 << 20
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
	// recheckEvery is how often a refused folder is looked at again.
	recheckEvery = time.Minute
)

// write is the loop: gather, commit, push, answer.
func (s *session) write(ctx context.Context, r *bus.Reader) (moved bool, err error) {
	begun := time.Now()
	for {
		b, err := s.gather(ctx, r)
		if err != nil && !errors.Is(err, errReconfigured) {
			return moved, err
		}
		reconfigured := err != nil
		if len(b.writes) > 0 {
			clear(s.inFlight)
			if err := s.commit(ctx, b.writes); err != nil {
				return moved, err
			}
			s.show(func(sn *Snapshot) { sn.Pending = uint64(len(b.writes)) + b.pending })
			if err := s.push(ctx, b.writes); err != nil {
				return moved, err
			}
			moved = true
		} else if ctx.Err() == nil {
			if s.consumed > s.noted { // nothing but no-ops since
				if err := s.note(ctx, s.consumed); err != nil {
					return moved, err
				}
			}
			s.flushStatus(ctx, true)
		}
		if b.barrier != nil && ctx.Err() == nil {
			if err := s.answer(ctx, *b.barrier); err != nil {
				return moved, err
			}
			moved = true
		}
		s.show(func(sn *Snapshot) { sn.Pending, sn.Why = b.pending, nil })
		s.Metrics.Lag.WithLabelValues(s.BranchKey).Set(float64(b.pending))
		switch {
		case ctx.Err() != nil:
			return moved, nil
		case reconfigured:
			return moved, errReconfigured
		case len(b.writes) == 0 && s.recheck && time.Since(begun) > recheckEvery:
			return moved, errReconfigured
		}
	}
}

// batch is what one turn of the loop takes.
type batch struct {
	writes  []write
	size    int
	open    open     // the commit that the writes end with
	barrier *barrier // what came behind them; nil: nothing that ends a batch
	pending uint64   // how many more the server has
}

func (b *batch) add(w write) {
	b.open.add(w)
	b.writes = append(b.writes, w)
	b.size += len(w.Manifest)
}

// full is whether the bounds of a push are reached. A run's commit that was begun
// before that may be completed.
func (b *batch) full() bool {
	if len(b.writes) < batchChanges && b.size < batchBytes {
		return false
	}
	return !b.open.waits() || len(b.writes)-b.open.files >= batchChanges || b.size-b.open.size >= batchBytes
}

// wait is how long to wait for the next message, once one was taken.
func (b *batch) wait() time.Duration {
	switch {
	case b.open.waits():
		return moreWait
	case b.pending == 0:
		return bufferWait
	}
	return gatherWait
}

// gather takes what waits in KS_WRITE, up to the bounds of a push or to a BARRIER.
func (s *session) gather(ctx context.Context, r *bus.Reader) (b batch, err error) {
	wait := idleWait
	for !b.full() {
		m, ok, err := r.Next(ctx, wait)
		if err != nil || !ok {
			return b, err
		}
		b.pending = m.Pending
		t, err := s.take(ctx, m)
		if err != nil {
			return b, err
		}
		if t.barrier != nil { // consumed once it is answered
			b.barrier = t.barrier
			return b, nil
		}
		s.consumed = m.Seq
		if t.write != nil {
			b.add(*t.write)
		}
		wait = b.wait()
	}
	return b, nil
}
