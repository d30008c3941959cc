package bus

import (
	"context"
	"fmt"
	"maps"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Headers of a dead letter, beside those the message had.
const (
	HeaderOriginalSubject = "Ks-Original-Subject"
)

// DeadLetter keeps a message that a stage cannot process, with the reason and
// where it stood. It returns once the letter is durable; the same message sent
// twice is kept once.
func (b *Bus) DeadLetter(ctx context.Context, stage string, k event.DestinationKey, stream string, m Message, reason error) error {
	h := maps.Clone(m.Header)
	if h == nil {
		h = event.Header{}
	}
	for name := range h {
		if len(name) > 5 && name[:5] == "Nats-" {
			delete(h, name) // instructions to the server, carried out already
		}
	}
	h[event.HeaderReason] = []string{event.Escape(reason.Error())}
	h[HeaderOriginalSubject] = []string{m.Subject}
	out := Output{Subject: subject.DeadLetter(stage, k, stream, m.Seq), Header: h, Data: m.Data}
	if _, err := b.js.PublishMsg(ctx, out.msg()); err != nil {
		if isCode(err, errLimitReached) {
			if _, lerr := b.LastFor(ctx, subject.DLQ, out.Subject); lerr == nil {
				return nil // kept before
			}
		}
		return fmt.Errorf("dead-lettering message %d of %s: %w", m.Seq, stream, err)
	}
	return nil
}
