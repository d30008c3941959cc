package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/faultpoint"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// DeadLetter keeps a message that a stage cannot process, with the reason and
// where it stood. It returns once the letter is durable; the same message sent
// twice is kept once. While KS_DLQ is full it fails, so that whoever sends the letter
// stands still, and nothing is lost.
func (b *Bus) DeadLetter(ctx context.Context, stage string, k event.DestinationKey, stream string, m Message, reason error) error {
	return b.keep(ctx, Letter{Stage: stage, Destination: k, Stream: stream, Reason: reason.Error(), Attempts: 1, Message: m})
}

// keep stores a letter.
func (b *Bus) keep(ctx context.Context, l Letter) error {
	out := l.output()
	_, err := faultpoint.Answered(faultpoint.Letter, l.Stage, func() (*jetstream.PubAck, error) {
		return b.publish(ctx, out.msg())
	})
	if isCode(err, errLimitReached) { // of the subject, or of the whole stream
		if _, lerr := b.LastFor(ctx, subject.DLQ, out.Subject); lerr == nil {
			return nil // kept before
		}
		err = fmt.Errorf("%s is full: look at its letters with kubescribe dlq ls, and make room with kubescribe dlq retry or kubescribe dlq drop: %w", subject.DLQ, err)
	}
	if err != nil {
		return fmt.Errorf("dead-lettering message %d of %s: %w", l.Message.Seq, l.Stream, err)
	}
	return nil
}
