package integration

import (
	"errors"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestBucketRemove: a key goes at the revision that was seen, and at no other.
func TestBucketRemove(t *testing.T) {
	in := newInstall(t)
	kv := mustBucket[event.Status](in, subject.BucketStatus)
	first, err := kv.Put(t.Context(), "k", event.Status{V: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := kv.Put(t.Context(), "k", event.Status{V: 1, Position: 2}, first)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Remove(t.Context(), "k", first); !errors.Is(err, bus.ErrConflict) {
		t.Fatalf("removing what was written over: %v", err)
	}
	if got, _, err := kv.Newest(t.Context(), "k"); err != nil || got.Position != 2 {
		t.Fatalf("the key is %+v, %v", got, err)
	}
	if err := kv.Remove(t.Context(), "k", second); err != nil {
		t.Fatal(err)
	}
	if _, _, err := kv.Newest(t.Context(), "k"); !errors.Is(err, bus.ErrNoMessage) {
		t.Errorf("a removed key reads as %v", err)
	}
	if _, err := kv.Put(t.Context(), "k", event.Status{V: 1}, 0); err != nil {
		t.Errorf("the key cannot be written anew: %v", err)
	}
}
