package decide

import (
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/stream/results"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// A batch of results is at most so many writes and bytes. While one is being
	// stored nobody else's changes move.
	batchWrites = 500
	batchBytes  = 4 << 20
)

// Leave leaves a run that the reconciler has replaced; left is false if it has not.
func Leave(st phase.State, rec event.PhaseRecord) (d Decision, left bool) {
	next, fx := phase.Next(st, phase.Superseded{By: phase.RunOf(rec).Epoch})
	return Decision{State: next, Effects: fx}, fx.Forget
}

// Results takes the next results of a run, or closes one that was a comparison for a
// person, or that more has passed during than is remembered. ok is false for a run
// that waits for none. end is what has closed the run's results.
func Results(dest Destination, st phase.State, passed *phase.Passed, found *results.Reader, end event.End) (d Decision, ok bool, err error) {
	st, fx := phase.Next(st, phase.Results{Of: st.Epoch, Dry: end.Dry})
	switch {
	case end.Dry && fx.Forget:
		return Decision{State: st, Effects: fx}, true, nil
	case !fx.Apply:
		return Decision{}, false, nil
	case passed.Full():
		next, fx := phase.Next(st, phase.Overtaken{})
		return Decision{State: next, Effects: fx}, true, nil
	}
	d, err = batch(dest, st, passed, found, end.Outcome != nil && end.Outcome.Continues)
	return d, err == nil, err
}

// batch makes writes of the next results. The state that is stored with them says
// how many are done: a crash before it leaves them to be taken again, after it to
// go on behind them. The last batch closes the run.
func batch(dest Destination, st phase.State, passed *phase.Passed, found *results.Reader, continues bool) (Decision, error) {
	var d Decision
	applied, size := phase.Applied{Continues: continues}, 0
	for {
		r, more, err := found.Peek()
		if err != nil {
			return Decision{}, err
		}
		if !more {
			applied.Last = true
			break
		}
		switch {
		case r.Change == nil:
		case passed.Has(r.Entry.Path):
			applied.Late++
			d.Items = append(d.Items, Item{Outcome: outcome.Late, Origin: event.Reconcile, Path: r.Entry.Path})
		case len(d.Outputs) == batchWrites, size > 0 && size+len(r.Change.Manifest) > batchBytes:
			return d.applied(st, applied), nil
		default:
			size += len(r.Change.Manifest)
			h, body := write(dest, st, r).Message()
			d.Outputs = append(d.Outputs, dest.output(subject.ResultID(dest.Key, st.Run, st.Attempt, 1+st.Done+applied.Taken), h, body))
			d.Items = append(d.Items, Item{Outcome: outcome.Forwarded, Origin: event.Reconcile, Path: r.Entry.Path, Hash: r.Change.Hash})
		}
		found.Advance()
		applied.Taken++
	}
	return d.applied(st, applied), nil
}

// applied is the batch as it is stored: every write but the run's last says that
// further ones are behind it.
func (d Decision) applied(st phase.State, a phase.Applied) Decision {
	for i, o := range d.Outputs {
		if !a.Last || i < len(d.Outputs)-1 {
			event.SetMore(o.Header)
		}
	}
	d.State, d.Effects = phase.Next(st, a)
	return d
}

// write is a result as it stands in KS_WRITE.
func write(dest Destination, st phase.State, r results.Result) event.Change {
	c := *r.Change
	c.Cluster, c.ClusterID = dest.Key.Cluster, dest.ClusterID
	c.Origin, c.Run, c.Attempt, c.Path, c.More, c.Registry = event.Reconcile, st.Run, st.Attempt, r.Entry.Path, false, dest.Revision
	return c
}
