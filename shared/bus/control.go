package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/faultpoint"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// ackWait is after how long without a sign of life a request is handed out
	// again; a handler gives that sign each third of it.
	ackWait = 10 * time.Second
	// beat is how often the server says that it has nothing to hand out. Where it misses two,
	// it is asked anew: it may have become another, which knows of nobody who waits.
	beat = 2 * time.Second
	// handBackWait bounds a stop while the server cannot be reached.
	handBackWait = 250 * time.Millisecond
)

// Ask stores a control request under a subject. Asking again while the first is
// waiting changes nothing.
//
// A request for a run is carried out after it was asked for, or one like it is. The
// first may be in somebody's hands, who has begun a run and not acknowledged yet: so
// where one is there this one stands behind it. Of two like it one at most is in
// somebody's hands, and the other one will be.
func (b *Bus) Ask(ctx context.Context, subj string, r event.Request) error {
	seq, err := b.AskOwn(ctx, subj, r)
	for n := 0; n < 2 && err == nil && seq == 0 && r.Kind == event.RequestRun; n++ {
		seq, err = b.AskOwn(ctx, subject.CtlRunBehind(r.Destination, r.Reason, n), r)
	}
	return err
}

// AskOwn is [Bus.Ask] for those who wait for an answer to their own request: it says
// where that stands in KS_CTL. seq is 0 if another is waiting under the subject, and
// this one was not stored.
func (b *Bus) AskOwn(ctx context.Context, subj string, r event.Request) (seq uint64, err error) {
	for range 2 {
		ack, perr := faultpoint.Answered(faultpoint.Ask, r.Kind, func() (*jetstream.PubAck, error) {
			return b.publish(ctx, &nats.Msg{Subject: subj, Data: event.Encode(r)})
		})
		if perr == nil {
			return ack.Sequence, nil
		}
		err = fmt.Errorf("asking for %s: %w", r.Kind, perr)
		if !isCode(perr, errLimitReached) {
			return 0, err
		}
		// Of the subject, or of the whole stream. One that was waiting may be gone by
		// now: then there is room.
		switch _, lerr := b.LastFor(ctx, subject.Ctl, subj); {
		case lerr == nil:
			return 0, nil
		case !errors.Is(lerr, ErrNoMessage):
			return 0, err
		}
	}
	return 0, err
}

// Responder carries out control requests, one at a time. A request is
// acknowledged only after Handle returned nil: whatever it did must be durable by
// then. Otherwise it comes again, later, and must give the same. One that is
// poison goes to the dead letters.
type Responder struct {
	Bus      *Bus
	Stage    string // whose letters the poison among them are
	Consumer string // durable name: those who share it share the requests
	// Sole says that whoever runs last is the only one: what another had been handed
	// comes at once, without a wait for a sign of life of it.
	Sole   bool
	Filter string
	Handle func(context.Context, event.Request) error
	Log    *slog.Logger

	reads condition // requests
	works condition // the newest of them
}

// Run works until ctx ends.
func (r *Responder) Run(ctx context.Context) {
	var backoff fault.Backoff
	taken := !r.Sole
	for {
		var err error
		if !taken {
			err = r.takeOver(ctx)
			taken = err == nil
		}
		if taken {
			err = r.serve(ctx, &backoff)
		}
		if ctx.Err() != nil {
			return
		}
		r.reads.set(fmt.Errorf("requests for %s are not carried out: %w", r.Consumer, err))
		r.Log.Warn("serving requests interrupted", "consumer", r.Consumer, "err", err)
		if fault.Wait(ctx, backoff.Next()) != nil {
			return
		}
	}
}

// Ready is nil unless requests cannot be read, or the newest one has failed, and may not
// have come again.
func (r *Responder) Ready() error { return errors.Join(r.reads.get(), r.works.get()) }

// takeOver removes the consumer, and with it what it remembers of having handed
// out. Requests stay: they are the stream's.
func (r *Responder) takeOver(ctx context.Context) error {
	err := r.Bus.js.DeleteConsumer(impatient{ctx}, subject.Ctl, r.Consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	return nil
}

func (r *Responder) serve(ctx context.Context, backoff *fault.Backoff) error {
	c, err := r.Bus.js.CreateOrUpdateConsumer(impatient{ctx}, subject.Ctl, jetstream.ConsumerConfig{
		Durable: r.Consumer, FilterSubject: r.Filter, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxDeliver: -1, MaxAckPending: 1,
	})
	if err != nil {
		return err
	}
	it, err := c.Messages(jetstream.PullMaxMessages(1), jetstream.PullHeartbeat(beat))
	if err != nil {
		return err
	}
	defer handBack(it)
	r.reads.set(nil)
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		backoff.Reset()
		if err := r.answer(ctx, m); err != nil {
			return err
		}
	}
}

// handBack ends an iteration and gives back what was handed out to it and not taken:
// who comes next would wait for that for ackWait, and for all that is behind it.
func handBack(it jetstream.MessagesContext) {
	it.Drain()
	for {
		m, err := it.Next(jetstream.NextMaxWait(handBackWait))
		if err != nil {
			return
		}
		_ = m.Nak() // failing, it is handed out again after ackWait
	}
}

func (r *Responder) answer(ctx context.Context, m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	q, err := event.Decode[event.Request](m.Data())
	if err == nil {
		err = keepAlive(ctx, m, func(ctx context.Context) error { return r.Handle(ctx, q) })
	} else if !errors.Is(err, event.ErrNewerVersion) {
		err = fault.As(fault.Poison, err)
	}
	switch {
	case err == nil && ctx.Err() != nil:
		return m.Ack() // nobody waits for the answer; lost, it is carried out again
	case err == nil:
		r.works.set(nil)
		return faultpoint.Do(faultpoint.Ack, q.Kind, func() error { return m.DoubleAck(ctx) })
	case ctx.Err() != nil:
		return m.Nak()
	case fault.ClassOf(err) == fault.Poison:
		// A crash before the acknowledgement has it tried, and dead-lettered, again: that is one letter.
		letter := Letter{
			Stage: r.Stage, Destination: q.Destination, Stream: subject.Ctl, Reason: err.Error(), Attempts: meta.NumDelivered,
			Message: Message{Subject: m.Subject(), Seq: meta.Sequence.Stream, Header: event.Header(m.Headers()), Data: m.Data()},
		}
		if err := r.Bus.keep(ctx, letter); err != nil {
			return err
		}
		r.Log.Error("request sent to the dead letters", "subject", m.Subject(), "attempt", meta.NumDelivered, "err", err)
		return m.DoubleAck(ctx)
	default:
		delay := min(time.Duration(meta.NumDelivered)*time.Second, ackWait)
		// It comes again by then, to this one or to another who shares the requests.
		r.works.setFor(2*ackWait, fmt.Errorf("%s for %s: %w", q.Kind, q.Destination, err))
		r.Log.Warn("request failed, it comes again", "subject", m.Subject(), "attempt", meta.NumDelivered, "err", err)
		return m.NakWithDelay(delay)
	}
}

// keepAlive tells the server that the request is being worked on.
func keepAlive(ctx context.Context, m jetstream.Msg, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for fault.Wait(ctx, ackWait/3) == nil {
			_ = m.InProgress() // failing, the request is handed out again: handlers may be called twice
		}
	}()
	err := work(ctx)
	cancel()
	<-done
	return err
}
