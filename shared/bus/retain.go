package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
)

// Checkpoint is where the owner of the messages under a filter stands, as the leader of
// their stream knows it: the newest of them, and how far that says its input was consumed.
// Both are zero if there is none. What is stored later is at or behind both.
func (b *Bus) Checkpoint(ctx context.Context, stream, ownerFilter string) (newest uint64, c Cursor, err error) {
	m, err := b.LastFor(ctx, stream, ownerFilter)
	if errors.Is(err, ErrNoMessage) {
		return 0, c, nil
	}
	if err != nil {
		return 0, c, fmt.Errorf("reading the checkpoint of %s: %w", ownerFilter, err)
	}
	v := m.Header[event.HeaderCursor]
	if len(v) != 1 {
		return 0, c, fmt.Errorf("reading the checkpoint of %s: message %d has no cursor: %w", ownerFilter, m.Seq, event.ErrMalformed)
	}
	if c, err = ParseCursor(v[0]); err != nil {
		return 0, c, fmt.Errorf("reading the checkpoint of %s: message %d: %w", ownerFilter, m.Seq, err)
	}
	return m.Seq, c, nil
}

// After is the oldest message of a stream under a filter that is behind a sequence.
// ErrNoMessage if there is none.
func (b *Bus) After(ctx context.Context, stream, filter string, seq uint64) (Message, error) {
	return b.leaderGet(ctx, stream, map[string]any{"seq": seq + 1, "next_by_subj": filter})
}

// Newest is the sequence of a stream's newest message under a filter, from the leader; 0 if
// there is none.
func (b *Bus) Newest(ctx context.Context, stream, filter string) (uint64, error) {
	m, err := b.LastFor(ctx, stream, filter)
	if errors.Is(err, ErrNoMessage) {
		return 0, nil
	}
	return m.Seq, err
}

// Subjects is how many messages a stream holds under each subject that matches a filter.
func (b *Bus) Subjects(ctx context.Context, stream, filter string) (map[string]uint64, error) {
	s, err := b.js.Stream(impatient{ctx}, stream)
	if err != nil {
		return nil, fmt.Errorf("reading the subjects of %s: %w", stream, err)
	}
	info, err := s.Info(impatient{ctx}, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, fmt.Errorf("reading the subjects of %s: %w", stream, err)
	}
	return info.State.Subjects, nil
}
