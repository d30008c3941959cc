package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// ErrNoMessage says that a stream holds no message where one was asked for.
var ErrNoMessage = errors.New("no such message")

// LastFor reads the newest message of a stream under a subject, which may hold
// wildcards, from the stream's leader: it sees every publish that was
// acknowledged before the call. ErrNoMessage when there is none.
func (b *Bus) LastFor(ctx context.Context, stream, filter string) (Message, error) {
	return b.leaderGet(ctx, stream, map[string]any{"last_by_subj": filter})
}

// MessageAt reads the message with a sequence, from the stream's leader.
// ErrNoMessage when it was trimmed or never was.
func (b *Bus) MessageAt(ctx context.Context, stream string, seq uint64) (Message, error) {
	return b.leaderGet(ctx, stream, map[string]any{"seq": seq})
}

// leaderGet asks the stream's leader ($JS.API.STREAM.MSG.GET, NATS ADR-31 calls
// it the non-direct get): nats.go itself would ask any replica.
func (b *Bus) leaderGet(ctx context.Context, stream string, req map[string]any) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	body, err := json.Marshal(req)
	if err != nil {
		return Message{}, fmt.Errorf("reading %s: %w", stream, err)
	}
	answer, err := b.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return Message{}, fmt.Errorf("reading %s: %w", stream, b.unanswered(err))
	}
	var got struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &got); err != nil {
		return Message{}, fmt.Errorf("reading %s: %w", stream, err)
	}
	if got.Error != nil {
		if got.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return Message{}, ErrNoMessage
		}
		return Message{}, fmt.Errorf("reading %s: %w", stream, got.Error)
	}
	m := Message{Subject: got.Message.Subject, Seq: got.Message.Seq, Time: got.Message.Time, Data: got.Message.Data}
	if len(got.Message.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(got.Message.Header)
		if err != nil {
			return Message{}, fmt.Errorf("reading %s: headers of message %d: %w", stream, m.Seq, err)
		}
		m.Header = event.Header(h)
	}
	return m, nil
}

// LastSeq is the sequence of the newest message a stream ever stored.
func (b *Bus) LastSeq(ctx context.Context, stream string) (uint64, error) {
	e, err := b.Extent(ctx, stream)
	return e.Last, err
}

// Reached is when a stream was made, and its LastSeq: where it was lost and made anew,
// or restored from a backup, one of the two is not what it was.
func (b *Bus) Reached(ctx context.Context, stream string) (made time.Time, last uint64, err error) {
	s, err := b.js.Stream(impatient{ctx}, stream)
	if err != nil {
		return made, 0, fmt.Errorf("reading stream %s: %w", stream, err)
	}
	return s.CachedInfo().Created.UTC(), s.CachedInfo().State.LastSeq, nil
}

// Waiting is how many messages under a filter have a sequence above after.
func (b *Bus) Waiting(ctx context.Context, stream, filter string, after uint64) (uint64, error) {
	c, err := b.js.CreateConsumer(impatient{ctx}, stream, jetstream.ConsumerConfig{
		FilterSubject: filter, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 5 * time.Second,
	})
	if err != nil {
		return 0, fmt.Errorf("counting messages of %s: %w", stream, err)
	}
	n := c.CachedInfo().NumPending
	if err := b.js.DeleteConsumer(impatient{ctx}, stream, c.CachedInfo().Name); err != nil {
		b.log.Debug("consumer not removed, it goes by itself", "stream", stream, "err", err)
	}
	return n, nil
}

// readAhead is how much a reader lets the server send before it is taken, in bytes: the
// largest message with its envelope, and no more, because small ones take three times
// that in memory. It is not bounded by number: 500, the library's default, may be 2 GB,
// and with few there is no room in the library for what the server says between them,
// so that it drops messages and begins anew.
const readAhead = MaxPayload + 64<<10

// Reader reads a stream in order, each message once, with a consumer of its own
// that leaves with it: nobody else's cursor moves. It is not safe for
// concurrent use.
type Reader struct {
	bus     *Bus
	stream  string
	filters []string
	c       jetstream.Consumer
	it      jetstream.MessagesContext
	cancel  context.CancelCauseFunc
	last    atomic.Uint64
	waits   atomic.Bool  // for the server
	out     chan Message // closed after the last one
	err     error        // why there are no more; set before out is closed
}

// Read begins at the first message with a sequence of at least start whose
// subject matches one of filters.
func (b *Bus) Read(ctx context.Context, stream string, filters []string, start uint64) (*Reader, error) {
	return b.reader(ctx, stream, filters, start, false)
}

// reader is Read; without their bodies, messages have a header with their size.
func (b *Bus) reader(ctx context.Context, stream string, filters []string, start uint64, bodiless bool) (*Reader, error) {
	c, err := b.js.OrderedConsumer(impatient{ctx}, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: filters, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(start, 1), HeadersOnly: bodiless,
		InactiveThreshold: 30 * time.Second, MaxResetAttempts: 3,
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", stream, err)
	}
	it, err := c.Messages(jetstream.PullMaxBytes(readAhead))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", stream, err)
	}
	rctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // until Close
	r := &Reader{bus: b, stream: stream, filters: filters, c: c, it: it, cancel: cancel, out: make(chan Message)}
	r.last.Store(max(start, 1) - 1)
	go func() {
		defer close(r.out)
		r.err = r.receive(rctx)
	}()
	go r.watch(rctx)
	return r, nil
}

// errStalled is that of a reader that is told of no message although there is one.
var errStalled = errors.New("the server hands out nothing, and has more")

// stalledEvery is how often it is looked whether a reader that waits does so for nothing:
// twice in a row, it does.
const stalledEvery = 5 * time.Second

// watch ends a reader that waits although the stream's leader has more for it: who has its
// consumer may be a replica that does not catch up, and says that all is well. Whoever
// reads begins anew then, with another consumer, which may be elsewhere.
func (r *Reader) watch(ctx context.Context) {
	var at, newest uint64 // when it was looked last; 0: nothing was to be had
	for fault.Wait(ctx, stalledEvery) == nil {
		last, waits := r.last.Load(), r.waits.Load()
		if waits && newest > last && last == at {
			r.cancel(fmt.Errorf("%w: up to %d", errStalled, newest))
			return
		}
		at, newest = last, 0
		for _, filter := range r.filters {
			if !waits {
				break
			}
			n, err := r.bus.Newest(ctx, r.stream, filter)
			if err != nil {
				newest = 0
				break // the server is away, or was: nothing is known
			}
			newest = max(newest, n)
		}
	}
}

// receive hands messages to Next until something fails or ctx ends.
//
// It waits in the library without a bound. The server removes the consumer of a
// reader that was busy, or stopped, for longer than the inactive threshold; what
// notices that is a heartbeat missed within one wait, and then another consumer
// is made behind the last message. Waits shorter than that would never notice.
func (r *Reader) receive(ctx context.Context) error {
	for {
		last := r.last.Load()
		r.waits.Store(true)
		got, err := r.it.Next(jetstream.NextContext(ctx))
		r.waits.Store(false)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		if err != nil {
			return fmt.Errorf("reading %s after %d: %w", r.stream, last, err)
		}
		meta, err := got.Metadata()
		if err != nil {
			return fmt.Errorf("reading %s after %d: %w", r.stream, last, err)
		}
		m := Message{
			Subject: got.Subject(), Seq: meta.Sequence.Stream, Time: meta.Timestamp,
			Header: event.Header(got.Headers()), Data: got.Data(), Pending: meta.NumPending,
		}
		if m.Seq <= last {
			return fmt.Errorf("reading %s: message %d came after %d", r.stream, m.Seq, last)
		}
		r.last.Store(m.Seq)
		select {
		case r.out <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rangeWait is how long a range waits for a message before it looks whether there
// is one.
const rangeWait = time.Second

// Range reads the messages of a stream under a filter from a sequence to another,
// both included, as far as they are there: of those that were acknowledged before the
// call all that nobody has removed. An error is the last thing it yields.
func (b *Bus) Range(ctx context.Context, stream, filter string, from, to uint64) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		if err := b.readRange(ctx, stream, filter, from, to, false, func(m Message) bool { return yield(m, nil) }); err != nil {
			yield(Message{}, err)
		}
	}
}

// readRange calls each for the messages of a range, until it returns false.
//
// How far they go is asked of the leader: who sends them may lag behind it.
func (b *Bus) readRange(ctx context.Context, stream, filter string, from, to uint64, bodiless bool, each func(Message) bool) error {
	newest, err := b.Newest(ctx, stream, filter)
	if err != nil || newest < from || to < from {
		return err
	}
	r, err := b.reader(ctx, stream, []string{filter}, from, bodiless)
	if err != nil {
		return err
	}
	defer r.Close()
	for next := from; next <= min(newest, to); {
		m, ok, err := r.Next(ctx, rangeWait)
		switch {
		case err != nil || ctx.Err() != nil:
			return errors.Join(err, ctx.Err())
		case !ok: // the rest may have been removed
			if newest, err = b.Newest(ctx, stream, filter); err != nil {
				return err
			}
			continue
		case m.Seq > to || !each(m):
			return nil
		}
		next = m.Seq + 1
	}
	return nil
}

// Next waits up to wait for a message; ok is false when none came, or ctx ended.
// After an error it goes on returning it.
func (r *Reader) Next(ctx context.Context, wait time.Duration) (m Message, ok bool, err error) {
	return r.NextOr(ctx, wait, nil)
}

// NextOr is Next, and waits no longer than until there is something in wake.
func (r *Reader) NextOr(ctx context.Context, wait time.Duration, wake <-chan struct{}) (m Message, ok bool, err error) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case m, ok = <-r.out:
		if !ok {
			return Message{}, false, r.err
		}
		return m, true, nil
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
	return Message{}, false, nil
}

// Close ends the reading; its consumer is removed. It does not wait: the library
// may just be waiting for a server that is away, and then the consumer goes by itself.
func (r *Reader) Close() {
	r.cancel(nil)
	go func() {
		r.it.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), answerWait)
		defer cancel()
		if at := r.c.CachedInfo(); at != nil {
			_ = r.bus.js.DeleteConsumer(ctx, r.stream, at.Name)
		}
	}()
}
