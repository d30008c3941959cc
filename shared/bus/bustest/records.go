package bustest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

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
	newest, rev, err := kv.Newest(t.Context(), "k")
	if err != nil || newest.ResourceVersion != "2" {
		t.Fatalf("the newest: %v, %v", newest, err)
	}
	if _, err := kv.Put(t.Context(), "k", event.Bookmark{V: event.Version, ResourceVersion: "3"}, rev); err != nil {
		t.Fatalf("writing over the newest: %v", err)
	}
	if err := kv.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := kv.Newest(t.Context(), "k"); !errors.Is(err, bus.ErrNoMessage) {
		t.Fatalf("the newest of a key that was removed: %v", err)
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

// registryBackoff: what interrupted the registry's watch once, long ago, does not
// make the next interruption last longer.
func registryBackoff(t *testing.T, s Server) {
	b := provisioned(t, s)
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), subject.BucketDestination)
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan time.Duration, 1000)
	r := bus.NewRegistry()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, b, slog.New(waitHandler{waits})) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	until(t, "the registry is read", func() bool { return r.Ready() == nil })
	key := subject.DestinationToken(event.DestinationKey{Cluster: "test", Namespace: "default", Name: "live"})
	for i := range 4 {
		if _, err := kv.Put(t.Context(), key, []byte("no destination")); err != nil {
			t.Fatal(err)
		}
		// In the third round a backoff that went on growing is at 200 ms or more.
		if wait := <-waits; wait > 100*time.Millisecond {
			t.Errorf("interruption %d lasts %s", i, wait)
		}
		if err := kv.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		until(t, "the registry is read again", func() bool { return r.Ready() == nil })
		for len(waits) > 0 { // those until the key was deleted
			<-waits
		}
	}
}

// waitHandler takes from a log how long it says that is waited.
type waitHandler struct{ waits chan<- time.Duration }

func (h waitHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h waitHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h waitHandler) WithGroup(string) slog.Handler            { return h }

func (h waitHandler) Handle(_ context.Context, rec slog.Record) error {
	rec.Attrs(func(a slog.Attr) bool {
		if d, err := time.ParseDuration(a.Value.String()); a.Key == "in" && err == nil {
			h.waits <- d
		}
		return true
	})
	return nil
}

// bucketWatch: a watch ends with the connection that it was made on, so that who
// watches begins anew at once.
func bucketWatch(t *testing.T, s Server) {
	kv, err := bus.OpenBucket[event.Bookmark](t.Context(), provisioned(t, s), subject.BucketCursor)
	if err != nil {
		t.Fatal(err)
	}
	synced, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- kv.Watch(t.Context(), func(bus.Entry[event.Bookmark]) error { return nil }, func() error {
			close(synced)
			return nil
		})
	}()
	<-synced
	s.Restart(t)
	if err := <-ended; err == nil || t.Context().Err() != nil {
		t.Fatalf("it ended with %v", err)
	}
}
