package bustest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	kept := all(t, b)
	if len(kept) != 1 {
		t.Fatalf("the letters are %+v", kept)
	}
	letter := kept[0]
	if string(letter.Message.Data) != "4" || !strings.Contains(letter.Reason, "as the test wants it") || letter.Attempts != 1 || letter.Stage != bus.StageRouter {
		t.Fatalf("the letter is %+v", letter)
	}
	if err := b.DeadLetter(t.Context(), bus.StageRouter, event.DestinationKey{}, subject.Events, letter.Message, errors.New("again")); err != nil {
		t.Fatalf("dead-lettering twice: %v", err)
	}
	if again := all(t, b); len(again) != 1 || again[0].ID != letter.ID {
		t.Errorf("dead-lettered twice, the letters are %+v", again)
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
	if _, err := l.Publish(t.Context(), bus.Item{ID: "newer", Output: bus.Output{Subject: subject.EventChange(0, "test", "", "configmaps", "shop"), Header: head, Data: body}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the hop says why it stalls", func() bool { return errors.Is(h.Ready(), event.ErrNewerVersion) })
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
		if _, err := nc.RequestMsg(m, patience); err != nil {
			t.Fatal(err)
		}
		before := stored(t, s, subject.Live, subject.LiveCheckpoint(0))
		stop := runHop(t, hop(b, &copier{to: func(bus.Message) []string { return nil }, decide: func(m bus.Message) error {
			_, err := event.KindOf(m.Header)
			return err
		}}))
		until(t, "the cursor is stored", func() bool {
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
	if err := b.Provision(t.Context(), bus.Options{Replicas: s.replicas(), MaxBytes: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	h := hop(b, &copier{to: func(bus.Message) []string { return []string{"a", "b", "c", "d"} }})
	var lag atomic.Uint64
	h.Lag = lag.Store
	runHop(t, h)
	feed(t, b, n)
	until(t, "the hop says that the stream is full", func() bool {
		err := h.Ready()
		if refused := (*jetstream.APIError)(nil); errors.As(err, &refused) {
			t.Fatalf("it did not stop before the server refused: %v", err)
		}
		return errors.Is(err, bus.ErrFull)
	})
	took := stored(t, s, subject.Live, "ks.live.d.>") / 4
	until(t, "the hop says how much waits", func() bool { return lag.Load() == n-took })
	l, err := b.TakeLane(t.Context(), 0, "test", "feeder")
	if err != nil {
		t.Fatal(err)
	}
	for i := range more {
		if _, err := publish(t, l, change("more", strconv.Itoa(i+1), strconv.Itoa(n+i))); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the hop says that more waits", func() bool { return lag.Load() == n+more-took })
	if err := b.Provision(t.Context(), bus.Options{Replicas: s.replicas(), MaxBytes: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a", "b", "c", "d"} {
		wantInOrder(t, outputs(t, b, d), n+more)
	}
	until(t, "the hop is ready again", func() bool { return h.Ready() == nil && lag.Load() == 0 })
}
