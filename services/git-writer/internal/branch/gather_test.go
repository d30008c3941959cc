package branch

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
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
	if b.pending = 1; b.wait() != gatherWait {
		t.Error("what is on its way is not waited for")
	}
}

// TestGather: a push takes what had come before it, however slowly that is read; but it waits no longer
// than for so long, and for nothing that comes meanwhile.
func TestGather(t *testing.T) {
	for name, tt := range map[string]struct {
		newest  uint64 // as the leader says
		has     uint64 // as the reader is given
		pause   time.Duration
		through uint64 // of the push
	}{
		"all that there is":                    {newest: 5, has: 5, pause: 10 * bufferWait, through: 5},
		"not what comes meanwhile":             {newest: 5, has: 9, pause: 10 * bufferWait, through: 5},
		"what is handed out, if that is less":  {newest: 5, has: 3, pause: 10 * bufferWait, through: 3},
		"what comes in time":                   {newest: 9, has: 9, pause: knownWait*2/5 + time.Millisecond, through: 3},
		"at once, if the newest is not told":   {newest: 0, has: 5, pause: 10 * bufferWait, through: 1},
		"at once, if it has been read already": {newest: 1, has: 5, pause: 10 * bufferWait, through: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := bus.Registered{Destination: event.Destination{
					Key: event.DestinationKey{Cluster: "c", Namespace: "n", Name: "live"}, BranchKey: "key", Branch: "main", BaseFolder: "live",
				}}
				slow := &slowReader{of: d.Destination, newestIs: tt.newest, has: tt.has, pause: tt.pause}
				s := Replay{Destination: d, Repository: t.TempDir(), Log: slog.New(slog.DiscardHandler)}.session(&recording{})
				s.record = slow
				begun := time.Now()
				b, err := s.gather(t.Context(), slow)
				if err != nil || b.Through != tt.through || slow.asked != 1 {
					t.Errorf("the push goes through %d, %v, the leader was asked %d times; want %d, once", b.Through, err, slow.asked, tt.through)
				}
				if took := time.Since(begun); took > knownWait+bufferWait+gatherWait {
					t.Errorf("it was gathered for %s", took)
				}
			})
		})
	}
}

// slowReader is one of a busy machine: it pauses before each message but the first, for longer than is waited
// without being sure.
type slowReader struct {
	recording
	of       event.Destination
	newestIs uint64
	has      uint64
	pause    time.Duration
	paused   time.Duration // of that before the next message
	read     uint64
	asked    int
}

func (r *slowReader) newest(context.Context, string) uint64 {
	r.asked++
	return r.newestIs
}

func (r *slowReader) Next(ctx context.Context, wait time.Duration) (m bus.Message, ok bool, err error) {
	left := r.pause - r.paused
	if r.read == 0 {
		left = 0
	}
	if r.read == r.has || wait < left {
		r.paused += wait
		return m, false, fault.Wait(ctx, wait)
	}
	if err := fault.Wait(ctx, left); err != nil {
		return m, false, err
	}
	r.paused = 0
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
