// Package decide is what a destination's stream makes of what it is fed: pure
// functions, so that the same inputs give the same writes, whoever is asked, and
// whatever was restarted in between (I12).
package decide

import (
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Destination is whose stream it is, as it is registered.
type Destination struct {
	bus.Registered
	Incarnation string // of the install
}

// Decision is what is to be stored, all or nothing, and what is to be done then.
type Decision struct {
	State   phase.State
	Effects phase.Effects
	Outputs []bus.Output
	Items   []Item
}

// Item is one change or result, and what became of it.
type Item struct {
	Outcome outcome.Outcome
	Origin  event.Origin
	Path    string
	Hash    string
}

// Remember brings what has passed during a run up to date with a decision that was
// stored. A deletion that was pruned has passed as well: a restart reads KS_LIVE, where
// nothing says what prune.mode was.
func (d Decision) Remember(passed *phase.Passed) {
	if d.Effects.Forget {
		*passed = phase.Passed{}
	}
	if !d.Effects.Remember {
		return
	}
	for _, i := range d.Items {
		passed.Add(i.Path)
	}
}

// output is a message to the destination's branch.
func (d Destination) output(id string, h event.Header, body []byte) bus.Output {
	return bus.Output{Subject: subject.WriteData(d.BranchKey, d.Key), Header: event.Forward(h, id), Data: body}
}
