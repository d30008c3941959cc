// Package rerun decides again about what was recorded of a destination's stream: by the
// functions that decide live, from the inputs in KS_LIVE, beside what they came to then,
// which stands in KS_WRITE. It stores nothing.
package rerun

import (
	"fmt"
	"iter"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/kubescribe/kubescribe/services/stream/decide"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// recentObjects bounds how many objects' last contents are remembered, as live.
const recentObjects = 1 << 16

// Decided is what became of one message of KS_LIVE, by what is decided now.
type Decided struct {
	Input   bus.Message
	Outcome outcome.Outcome
	// Differs is what was recorded, where that is another decision. A stream that was
	// started anew in between did not know the content that its object had before; nor are
	// prune.mode and the registration of today those of then.
	Differs string
}

// Written is a message of KS_WRITE that is written again, and how far KS_LIVE was consumed
// by then.
type Written struct {
	bus.Message
	Cursor uint64
}

// Stream is a destination's stream as it was.
type Stream struct {
	dest   decide.Destination
	state  phase.State
	recent *lru.Cache[string, phase.Last] // by path
	tell   func(Decided)
}

// New is a stream of a destination about which nothing is recorded so far. Each decision is
// told.
func New(dest decide.Destination, tell func(Decided)) (*Stream, error) {
	recent, err := lru.New[string, phase.Last](recentObjects)
	if err != nil {
		return nil, fmt.Errorf("making the memory of recent objects: %w", err)
	}
	return &Stream{dest: dest, recent: recent, tell: tell}, nil
}

// Run feeds a stream what the destination has in KS_LIVE, and yields of what it has in
// KS_WRITE, checkpoints among it, what it would write again; both from their beginning, or
// what there is of them, and in their order. About what led to writes that were removed
// nothing is decided.
//
// What a stream does without an input of KS_LIVE (it takes the results of a run, leaves one,
// or finds that a log is lost) is taken from the record, with the state that this left. What
// is in KS_LIVE behind the last cursor is held, or waits.
func (s *Stream) Run(live, written iter.Seq2[bus.Message, error]) iter.Seq2[Written, error] {
	return func(yield func(Written, error) bool) {
		inputs := newInputs(live)
		defer inputs.stop()
		var p piece
		first := true
		for m, err := range written {
			if err == nil {
				err = p.add(m)
			}
			if err != nil {
				yield(Written{}, err)
				return
			}
			if !p.whole {
				continue
			}
			if first && !p.begins() {
				err = inputs.pass(p.cursor.Seq)
			}
			first = false
			if err == nil {
				err = s.take(inputs, &p)
			}
			if err != nil {
				yield(Written{}, err)
				return
			}
			for _, m := range p.messages {
				if !yield(Written{m, p.cursor.Seq}, nil) {
					return
				}
			}
			p = piece{}
		}
		for {
			in, ok, err := inputs.upTo(^uint64(0))
			if err != nil {
				yield(Written{}, err)
			}
			if err != nil || !ok {
				return
			}
			s.tell(Decided{Input: in, Outcome: outcome.Held})
		}
	}
}

// take decides about the inputs that were consumed by a piece's cursor, and leaves in the
// piece what goes on.
func (s *Stream) take(inputs *inputs, p *piece) error {
	for {
		in, ok, err := inputs.upTo(p.cursor.Seq)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		d, err := s.decide(in, p)
		if err != nil {
			return err
		}
		s.tell(d)
	}
	s.state = p.state
	for _, m := range p.messages {
		if c, err := event.ParseChange(m.Header, m.Data); err == nil {
			s.remember(c)
		}
	}
	return nil
}

// decide decides about one input. Of the piece, that is what was stored for it if its cursor
// is the input's.
func (s *Stream) decide(m bus.Message, p *piece) (Decided, error) {
	told := Decided{Input: m}
	led := m.Seq == p.cursor.Seq
	if _, is := decide.Fence(m); is {
		told.Outcome = outcome.Covered // by the run that it asks for
		return told, nil
	}
	in, err := decide.Parse(m)
	if err != nil {
		told.Outcome = outcome.DeadLettered
		return told, nil //nolint:nilerr // so it is live
	}
	var d decide.Decision
	if in.IsMark() {
		begun := p.begun(led)
		d = decide.Mark(s.dest, s.state, in, begun)
		if begun.Run != "" && d.State != p.state {
			told.Differs = fmt.Sprintf("the state became %q", p.state)
		}
	} else {
		if s.state.Holds() { // it was skipped, with a part of the log that was lost
			s.state = p.state
		}
		last, _ := s.recent.Get(in.Path())
		if d, err = decide.Change(s.dest, s.state, in, last); err != nil {
			return told, fmt.Errorf("message %d of %s: %w", m.Seq, subject.Live, err)
		}
	}
	s.state, told.Outcome = d.State, d.Items[0].Outcome
	if in.IsMark() {
		return told, nil
	}
	switch at := p.find(subject.OutputID(s.dest.Incarnation, m.Seq, s.dest.Key, in.Hash())); {
	case at < 0 && len(d.Outputs) > 0:
		told.Differs = "it was not forwarded"
	case at >= 0 && len(d.Outputs) == 0:
		told.Differs = "it was forwarded"
		p.leave(at)
	}
	return told, nil
}

// remember takes in what was forwarded last of an object.
func (s *Stream) remember(c event.Change) {
	path := c.Path
	if path == "" {
		path = manifest.Identity{Group: c.Group, Resource: c.Resource, Namespace: c.Namespace, Name: c.Name}.Path()
	}
	s.recent.Add(path, phase.Last{Known: true, Of: s.state.Epoch, Hash: c.Hash})
}
