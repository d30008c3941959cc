package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

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
	until(t, "the failure is its readiness", func() bool {
		err := r.Ready()
		return err != nil && strings.Contains(err.Error(), "as the test wants it")
	})
	if got := <-handled; got != q {
		t.Fatalf("got %v", got)
	}
	until(t, "it is ready again", func() bool { return r.Ready() == nil })
	until(t, "the request is gone", func() bool { return stored(t, s, subject.Ctl, subject.AllCtl) == 0 })
	cancel()
	<-done
	if len(handled) != 0 {
		t.Fatal("handled twice")
	}
}

// runAskedInHand: a request for a run that comes while another is in somebody's hands
// is carried out after it; of those that only wait, one is enough.
func runAskedInHand(t *testing.T, s Server) {
	b := provisioned(t, s)
	k := event.DestinationKey{Cluster: "test", Namespace: "default", Name: "d"}
	ask := func(reason string) {
		q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: reason}
		if err := b.Ask(t.Context(), subject.CtlRun(k), q); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	handled := make(chan string, 10)
	var once sync.Once
	r := &bus.Responder{
		Bus: b, Consumer: subject.ConsumerRuns, Filter: subject.CtlRuns, Log: quiet(),
		Handle: func(_ context.Context, q event.Request) error {
			once.Do(func() {
				for range 5 {
					ask(event.ReasonRequested)
				}
				ask(event.ReasonWatchGap)
			})
			handled <- q.Reason
			return nil
		},
	}
	ask(event.ReasonRequested)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	until(t, "no request is left", func() bool { return stored(t, s, subject.Ctl, subject.AllCtl) == 0 })
	cancel()
	<-done
	close(handled)
	got := map[string]int{}
	for reason := range handled {
		got[reason]++
	}
	if got[event.ReasonRequested] != 3 || got[event.ReasonWatchGap] != 1 {
		t.Errorf("carried out: %v", got)
	}
}

// requestPoison: a request that nobody can read is kept for people, once, and those
// behind it are carried out. One of a newer version is not poison: it waits for who
// can read it.
func requestPoison(t *testing.T, s Server) {
	b := provisioned(t, s)
	k := func(name string) string {
		return subject.CtlRun(event.DestinationKey{Cluster: "test", Namespace: "default", Name: name})
	}
	nc := s.NATS(t)
	for _, m := range []struct{ name, text string }{
		{"a", "{"},
		{"b", fmt.Sprintf(`{"v":%d,"kind":%q}`, event.Version, event.RequestRun)},
		{"c", fmt.Sprintf(`{"v":%d,"kind":%q}`, event.Version+1, event.RequestRun)},
	} {
		if _, err := nc.Request(k(m.name), []byte(m.text), patience); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	handled, done := make(chan event.Request, 10), make(chan struct{})
	r := &bus.Responder{
		Bus: b, Stage: bus.StageReconciler, Consumer: subject.ConsumerRuns, Filter: subject.CtlRuns, Log: quiet(),
		Handle: func(_ context.Context, q event.Request) error {
			handled <- q
			if len(handled) == 1 {
				return errors.New("it is tried again")
			}
			return fault.As(fault.Poison, errors.New("as the test wants it"))
		},
	}
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	until(t, "the one of a newer version is its readiness", func() bool { return errors.Is(r.Ready(), event.ErrNewerVersion) })
	stop()
	<-done
	if n := len(handled); n != 2 {
		t.Errorf("%d were handled, want the one that can be read, twice", n)
	}
	var letters []string
	for _, l := range all(t, b) {
		letters = append(letters, fmt.Sprint(l.Stage, " ", l.Message.Subject, " ", l.Attempts))
	}
	if want := []string{"reconciler " + k("a") + " 1", "reconciler " + k("b") + " 2"}; !slices.Equal(letters, want) {
		t.Errorf("the dead letters are %q, want %q", letters, want)
	}
	for name, want := range map[string]uint64{"a": 0, "b": 0, "c": 1} {
		if n := stored(t, s, subject.Ctl, k(name)); n != want {
			t.Errorf("request %s is there %d times, want %d", name, n, want)
		}
	}
}

// requestsRead: who was interrupted, and reads requests again, is ready though nobody asks
// for anything.
func requestsRead(t *testing.T, s Server) {
	b := provisioned(t, s)
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	r := &bus.Responder{
		Bus: b, Consumer: subject.ConsumerRuns, Filter: subject.CtlRuns, Log: quiet(),
		Handle: func(context.Context, event.Request) error { return nil },
	}
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	reads := func() bool {
		c, err := js.Consumer(t.Context(), subject.Ctl, subject.ConsumerRuns)
		return err == nil && c.CachedInfo().NumWaiting > 0
	}
	until(t, "requests are read", reads)
	if err := js.DeleteConsumer(t.Context(), subject.Ctl, subject.ConsumerRuns); err != nil {
		t.Fatal(err)
	}
	until(t, "requests are read again", reads)
	until(t, "it is ready", func() bool { return r.Ready() == nil })
	cancel()
	<-done
}

// requestsShared: a request that one could not carry out, and another one did, leaves both
// ready.
func requestsShared(t *testing.T, s Server) {
	b := provisioned(t, s)
	k := event.DestinationKey{Cluster: "test", Namespace: "default", Name: "d"}
	q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: event.ReasonAdmitted}
	if err := b.Ask(t.Context(), subject.CtlRun(k), q); err != nil {
		t.Fatal(err)
	}
	run := func(r *bus.Responder) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx)
		}()
		return func() { cancel(); <-done }
	}
	of := func(handle func() error) *bus.Responder {
		return &bus.Responder{
			Bus: b, Consumer: subject.ConsumerRuns, Filter: subject.CtlRuns, Log: quiet(),
			Handle: func(context.Context, event.Request) error { return handle() },
		}
	}
	one := of(func() error { return errors.New("as the test wants it") })
	stop := run(one)
	until(t, "the failure is its readiness", func() bool { return one.Ready() != nil })
	stop()
	defer run(of(func() error { return nil }))()
	until(t, "no request is left", func() bool { return stored(t, s, subject.Ctl, subject.AllCtl) == 0 })
	until(t, "who failed is ready", func() bool { return one.Ready() == nil })
}

// requestsHandedOn: who stops in the middle leaves no request behind that the next
// one would wait for, neither the one in hand, carried out or not, nor one that was
// on its way.
func requestsHandedOn(t *testing.T, s Server) {
	b := provisioned(t, s)
	const asked = 10
	for i := range asked {
		k := event.DestinationKey{Cluster: "test", Namespace: "default", Name: fmt.Sprintf("d%d", i)}
		q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: event.ReasonAdmitted}
		if err := b.Ask(t.Context(), subject.CtlRun(k), q); err != nil {
			t.Fatal(err)
		}
	}
	carriedOut, begun := 0, map[event.DestinationKey]bool{}
	for carriedOut < asked {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		took := false
		r := &bus.Responder{
			Bus: b, Consumer: subject.ConsumerRuns, Filter: subject.CtlRuns, Log: quiet(),
			Handle: func(ctx context.Context, q event.Request) error {
				stop()
				took = true
				if !begun[q.Destination] {
					begun[q.Destination] = true
					return ctx.Err()
				}
				carriedOut++
				return nil
			},
		}
		r.Run(ctx)
		stop()
		if !took {
			t.Fatalf("after %d requests the next one waits for one that has stopped", carriedOut)
		}
	}
	until(t, "no request is left", func() bool { return stored(t, s, subject.Ctl, subject.AllCtl) == 0 })
}

// consumersAreStable: readers that are closed leave no consumers behind.
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
		if _, ok, err := r.Next(t.Context(), patience); !ok || err != nil {
			t.Fatalf("reading: %v, %v", ok, err)
		}
		r.Close()
	}
	until(t, "no consumer is left", func() bool { return count() == 0 })
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
	first, ok, err := r.Next(t.Context(), patience)
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
	until(t, "what came since is read", func() bool {
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
