package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/faultpoint"
)

// Remove removes a key that has not changed since revision, with its history.
// ErrConflict when it has changed.
func (b *Bucket[R]) Remove(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	err := faultpoint.Do(faultpoint.Remove, b.name, func() error {
		return b.kv.Purge(ctx, key, jetstream.LastRevision(revision))
	})
	if isCode(err, errWrongLastSequence) || isCode(err, errWrongLastSequenceConstant) {
		return fmt.Errorf("removing %s of %s: %w", key, b.name, ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("removing %s of %s: %w", key, b.name, err)
	}
	return nil
}

// MoveCursor stores the cursor of a ledger again, in a checkpoint, if it stands in a
// message under a subject: so that this one can be removed. Only the newest message of
// a ledger has the cursor that counts. Without it the ledger's owner would begin at an
// older one, and store again what it had stored, or find none. ErrFenced if the owner
// has stored something in the meantime.
//
// An owner that is at work opens its ledger anew, and finds the same cursor.
func (b *Bus) MoveCursor(ctx context.Context, stream, ownerFilter, checkpoint, from string) error {
	m, err := b.LastFor(ctx, stream, ownerFilter)
	if errors.Is(err, ErrNoMessage) || err == nil && m.Subject != from {
		return nil
	}
	if err != nil {
		return fmt.Errorf("moving the cursor of %s: %w", ownerFilter, err)
	}
	out := Output{Subject: checkpoint, Header: event.NewHeader(event.KindCheckpoint)}
	for _, h := range []string{event.HeaderCursor, event.HeaderState} {
		if v, has := m.Header[h]; has {
			out.Header[h] = v
		}
	}
	_, err = faultpoint.Answered(faultpoint.Store, stream, func() (*jetstream.PubAck, error) {
		return b.publish(ctx, out.msg(), jetstream.WithExpectLastSequenceForSubject(m.Seq, ownerFilter))
	})
	if err != nil {
		return fmt.Errorf("moving the cursor of %s: %w", ownerFilter, fenced(err))
	}
	return nil
}
