package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// A batch of results is at most so many writes and bytes. While one is being
	// stored nobody else's changes move.
	batchWrites = 500
	batchBytes  = 4 << 20
)

// errBehind ends a round: what is known of a ledger is older than what it holds.
var errBehind = errors.New("another owner of the destination's stream has closed it")

// Due lists the ledgers of the destinations that may have something to do.
func (s *Stream) Due() []bus.LedgerConfig {
	var configs []bus.LedgerConfig
	for _, k := range s.due.take() {
		if _, ok := s.registry.Get(k); ok {
			configs = append(configs, ledger(k))
		}
	}
	return configs
}

// Work leaves a run that another has replaced, closes one that was a comparison for a
// person, or takes a batch of results.
func (s *Stream) Work(ctx context.Context, l bus.LedgerConfig, state string) (d bus.Decision, ok bool, err error) {
	k, err := subject.ParseWriteCheckpoint(l.Checkpoint)
	if err != nil {
		return d, false, err
	}
	st, err := phase.Parse(state)
	if err != nil || st.Step == phase.Idle {
		return d, false, err
	}
	rec, err := s.record(ctx, k)
	if err != nil {
		return d, false, err
	}
	if next, fx := phase.Next(st, phase.Superseded{By: phase.RunOf(rec).Epoch}); fx.Forget {
		s.log.Info("run left for another", "destination", k.String(), "run", st.Run, "attempt", st.Attempt)
		return bus.Decision{State: next.String(), Note: note{key: k, effects: fx}}, true, nil
	}
	if st.Behind(rec) {
		// Holding, this one would store nothing, and so never be refused.
		return d, false, fmt.Errorf("run %s: %w", st.Run, errBehind)
	}
	dest, registered := s.registry.Get(k)
	if st.Step == phase.Marking || !registered {
		return d, false, nil
	}
	m := s.memory(k)
	if m.results == nil {
		end, err := s.bus.SeriesEnd(ctx, series(k, st, subject.SideRun))
		switch {
		case errors.Is(err, bus.ErrNoMessage):
			return d, false, nil
		case errors.Is(err, bus.ErrSeries):
			s.log.Warn("the end of a run cannot be read", "destination", k.String(), "run", st.Run, "attempt", st.Attempt, "err", err)
			return d, false, nil
		case err != nil:
			return d, false, err
		}
		if end.Dry {
			next, fx := phase.Next(st, phase.Results{Of: st.Epoch, Dry: true})
			return bus.Decision{State: next.String(), Note: note{key: k, effects: fx}}, true, nil
		}
		m.results = s.readResultsOf(ctx, k, st, end)
	}
	st, fx := phase.Next(st, phase.Results{Of: st.Epoch})
	if !fx.Apply {
		return d, false, nil
	}
	if m.passed.Full() {
		return s.overtaken(ctx, k, st)
	}
	d, err = s.batch(k, dest, st, m)
	if errors.Is(err, bus.ErrSeries) {
		// The reconciler finds that the run does not close, and makes another attempt.
		s.log.Warn("results of a run cannot be read", "destination", k.String(), "run", st.Run, "attempt", st.Attempt, "err", err)
		m.results.stop()
		m.results = nil
		return d, false, nil
	}
	return d, err == nil, err
}

// overtaken ends a run that more has passed during than is remembered, and asks for
// another. A crash between the two asks again, which is asking once.
func (s *Stream) overtaken(ctx context.Context, k event.DestinationKey, st phase.State) (bus.Decision, bool, error) {
	next, fx := phase.Next(st, phase.Overtaken{})
	q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: event.ReasonOvertaken}
	if err := s.bus.Ask(ctx, subject.CtlRun(k), q); err != nil {
		return bus.Decision{}, false, err
	}
	s.log.Warn("more changed during a run than is remembered, another one follows", "destination", k.String(), "run", st.Run)
	return bus.Decision{State: next.String(), Note: note{key: k, effects: fx}}, true, nil
}

// batch makes writes of the next results. The state that is stored with them says
// how many are done: a crash before it leaves them to be taken again, after it to
// go on behind them. The last batch closes the run.
func (s *Stream) batch(k event.DestinationKey, dest bus.Registered, st phase.State, m *memory) (bus.Decision, error) {
	var d bus.Decision
	n := note{key: k}
	taken, late, size, last := 0, 0, 0, false
	for {
		r, more, err := m.results.peek()
		if err != nil {
			return d, err
		}
		if !more {
			last = true
			break
		}
		c, due := r.change, r.change != nil
		if due && m.passed.Has(r.entry.Path) {
			due = false
			late++
			n.items = append(n.items, item{outcome: outcomeLate, origin: event.Reconcile})
		}
		if due {
			if len(d.Outputs) == batchWrites || (size > 0 && size+len(c.Manifest) > batchBytes) {
				break
			}
			size += len(c.Manifest)
			h, body := s.result(k, dest, st, r).Message()
			h[event.HeaderID] = []string{subject.ResultID(k, st.Run, st.Attempt, 1+st.Done+taken)}
			d.Outputs = append(d.Outputs, bus.Output{Subject: subject.WriteData(dest.BranchKey, k), Header: h, Data: body})
			n.items = append(n.items, item{outcome: outcomeForwarded, origin: event.Reconcile, path: r.entry.Path, hash: c.Hash})
		}
		m.results.advance()
		taken++
	}
	for i, o := range d.Outputs {
		if !last || i < len(d.Outputs)-1 {
			event.SetMore(o.Header)
		}
	}
	next, fx := phase.Next(st, phase.Applied{Taken: taken, Late: late, Last: last})
	n.effects = fx
	d.State, d.Note = next.String(), n
	return d, nil
}

// result is a result as it stands in KS_WRITE.
func (s *Stream) result(k event.DestinationKey, dest bus.Registered, st phase.State, r result) event.Change {
	c := *r.change
	c.Cluster, c.ClusterID = k.Cluster, dest.ClusterID
	c.Origin, c.Run, c.Attempt, c.Path, c.More, c.Registry = event.Reconcile, st.Run, st.Attempt, r.entry.Path, false, dest.Revision
	return c
}

func series(k event.DestinationKey, st phase.State, side subject.Side) subject.Series {
	return subject.Series{Destination: k, Run: st.Run, Attempt: st.Attempt, Side: side}
}

// result is one result of a run, and the change that it comes to: none for what is
// withheld, and for an object that has a newer version behind the MARK.
type result struct {
	entry  event.Entry
	change *event.Change
}

// results reads the results of a run, in the order of lanes and paths.
type results struct {
	next    func() (result, error, bool)
	stop    func()
	current *result
	err     error
	end     bool
}

func (s *Stream) readResultsOf(ctx context.Context, k event.DestinationKey, st phase.State, run event.End) *results {
	next, stop := iter.Pull2(s.resultsOf(context.WithoutCancel(ctx), k, st, run))
	r := &results{next: next, stop: stop}
	for range st.Done { // taken before a restart
		if _, more, err := r.peek(); err != nil || !more {
			break
		}
		r.advance()
	}
	return r
}

// peek is the result that is next; more is false behind the last one.
func (r *results) peek() (_ result, more bool, err error) {
	if r.current == nil && r.err == nil && !r.end {
		got, err, ok := r.next()
		r.current, r.err, r.end = &got, err, !ok
	}
	if r.err != nil || r.end {
		return result{}, false, r.err
	}
	return *r.current, true, nil
}

func (r *results) advance() { r.current = nil }

// resultsOf yields every result of a run, withheld ones too, so that counting them
// is the same each time.
func (s *Stream) resultsOf(ctx context.Context, k event.DestinationKey, st phase.State, run event.End) iter.Seq2[result, error] {
	withheld := run.Outcome != nil && run.Outcome.Pending != nil
	return func(yield func(result, error) bool) {
		for _, part := range run.Parts {
			for r, err := range s.lane(ctx, k, st, part) {
				if withheld && r.entry.What == event.ResultDelete {
					r.change = nil
				}
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// lane joins the results of a lane with their contents.
func (s *Stream) lane(ctx context.Context, k event.DestinationKey, st phase.State, part int) iter.Seq2[result, error] {
	return func(yield func(result, error) bool) {
		found := series(k, st, subject.SideResult(part))
		end, err := s.end(ctx, found)
		if err != nil {
			yield(result{}, err)
			return
		}
		contents := func() (event.Change, error, bool) { return event.Change{}, nil, false }
		if end.Wanted > 0 {
			answered := series(k, st, subject.SideContent(part))
			answer, err := s.end(ctx, answered)
			if err != nil {
				yield(result{}, err)
				return
			}
			var stop func()
			contents, stop = iter.Pull2(s.bus.Contents(ctx, answered, answer))
			defer stop()
		}
		content, err, some := contents()
		for e, eerr := range s.bus.Entries(ctx, found, end) {
			if err = errors.Join(err, eerr); err != nil {
				yield(result{}, err)
				return
			}
			for some && err == nil && content.Path < e.Path {
				content, err, some = contents()
			}
			r := result{entry: e}
			switch {
			case err != nil:
			case e.What == event.ResultDelete:
				r.change = &event.Change{Op: event.Delete, Object: identity(e.Path)}
			case some && content.Path == e.Path:
				c := content
				r.change = &c
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// end is what closed a series that the run's end says is there.
func (s *Stream) end(ctx context.Context, of subject.Series) (event.End, error) {
	end, err := s.bus.SeriesEnd(ctx, of)
	if errors.Is(err, bus.ErrNoMessage) {
		return end, fmt.Errorf("%w: %s is missing", bus.ErrSeries, of.End())
	}
	return end, err
}

// identity is what a path says about the object whose file it was.
func identity(path string) event.Object {
	id, err := manifest.ParsePath(path)
	if err != nil && !errors.Is(err, manifest.ErrShortened) {
		return event.Object{}
	}
	return event.Object{Group: id.Group, Resource: id.Resource, Namespace: id.Namespace, Name: id.Name}
}
