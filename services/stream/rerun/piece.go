package rerun

import (
	"iter"
	"slices"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// piece is what a stream has stored at once. Its last message has the cursor and the state.
type piece struct {
	messages []bus.Message
	whole    bool
	cursor   bus.Cursor
	state    phase.State
}

func (p *piece) add(m bus.Message) (err error) {
	p.messages = append(p.messages, m)
	v := m.Header[event.HeaderCursor]
	if p.whole = len(v) == 1; !p.whole {
		return nil
	}
	if p.cursor, err = bus.ParseCursor(v[0]); err != nil {
		return err
	}
	if v := m.Header[event.HeaderState]; len(v) == 1 {
		p.state, err = phase.Parse(v[0])
	}
	return err
}

// begins is whether it may be the first that was ever stored: a run that has ended, or
// whose results are taken, has begun before.
func (p *piece) begins() bool {
	return p.state.Epoch == phase.Epoch{} || p.state.Step == phase.Marking || p.state.Step == phase.Waiting
}

// find is where the message with an ID is, -1 if there is none.
func (p *piece) find(id string) int {
	return slices.IndexFunc(p.messages, func(m bus.Message) bool { return m.ID() == id })
}

// leave takes a message out.
func (p *piece) leave(at int) { p.messages = slices.Delete(p.messages, at, at+1) }

// begun is the entry of KS_PHASE that a MARK met, as far as the state tells: that of the run
// whose MARKs are being taken, if the MARK may have led to the piece; otherwise it was of no use.
// A MARK of no use may be the last that was consumed before a run was left, or its results taken.
func (p *piece) begun(led bool) event.PhaseRecord {
	if !led || p.state.Step != phase.Marking && p.state.Step != phase.Waiting {
		return event.PhaseRecord{}
	}
	run, _ := p.state.Began()
	rec := event.PhaseRecord{Run: run.Run, Attempt: run.Attempt, Parts: run.Parts, Phase: event.LiveProcessing}
	if run.Hold {
		rec.Phase = event.StartupReconcile
	}
	return rec
}

// inputs are messages of KS_LIVE, one after the other.
type inputs struct {
	pull func() (bus.Message, error, bool)
	stop func()
	next *bus.Message // was pulled, and is to come
}

func newInputs(live iter.Seq2[bus.Message, error]) *inputs {
	var i inputs
	i.pull, i.stop = iter.Pull2(live)
	return &i
}

// upTo is the next one, if its sequence is at most seq.
func (i *inputs) upTo(seq uint64) (m bus.Message, ok bool, err error) {
	if i.next == nil {
		m, err, ok := i.pull()
		if err != nil || !ok {
			return m, false, err
		}
		i.next = &m
	}
	if i.next.Seq > seq {
		return m, false, nil
	}
	m, i.next = *i.next, nil
	return m, true, nil
}

// pass goes past those up to a sequence.
func (i *inputs) pass(seq uint64) error {
	for {
		if _, ok, err := i.upTo(seq); !ok || err != nil {
			return err
		}
	}
}
