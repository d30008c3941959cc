package bus

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/event"
)

// Surplus is the oldest part of what waits for a reader that cannot move: what it has to
// give up so that it holds no more than half of its quota. The zero value is nothing.
type Surplus struct {
	Until    uint64            // its last message
	Messages uint64            // how many they are
	Changes  map[string]uint64 // and how many of them are changes, by subject
}

// Changed is how many changes there are in it, of all subjects.
func (s Surplus) Changed() (n uint64) {
	for _, of := range s.Changes {
		n += of
	}
	return n
}

// Surplus finds what a reader has to give up of the messages of a stream under a filter
// that are behind a sequence: nothing, as long as the stream has room for all. The reader
// moves its own cursor past it, once it is durable what is lost; the janitor removes what
// lies behind cursors, and nobody anything else.
func (b *Bus) Surplus(ctx context.Context, stream, filter string, after uint64) (Surplus, error) {
	l, err := b.Level(ctx, stream)
	if err != nil {
		return Surplus{}, err
	}
	quota, limited := l.Quota()
	if !limited {
		return Surplus{}, nil
	}
	var held uint64
	err = b.readRange(ctx, stream, filter, after+1, math.MaxUint64, true, func(m Message) bool {
		held += m.stored()
		return true
	})
	if err != nil || held <= quota {
		return Surplus{}, err
	}
	s := Surplus{Changes: map[string]uint64{}}
	err = b.readRange(ctx, stream, filter, after+1, math.MaxUint64, true, func(m Message) bool {
		held -= min(held, m.stored())
		s.Until = m.Seq
		s.Messages++
		if kind, err := event.KindOf(m.Header); err == nil && kind == event.KindChange {
			s.Changes[m.Subject]++
		}
		return held > quota/2
	})
	if err != nil {
		return Surplus{}, fmt.Errorf("finding what has to give way in %s: %w", stream, err)
	}
	return s, nil
}

// stored is how many bytes of a stream a message takes that was read without its body.
func (m Message) stored() uint64 {
	n := Output{Subject: m.Subject, Header: m.Header}.size()
	if v := m.Header[nats.MsgSize]; len(v) > 0 {
		body, _ := strconv.ParseUint(v[0], 10, 64) // the server's word
		n += body
	}
	return n
}
