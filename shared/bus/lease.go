package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// leaseTTL is after how long an entry goes that nobody has renewed.
	leaseTTL = 10 * time.Second
	// renewEvery is how often entries are renewed: two may be missed.
	renewEvery = 3 * time.Second
	// renewWait bounds the wait for one answer, and giveBackWait that of one that stops.
	renewWait    = 2 * time.Second
	giveBackWait = 500 * time.Millisecond
)

// errTaken says that an entry of KS_LEASE is somebody else's.
var errTaken = errors.New("somebody else has taken the lease")

// lease is an entry of KS_LEASE that its owner keeps from going.
type lease struct {
	bus      *Bus
	key      string
	record   event.Lease
	revision uint64 // as it was last seen, 0 where there is none
}

func (b *Bus) newLease(key, owner string) *lease {
	return &lease{bus: b, key: key, record: event.Lease{V: event.Version, Owner: owner, Since: time.Now().UTC()}}
}

// put makes the entry stand for another leaseTTL, if nobody else's does: errTaken then.
//
// The key-value API of the library would drop the time to live when it writes a key again.
// A crash behind it leaves the entry for as long, and then whoever looks for work finds the shard
// free; the next process by the owner's name takes it over at once.
//
// It is not cut short by ctx: what was stored and not known of would not be given back.
func (l *lease) put(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewWait)
	defer cancel()
	for {
		h := event.Header{jetstream.MsgTTLHeader: {leaseTTL.String()}}
		err := l.publish(ctx, h, event.Encode(l.record))
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if err := l.read(ctx); err != nil {
			return err
		}
	}
}

// read finds where the entry stands: errTaken if it is somebody else's. It may be one's own
// that was not known of, where an answer was lost.
func (l *lease) read(ctx context.Context) error {
	m, err := l.bus.LastFor(ctx, "KV_"+subject.BucketLease, l.subject())
	switch {
	case errors.Is(err, ErrNoMessage):
		l.revision = 0
		return nil
	case err != nil:
		return err
	}
	l.revision = m.Seq
	if len(m.Data) == 0 { // given back, or gone by itself
		return nil
	}
	r, err := event.Decode[event.Lease](m.Data)
	if err != nil {
		return fmt.Errorf("reading the lease %s: %w", l.key, err)
	}
	if r.Owner != l.record.Owner {
		return fmt.Errorf("lease %s, of %s: %w", l.key, r.Owner, errTaken)
	}
	return nil
}

// giveBack removes the entry, unless it is somebody else's by now. A crash before it leaves
// it, as behind put. It is not cut short by ctx either.
func (l *lease) giveBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackWait)
	defer cancel()
	err := l.publish(ctx, event.Header{"KV-Operation": {"DEL"}, jetstream.MsgTTLHeader: {leaseTTL.String()}}, nil)
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

func (l *lease) subject() string { return "$KV." + subject.BucketLease + "." + l.key }

func (l *lease) publish(ctx context.Context, h event.Header, body []byte) error {
	h[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(l.revision, 10)}
	ack, err := l.bus.js.PublishMsg(ctx, &nats.Msg{Subject: l.subject(), Header: nats.Header(h), Data: body}, jetstream.WithRetryAttempts(0))
	if err = fenced(err); errors.Is(err, ErrFenced) {
		return fmt.Errorf("writing the lease %s: %w", l.key, ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("writing the lease %s: %w", l.key, err)
	}
	l.revision = ack.Sequence
	return nil
}
