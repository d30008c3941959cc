// Package phase is the phase machine of a destination: a pure function of state
// and input to state and effects. Whoever feeds it the same inputs twice gets the
// same transitions and effects (I12).
//
//	STARTUP_RECONCILE ──results of the run written──▶ LIVE_PROCESSING
//	       ▲                                               │
//	       ├───────── first MARK of a run that holds ──────┤
//	       │                                               │
//	       └── the same ────────── PARKED ◀───── cut ──────┘
//
// Within a run:
//
//	marking ──last MARK: BARRIER──▶ waiting ──results there──▶ applying ──last one──▶ idle
//
// A run that holds takes no change while it is waiting or applying; one that does
// not hold leaves the phase as it is until its results are written, and forwards all
// the time. What is forwarded behind the MARK of its lane is remembered, and wins over
// the run's results.
//
// Where the log or the checkpoint is lost, it is not known which changes have been
// forwarded. What comes before the MARK of its lane is in what the lane answers to the
// run, so it is dropped, whether it is old or new, and nothing goes back in time. What
// comes once every lane has stored its MARK is new, however the run ends.
package phase

import (
	"math/bits"

	"github.com/kubescribe/kubescribe/shared/event"
)

// Epoch is one attempt at a run.
type Epoch struct {
	Run     string
	Attempt uint64
}

// Run is a run as the reconciler has begun it.
type Run struct {
	Epoch
	Parts []int // the lanes that close their part of it with a MARK
	Hold  bool
}

// RunOf is the run that the reconciler asks for by an entry of KS_PHASE. A comparison
// for a person writes nothing that changes could overtake: it does not hold.
func RunOf(rec event.PhaseRecord) Run {
	return Run{
		Epoch: Epoch{Run: rec.Run, Attempt: rec.Attempt}, Parts: rec.Parts,
		Hold: rec.Phase == event.StartupReconcile && rec.Reason != event.ReasonCompare,
	}
}

// Step is how far a destination stream is with its run.
type Step int

// The steps.
const (
	Idle     Step = iota // no run is under way
	Marking              // not every lane has stored its MARK
	Waiting              // the BARRIER is written; the results are not there
	Applying             // some results are written
)

// State is what a destination stream knows of its phase and run. The zero value
// is that of a destination nobody has reconciled yet.
type State struct {
	Epoch
	Step    Step
	Hold    bool   // the run holds
	Live    bool   // the phase before the run, or since it closed, is LIVE_PROCESSING
	Parked  bool   // the phase is PARKED
	Lost    bool   // nobody knows how far KS_LIVE was consumed; until every lane is marked
	Closed  bool   // the run of the epoch was brought to its end, not left for another
	Settled bool   // and its results are written
	From    uint64 // sequence in KS_LIVE of the run's first MARK
	Done    int    // results taken: written, or dropped because something newer has passed
	Late    int    // of those, dropped

	parts, marked uint64 // a bit for each lane of the run, and for each MARK seen
}

// Phase is the state's name.
func (s State) Phase() event.Phase {
	switch {
	case s.Parked:
		return event.Parked
	case s.Live && (s.Step == Idle || !s.Hold):
		return event.LiveProcessing
	}
	return event.StartupReconcile
}

// Holds reports whether changes have to wait.
func (s State) Holds() bool { return s.Hold && (s.Step == Waiting || s.Step == Applying) }

// Behind reports whether an entry of KS_PHASE says that the run which is under way by
// this state has closed: somebody else holds the destination's stream too, and has gone
// on from here.
func (s State) Behind(rec event.PhaseRecord) bool {
	return s.Step != Idle && !rec.Running() && RunOf(rec).Epoch == s.Epoch
}

// Began is the run as it began, and the state just before its first MARK: what
// came since can be fed to the machine again.
func (s State) Began() (Run, State) {
	r := Run{Epoch: s.Epoch, Hold: s.Hold}
	for p := range 64 {
		if s.parts&(1<<p) != 0 {
			r.Parts = append(r.Parts, p)
		}
	}
	return r, State{Live: s.Live, Parked: s.Parked, Lost: s.Lost}
}

// Awaits reports whether a lane's MARK of the run is still to come.
func (s State) Awaits(part int) bool { return s.Step == Marking && s.marked&(1<<part) == 0 }

// Marked is how many lanes have stored their MARK.
func (s State) Marked() int { return bits.OnesCount64(s.marked) }

// Input is what a machine is fed: one of the types below.
type Input interface{ input() }

// Mark is a lane's MARK, at a sequence of KS_LIVE. Current is the run that the
// reconciler asks for at that moment.
type Mark struct {
	Part    int
	Of      Epoch
	Seq     uint64
	Current Run
}

// Change is a live change out of a lane.
type Change struct{ Part int }

// Results says that the results of a run can be read. Dry ones are for a person, and
// not to be written: they close the run.
type Results struct {
	Of  Epoch
	Dry bool
}

// Applied says that results were taken: written, or dropped as too late. The last
// ones close the run; Continues says of it that another one brings what it has left.
type Applied struct {
	Taken, Late     int
	Last, Continues bool
}

// Overtaken says that more has passed than was remembered: the results cannot be
// held against it.
type Overtaken struct{}

// Superseded says which run the reconciler asks for now.
type Superseded struct{ By Epoch }

// Cut says that a part of the backlog was removed before it was taken.
type Cut struct{}

// Lost says that what was consumed is not known any more: what comes out of KS_LIVE
// may be what was forwarded long ago. A run that the reconciler asks for by then counts
// no more: its MARKs may be among it.
type Lost struct{ During Epoch }

func (Mark) input()       {}
func (Change) input()     {}
func (Results) input()    {}
func (Applied) input()    {}
func (Overtaken) input()  {}
func (Superseded) input() {}
func (Cut) input()        {}
func (Lost) input()       {}

// Effects is what is to be done about an input, in the message that stores the
// state.
type Effects struct {
	Forward  bool // the change goes on
	Remember bool // and results for its object are dropped
	Hold     bool // the change stays where it is
	Drop     bool // the change goes no further: it may be an old one, and a run follows that has it
	Barrier  bool // ask for the repository's state
	Apply    bool // take results, from State.Done on
	Forget   bool // what was remembered
	Request  bool // ask for another run
	Show     bool // tell everyone
}

// Next is the machine. An input that the state has no use for (a MARK of another
// run, one that was seen, results of a run that was left) changes nothing.
func Next(s State, in Input) (State, Effects) {
	switch in := in.(type) {
	case Change:
		if s.Holds() {
			return s, Effects{Hold: true}
		}
		passes := s.remembers(in.Part)
		if s.Lost && !passes {
			return s, Effects{Drop: true}
		}
		return s, Effects{Forward: true, Remember: passes}
	case Mark:
		return s.mark(in)
	case Results:
		if in.Of != s.Epoch || (s.Step != Waiting && s.Step != Applying) {
			return s, Effects{}
		}
		if in.Dry {
			return s.becomeUnsettled(), Effects{Forget: true, Show: true}
		}
		s.Step = Applying
		return s, Effects{Apply: true}
	case Applied:
		if s.Step != Applying {
			return s, Effects{}
		}
		s.Done += in.Taken
		s.Late += in.Late
		switch {
		case !in.Last:
			return s, Effects{Apply: true}
		case in.Continues:
			return s.becomeContinued(), Effects{Forget: true, Show: true}
		}
		return s.becomeLive(), Effects{Forget: true, Show: true}
	case Overtaken:
		if s.Step != Applying {
			return s, Effects{}
		}
		return s.becomeUnsettled(), Effects{Forget: true, Request: true, Show: true}
	case Superseded:
		if s.Step == Idle || in.By == s.Epoch {
			return s, Effects{}
		}
		return s.becomeIdle(), Effects{Forget: true, Show: true}
	case Cut:
		return s.becomeParked(), Effects{Forget: true, Show: true}
	case Lost:
		return State{Epoch: in.During, Lost: true}, Effects{Forget: true, Show: true}
	}
	return s, Effects{}
}

// remembers reports whether what passes out of a lane now is newer than what the
// lane has answered to the run.
func (s State) remembers(part int) bool {
	switch s.Step {
	case Idle:
		return false
	case Marking:
		return s.marked&(1<<part) != 0
	case Waiting, Applying:
		return true
	}
	return false
}

func (s State) mark(m Mark) (State, Effects) {
	if m.Of != m.Current.Epoch || (m.Of == s.Epoch && s.Step != Marking) {
		return s, Effects{}
	}
	var fx Effects
	if m.Of != s.Epoch {
		s, fx = s.becomeMarking(m.Current, m.Seq), Effects{Forget: true, Show: true}
	}
	s.marked |= s.parts & (1 << m.Part)
	if s.marked == s.parts {
		s.Step, s.Lost = Waiting, false
		fx.Barrier = true
	}
	return s, fx
}

// becomeMarking begins a run. One that holds leaves PARKED: what was cut is behind, and
// the run finds what is missing.
func (s State) becomeMarking(r Run, seq uint64) State {
	next := State{
		Epoch: r.Epoch, Step: Marking, Hold: r.Hold, Live: s.Phase() == event.LiveProcessing,
		Parked: s.Parked && !r.Hold, Lost: s.Lost, From: seq,
	}
	for _, p := range r.Parts {
		next.parts |= 1 << p
	}
	return next
}

// becomeLive ends a run whose results are written.
func (s State) becomeLive() State {
	s = s.becomeIdle()
	s.Live, s.Parked, s.Closed, s.Settled = true, false, true, true
	return s
}

// becomeContinued ends a run whose results are written, but for those that another run
// brings. Until then the folder is not what it should be: the phase stays.
func (s State) becomeContinued() State {
	s = s.becomeIdle()
	s.Closed, s.Settled = true, true
	return s
}

// becomeUnsettled ends a run whose results are not written: it has settled nothing.
func (s State) becomeUnsettled() State {
	s = s.becomeIdle()
	s.Closed = true
	return s
}

// becomeIdle leaves a run. Of one that holds, the phase it had begun stays.
func (s State) becomeIdle() State {
	return State{Epoch: s.Epoch, Live: s.Live && !s.Hold, Parked: s.Parked, Lost: s.Lost, Done: s.Done, Late: s.Late}
}

// becomeParked leaves a run, too: what it was to be held against has a hole.
func (s State) becomeParked() State {
	return State{Epoch: s.Epoch, Parked: true, Lost: s.Lost}
}
