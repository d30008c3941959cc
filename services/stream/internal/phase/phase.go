// Package phase is the phase machine of a destination, as a pure function of
// state and input.
//
//	STARTUP_RECONCILE ──every lane's MARK seen──▶ LIVE_PROCESSING
//	       ▲                                            │
//	       └──────────── MARK of a newer run ───────────┘
package phase

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Epoch is one attempt at a run.
type Epoch struct {
	Run     string
	Attempt uint64
}

// State is what a destination stream knows of its phase. The zero value is that
// of a destination nobody has reconciled yet.
type State struct {
	Epoch
	Live   bool   // all lanes of the run were seen
	marked uint64 // a bit for each lane whose MARK of this epoch was seen
}

// Phase is the state's name.
func (s State) Phase() event.Phase {
	if s.Live {
		return event.LiveProcessing
	}
	return event.StartupReconcile
}

// Marked is how many lanes have closed their part of the run.
func (s State) Marked() int { return bits.OnesCount64(s.marked) }

// Mark is the state after a lane's MARK of an epoch, while current is the epoch
// that the reconciler is asking for. A MARK of any other epoch changes nothing,
// nor does one seen before: redelivery is harmless.
func (s State) Mark(part int, of, current Epoch) State {
	if of != current {
		return s
	}
	if s.Epoch != of {
		s = becomeStartup(of)
	}
	s.marked |= 1 << part
	if s.Marked() == subject.Parts {
		s = s.becomeLive()
	}
	return s
}

func becomeStartup(e Epoch) State { return State{Epoch: e} }

func (s State) becomeLive() State {
	s.Live = true
	return s
}

// String is the state as it stands in the Ks-State header.
func (s State) String() string {
	if s == (State{}) {
		return ""
	}
	return fmt.Sprintf("%s %s %d %x", s.Phase(), s.Run, s.Attempt, s.marked)
}

// Parse is the reverse of [State.String].
func Parse(v string) (State, error) {
	if v == "" {
		return State{}, nil
	}
	f := strings.Split(v, " ")
	bad := fmt.Errorf("%w: stream state %q", event.ErrMalformed, v)
	if len(f) != 4 {
		return State{}, bad
	}
	attempt, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		return State{}, bad
	}
	marked, err := strconv.ParseUint(f[3], 16, 64)
	if err != nil {
		return State{}, bad
	}
	s := State{Epoch: Epoch{f[1], attempt}, Live: f[0] == string(event.LiveProcessing), marked: marked}
	if s.String() != v {
		return State{}, bad
	}
	return s, nil
}
