package stream

import (
	"context"
	"errors"
	"time"

	"github.com/kubescribe/kubescribe/services/stream/decide"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Lost asks for a run of a destination of which KS_LIVE lacks what was to be taken. A
// log that is another one may hold anew what was forwarded long ago; one that was cut
// holds what is newer than all that was.
func (s *shard) Lost(ctx context.Context, l bus.LedgerConfig, state string, loss *bus.Loss) (bus.Decision, error) {
	k, err := subject.ParseWriteCheckpoint(l.Checkpoint)
	if err != nil {
		return bus.Decision{}, err
	}
	st, err := phase.Parse(state)
	if err != nil {
		return bus.Decision{}, err
	}
	if errors.Is(loss, bus.ErrCut) {
		return s.cut(ctx, k, st, event.Gap{Stream: loss.Input, After: loss.After, Until: loss.Until, Missing: loss.Missing})
	}
	rec, err := s.record(ctx, k)
	if err != nil {
		return bus.Decision{}, err
	}
	return s.lost(ctx, k, rec)
}

// fenced takes the router's fence: the same has happened to it, where the fence stands.
func (s *shard) fenced(ctx context.Context, k event.DestinationKey, st phase.State, part int, f event.Fence) (bus.Decision, error) {
	rec, err := s.record(ctx, k)
	switch {
	case err != nil:
		return bus.Decision{}, err
	case decide.Mended(st, rec, part, f.Reason):
		return decision(k, decide.Decision{State: st}), nil
	case f.Reason == event.ReasonHistoryGap:
		return s.cut(ctx, k, st, event.Gap{Stream: subject.Events, After: f.After, Until: f.Until})
	}
	return s.lost(ctx, k, rec)
}

// lost asks for the run of a destination whose cursor means nothing any more.
func (s *shard) lost(ctx context.Context, k event.DestinationKey, rec event.PhaseRecord) (bus.Decision, error) {
	err := s.ask(ctx, k, event.ReasonCheckpointLost)
	return decision(k, decide.Lost(rec)), err
}

// cut parks a destination a part of whose backlog is gone, and asks for the run that
// finds what is missing. KS_PHASE says so before that run can begin, whatever run it
// shows. A crash before the decision is stored has it called again.
func (s *shard) cut(ctx context.Context, k event.DestinationKey, st phase.State, gap event.Gap) (bus.Decision, error) {
	gap.Found = time.Now().UTC()
	if _, err := s.change(ctx, k, func(rec *event.PhaseRecord) (bool, error) {
		if rec.Phase != event.Parked {
			rec.Since = gap.Found
		}
		if was := rec.Gap; rec.Phase == event.Parked && was != nil && was.Stream == gap.Stream && was.Until == gap.After {
			gap.After, gap.Missing = was.After, was.Missing+gap.Missing // one gap, in two cuts
		}
		rec.Phase, rec.Owner, rec.Gap = event.Parked, s.owner, &gap
		return true, nil
	}); err != nil {
		return bus.Decision{}, err
	}
	return decision(k, decide.Cut(st)), s.ask(ctx, k, event.ReasonHistoryGap)
}

// ask asks for a run.
func (s *shard) ask(ctx context.Context, k event.DestinationKey, reason string) error {
	s.log.Warn("asking for a run", "destination", k.String(), "reason", reason)
	return s.bus.Ask(ctx, subject.CtlRun(k), event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: reason})
}
