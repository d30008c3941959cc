// Package bustest is the conformance suite of package bus: what every NATS
// server that kubescribe runs on must hold, on one node and on three.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Server is the server under test.
type Server struct {
	// Connect opens another connection to an install of its own.
	Connect func(t *testing.T) *bus.Bus
	// NATS is a stock client's connection to the same.
	NATS func(t *testing.T) *nats.Conn
	// Restart kills the server and starts it again on the same store.
	Restart func(t *testing.T)
}

// Run runs the suite; start gives each test a server without an install.
func Run(t *testing.T, start func(t *testing.T) Server) {
	for name, test := range map[string]func(*testing.T, Server){
		"provisioning":       provisioning,
		"duplicate":          duplicate,
		"AtoBtoA":            backAndForth,
		"fencing":            fencing,
		"tooLarge":           tooLarge,
		"competingHops":      competingHops,
		"restartUnderLoad":   restartUnderLoad,
		"wideFanOut":         wideFanOut,
		"resumedFanOut":      resumedFanOut,
		"quietCursor":        quietCursor,
		"fullStream":         fullStream,
		"logWentBack":        logWentBack,
		"poison":             poison,
		"poisonWithoutID":    poisonWithoutID,
		"newerVersion":       newerVersion,
		"bucket":             bucket,
		"registry":           registry,
		"requests":           requests,
		"consumersAreStable": consumersAreStable,
		"consumerRemoved":    consumerRemoved,
	} {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

// provisioned is a connection to an install that was just made.
func provisioned(t *testing.T, s Server) *bus.Bus {
	t.Helper()
	b := s.Connect(t)
	if err := b.Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	return b
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// change is a version of a ConfigMap.
func change(name, rv, content string) event.Change {
	c := event.Change{
		Object: event.Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: name},
		Op:     event.Update, Cluster: "test", ClusterID: "c-1", UID: "u-" + name, ResourceVersion: rv,
		Hash: manifest.Hash([]byte(content)), Origin: event.Live, Resume: rv, Manifest: []byte(content),
	}
	return c
}

func publish(t *testing.T, l *bus.Lane, c event.Change) (duplicate bool, err error) {
	t.Helper()
	h, body := c.Message()
	return l.Publish(t.Context(), subject.ChangeID(c), bus.Output{
		Subject: subject.EventChange(0, c.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	})
}

func stored(t *testing.T, s Server, stream, filter string) uint64 {
	t.Helper()
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := st.Info(t.Context(), jetstream.WithSubjectFilter(filter))
	if err != nil {
		t.Fatal(err)
	}
	var n uint64
	for v := range maps.Values(info.State.Subjects) {
		n += v
	}
	return n
}

func provisioning(t *testing.T, s Server) {
	b := s.Connect(t)
	if err := b.Verify(t.Context()); !errors.Is(err, bus.ErrNotProvisioned) {
		t.Fatalf("a server without an install: %v", err)
	}
	if err := b.Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	first := b.Install
	other := s.Connect(t)
	if err := other.Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatalf("provisioning again: %v", err)
	}
	if other.Install != first || first.Incarnation == "" {
		t.Fatalf("the install changed from %v to %v", first, other.Install)
	}
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publish(t, l, change("web", "1", "a")); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), subject.Live); err != nil {
		t.Fatal(err)
	}
	err = s.Connect(t).Provision(t.Context(), bus.Options{Replicas: 1})
	if fault.ClassOf(err) != fault.Terminate || !strings.Contains(err.Error(), subject.Live) {
		t.Fatalf("a stream is gone and provisioning says: %v", err)
	}
}

func duplicate(t *testing.T, s Server) {
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	c := change("web", "1", "a")
	if dup, err := publish(t, l, c); dup || err != nil {
		t.Fatalf("first publish: duplicate %v, %v", dup, err)
	}
	if dup, err := publish(t, l, c); !dup || err != nil {
		t.Fatalf("second publish: duplicate %v, %v", dup, err)
	}
	if n := stored(t, s, subject.Events, "ks.ev.d.>"); n != 1 {
		t.Fatalf("stored %d times", n)
	}
}

// backAndForth is why the ID is not the content hash: it would drop the second A,
// and another object of the same content.
func backAndForth(t *testing.T, s Server) {
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []event.Change{change("web", "1", "a"), change("web", "2", "b"), change("web", "3", "a"), change("api", "4", "a")} {
		if dup, err := publish(t, l, c); dup || err != nil {
			t.Fatalf("version %s: duplicate %v, %v", c.ResourceVersion, dup, err)
		}
	}
	if n := stored(t, s, subject.Events, "ks.ev.d.>"); n != 4 {
		t.Fatalf("stored %d of 4", n)
	}
}

func fencing(t *testing.T, s Server) {
	b := provisioned(t, s)
	zombie, err := b.TakeLane(t.Context(), 0, "test", "first")
	if err != nil {
		t.Fatal(err)
	}
	otherCluster, err := b.TakeLane(t.Context(), 0, "other", "theirs")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := s.Connect(t).TakeLane(t.Context(), 0, "test", "second")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publish(t, zombie, change("web", "1", "a")); !errors.Is(err, bus.ErrFenced) {
		t.Fatalf("the lane's former owner published: %v", err)
	}
	if _, err := publish(t, owner, change("web", "1", "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := publish(t, otherCluster, change("web", "2", "b")); err != nil {
		t.Fatalf("a lane of another cluster was fenced too: %v", err)
	}
	if n := stored(t, s, subject.Events, "ks.ev.d.>"); n != 2 {
		t.Fatalf("stored %d", n)
	}
}

func tooLarge(t *testing.T, s Server) {
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publish(t, l, change("web", "1", strings.Repeat("x", bus.MaxPayload))); fault.ClassOf(err) != fault.Poison {
		t.Fatalf("a message above the payload: %v", err)
	}
	if _, err := publish(t, l, change("web", "2", strings.Repeat("x", bus.MaxPayload-8<<10))); err != nil {
		t.Fatalf("the largest message: %v", err)
	}
}

// copier is a stage that sends each event to some destinations.
type copier struct {
	to     func(m bus.Message) []string
	decide func(m bus.Message) error
	reset  int
}

func (c *copier) Ledgers(context.Context) ([]bus.LedgerConfig, error) {
	return []bus.LedgerConfig{ledger()}, nil
}
func (c *copier) Ledger(string) (bus.LedgerConfig, error)                 { return ledger(), nil }
func (c *copier) Reset()                                                  { c.reset++ }
func (c *copier) Opened(context.Context, bus.LedgerConfig, string) error  { return nil }
func (c *copier) Stored(context.Context, bus.Message, bus.Decision) error { return nil }

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
		Bus: b, Name: "router", Input: subject.Events, Filters: []string{subject.EventPart(0)}, Stage: stage, Log: quiet(),
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

// within waits for a condition; the deadline is there to fail, not to measure.
func within(t *testing.T, what string, d time.Duration, met func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			t.Fatalf("after %s still not: %s", d, what)
		case <-tick.C:
		}
	}
}

// outputs reads the bodies that a destination was sent, in order.
func outputs(t *testing.T, b *bus.Bus, name string, n int) []string {
	t.Helper()
	k := event.DestinationKey{Cluster: "test", Namespace: "default", Name: name}
	r, err := b.Read(t.Context(), subject.Live, []string{subject.LiveDestination(k)}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []string
	for {
		wait := 30 * time.Second
		if len(all) >= n {
			wait = 100 * time.Millisecond // one more would be one too many
		}
		m, ok, err := r.Next(t.Context(), wait)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, string(m.Data))
	}
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
	l, err := b.TakeLane(t.Context(), 0, "test", "feeder")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := publish(t, l, change("web", strconv.Itoa(i+1), strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
}

func competingHops(t *testing.T, s Server) {
	const n = 400
	b := provisioned(t, s)
	to := func(bus.Message) []string { return []string{"a", "b"} }
	for range 3 {
		runHop(t, hop(s.Connect(t), &copier{to: to}))
	}
	feed(t, b, n)
	for _, d := range []string{"a", "b"} {
		wantInOrder(t, outputs(t, b, d, n), n)
	}
}

func restartUnderLoad(t *testing.T, s Server) {
	const n = 300
	b := provisioned(t, s)
	runHop(t, hop(s.Connect(t), &copier{to: func(m bus.Message) []string {
		if m.Seq%3 == 0 {
			return []string{"a", "b"}
		}
		return []string{"a"}
	}}))
	l, err := b.TakeLane(t.Context(), 0, "test", "feeder")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if i%100 == 50 {
			s.Restart(t)
		}
		if _, err := publish(t, l, change("web", strconv.Itoa(i+1), strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	wantInOrder(t, outputs(t, s.Connect(t), "a", n), n)
}

func wideFanOut(t *testing.T, s Server) {
	const destinations = 3000
	b := provisioned(t, s)
	var all []string
	for i := range destinations {
		all = append(all, fmt.Sprintf("d%d", i))
	}
	h := hop(b, &copier{to: func(bus.Message) []string { return slices.Clone(all) }})
	runHop(t, h)
	feed(t, b, 2)
	within(t, "every destination has both", time.Minute, func() bool {
		return stored(t, s, subject.Live, "ks.live.d.>") == 2*destinations
	})
	for _, d := range []string{"d0", "d1500", "d2999"} {
		wantInOrder(t, outputs(t, b, d, 2), 2)
	}
}

// resumedFanOut stops a fan-out between two of its pieces, where nothing but the
// first piece's cursor tells how far it came, and changes the destinations
// before it goes on.
func resumedFanOut(t *testing.T, s Server) {
	b := provisioned(t, s)
	feed(t, b, 1)
	in, err := b.LastFor(t.Context(), subject.Events, subject.EventPart(0))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range 1500 {
		all = append(all, fmt.Sprintf("d%04d", i))
	}
	l, err := b.OpenLedger(t.Context(), ledger())
	if err != nil {
		t.Fatal(err)
	}
	d, err := (&copier{to: func(bus.Message) []string { return all }}).Decide(t.Context(), in, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watch, err := s.NATS(t).Subscribe("ks.live.d.>", func(*nats.Msg) {})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Unsubscribe() }()
	stop := make(chan struct{})
	go func() { // ends the commit as soon as its first piece is stored
		defer close(stop)
		for ctx.Err() == nil {
			if m, err := b.LastFor(ctx, subject.Live, subject.LivePart(0)); err == nil && m.Seq > 0 {
				cancel()
			}
		}
	}()
	err = l.Commit(ctx, in, "1", d.Outputs)
	cancel()
	<-stop
	if err == nil {
		t.Log("the whole fan-out was stored before it could be stopped")
	}
	shrunk := slices.DeleteFunc(slices.Clone(all), func(d string) bool { return d == "d0007" || d == "d1200" })
	runHop(t, hop(b, &copier{to: func(bus.Message) []string { return slices.Clone(shrunk) }}))
	within(t, "all that remain have it", time.Minute, func() bool {
		m, err := b.LastFor(t.Context(), subject.Live, subject.LivePart(0))
		return err == nil && strings.HasPrefix(m.Header[event.HeaderCursor][0], strconv.FormatUint(in.Seq, 10)+" ")
	})
	for _, d := range []string{"d0000", "d0006", "d0999", "d1000", "d1201", "d1499"} {
		wantInOrder(t, outputs(t, b, d, 1), 1)
	}
}

// quietCursor: what had no output is not read again after a restart.
func quietCursor(t *testing.T, s Server) {
	b := provisioned(t, s)
	stop := runHop(t, hop(b, &copier{to: func(bus.Message) []string { return nil }}))
	feed(t, b, 20)
	within(t, "the cursor is stored", 10*time.Second, func() bool {
		return stored(t, s, subject.Live, subject.LiveCheckpoint(0)) > 0
	})
	stop()
	l, err := b.OpenLedger(t.Context(), ledger())
	if err != nil {
		t.Fatal(err)
	}
	if behind, err := l.Behind(t.Context()); behind || err != nil {
		t.Fatalf("behind %v, %v", behind, err)
	}
}

// logWentBack: an input that does not hold what the cursor remembers is an
// error that stops the hop, never a silent skip.
func logWentBack(t *testing.T, s Server) {
	b := provisioned(t, s)
	stop := runHop(t, hop(b, &copier{to: func(bus.Message) []string { return []string{"a"} }}))
	feed(t, b, 5)
	wantInOrder(t, outputs(t, b, "a", 5), 5)
	stop()
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), subject.Events)
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	if err := js.DeleteStream(t.Context(), subject.Events); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, again := range []int{2, 9} { // shorter, then longer and of other messages
		feed(t, b, again)
		err := hop(b, &copier{to: func(bus.Message) []string { return []string{"a"} }}).Run(t.Context())
		if !errors.Is(err, bus.ErrLogWentBack) || fault.ClassOf(err) != fault.Terminate {
			t.Fatalf("with %d messages more: %v", again, err)
		}
	}
}

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
	got := outputs(t, b, "a", n-1)
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
	if _, err := l.Publish(t.Context(), "newer", bus.Output{Subject: subject.EventChange(0, "test", "", "configmaps", "shop"), Header: head, Data: body}); err != nil {
		t.Fatal(err)
	}
	within(t, "the hop says why it stalls", 20*time.Second, func() bool { return errors.Is(h.Ready(), event.ErrNewerVersion) })
	if n := stored(t, s, subject.DLQ, subject.AllDLQ); n != 0 {
		t.Fatalf("%d dead letters", n)
	}
}

func bucket(t *testing.T, s Server) {
	b := provisioned(t, s)
	kv, err := bus.OpenBucket[event.Bookmark](t.Context(), b, subject.BucketCursor)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := kv.Get(t.Context(), "k"); !errors.Is(err, bus.ErrNoMessage) {
		t.Fatalf("a key that is not there: %v", err)
	}
	one, err := kv.Put(t.Context(), "k", event.Bookmark{V: event.Version, ResourceVersion: "1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "k", event.Bookmark{V: event.Version, ResourceVersion: "2"}, 0); !errors.Is(err, bus.ErrConflict) {
		t.Fatalf("creating it again: %v", err)
	}
	if _, err := kv.Put(t.Context(), "k", event.Bookmark{V: event.Version, ResourceVersion: "2"}, one); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "k", event.Bookmark{V: event.Version, ResourceVersion: "3"}, one); !errors.Is(err, bus.ErrConflict) {
		t.Fatalf("writing over a newer one: %v", err)
	}
	if err := kv.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "k", event.Bookmark{V: event.Version, ResourceVersion: "4"}, 0); err != nil {
		t.Fatalf("creating it after its removal: %v", err)
	}
	all, err := kv.All(t.Context())
	if err != nil || len(all) != 1 || all["k"].Record.ResourceVersion != "4" {
		t.Fatalf("all: %v, %v", all, err)
	}
}

func registry(t *testing.T, s Server) {
	b := provisioned(t, s)
	kv, err := bus.OpenBucket[event.Destination](t.Context(), b, subject.BucketDestination)
	if err != nil {
		t.Fatal(err)
	}
	r := bus.NewRegistry()
	if r.Ready() == nil {
		t.Fatal("ready before it was read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, b, quiet()) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	k := event.DestinationKey{Cluster: "a.b", Namespace: "default", Name: "live"}
	rev, err := kv.Put(t.Context(), subject.DestinationToken(k), event.Destination{V: event.Version, Key: k, Branch: "main"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	if d, ok := r.Get(k); !ok || d.Branch != "main" || d.Revision != rev {
		t.Fatalf("got %v, %v", d, ok)
	}
	if err := kv.Delete(t.Context(), subject.DestinationToken(k)); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(t.Context(), rev+1); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Get(k); ok {
		t.Fatal("still there")
	}
	soon, cancelSoon := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelSoon()
	if err := r.Wait(soon, rev+100); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waiting for what nobody wrote: %v", err)
	}
}

func requests(t *testing.T, s Server) {
	b := provisioned(t, s)
	q := event.Request{V: event.Version, Kind: event.RequestClusterState, Part: 3, Run: "r1", Attempt: 1}
	subj := subject.CtlClusterState("test", 3, "r1", 1)
	for range 3 {
		if err := b.Ask(t.Context(), subj, q); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	handled := make(chan event.Request, 10)
	failures := 1
	done := make(chan struct{})
	r := &bus.Responder{
		Bus: b, Consumer: subject.ConsumerClusterState("test", 3), Filter: subject.CtlClusterStates("test", 3), Log: quiet(),
		Handle: func(_ context.Context, q event.Request) error {
			if failures > 0 {
				failures--
				return errors.New("as the test wants it")
			}
			handled <- q
			return nil
		},
	}
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	within(t, "the failure is its readiness", 10*time.Second, func() bool {
		err := r.Ready()
		return err != nil && strings.Contains(err.Error(), "as the test wants it")
	})
	if got := <-handled; got != q {
		t.Fatalf("got %v", got)
	}
	within(t, "it is ready again", 10*time.Second, func() bool { return r.Ready() == nil })
	within(t, "the request is gone", 10*time.Second, func() bool { return stored(t, s, subject.Ctl, subject.AllCtl) == 0 })
	cancel()
	<-done
	if len(handled) != 0 {
		t.Fatal("handled twice")
	}
}

// consumersAreStable: restarts leave no consumers behind.
func consumersAreStable(t *testing.T, s Server) {
	b := provisioned(t, s)
	feed(t, b, 1)
	count := func() int {
		js, err := jetstream.New(s.NATS(t))
		if err != nil {
			t.Fatal(err)
		}
		st, err := js.Stream(t.Context(), subject.Events)
		if err != nil {
			t.Fatal(err)
		}
		return st.CachedInfo().State.Consumers
	}
	for range 100 {
		r, err := b.Read(t.Context(), subject.Events, []string{subject.EventPart(0)}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := r.Next(t.Context(), 10*time.Second); !ok || err != nil {
			t.Fatalf("reading: %v, %v", ok, err)
		}
		r.Close()
	}
	within(t, "no consumer is left", 40*time.Second, func() bool { return count() == 0 })
}

// consumerRemoved: the server removes the consumer of a reader that was busy, or
// stopped, for too long. However short its waits are, it reads on.
func consumerRemoved(t *testing.T, s Server) {
	b := provisioned(t, s)
	feed(t, b, 1)
	r, err := b.Read(t.Context(), subject.Events, []string{subject.EventPart(0)}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first, ok, err := r.Next(t.Context(), 10*time.Second)
	if !ok || err != nil {
		t.Fatalf("reading: %v, %v", ok, err)
	}
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), subject.Events)
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	for name := range st.ConsumerNames(t.Context()).Name() {
		if err := st.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		removed++
	}
	if removed != 1 {
		t.Fatalf("%d consumers were there, want the reader's", removed)
	}
	feed(t, b, 2)
	within(t, "what came since is read", time.Minute, func() bool {
		m, ok, err := r.Next(t.Context(), 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if ok && m.Seq <= first.Seq {
			t.Fatalf("message %d came again", m.Seq)
		}
		return ok
	})
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
	l, err := b.OpenLedger(t.Context(), ledger())
	if err != nil {
		t.Fatal(err)
	}
	if behind, err := l.Behind(t.Context()); behind || err != nil {
		t.Fatalf("behind %v, %v", behind, err)
	}
}

// fullStream: a stream that is full stalls the hop that writes to it, which says
// so and loses nothing, and goes on once there is room.
func fullStream(t *testing.T, s Server) {
	const n = 60
	b := s.Connect(t)
	if err := b.Provision(t.Context(), bus.Options{Replicas: 1, MaxBytes: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	h := hop(b, &copier{to: func(bus.Message) []string { return []string{"a", "b", "c", "d"} }})
	runHop(t, h)
	feed(t, b, n)
	within(t, "the hop says that the stream is full", 30*time.Second, func() bool {
		err := h.Ready()
		return err != nil && strings.Contains(err.Error(), "maximum bytes")
	})
	if err := b.Provision(t.Context(), bus.Options{Replicas: 1, MaxBytes: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a", "b", "c", "d"} {
		wantInOrder(t, outputs(t, b, d, n), n)
	}
	within(t, "the hop is ready again", 30*time.Second, func() bool { return h.Ready() == nil })
}
