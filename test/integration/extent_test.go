package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestExtent: a stream tells what it holds, and from where on it holds what was stored
// since a time, whatever was removed in between.
func TestExtent(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	if got, err := in.bus.Extent(t.Context(), subject.DLQ); err != nil || got != (bus.Extent{First: 1}) {
		t.Errorf("empty, it holds %+v, %v", got, err)
	}
	in.since(time.Time{}, 1)
	times := map[uint64]time.Time{}
	for seq := uint64(1); seq <= 9; seq++ {
		if _, err := in.js.Publish(t.Context(), fmt.Sprintf("ks.dlq.test.%d", seq), nil); err != nil {
			t.Fatal(err)
		}
		m, err := in.bus.MessageAt(t.Context(), subject.DLQ, seq)
		if err != nil {
			t.Fatal(err)
		}
		times[seq] = m.Time
	}
	in.since(time.Time{}, 1)
	for seq, at := range times {
		in.since(at, seq)
		in.since(at.Add(1), seq+1)
	}
	st, err := in.js.Stream(t.Context(), subject.DLQ)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []string{"1", "2", "5", "9"} {
		if err := st.Purge(t.Context(), jetstream.WithPurgeSubject("ks.dlq.test."+seq)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := in.bus.Extent(t.Context(), subject.DLQ); err != nil || got.First != 3 || got.Last != 9 || got.Messages != 5 || !got.Oldest.Equal(times[3]) {
		t.Errorf("it holds %+v, %v", got, err)
	}
	in.since(times[1], 3)
	in.since(times[4].Add(1), 5) // the next that is there is 6
	in.since(times[8].Add(1), 9) // there is none
	in.since(times[9].Add(1), 9)
}

// since checks from where on KS_DLQ holds what was stored since a time.
func (in *install) since(at time.Time, want uint64) {
	in.Helper()
	if got, err := in.bus.SeqSince(in.Context(), subject.DLQ, at); err != nil || got != want {
		in.Errorf("since %s it holds %d and later, %v; want %d", at, got, err, want)
	}
}
