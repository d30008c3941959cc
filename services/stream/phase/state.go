package phase

import (
	"fmt"
	"strings"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	flagHold    = 'h'
	flagLive    = 'l'
	flagParked  = 'p'
	flagClosed  = 'c'
	flagSettled = 's'
	flagLost    = 'x'
)

// String is the state as it stands in the Ks-State header: readable, and "" for
// the zero value.
func (s State) String() string {
	if s == (State{}) {
		return ""
	}
	flags := []byte{'-'}
	for _, f := range []struct {
		set  bool
		name byte
	}{{s.Hold, flagHold}, {s.Live, flagLive}, {s.Parked, flagParked}, {s.Closed, flagClosed}, {s.Settled, flagSettled}, {s.Lost, flagLost}} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	return fmt.Sprintf("%s %s %d %d %s %d %x/%x %d %d", s.Phase(), subject.Token(s.Run), s.Attempt, s.Step, flags, s.From, s.marked, s.parts, s.Done, s.Late)
}

// Parse is the reverse of [State.String].
func Parse(v string) (State, error) {
	if v == "" {
		return State{}, nil
	}
	var s State
	var phase, run, flags string
	_, err := fmt.Sscanf(v, "%s %s %d %d %s %d %x/%x %d %d", &phase, &run, &s.Attempt, &s.Step, &flags, &s.From, &s.marked, &s.parts, &s.Done, &s.Late)
	s.Hold, s.Live = strings.IndexByte(flags, flagHold) > 0, strings.IndexByte(flags, flagLive) > 0
	s.Parked, s.Closed = strings.IndexByte(flags, flagParked) > 0, strings.IndexByte(flags, flagClosed) > 0
	s.Settled, s.Lost = strings.IndexByte(flags, flagSettled) > 0, strings.IndexByte(flags, flagLost) > 0
	if err == nil {
		s.Run, err = subject.ParseToken(run)
	}
	if err != nil || s.Step < Idle || s.Step > Applying || s.String() != v {
		return State{}, fmt.Errorf("%w: stream state %q", event.ErrMalformed, v)
	}
	return s, nil
}
