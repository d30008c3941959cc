package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// TestAnswerLost: an answer that was lost is not waited for until the deadline of whoever
// asks: a series goes on with what was stored, and a key is given back as not known to be
// written.
func TestAnswerLost(t *testing.T) {
	s := natstest.Start(t)
	if err := s.Connect(t).Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	link := s.Link(t)
	b := link.Connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()

	k := event.DestinationKey{Cluster: "c", Namespace: "n", Name: "d"}
	series := subject.Series{Destination: k, Run: "run", Attempt: 1, Side: subject.SideRepo}
	passed := link.EndBehind(series.End())
	if won, err := b.WriteSeries(series).Close(ctx, event.End{}); !won || err != nil {
		t.Errorf("the series is closed: %t, %v", won, err)
	}
	<-passed

	phases, err := bus.OpenBucket[event.PhaseRecord](ctx, b, subject.BucketPhase)
	if err != nil {
		t.Fatal(err)
	}
	passed = link.EndBehind("$KV." + subject.BucketPhase + "." + subject.DestinationToken(k))
	if _, err := phases.Put(ctx, subject.DestinationToken(k), event.PhaseRecord{V: event.Version, Run: "run"}, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the key is written: %v", err)
	}
	<-passed
	if rec, _, err := phases.Newest(ctx, subject.DestinationToken(k)); rec.Run != "run" || err != nil {
		t.Errorf("the key is %+v, %v", rec, err)
	}
	if ctx.Err() != nil {
		t.Error("the answer was waited for to the end")
	}
}

// TestAnswerLostToReader: nor is one that was lost to who reads, counts or removes.
func TestAnswerLostToReader(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	if err := s.Connect(t).Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	const key, while = "k", 15 * time.Second // an answer is waited for a third of it
	phases := func(t *testing.T, b *bus.Bus) *bus.Bucket[event.PhaseRecord] {
		kv, err := bus.OpenBucket[event.PhaseRecord](t.Context(), b, subject.BucketPhase)
		if err != nil {
			t.Fatal(err)
		}
		return kv
	}
	if _, err := phases(t, s.Connect(t)).Put(t.Context(), key, event.PhaseRecord{V: event.Version, Run: "run"}, 0); err != nil {
		t.Fatal(err)
	}
	bucket := "KV_" + subject.BucketPhase
	type asks func(context.Context, *bus.Bus, *bus.Bucket[event.PhaseRecord]) error
	for request, ask := range map[string]asks{
		"DIRECT.GET." + bucket: func(ctx context.Context, _ *bus.Bus, kv *bus.Bucket[event.PhaseRecord]) error {
			_, _, err := kv.Get(ctx, key)
			return err
		},
		"CONSUMER.CREATE." + bucket: func(ctx context.Context, _ *bus.Bus, kv *bus.Bucket[event.PhaseRecord]) error {
			_, err := kv.All(ctx)
			return err
		},
		"STREAM.INFO." + bucket: func(ctx context.Context, _ *bus.Bus, kv *bus.Bucket[event.PhaseRecord]) error {
			_, err := kv.Written(ctx, key)
			return err
		},
		"STREAM.INFO.KV_" + subject.BucketLag: func(ctx context.Context, b *bus.Bus, _ *bus.Bucket[event.PhaseRecord]) error {
			_, err := bus.OpenBucket[event.PhaseRecord](ctx, b, subject.BucketLag)
			return err
		},
		"STREAM.INFO." + subject.Events: func(ctx context.Context, b *bus.Bus, _ *bus.Bucket[event.PhaseRecord]) error {
			_, err := b.Extent(ctx, subject.Events)
			return err
		},
		"STREAM.INFO." + subject.Live: func(ctx context.Context, b *bus.Bus, _ *bus.Bucket[event.PhaseRecord]) error {
			_, err := b.Subjects(ctx, subject.Live, subject.AllLive)
			return err
		},
		"STREAM.INFO." + subject.Write: func(ctx context.Context, b *bus.Bus, _ *bus.Bucket[event.PhaseRecord]) error {
			_, err := b.Level(ctx, subject.Write)
			return err
		},
		"STREAM.INFO." + subject.DLQ: func(ctx context.Context, b *bus.Bus, _ *bus.Bucket[event.PhaseRecord]) error {
			_, err := b.CountLetters(ctx)
			return err
		},
		"CONSUMER.CREATE." + subject.Events: func(ctx context.Context, b *bus.Bus, _ *bus.Bucket[event.PhaseRecord]) error {
			_, err := b.Read(ctx, subject.Events, []string{subject.AllEvents}, 1)
			return err
		},
		"CONSUMER.CREATE." + subject.Live: func(ctx context.Context, b *bus.Bus, _ *bus.Bucket[event.PhaseRecord]) error {
			_, err := b.Waiting(ctx, subject.Live, subject.AllLive, 0)
			return err
		},
		"STREAM.PURGE." + subject.Snap: func(ctx context.Context, b *bus.Bus, _ *bus.Bucket[event.PhaseRecord]) error {
			return b.Purge(ctx, subject.Snap, subject.AllSnap, 0)
		},
		"STREAM.MSG.DELETE." + subject.DLQ: func(ctx context.Context, b *bus.Bus, _ *bus.Bucket[event.PhaseRecord]) error {
			return b.DropLetter(ctx, 1)
		},
	} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			link := s.Link(t)
			b := link.Connect(t)
			kv := phases(t, b)
			ctx, cancel := context.WithTimeout(t.Context(), while)
			defer cancel()
			passed := link.EndBehind("$JS.API." + request)
			err := ask(ctx, b, kv)
			if ctx.Err() != nil {
				t.Errorf("the answer was waited for to the end: %v", err)
			}
			select {
			case <-passed:
			default:
				t.Error("it asks for something else")
			}
		})
	}
}

// TestLaneAnswerLost: a publish of which the answer was lost is not stored again, although
// the server has forgotten its ID by the time it is tried once more (I2).
func TestLaneAnswerLost(t *testing.T) {
	const window = 100 * time.Millisecond // far less than an answer is waited for
	s := natstest.Start(t)
	if err := s.Connect(t).Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	events, err := js.Stream(t.Context(), subject.Events)
	if err != nil {
		t.Fatal(err)
	}
	cfg := events.CachedInfo().Config
	cfg.Duplicates = window
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	link := s.Link(t)
	b := link.Connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	lane, err := b.TakeLane(ctx, 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	out := bus.Output{Subject: subject.EventChange(0, "test", "", "configmaps", "shop"), Header: event.NewHeader(event.KindChange), Data: []byte("data: lost\n")}
	passed := link.EndBehind("data: lost")
	if _, err := lane.Publish(ctx, bus.Item{ID: "id", Output: out}); err != nil {
		t.Fatal(err)
	}
	<-passed
	const batch = 12
	var items []bus.Item
	for n := range batch {
		items = append(items, bus.Item{ID: fmt.Sprint("of a batch ", n), Output: bus.Output{Subject: out.Subject, Header: event.NewHeader(event.KindChange), Data: fmt.Appendf(nil, "data: batch %d\n", n)}})
	}
	passed = link.EndBehind(fmt.Sprintf("data: batch %d", batch-1))
	if n, err := lane.PublishAll(ctx, items); n != batch || err != nil {
		t.Fatalf("%d are stored, %v", n, err)
	}
	<-passed
	info, err := events.Info(ctx, jetstream.WithSubjectFilter(out.Subject))
	if err != nil {
		t.Fatal(err)
	}
	if n := info.State.Subjects[out.Subject]; n != 1+batch {
		t.Errorf("%d messages are stored %d times", 1+batch, n)
	}
}

// TestLaneBatchNotStored: a batch that the server had not stored when it was killed is stored then,
// although its last message had been stored before (I1).
func TestLaneBatchNotStored(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	if err := s.Connect(t).Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	link := s.Link(t)
	b := link.Connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	lane, err := b.TakeLane(ctx, 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	const batch = 12
	var items []bus.Item
	for n := range batch {
		items = append(items, bus.Item{ID: fmt.Sprint("of a batch ", n), Output: bus.Output{
			Subject: subject.EventChange(0, "test", "", "configmaps", "shop"), Header: event.NewHeader(event.KindChange), Data: fmt.Appendf(nil, "data: %d\n", n),
		}})
	}
	last := items[batch-1]
	if _, err := lane.Publish(ctx, last); err != nil {
		t.Fatal(err)
	}
	reached, resume := link.StillBefore(t, "Nats-Batch-Commit")
	done := make(chan error, 1)
	go func() {
		n, err := lane.PublishAll(ctx, items)
		if n != batch && err == nil {
			err = fmt.Errorf("%d are stored", n)
		}
		done <- err
	}()
	<-reached
	s.Restart(t)
	resume()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ids := []string{last.ID}
	for _, i := range items[:batch-1] {
		ids = append(ids, i.ID)
	}
	var stored []string
	for m, err := range s.Connect(t).Range(ctx, subject.Events, subject.EventPart(0), 1, 1<<60) {
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, m.ID())
	}
	if !slices.Equal(stored, ids) {
		t.Errorf("the lane holds %q, want %q", stored, ids)
	}
}

// TestServerSilent: a server that says nothing any more, and whose connections nobody ends, as when
// it has lost its power, is left for another one, and not once TCP gives it up.
func TestServerSilent(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	if err := s.Connect(t).Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	one, other := s.Link(t), s.Link(t) // as if to two servers
	b := natstest.Address(one.URL() + "," + other.URL()).Connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	answers := func() bool {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return b.Verify(ctx) == nil
	}
	resume := one.Pause(t)
	if answers() { // it is connected by the other one
		resume()
		other.Pause(t)
		if answers() {
			t.Fatal("it is connected by neither")
		}
	}
	for !answers() {
		if ctx.Err() != nil {
			t.Fatal("it stays with the one that says nothing")
		}
	}
}
