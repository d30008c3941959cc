package decide

import (
	"fmt"
	"iter"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Input is a message of KS_LIVE: a change, or a MARK.
type Input struct {
	message bus.Message
	part    int
	change  event.Change
	mark    *event.Mark // nil: it is the change
}

// Parse reads a message. Its errors wrap event.ErrMalformed, or say why the message
// cannot be read by this program.
func Parse(m bus.Message) (Input, error) {
	in := Input{message: m}
	var err error
	if in.part, _, err = subject.ParseLiveData(m.Subject); err != nil {
		return Input{}, err
	}
	kind, err := event.KindOf(m.Header)
	if err != nil {
		return Input{}, err
	}
	switch kind {
	case event.KindChange:
		in.change, err = event.ParseChange(m.Header, m.Data)
		return in, err
	case event.KindMark:
		mark, err := event.ParseMark(m.Header)
		in.mark = &mark
		return in, err
	case event.KindFence, event.KindCheckpoint, event.KindRepoState:
	}
	return Input{}, fmt.Errorf("%w: a %s among the changes", event.ErrMalformed, kind)
}

// IsMark tells a MARK from a change.
func (in Input) IsMark() bool { return in.mark != nil }

// Hash is a change's content hash, "" of a deletion.
func (in Input) Hash() string { return in.change.Hash }

// Path is where the file of a change's object stands.
func (in Input) Path() string {
	c := in.change
	if c.Path != "" {
		return c.Path
	}
	return manifest.Identity{Group: c.Group, Resource: c.Resource, Namespace: c.Namespace, Name: c.Name}.Path()
}

// phase is the input as the phase machine is fed it. current is the run that the
// reconciler asks for.
func (in Input) phase(current phase.Run) phase.Input {
	if in.mark == nil {
		return phase.Change{Part: in.part}
	}
	of := phase.Epoch{Run: in.mark.Run, Attempt: in.mark.Attempt}
	return phase.Mark{Part: in.part, Of: of, Seq: in.message.Seq, Current: current}
}

// Passed is what had passed during the run that is under way, by what was consumed of
// KS_LIVE from its first MARK to the cursor. What is not there any more may have been
// anything.
func Passed(st phase.State, consumed iter.Seq2[bus.Message, error]) (passed phase.Passed, err error) {
	if st.Step == phase.Idle {
		return passed, nil
	}
	run, was := st.Began()
	for m, err := range consumed {
		if err != nil {
			return passed, err
		}
		in, err := Parse(m)
		if err != nil {
			continue // it was dead-lettered
		}
		var fx phase.Effects
		if was, fx = phase.Next(was, in.phase(run)); fx.Remember {
			passed.Add(in.Path())
		}
		if passed.Full() {
			break
		}
	}
	if was.Epoch != st.Epoch || was.Marked() != st.Marked() {
		passed.Fill()
	}
	return passed, nil
}
