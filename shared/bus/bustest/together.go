package bustest

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// storedTogether: what comes of inputs that wait is stored together, whatever else they
// come to: two outputs, none, a dead letter. Each has its own cursor, and there is none twice.
func storedTogether(t *testing.T, s Server) {
	const n = 500
	b := provisioned(t, s)
	feed(t, b, n)
	decided, ahead := 0, 0 // the hop's goroutine's
	stop := runHop(t, hop(b, &copier{
		to: func(m bus.Message) []string {
			switch number(m) % 5 {
			case 1:
				return nil
			case 2:
				return []string{"b", "a"}
			}
			return []string{"a"}
		},
		decide: func(m bus.Message) error {
			decided++
			ahead = max(ahead, decided)
			if number(m)%5 == 3 {
				return fault.As(fault.Poison, errors.New("wrong by itself"))
			}
			return nil
		},
		stored: func(context.Context) error { decided = 0; return nil },
	}))
	var want []string
	for i := range n {
		if i%5 != 1 && i%5 != 3 {
			want = append(want, strconv.Itoa(i))
		}
	}
	wantEqual(t, outputs(t, b, "a"), want)
	stop()
	if ahead < 8 {
		t.Errorf("%d inputs were decided before the first of them was stored", ahead)
	}
	last := uint64(0)
	for m, err := range b.Range(t.Context(), subject.Live, subject.LivePart(0), 1, 1<<60) {
		if err != nil {
			t.Fatal(err)
		}
		v := m.Header[event.HeaderCursor]
		if len(v) == 0 { // the first of two
			continue
		}
		c, err := bus.ParseCursor(v[0])
		if err != nil || c.Seq <= last {
			t.Fatalf("message %d has the cursor %q behind %d: %v", m.Seq, v[0], last, err)
		}
		last = c.Seq
	}
}

// stuckBehindOthers: what waits before an input that cannot be taken for now goes on.
func stuckBehindOthers(t *testing.T, s Server) {
	const n, at = 60, 50
	b := provisioned(t, s)
	feed(t, b, n)
	var free atomic.Bool
	runHop(t, hop(b, &copier{
		to: func(bus.Message) []string { return []string{"a"} },
		decide: func(m bus.Message) error {
			if number(m) == at && !free.Load() {
				return errors.New("not now")
			}
			return nil
		},
	}))
	until(t, "those before it are stored", func() bool {
		return stored(t, s, subject.Live, "ks.live.d.>") == at
	})
	free.Store(true)
	wantInOrder(t, outputs(t, b, "a"), n)
}

// togetherUnderKills: hops that compete for a backlog, on a server that is killed, take each
// input once and in order.
func togetherUnderKills(t *testing.T, s Server) {
	const n = 3000
	b := provisioned(t, s)
	feed(t, b, n)
	for range 3 {
		runHop(t, hop(s.Connect(t), &copier{to: func(m bus.Message) []string {
			if number(m)%7 == 0 {
				return []string{"a", "b"}
			}
			return []string{"a"}
		}}))
	}
	for _, part := range []uint64{n / 10, n / 3, 2 * n / 3} {
		until(t, "some are stored", func() bool { return stored(t, s, subject.Live, "ks.live.d.>") > part })
		s.Restart(t)
	}
	wantInOrder(t, outputs(t, s.Connect(t), "a"), n)
}

// number is the one of those that feed has stored.
func number(m bus.Message) int {
	n, err := strconv.Atoi(string(m.Data))
	if err != nil {
		panic(err) // feed writes numbers
	}
	return n
}

func wantEqual(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("from number %d on: %v, want %v", i, got[min(i, len(got)):], want[min(i, len(want)):])
		}
	}
}
