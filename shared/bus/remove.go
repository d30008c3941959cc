package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Remove removes a key that has not changed since revision, with its history.
// ErrConflict when it has changed.
func (b *Bucket[R]) Remove(ctx context.Context, key string, revision uint64) error {
	err := b.kv.Purge(ctx, key, jetstream.LastRevision(revision))
	if isCode(err, errWrongLastSequence) || isCode(err, errWrongLastSequenceConstant) {
		return fmt.Errorf("removing %s of %s: %w", key, b.name, ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("removing %s of %s: %w", key, b.name, err)
	}
	return nil
}
