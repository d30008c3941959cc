package reconciler

import (
	"context"
	"errors"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// phaseNews is one entry of KS_PHASE, or, with all set, every entry there was: what
// is not in it was removed, if it had been written by revision at.
type phaseNews struct {
	all   map[string]bus.Entry[event.PhaseRecord]
	at    uint64
	entry bus.Entry[event.PhaseRecord]
}

// endNews is the end of one series, or, with synced set, that all there are have
// been said.
type endNews struct {
	synced bool
	series subject.Series
	end    event.End
	seq    uint64
}

// follow keeps something followed until ctx ends, beginning anew with backoff.
func (r *Reconciler) follow(ctx context.Context, what string, once func(ctx context.Context, works func()) error) {
	r.troubles.set(what, errors.New(what+" have not been read yet"))
	var backoff fault.Backoff
	for ctx.Err() == nil {
		err := once(ctx, func() {
			backoff.Reset()
			r.troubles.set(what, nil)
		})
		if ctx.Err() != nil {
			return
		}
		r.troubles.set(what, err)
		r.log.Warn("not followed, retrying", "what", what, "err", err)
		_ = fault.Wait(ctx, backoff.Next())
	}
}

// followPhases tells the manager what is in KS_PHASE.
func (r *Reconciler) followPhases(ctx context.Context, works func()) error {
	at, err := r.phases.Reached(ctx) // what the manager writes meanwhile is behind it
	if err != nil {
		return err
	}
	first := map[string]bus.Entry[event.PhaseRecord]{}
	whole := false
	return r.phases.Watch(ctx, func(e bus.Entry[event.PhaseRecord]) error {
		if whole {
			return send(ctx, r.phaseNews, phaseNews{entry: e})
		}
		first[e.Key] = e
		if e.Gone { // since the reading began
			delete(first, e.Key)
		}
		return nil
	}, func() error {
		whole = true
		works()
		return send(ctx, r.phaseNews, phaseNews{all: first, at: at})
	})
}

// endsWait is how long the reader of ends waits before it looks whether there are
// more.
const endsWait = time.Second

// followEnds tells the manager of every end in KS_SNAP, once, from behind *last on.
func (r *Reconciler) followEnds(last *uint64, synced *bool) func(context.Context, func()) error {
	return func(ctx context.Context, works func()) error {
		reader, err := r.bus.Read(ctx, subject.Snap, []string{subject.SnapEnds}, *last+1)
		if err != nil {
			return err
		}
		defer reader.Close()
		waiting, err := r.bus.Waiting(ctx, subject.Snap, subject.SnapEnds, *last)
		if err != nil {
			return err
		}
		for {
			if waiting == 0 && !*synced {
				if err := send(ctx, r.endNews, endNews{synced: true}); err != nil {
					return err
				}
				*synced = true
			}
			if waiting == 0 {
				works()
			}
			m, ok, err := reader.Next(ctx, endsWait)
			switch {
			case err != nil || ctx.Err() != nil:
				return errors.Join(err, ctx.Err())
			case ok:
				if err := r.heard(ctx, m); err != nil {
					return err
				}
				*last, waiting = m.Seq, m.Pending
			case waiting > 0: // they may have been removed in the meantime
				if waiting, err = r.bus.Waiting(ctx, subject.Snap, subject.SnapEnds, *last); err != nil {
					return err
				}
			}
		}
	}
}

// heard hands on one end. What is none stands still: a newer version of this
// program wrote it.
func (r *Reconciler) heard(ctx context.Context, m bus.Message) error {
	series, err := subject.ParseSnapEnd(m.Subject)
	if err != nil {
		return err
	}
	end, err := event.Decode[event.End](m.Data)
	if errors.Is(err, event.ErrMalformed) {
		end, err = event.End{Failed: err.Error()}, nil
	}
	if err != nil {
		return err
	}
	return send(ctx, r.endNews, endNews{series: series, end: end, seq: m.Seq})
}

func send[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
