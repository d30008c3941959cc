package reconciler

import (
	"context"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/services/reconciler/plan"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// handInFor bounds how long the manager tries to store the one message that hands
// in results, before it looks at other destinations.
const handInFor = 10 * time.Second

// do carries out an action. Each is right however often it is done, by whomever.
func (m *manager) do(ctx context.Context, d *destination, a plan.Action) error {
	switch a.Kind {
	case plan.Begin:
		rec, revision, err := m.begin(ctx, d.key, d.record, m.expected(d), a.Reason, "")
		if err == nil {
			m.becomes(d, rec, true, revision)
		}
		return err
	case plan.AskStates:
		return m.ask(ctx, d, a, event.RequestClusterState, subject.CtlClusterState, d.attempt.asked)
	case plan.AskContents:
		return m.ask(ctx, d, a, event.RequestResources, subject.CtlResources, d.attempt.contents)
	case plan.Leave:
		return m.leave(ctx, d, a.Parts)
	case plan.Compare:
		m.compare(ctx, d)
		return nil
	case plan.HandIn:
		return m.handIn(ctx, d)
	case plan.Retry:
		return m.retry(ctx, d, a)
	case plan.Purge:
		upTo, err := m.tidy(ctx, d.key, d.record.Run)
		if err == nil {
			d.forget(upTo)
		}
		return err
	case plan.Remove:
		if err := m.remove(ctx, d.key); err != nil {
			return err
		}
		d.attempt.stop()
		m.becomes(d, event.PhaseRecord{}, false, d.revision)
		m.troubles.set(d.key.String(), nil)
		delete(m.all, d.key)
	case plan.Wait:
	}
	return nil
}

// expected is the revision that KS_PHASE is expected to have, 0 for no entry.
func (m *manager) expected(d *destination) uint64 {
	if !d.exists {
		return 0
	}
	return d.revision
}

// ask sends a request to the owner of each lane. A crash between two leaves lanes
// that were not asked: the next process asks all that have not ended their series,
// and whoever was asked before answers nothing new.
func (m *manager) ask(ctx context.Context, d *destination, a plan.Action, kind string, subj func(string, int, string, uint64) string, asked map[int]bool) error {
	for _, part := range a.Parts {
		q := event.Request{
			V: event.Version, Kind: kind, Destination: d.key, Part: part,
			Run: d.record.Run, Attempt: d.record.Attempt, Registered: d.record.Registered, Reason: d.record.Reason, Room: a.Room,
		}
		if err := m.bus.Ask(ctx, subj(d.key.Cluster, part, d.record.Run, d.record.Attempt), q); err != nil {
			return err
		}
		asked[part] = true
	}
	return nil
}

// compare has the states of the attempt compared.
func (m *manager) compare(ctx context.Context, d *destination) {
	cctx, cancel := context.WithCancel(ctx)
	d.attempt.cancel, d.attempt.comparison = cancel, plan.Comparing
	m.pool.add(ctx, cctx, comparison{key: d.key, record: d.record, prune: d.registered.Prune, ends: d.endsOf(epochOf(d.record))})
}

// leave closes the contents of lanes that are not asked, as all left. A crash in the
// middle leaves lanes that the next process finds to be left, as this one did.
func (m *manager) leave(ctx context.Context, d *destination, parts []int) error {
	ctx, cancel := context.WithTimeout(ctx, handInFor)
	defer cancel()
	for _, part := range parts {
		series := m.series(d, subject.SideContent(part))
		if _, err := m.bus.WriteSeries(series).Close(ctx, event.End{Left: d.attempt.found.wanted[part]}); err != nil {
			return fmt.Errorf("leaving the contents of lane %d: %w", part, err)
		}
		end, err := m.bus.SeriesEnd(ctx, series) // whoever has closed it
		if err != nil {
			return fmt.Errorf("leaving the contents of lane %d: %w", part, err)
		}
		d.hear(series, stored{End: end}, m.clock.Now())
	}
	return nil
}

// series names what one side says in the attempt that is under way.
func (m *manager) series(d *destination, side subject.Side) subject.Series {
	return subject.Series{Destination: d.key, Run: d.record.Run, Attempt: d.record.Attempt, Side: side}
}

// handIn closes the results of the run: from here on they are the destination
// stream's. If somebody handed some in before, those count.
//
// A crash behind it leaves a run that its stream closes, and series that whoever
// sees it closed removes.
func (m *manager) handIn(ctx context.Context, d *destination) error {
	ctx, cancel := context.WithTimeout(ctx, handInFor)
	defer cancel()
	f := d.attempt.found
	series := m.series(d, subject.SideRun)
	out := plan.Outcome(d.record, f.outcome, d.endsOf(epochOf(d.record)), d.registered.DryRun)
	end := event.End{Parts: f.parts, Outcome: &out, Dry: plan.Dry(d.record.Reason)}
	won, err := m.bus.WriteSeries(series).Close(ctx, end)
	if err != nil {
		return fmt.Errorf("handing in the results: %w", err)
	}
	d.hear(series, stored{End: end}, m.clock.Now())
	if !won {
		return nil
	}
	d.attempt.won = true
	if end.Dry {
		return nil
	}
	m.metrics.found(out)
	log := m.log.With("destination", d.key.String(), "run", d.record.Run, "left", out.Left.Count())
	switch {
	case out.Continues:
		log.Info("contents are left, another run follows for them")
	case out.Left.Count() > 0 && d.registered.DryRun:
		log.Info("contents are left: what a destination in DryRun lacks is shown as far as a run has room for it")
	case out.Left.Count() > 0:
		log.Warn("contents are left, and runs have brought twice as much as there are objects: something undoes it, or keeps it from the folder; the next drift check tries again", "runs", out.Before.Runs+1)
	}
	return nil
}

// retry makes another attempt. What the one before has said, and was asked, counts
// no more from the moment it is in KS_PHASE on: a crash behind that leaves it until
// the run has closed.
func (m *manager) retry(ctx context.Context, d *destination, a plan.Action) error {
	key := subject.DestinationToken(d.key)
	if a.UnlessStalled {
		s, _, err := newest(ctx, m.statuses, key)
		if err != nil {
			return err
		}
		if s.Stalled != nil {
			d.attempt.progress = m.clock.Now()
			m.log.Info("a run waits for a destination that is stalled", "destination", d.key.String(), "run", d.record.Run, "stalled", s.Stalled.Reason)
			return nil
		}
	}
	old := d.record
	rec := plan.Again(old, m.clock.Now().UTC())
	revision, err := m.phases.Put(ctx, key, rec, d.revision)
	if err != nil {
		return fmt.Errorf("beginning another attempt: %w", err)
	}
	m.metrics.attempts.Inc()
	m.log.Warn("attempt failed, another one begun", "destination", d.key.String(), "run", rec.Run, "attempt", rec.Attempt, "because", a.Reason)
	m.becomes(d, rec, true, revision)
	for stream, filter := range map[string]string{
		subject.Snap: subject.SnapAttempt(d.key, old.Run, old.Attempt),
		subject.Ctl:  subject.CtlOfAttempt(d.key.Cluster, old.Run, old.Attempt),
	} {
		if err := m.bus.Purge(ctx, stream, filter, 0); err != nil {
			m.log.Warn("what an attempt left stays until its run has closed", "destination", d.key.String(), "run", old.Run, "attempt", old.Attempt, "err", err)
		}
	}
	return nil
}

// report says what a comparison found, and what a person has to know of it.
func (m *manager) report(d *destination, f found) {
	o := f.outcome
	log := m.log.With("destination", d.key.String(), "run", d.record.Run)
	log.Info("compared", "attempt", d.record.Attempt, "create", o.Created, "reconcile", o.Updated, "delete", o.Deleted, "equal", o.Equal, "kept", o.Kept)
	if plan.Dry(d.record.Reason) {
		return // who asked for it sees the rest
	}
	if p := o.Pending; p != nil {
		log.Warn("deletions withheld, they wait for a person", "count", p.Count, "some", p.Paths, "to_approve", "kubescribe approve "+d.key.String()+" "+p.Run)
	}
	if o.ForeignCount > 0 {
		log.Warn("files that hold resources and are not at their path, or hold several, are left alone", "count", o.ForeignCount, "some", o.Foreign)
	}
	if len(o.Incomplete) > 0 {
		log.Warn("types could not be listed, nothing of theirs is removed", "types", o.Incomplete)
	}
}
