package decide

import (
	"fmt"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Change takes a change. last, what was forwarded last of its object, is the one thing
// about it that a restart makes another: nobody knows that any more, so that it goes on,
// and the git-writer sees that its content stands already.
//
// A change that was published before the destination was registered, for a former one of
// the name say, is before the MARKs of its first run, which has it.
func Change(dest Destination, st phase.State, in Input, last phase.Last) (Decision, error) {
	c := in.change
	st, fx := phase.Next(st, in.phase(phase.Run{}))
	switch {
	case fx.Drop, c.Registry < dest.Since():
		return Decision{State: st, Effects: fx, Items: []Item{{Outcome: outcome.Covered, Origin: event.Live, Path: in.Path()}}}, nil
	case !fx.Forward:
		return Decision{}, fmt.Errorf("a change of %s came although it waits", dest.Key)
	}
	d := Decision{State: st, Effects: fx}
	i := Item{Outcome: outcome.Forwarded, Origin: event.Live, Path: in.Path(), Hash: c.Hash}
	switch phase.FateOf(c, st, fx, last, dest.Prune.Mode) {
	case phase.Suppressed:
		i.Outcome = outcome.Suppressed
	case phase.Pruned:
		i.Outcome = outcome.Pruned
	case phase.Forwarded:
		id := subject.OutputID(dest.Incarnation, in.message.Seq, dest.Key, c.Hash)
		d.Outputs = append(d.Outputs, dest.output(id, in.message.Header, in.message.Data))
	}
	d.Items = []Item{i}
	return d, nil
}

// Mark takes a MARK. rec is the destination's entry in KS_PHASE. The last MARK stores
// the BARRIER in the message that consumes it: there is one of each, or neither.
func Mark(dest Destination, st phase.State, in Input, rec event.PhaseRecord) Decision {
	var current phase.Run
	if rec.Running() { // read again from KS_LIVE, its MARKs begin no run that has closed
		current = phase.RunOf(rec)
	}
	next, fx := phase.Next(st, in.phase(current))
	d := Decision{State: next, Effects: fx, Items: []Item{{Outcome: outcome.Marked}}}
	if fx.Barrier {
		h, body := event.Barrier{Run: rec.Run, Attempt: rec.Attempt, Registry: rec.Registered}.Message()
		d.Outputs = append(d.Outputs, dest.output(subject.ResultID(dest.Key, rec.Run, rec.Attempt, 0), h, body))
	}
	return d
}
