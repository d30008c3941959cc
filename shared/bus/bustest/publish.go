package bustest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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
	headed := item(change("web", "3", "x"))
	headed.Header["Test"] = []string{strings.Repeat("x", 64<<10)} // all of them may have 64 KiB
	if _, err := l.Publish(t.Context(), headed); fault.ClassOf(err) != fault.Poison {
		t.Fatalf("headers above what the server takes: %v", err)
	}
}

// freeze: what a publish does in its turn is seen by a freeze exactly if the freeze's
// message is behind it.
func freeze(t *testing.T, s Server) {
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	const publishers, each, freezes = 4, 20, 10
	var published atomic.Int64
	var all sync.WaitGroup
	for n := range publishers {
		all.Go(func() {
			for i := range each {
				i := item(change(fmt.Sprint("web-", n), fmt.Sprint(i+1), fmt.Sprint(n, i)))
				i.Then = func(bool, error) { published.Add(1) }
				if _, err := l.Publish(t.Context(), i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[uint64]int64{} // by attempt
	mark := func(attempt uint64) (string, bus.Output) {
		m := event.Mark{Cluster: "test", Destination: "test/default/d", Run: "r", Attempt: attempt}
		h, body := m.Message()
		return subject.MarkID(m), bus.Output{Subject: subject.EventMark(0, "test", event.DestinationKey{Cluster: "test", Namespace: "default", Name: "d"}), Header: h, Data: body}
	}
	for attempt := range uint64(freezes) {
		if err := l.Freeze(t.Context(), func() (string, bus.Output, error) {
			seen[attempt] = published.Load()
			id, out := mark(attempt)
			return id, out, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	no := errors.New("not yet")
	if err := l.Freeze(t.Context(), func() (string, bus.Output, error) { return "", bus.Output{}, no }); !errors.Is(err, no) {
		t.Errorf("a freeze that was refused ended with %v", err)
	}
	before, marks := int64(0), 0
	for seq := uint64(1); marks < freezes; seq++ {
		m, err := b.MessageAt(t.Context(), subject.Events, seq)
		if err != nil {
			t.Fatal(err)
		}
		switch kind, _ := event.KindOf(m.Header); kind { // a message of none of these is the suite's mistake
		case event.KindChange:
			before++
		case event.KindMark:
			k, err := event.ParseMark(m.Header)
			if err != nil || seen[k.Attempt] != before {
				t.Errorf("freeze %d saw %d publishes, before its message are %d: %v", k.Attempt, seen[k.Attempt], before, err)
			}
			marks++
		case event.KindFence, event.KindCheckpoint, event.KindRepoState:
		}
	}
	// An error is told in the turn too.
	told := error(nil)
	if _, err := s.Connect(t).TakeLane(t.Context(), 0, "test", "b"); err != nil {
		t.Fatal(err)
	}
	id, out := mark(freezes)
	if _, err := l.Publish(t.Context(), bus.Item{ID: id, Output: out, Then: func(_ bool, err error) { told = err }}); !errors.Is(err, bus.ErrFenced) || !errors.Is(told, bus.ErrFenced) {
		t.Errorf("a fenced publish ended with %v and told %v", err, told)
	}
}
