package bustest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// copier is a stage that sends each event to some destinations.
type copier struct {
	bus.Stateless
	to     func(m bus.Message) []string
	decide func(m bus.Message) error
	stored func(ctx context.Context) error
	lost   func(*bus.Loss) // nil: there is to be none
}

func (c *copier) Ledgers(context.Context) ([]bus.LedgerConfig, error) {
	return []bus.LedgerConfig{ledger()}, nil
}

func (c *copier) Ledger(context.Context, bus.Message) (bus.LedgerConfig, error) { return ledger(), nil }

func (c *copier) Stored(ctx context.Context, _ bus.Decision, _ string, _ uint64) error {
	if c.stored != nil {
		return c.stored(ctx)
	}
	return nil
}

func (c *copier) Lost(_ context.Context, _ bus.LedgerConfig, state string, loss *bus.Loss) (bus.Decision, error) {
	if c.lost == nil {
		return bus.Decision{}, fault.As(fault.Terminate, loss)
	}
	c.lost(loss)
	return bus.Decision{State: state}, nil
}

func (c *copier) Decide(_ context.Context, m bus.Message, state string) (bus.Decision, error) {
	if c.decide != nil {
		if err := c.decide(m); err != nil {
			return bus.Decision{}, err
		}
	}
	n, err := strconv.Atoi("0" + state)
	if err != nil {
		return bus.Decision{}, err
	}
	d := bus.Decision{State: state}
	for _, name := range c.to(m) {
		k := event.DestinationKey{Cluster: "test", Namespace: "default", Name: name}
		d.State = strconv.Itoa(n + 1)
		d.Outputs = append(d.Outputs, bus.Output{
			Subject: subject.LiveData(0, k), Header: event.Forward(m.Header, fmt.Sprintf("%d-%s", m.Seq, name)), Data: m.Data,
		})
	}
	return d, nil
}

func ledger() bus.LedgerConfig {
	return bus.LedgerConfig{
		Input: subject.Events, InputFilter: subject.EventPart(0),
		Output: subject.Live, OwnerFilter: subject.LivePart(0), Checkpoint: subject.LiveCheckpoint(0),
	}
}

func hop(b *bus.Bus, stage bus.Stage) *bus.Hop {
	return &bus.Hop{
		Bus: b, Name: "router", Input: subject.Events, Filters: []string{subject.EventPart(0)}, Output: subject.Live, Stage: stage, Log: quiet(),
	}
}

// runHop runs a hop until the test ends.
func runHop(t *testing.T, h *bus.Hop) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("hop: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// outputs reads the bodies that a destination was sent, in order, once every event is
// consumed: until then there may be more to come.
func outputs(t *testing.T, b *bus.Bus, name string) []string {
	t.Helper()
	k := event.DestinationKey{Cluster: "test", Namespace: "default", Name: name}
	newest := func(stream, filter string) bus.Message {
		m, err := b.LastFor(t.Context(), stream, filter)
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			t.Fatal(err)
		}
		return m
	}
	input := newest(subject.Events, subject.EventPart(0))
	until(t, "every event is consumed", func() bool {
		v := newest(subject.Live, subject.LivePart(0)).Header[event.HeaderCursor]
		if len(v) == 0 {
			return false
		}
		c, err := bus.ParseCursor(v[0])
		if err != nil {
			t.Fatal(err)
		}
		return c.Seq == input.Seq && c.ID == input.ID()
	})
	r, err := b.Read(t.Context(), subject.Live, []string{subject.LiveDestination(k)}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []string
	for last := newest(subject.Live, subject.LiveDestination(k)).Seq; last > 0; {
		m, ok, err := r.Next(t.Context(), patience)
		if err != nil || !ok {
			t.Fatalf("message %d does not come: %v", last, err)
		}
		if all = append(all, string(m.Data)); m.Seq >= last {
			break
		}
	}
	return all
}

func wantInOrder(t *testing.T, got []string, n int) {
	t.Helper()
	for i := range max(n, len(got)) {
		switch {
		case i >= len(got):
			t.Fatalf("%d of %d arrived", len(got), n)
		case i >= n:
			t.Fatalf("%d arrived, %d were sent; one too many is %s", len(got), n, got[i])
		case got[i] != strconv.Itoa(i):
			t.Fatalf("number %d is %s", i, got[i])
		}
	}
}

func feed(t *testing.T, b *bus.Bus, n int) {
	t.Helper()
	feedFrom(t, b, 0, n)
}

// feedFrom stores the changes from a number on, below another.
func feedFrom(t *testing.T, b *bus.Bus, from, below int) {
	t.Helper()
	l, err := b.TakeLane(t.Context(), 0, "test", "feeder")
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < below; i++ {
		if _, err := publish(t, l, change("web", strconv.Itoa(i+1), strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// wantConsumed asserts that the stored cursor is behind the newest event.
func wantConsumed(t *testing.T, b *bus.Bus) {
	t.Helper()
	l, err := b.OpenLedger(t.Context(), ledger())
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.LastFor(t.Context(), subject.Events, subject.EventPart(0))
	if err != nil {
		t.Fatal(err)
	}
	if !l.Consumed(m.Seq) {
		t.Fatalf("event %d is not consumed", m.Seq)
	}
}
