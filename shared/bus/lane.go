package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// ErrFenced says that another owner has taken over: what this one had in flight
// was refused, and it must read anew what was stored before it goes on.
var ErrFenced = errors.New("another owner has taken over")

// Error codes of the NATS server that nats.go does not name.
const (
	errTooLarge                  jetstream.ErrorCode = 10054
	errWrongLastSequence         jetstream.ErrorCode = 10071
	errWrongLastSequenceConstant jetstream.ErrorCode = 10164
	errLimitReached              jetstream.ErrorCode = 10077
)

// Lane is the right to publish a cluster's part of KS_EVENTS. Publishes are one at a
// time, in the order of the calls, so that the order of the lane is the order
// of the changes. It is safe for concurrent use.
type Lane struct {
	bus     *Bus
	part    int
	subject string        // of the fence
	made    time.Time     // when KS_EVENTS was
	fence   uint64        // sequence of this owner's fence message
	turn    chan struct{} // held by the one publish, or freeze, in flight
	moves   condition

	mu   sync.Mutex
	last uint64 // the newest sequence that is known to be stored; guarded by mu
}

// TakeLane makes the caller the owner of a cluster's part: everyone before it is refused
// from here on. A crash just after leaves a fence without an owner, which the
// next owner replaces.
func (b *Bus) TakeLane(ctx context.Context, part int, cluster, owner string) (*Lane, error) {
	s := subject.EventFence(part, cluster)
	var last uint64
	switch m, err := b.LastFor(ctx, subject.Events, s); {
	case err == nil:
		last = m.Seq
	case !errors.Is(err, ErrNoMessage):
		return nil, fmt.Errorf("taking lane %d: %w", part, err)
	}
	made, _, err := b.Reached(ctx, subject.Events)
	if err != nil {
		return nil, fmt.Errorf("taking lane %d: %w", part, err)
	}
	h := event.NewHeader(event.KindFence)
	h[event.HeaderReason] = []string{event.Escape(owner)}
	ack, err := b.js.PublishMsg(ctx, Output{Subject: s, Header: h}.msg(), jetstream.WithExpectLastSequencePerSubject(last))
	if err != nil {
		return nil, fmt.Errorf("taking lane %d: %w", part, fenced(err))
	}
	return &Lane{bus: b, part: part, subject: s, made: made, fence: ack.Sequence, last: ack.Sequence, turn: make(chan struct{}, 1)}, nil
}

// Publish stores a message under an ID and returns once it is durable. The same
// ID stored before is a success with duplicate true. It goes on trying until it
// knows, through lost answers, restarts of the server and a full stream; it
// gives up when ctx ends, when the message cannot be stored at all
// (fault.Poison), or with ErrFenced.
//
// then, if it is not nil, is called with the outcome before anybody else has a
// turn: what it changes, a [Lane.Freeze] sees if and only if it sees the message.
// After an error that is no poison the message may be stored or not. It is not
// called if the turn never came.
//
// A crash before the answer leaves the message stored or not: the next owner
// resumes its watch from what stands in the lane, so either is right.
func (l *Lane) Publish(ctx context.Context, id string, out Output, then func(error)) (duplicate bool, err error) {
	if err := l.take(ctx); err != nil {
		return false, err
	}
	defer l.give()
	duplicate, err = l.publish(ctx, id, out)
	if then != nil {
		then(err)
	}
	return duplicate, err
}

// Freeze stores the message that freeze makes, as Publish does, and lets nothing
// else be published from before the call of freeze until it is stored: what freeze
// sees is what the lane holds before the message. An error of freeze is returned,
// and nothing is stored. All others wait meanwhile.
func (l *Lane) Freeze(ctx context.Context, freeze func() (id string, out Output, err error)) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	id, out, err := freeze()
	if err != nil {
		return err
	}
	_, err = l.publish(ctx, id, out)
	return err
}

func (l *Lane) take(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for lane %d: %w", l.part, ctx.Err())
	}
}

func (l *Lane) give() { <-l.turn }

// publish is called with the turn taken.
func (l *Lane) publish(ctx context.Context, id string, out Output) (duplicate bool, err error) {
	var backoff fault.Backoff
	defer l.moves.set(nil)
	for {
		ack, err := l.bus.js.PublishMsg(ctx, out.msg(),
			jetstream.WithMsgID(id),
			jetstream.WithExpectLastSequenceForSubject(l.fence, l.subject))
		if err == nil {
			l.mu.Lock()
			l.last = max(l.last, ack.Sequence)
			l.mu.Unlock()
			return ack.Duplicate, nil
		}
		if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) || isCode(err, errTooLarge) {
			return false, fault.As(fault.Poison, fmt.Errorf("publishing to lane %d: %w", l.part, err))
		}
		if err = fenced(err); errors.Is(err, ErrFenced) {
			return false, fmt.Errorf("publishing to lane %d: %w", l.part, err)
		}
		if ctx.Err() != nil {
			return false, fmt.Errorf("publishing to lane %d: %w", l.part, err)
		}
		l.moves.set(fmt.Errorf("lane %d cannot publish: %w", l.part, err))
		l.bus.log.Warn("publish unanswered or refused, retrying", "part", l.part, "msg_id", id, "err", err)
		if err := fault.Wait(ctx, backoff.Next()); err != nil {
			return false, fmt.Errorf("publishing to lane %d: %w", l.part, err)
		}
		// The answer may have been lost. The window of IDs would tell, as long
		// as it remembers; the lane's own newest message on this subject always
		// does, since only one publish is in flight.
		if m, err := l.bus.LastFor(ctx, subject.Events, out.Subject); err == nil && m.ID() == id {
			return false, nil
		}
	}
}

// Reached is when KS_EVENTS was made, and a sequence that it has reached for this owner.
func (l *Lane) Reached() (made time.Time, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.made, l.last
}

// Ready is nil unless a publish is being retried.
func (l *Lane) Ready() error { return l.moves.get() }

// fenced turns the server's refusal of a compare-and-swap into ErrFenced.
func fenced(err error) error {
	if isCode(err, errWrongLastSequence) || isCode(err, errWrongLastSequenceConstant) {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return err
}

func isCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}
