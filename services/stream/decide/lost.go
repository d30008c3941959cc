package decide

import (
	"slices"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// CheckpointLost reports whether the state is that of a destination nobody has
// reconciled, and KS_PHASE tells of a run that has closed: somebody has removed the
// checkpoint, and with it what says how far KS_LIVE was consumed.
func CheckpointLost(st phase.State, rec event.PhaseRecord) bool {
	return st == (phase.State{}) && rec.Run != "" && (!rec.Running() || !rec.Settled.IsZero() || rec.Outcome != nil)
}

// Lost takes in that it is not known any more how far KS_LIVE was consumed. The run that
// is to mend it must be asked for after rec, the entry in KS_PHASE, was read.
func Lost(rec event.PhaseRecord) Decision {
	next, fx := phase.Next(phase.State{}, phase.Lost{During: phase.RunOf(rec).Epoch})
	return Decision{State: next, Effects: fx}
}

// Mended reports whether a fence in a lane says no more than one before: the run that was
// asked for then has its MARK of the lane behind the fence, or asks the lane nothing,
// because nothing of the destination's is in it. A router puts one into each lane.
func Mended(st phase.State, rec event.PhaseRecord, part int, reason string) bool {
	unmarked := st.Step == phase.Idle || st.Awaits(part)
	switch {
	case rec.Run != "" && !slices.Contains(rec.Parts, part):
		return true
	case reason == event.ReasonHistoryGap:
		return st.Parked && unmarked || rec.Reason == reason && st.Awaits(part)
	}
	return st.Lost && unmarked
}

// Cut takes in that a part of the backlog was removed before it was taken.
func Cut(st phase.State) Decision {
	next, fx := phase.Next(st, phase.Cut{})
	return Decision{State: next, Effects: fx}
}

// Fence is what the router says where it has lost its place in KS_EVENTS, or a part of
// that was removed. is is false for any other message.
func Fence(m bus.Message) (f event.Fence, is bool) {
	if kind, err := event.KindOf(m.Header); err != nil || kind != event.KindFence {
		return event.Fence{}, false
	}
	f, err := event.ParseFence(m.Header)
	return f, err == nil
}
