package branch

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func TestBatchWait(t *testing.T) {
	var b batch
	add := func(w ledger.Write) { b.Add(w, write{}) }
	add(ledger.Write{Origin: event.Live})
	if b.wait() != bufferWait {
		t.Error("a live change is waited for")
	}
	add(ledger.Write{Origin: event.Reconcile, Path: "y", More: true})
	if b.wait() != moreWait {
		t.Error("the next result is not waited for")
	}
	add(ledger.Write{Origin: event.Reconcile, Path: "z"})
	if b.newest = b.Through + 1; b.wait() != knownWait {
		t.Error("what there is is not waited for")
	}
}

// TestGather: a push takes what had come before it, however slowly that is read, and nothing that
// comes meanwhile keeps it waiting.
func TestGather(t *testing.T) {
	for name, tt := range map[string]struct {
		newest  uint64 // as the leader says
		has     uint64 // as the reader is given
		through uint64 // of the push
	}{
		"all that there is":                   {newest: 5, has: 5, through: 5},
		"not what comes meanwhile":            {newest: 5, has: 9, through: 5},
		"what is handed out, if that is less": {newest: 5, has: 3, through: 3},
		"at once, if the leader is away":      {newest: 0, has: 5, through: 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := bus.Registered{Destination: event.Destination{
				Key: event.DestinationKey{Cluster: "c", Namespace: "n", Name: "live"}, BranchKey: "key", Branch: "main", BaseFolder: "live",
			}}
			busy := &busyReader{of: d.Destination, newestIs: tt.newest, has: tt.has}
			s := Replay{Destination: d, Repository: t.TempDir(), Log: slog.New(slog.DiscardHandler)}.session(&recording{})
			s.record = busy
			b, err := s.gather(t.Context(), busy)
			if err != nil || b.Through != tt.through || busy.asked != 1 {
				t.Errorf("the push goes through %d, %v, the leader was asked %d times; want %d, once", b.Through, err, busy.asked, tt.through)
			}
		})
	}
}

// busyReader is one of a busy machine: it pauses before each message but the first for longer than
// is waited without being sure.
type busyReader struct {
	recording
	of       event.Destination
	newestIs uint64
	has      uint64
	read     uint64
	asked    int
}

func (r *busyReader) newest(context.Context, string) uint64 {
	r.asked++
	return r.newestIs
}

func (r *busyReader) Next(_ context.Context, wait time.Duration) (m bus.Message, ok bool, err error) {
	if r.read == r.has || r.read > 0 && wait < knownWait {
		return m, false, nil
	}
	r.read++
	c := event.Change{
		Object: event.Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: "web"},
		Op:     event.Create, Cluster: "c", ClusterID: "id", UID: "uid", ResourceVersion: strconv.FormatUint(r.read, 10),
		Origin: event.Live, Resume: strconv.FormatUint(r.read, 10), Manifest: []byte("data: x\n"),
	}
	c.Hash = manifest.Hash(c.Manifest)
	h, data := c.Message()
	return bus.Message{Subject: subject.WriteData(r.of.BranchKey, r.of.Key), Seq: r.read, Header: h, Data: data}, true, nil
}
