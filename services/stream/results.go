package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubescribe/kubescribe/services/stream/decide"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/stream/results"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// errBehind ends a round: what is known of a ledger is older than what it holds.
var errBehind = errors.New("another owner of the destination's stream has closed it")

// Due lists the ledgers of the destinations that may have something to do.
func (s *shard) Due() []bus.LedgerConfig {
	var configs []bus.LedgerConfig
	for _, k := range s.due[s.n].take() {
		if _, ok := s.registry.Get(k); ok {
			configs = append(configs, ledger(k))
		}
	}
	return configs
}

// Work leaves a run that another has replaced, closes one that was a comparison for a
// person or that more has passed during than is remembered, or takes a batch of results.
// It finds that a checkpoint was lost, too.
func (s *shard) Work(ctx context.Context, l bus.LedgerConfig, state string) (_ bus.Decision, ok bool, err error) {
	k, err := subject.ParseWriteCheckpoint(l.Checkpoint)
	if err != nil {
		return bus.Decision{}, false, err
	}
	st, err := phase.Parse(state)
	if err != nil || (st.Step == phase.Idle && st != phase.State{}) {
		return bus.Decision{}, false, err
	}
	rec, err := s.record(ctx, k)
	if err != nil {
		return bus.Decision{}, false, err
	}
	if st.Step == phase.Idle {
		if !decide.CheckpointLost(st, rec) {
			return bus.Decision{}, false, nil
		}
		d, err := s.lost(ctx, k, rec)
		return d, err == nil, err
	}
	if d, left := decide.Leave(st, rec); left {
		s.log.Info("run left for another", "destination", k.String(), "run", st.Run, "attempt", st.Attempt)
		return decision(k, d), true, nil
	}
	if st.Behind(rec) {
		// Holding, this one would store nothing, and so never be refused.
		return bus.Decision{}, false, fmt.Errorf("run %s: %w", st.Run, errBehind)
	}
	dest, registered := s.destination(k)
	if st.Step == phase.Marking || !registered || rec.Registered < dest.Since() {
		// A run of one that was registered again since is replaced by the reconciler.
		return bus.Decision{}, false, nil
	}
	m := s.memory(k)
	d, ok, err := s.results(ctx, dest, st, m)
	switch {
	case errors.Is(err, bus.ErrSeries):
		// The reconciler finds that the run does not close, and makes another attempt.
		s.log.Warn("results of a run cannot be read", "destination", k.String(), "run", st.Run, "attempt", st.Attempt, "err", err)
		m.drop()
		return bus.Decision{}, false, nil
	case err != nil || !ok:
		return bus.Decision{}, false, err
	case d.Effects.Request:
		// Another one, behind this one. A crash before this one is closed asks again,
		// which is asking once.
		err = s.ask(ctx, k, event.ReasonOvertaken)
	}
	s.remember(k, d)
	return decision(k, d), err == nil, err
}

// results takes the next results of a run, once they are there.
func (s *shard) results(ctx context.Context, dest decide.Destination, st phase.State, m *memory) (d decide.Decision, ok bool, err error) {
	if m.results == nil {
		run := series(dest.Key, st, subject.SideRun)
		end, err := s.bus.SeriesEnd(ctx, run)
		if errors.Is(err, bus.ErrNoMessage) {
			return d, false, nil
		}
		if err != nil {
			return d, false, err
		}
		m.results, m.run = results.NewReader(results.Read(context.WithoutCancel(ctx), s.bus, run, end), st.Done), end
	}
	return decide.Results(dest, st, &m.passed, m.results, m.run)
}

func series(k event.DestinationKey, st phase.State, side subject.Side) subject.Series {
	return subject.Series{Destination: k, Run: st.Run, Attempt: st.Attempt, Side: side}
}
