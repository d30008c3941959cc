package bustest

import (
	"context"
	"errors"
	"testing"
	"time"

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
