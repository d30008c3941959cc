package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/faultpoint"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// ErrFenced says that another owner has taken over: what this one had in flight
// was refused, and it must read anew what was stored before it goes on.
var ErrFenced = errors.New("another owner has taken over")

// Error codes of the NATS server that nats.go does not name.
const (
	errTooLarge                  jetstream.ErrorCode = 10054
	errHeadersTooLarge           jetstream.ErrorCode = 10097
	errWrongLastSequence         jetstream.ErrorCode = 10071
	errWrongLastSequenceConstant jetstream.ErrorCode = 10164
	errLimitReached              jetstream.ErrorCode = 10077
)

// Lane is the right to publish a cluster's part of KS_EVENTS. Publishes, of one message or of a
// batch, are one at a time, in the order of the calls, so that the order of the lane is the order
// of the changes. What several callers wait to have stored goes into one batch. It is safe for
// concurrent use.
type Lane struct {
	bus     *Bus
	part    int
	subject string        // of the fence
	made    time.Time     // when KS_EVENTS was
	fence   uint64        // sequence of this owner's fence message
	turn    chan struct{} // held by the one publish, or freeze, in flight
	moves   condition

	mu     sync.Mutex
	last   uint64     // the newest sequence that is known to be stored; guarded by mu
	queued []*request // that wait, in the order of the calls; guarded by mu
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
	ack, err := faultpoint.Answered(faultpoint.Fence, subject.Events, func() (*jetstream.PubAck, error) {
		return b.publish(ctx, Output{Subject: s, Header: h}.msg(), jetstream.WithExpectLastSequencePerSubject(last))
	})
	if err != nil {
		return nil, fmt.Errorf("taking lane %d: %w", part, fenced(err))
	}
	return &Lane{bus: b, part: part, subject: s, made: made, fence: ack.Sequence, last: ack.Sequence, turn: make(chan struct{}, 1)}, nil
}

// Item is a message that is to be stored under an ID.
type Item struct {
	ID string
	Output
	// Then, if it is not nil, is called with the outcome before anybody else has a turn: what
	// it changes, a [Lane.Freeze] sees if and only if it sees the message. After an error that
	// is no poison the message may be stored or not. It is not called if the turn never came.
	Then func(duplicate bool, err error)
}

func (i Item) then(duplicate bool, err error) {
	if i.Then != nil {
		i.Then(duplicate, err)
	}
}

// Publish stores a message and returns once it is durable. The same
// ID stored before is a success with duplicate true. It goes on trying until it
// knows, through lost answers, restarts of the server and a full stream; it
// gives up when the message cannot be stored at all (fault.Poison), with ErrFenced,
// and when ctx ends: once it was begun together with what others wait for, when theirs have
// ended, too.
//
// A crash before the answer leaves the message stored or not: the next owner
// resumes its watch from what stands in the lane, so either is right.
func (l *Lane) Publish(ctx context.Context, i Item) (duplicate bool, err error) {
	then := i.Then
	i.Then = func(d bool, err error) {
		if duplicate = d; then != nil {
			then(d, err)
		}
	}
	_, err = l.PublishAll(ctx, []Item{i})
	return duplicate, err
}

// PublishAll does as [Lane.Publish] with one message after the other, and stops at the first
// that fails: so many before it are stored. Nothing else comes between them. Many at once
// are stored as one batch.
//
// A crash before the answer leaves all of a batch stored or nothing of it.
func (l *Lane) PublishAll(ctx context.Context, items []Item) (stored int, err error) {
	if len(items) == 0 {
		return 0, nil
	}
	r := &request{ctx: ctx, items: items, done: make(chan struct{})}
	l.enqueue(r)
	for {
		select {
		case <-r.done:
			return r.stored, r.err
		default:
		}
		select {
		case <-r.done:
		case l.turn <- struct{}{}:
			l.serve()
			l.give()
		case <-ctx.Done():
			if l.withdraw(r) {
				return 0, fmt.Errorf("waiting for lane %d: %w", l.part, ctx.Err())
			}
			<-r.done
		}
	}
}

// store does what PublishAll promises, with the turn taken, for one message after the other.
func (l *Lane) store(ctx context.Context, items []Item) (stored int, err error) {
	for n, i := range items {
		duplicate, err := l.publish(ctx, event.KindChange, i.ID, i.Output)
		i.then(duplicate, err)
		if err != nil {
			return n, err
		}
	}
	return len(items), nil
}

// storeBatch tries once to store many messages all or nothing, with the turn taken, and
// reports whether they are stored. If not, each is to be published by itself: that finds what
// is wrong with it. A batch that the server takes after all, once one of them is stored, holds
// a duplicate, and is refused.
func (l *Lane) storeBatch(ctx context.Context, items []Item) (stored bool, err error) {
	if len(items) < worthBatch {
		return false, nil
	}
	var size extent
	msgs := make([]*nats.Msg, len(items))
	outs := make([]Output, len(items))
	for n, i := range items {
		size = size.and(extentOf([]Output{i.Output}))
		outs[n], msgs[n] = i.Output, i.msg()
		msgs[n].Header = maps.Clone(msgs[n].Header) // what makes it one of a batch is not to stay
		msgs[n].Header.Set(jetstream.MsgIDHeader, i.ID)
	}
	if !size.fits() || l.bus.room(ctx, subject.Events) != nil {
		return false, nil
	}
	msgs[0].Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, l.subject)
	msgs[0].Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(l.fence, 10))
	bctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	ack, err := faultpoint.Answered(faultpoint.StoreBatch, subject.Events, func() (*jetstreamext.BatchAck, error) {
		return jetstreamext.PublishMsgBatch(bctx, l.bus.js, msgs)
	})
	switch refused := (*jetstream.APIError)(nil); {
	case err == nil:
		l.reached(ack.Sequence)
	case errors.As(err, &refused), tooLarge(err):
		l.bus.log.Debug("batch refused, publishing one by one", "part", l.part, "messages", len(items), "err", err)
		return false, nil
	default:
		if stored, err := l.lookFor(ctx, items, err); err != nil || !stored {
			return false, err
		}
	}
	l.bus.stored(subject.Events, outs...)
	return true, nil
}

// lookFor reports whether a batch is stored whose outcome is unknown. It goes on asking until it
// knows, or ctx ends.
func (l *Lane) lookFor(ctx context.Context, batch []Item, unknown error) (stored bool, err error) {
	var backoff fault.Backoff
	defer l.moves.set(nil)
	for err := unknown; ; {
		l.moves.set(fmt.Errorf("lane %d cannot publish: %w", l.part, err))
		l.bus.log.Warn("batch unanswered, looking whether it is stored", "part", l.part, "err", err)
		if err := fault.Wait(ctx, backoff.Next()); err != nil {
			return false, fmt.Errorf("publishing to lane %d: %w", l.part, err)
		}
		if stored, err = l.holds(ctx, batch); err == nil {
			return stored, nil
		}
	}
}

// holds reports whether a batch is stored: nobody else publishes here, and it is all in one piece, so
// it is if its last message is the newest under that one's subject, came behind all that was known before,
// and has the first one where it must be. The ID of the last one alone says nothing: it may
// have stood there before.
func (l *Lane) holds(ctx context.Context, batch []Item) (bool, error) {
	first, last, behind := batch[0], batch[len(batch)-1], uint64(len(batch)-1)
	_, before := l.Reached()
	m, err := l.bus.LastFor(ctx, subject.Events, last.Subject)
	if err == nil && m.ID() == last.ID && m.Seq > before+behind {
		var begin Message
		if begin, err = l.bus.MessageAt(ctx, subject.Events, m.Seq-behind); err == nil && begin.ID() == first.ID {
			l.reached(m.Seq)
			return true, nil
		}
	}
	if errors.Is(err, ErrNoMessage) {
		err = nil
	}
	return false, err
}

func (l *Lane) reached(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = max(l.last, seq)
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
	_, err = l.publish(ctx, event.KindMark, id, out)
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
func (l *Lane) publish(ctx context.Context, kind event.Kind, id string, out Output) (duplicate bool, err error) {
	var backoff fault.Backoff
	defer l.moves.set(nil)
	for {
		if err := l.await(ctx); err != nil {
			return false, fmt.Errorf("publishing to lane %d: %w", l.part, err)
		}
		ack, err := faultpoint.Answered(faultpoint.Publish, string(kind), func() (*jetstream.PubAck, error) {
			return l.bus.publish(ctx, out.msg(),
				jetstream.WithMsgID(id),
				jetstream.WithExpectLastSequenceForSubject(l.fence, l.subject))
		})
		if err == nil {
			l.reached(ack.Sequence)
			l.bus.stored(subject.Events, out)
			return ack.Duplicate, nil
		}
		if tooLarge(err) {
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
			l.reached(m.Seq)
			return false, nil
		}
	}
}

// await waits while KS_EVENTS is full.
func (l *Lane) await(ctx context.Context) error {
	for said := false; ; said = true {
		err := l.bus.room(ctx, subject.Events)
		if err == nil {
			return nil
		}
		l.moves.set(fmt.Errorf("lane %d cannot publish: %w", l.part, err))
		if !said {
			l.bus.log.Warn("lane stands still until there is room", "part", l.part, "err", err)
		}
		if err := fault.Wait(ctx, levelEvery); err != nil {
			return err
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

// tooLarge reports whether a message can never be stored.
func tooLarge(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) || isCode(err, errTooLarge) || isCode(err, errHeadersTooLarge)
}

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
