package branch

import (
	"context"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// record is what a session takes changes from: its messages can be read again.
type record interface {
	// at is the message with a sequence; bus.ErrNoMessage if it was removed.
	at(ctx context.Context, seq uint64) (bus.Message, error)
	// newest is the sequence of a branch's newest message; 0: it is not known.
	newest(ctx context.Context, branchKey string) uint64
	// letter keeps a message of a destination that cannot be written, with the reason.
	letter(ctx context.Context, k event.DestinationKey, m bus.Message, why error) error
}

// live is KS_WRITE, and KS_DLQ beside it.
type live struct{ *bus.Bus }

func (l live) at(ctx context.Context, seq uint64) (bus.Message, error) {
	return l.MessageAt(ctx, subject.Write, seq)
}

func (l live) newest(ctx context.Context, branchKey string) uint64 {
	ctx, cancel := context.WithTimeout(ctx, newestWait)
	defer cancel()
	seq, err := l.Newest(ctx, subject.Write, subject.WriteBranch(branchKey))
	if err != nil {
		return 0
	}
	return seq
}

func (l live) letter(ctx context.Context, k event.DestinationKey, m bus.Message, why error) error {
	return l.DeadLetter(ctx, bus.StageGitWriter, k, subject.Write, m, why)
}

// source gives the messages of a record in their order.
type source interface {
	// Next waits up to wait for the next one; ok is false when none came, or ctx ended.
	Next(ctx context.Context, wait time.Duration) (m bus.Message, ok bool, err error)
}
