package bustest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// poison: an input that is wrong by itself is kept, once, and stops nobody.
func poison(t *testing.T, s Server) {
	const n = 10
	b := provisioned(t, s)
	bad := func(m bus.Message) error {
		if string(m.Data) == "4" {
			return fmt.Errorf("%w: as the test wants it", event.ErrMalformed)
		}
		return nil
	}
	to := func(bus.Message) []string { return []string{"a"} }
	runHop(t, hop(b, &copier{to: to, decide: bad}))
	feed(t, b, n)
	got := outputs(t, b, "a")
	if len(got) != n-1 || slices.Contains(got, "4") {
		t.Fatalf("got %v", got)
	}
	if n := stored(t, s, subject.DLQ, subject.AllDLQ); n != 1 {
		t.Fatalf("%d dead letters", n)
	}
	letter, err := b.LastFor(t.Context(), subject.DLQ, subject.AllDLQ)
	if err != nil {
		t.Fatal(err)
	}
	if string(letter.Data) != "4" || !strings.Contains(letter.Header[event.HeaderReason][0], "as the test wants it") {
		t.Fatalf("the letter is %v %s", letter.Header, letter.Data)
	}
	if err := b.DeadLetter(t.Context(), "router", event.DestinationKey{}, subject.Events, bus.Message{Seq: 6, Subject: letter.Subject}, errors.New("again")); err != nil {
		t.Fatalf("dead-lettering twice: %v", err)
	}
}

// newerVersion: a message of a newer program stalls the hop and is not lost.
func newerVersion(t *testing.T, s Server) {
	b := provisioned(t, s)
	tooNew := func(m bus.Message) error {
		_, err := event.KindOf(m.Header)
		return err
	}
	h := hop(b, &copier{to: func(bus.Message) []string { return []string{"a"} }, decide: tooNew})
	runHop(t, h)
	l, err := b.TakeLane(t.Context(), 0, "test", "newer")
	if err != nil {
		t.Fatal(err)
	}
	c := change("web", "1", "0")
	head, body := c.Message()
	head[event.HeaderVersion] = []string{strconv.Itoa(event.Version + 1)}
	if _, err := l.Publish(t.Context(), "newer", bus.Output{Subject: subject.EventChange(0, "test", "", "configmaps", "shop"), Header: head, Data: body}, nil); err != nil {
		t.Fatal(err)
	}
	within(t, "the hop says why it stalls", 20*time.Second, func() bool { return errors.Is(h.Ready(), event.ErrNewerVersion) })
	if n := stored(t, s, subject.DLQ, subject.AllDLQ); n != 0 {
		t.Fatalf("%d dead letters", n)
	}
}

// poisonWithoutID: what anybody may publish with a stock client is set aside, and
// the cursor behind it can be read again.
func poisonWithoutID(t *testing.T, s Server) {
	b := provisioned(t, s)
	nc := s.NATS(t)
	for _, id := range []string{"", "an id with blanks = and % "} {
		m := &nats.Msg{Subject: subject.EventChange(0, "test", "", "configmaps", "shop"), Data: []byte("bad")}
		if id != "" {
			m.Header = nats.Header{nats.MsgIdHdr: {id}}
		}
		if _, err := nc.RequestMsg(m, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		before := stored(t, s, subject.Live, subject.LiveCheckpoint(0))
		stop := runHop(t, hop(b, &copier{to: func(bus.Message) []string { return nil }, decide: func(m bus.Message) error {
			_, err := event.KindOf(m.Header)
			return err
		}}))
		within(t, "the cursor is stored", 20*time.Second, func() bool {
			return stored(t, s, subject.Live, subject.LiveCheckpoint(0)) > before
		})
		stop()
	}
	if n := stored(t, s, subject.DLQ, subject.AllDLQ); n != 2 {
		t.Fatalf("%d dead letters", n)
	}
	wantConsumed(t, b)
}

// fullStream: a stream that is full stalls the hop that writes to it, which says
// so and how much waits, loses nothing, and goes on once there is room.
func fullStream(t *testing.T, s Server) {
	const n, more = 60, 5
	b := s.Connect(t)
	if err := b.Provision(t.Context(), bus.Options{Replicas: 1, MaxBytes: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	h := hop(b, &copier{to: func(bus.Message) []string { return []string{"a", "b", "c", "d"} }})
	var lag atomic.Uint64
	h.Lag = lag.Store
	runHop(t, h)
	feed(t, b, n)
	within(t, "the hop says that the stream is full", 30*time.Second, func() bool {
		err := h.Ready()
		return err != nil && strings.Contains(err.Error(), "maximum bytes")
	})
	took := stored(t, s, subject.Live, "ks.live.d.>") / 4
	within(t, "the hop says how much waits", 30*time.Second, func() bool { return lag.Load() == n-took })
	l, err := b.TakeLane(t.Context(), 0, "test", "feeder")
	if err != nil {
		t.Fatal(err)
	}
	for i := range more {
		if _, err := publish(t, l, change("more", strconv.Itoa(i+1), strconv.Itoa(n+i))); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the hop says that more waits", 30*time.Second, func() bool { return lag.Load() == n+more-took })
	if err := b.Provision(t.Context(), bus.Options{Replicas: 1, MaxBytes: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a", "b", "c", "d"} {
		wantInOrder(t, outputs(t, b, d), n+more)
	}
	within(t, "the hop is ready again", 30*time.Second, func() bool { return h.Ready() == nil && lag.Load() == 0 })
}
