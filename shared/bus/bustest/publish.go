package bustest

import (
	"errors"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

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
