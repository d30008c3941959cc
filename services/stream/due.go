package stream

import (
	"context"
	"errors"
	"sync"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// dueSet is the destinations that have something to do without an input.
type dueSet struct {
	wake chan struct{} // holds something while the set may not be empty

	mu  sync.Mutex
	set map[event.DestinationKey]struct{} // guarded by mu
}

func newDueSet() *dueSet {
	return &dueSet{wake: make(chan struct{}, 1), set: map[event.DestinationKey]struct{}{}}
}

func (d *dueSet) add(k event.DestinationKey) {
	d.mu.Lock()
	d.set[k] = struct{}{}
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *dueSet) take() []event.DestinationKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []event.DestinationKey
	for k := range d.set {
		all = append(all, k)
	}
	clear(d.set)
	return all
}

// followRuns tells the hop when the reconciler has begun another run.
func (s *Stream) followRuns(ctx context.Context) {
	var backoff fault.Backoff
	for ctx.Err() == nil {
		err := s.phases.Watch(ctx, func(e bus.Entry[event.PhaseRecord]) error {
			backoff.Reset()
			k, err := subject.ParseDestinationToken(e.Key)
			if err == nil {
				s.due[subject.LiveShard(k)].add(k)
			}
			return nil
		}, func() error { return nil })
		if ctx.Err() == nil {
			s.log.Warn("runs are not being followed, retrying", "err", err)
			_ = fault.Wait(ctx, backoff.Next())
		}
	}
}

// followResults tells the hop when the results of a run are there.
func (s *Stream) followResults(ctx context.Context) {
	var backoff fault.Backoff
	next := uint64(1)
	for ctx.Err() == nil {
		err := s.readResults(ctx, &next, &backoff)
		if ctx.Err() == nil {
			s.log.Warn("results of runs are not being followed, retrying", "err", err)
			_ = fault.Wait(ctx, backoff.Next())
		}
	}
}

func (s *Stream) readResults(ctx context.Context, next *uint64, backoff *fault.Backoff) error {
	r, err := s.bus.Read(ctx, subject.Snap, []string{subject.SnapRunEnds}, *next)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		m, ok, err := r.Next(ctx, registryWait)
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !ok {
			continue
		}
		backoff.Reset()
		*next = m.Seq + 1
		if series, err := subject.ParseSnapEnd(m.Subject); err == nil {
			s.due[subject.LiveShard(series.Destination)].add(series.Destination)
		}
	}
}
