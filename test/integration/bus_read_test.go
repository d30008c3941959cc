package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// TestReadAhead: a reader that is slow has a bounded part of a backlog in memory, gets
// on with the largest messages that there are, and is sent each of them once.
func TestReadAhead(t *testing.T) {
	in := newInstall(t)
	const size, some, large, most = 16 << 10, 1000, 3, bus.MaxPayload + 128<<10
	store := func(count, size int) {
		for n := range count {
			if _, err := in.js.Publish(t.Context(), fmt.Sprintf("ks.dlq.test.%d.%d", size, n), bytes.Repeat([]byte{'x'}, size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	store(some, size)
	store(large, bus.MaxPayload-100)
	reader := func(from int) *bus.Reader {
		r, err := in.bus.Read(t.Context(), subject.DLQ, []string{"ks.dlq.test.>"}, uint64(from))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	r := reader(1)

	// On a busy machine nats.go (v1.55.0) may be told that a message does not fit into
	// what it has asked for while it still takes itself to be asking, and asks no more.
	// What mends that are heartbeats that it misses, for 10 seconds, and it begins anew; or who reads does, whom
	// the reader tells in about the same time that it is handed out nothing.
	const wait = 90 * time.Second
	read := 0
	next := func() {
		t.Helper()
		m, ok, err := r.Next(t.Context(), wait)
		if err != nil && read >= some && strings.Contains(err.Error(), "hands out nothing") {
			r = reader(read + 1)
			m, ok, err = r.Next(t.Context(), wait)
		}
		if read++; !ok || err != nil || m.Seq != uint64(read) {
			t.Fatalf("message %d is %d, %v, %v", read, m.Seq, ok, err)
		}
	}
	next()
	in.until("something is read ahead", func() bool { _, sent := in.consumer(subject.DLQ); return sent >= most/size/2 })
	first, _ := in.consumer(subject.DLQ)
	for read+50 <= some {
		for range 50 {
			next()
		}
		name, sent := in.consumer(subject.DLQ)
		if ahead := (min(sent, some) - read) * size; ahead > most {
			t.Fatalf("%d bytes are read ahead", ahead)
		}
		if name != first {
			t.Fatalf("after %d messages they were not sent as they should be, and reading began anew", read)
		}
	}
	for read < some+large {
		next()
	}
}

// consumer is a stream's one consumer, and how many messages it was sent.
func (in *install) consumer(stream string) (name string, sent int) {
	in.Helper()
	s, err := in.js.Stream(in.Context(), stream)
	if err != nil {
		in.Fatal(err)
	}
	for c := range s.ListConsumers(in.Context()).Info() {
		return c.Name, int(c.Delivered.Consumer)
	}
	in.Fatalf("%s has no consumer", stream)
	return "", 0
}

// TestRange: a range is what is there of it, in order, and of its filter alone.
func TestRange(t *testing.T) {
	in := newInstall(t)
	for n := range 2000 {
		for _, of := range []string{"a", "b"} {
			if _, err := in.js.Publish(t.Context(), fmt.Sprintf("ks.dlq.%s.%d", of, n), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	const last = 4000 // of b; the odd ones are a's
	read := func(from, to uint64, stop int) (got []uint64) {
		t.Helper()
		for m, err := range in.bus.Range(t.Context(), subject.DLQ, "ks.dlq.a.>", from, to) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, m.Seq); len(got) == stop {
				break
			}
		}
		return got
	}
	want := func(name string, got []uint64, from, to uint64) {
		t.Helper()
		var odd []uint64
		for seq := from | 1; seq <= to; seq += 2 {
			odd = append(odd, seq)
		}
		if !slices.Equal(got, odd) {
			t.Errorf("%s: read %d from %d to %d: %v", name, len(got), from, to, got)
		}
	}
	want("all", read(1, last, 0), 1, last)
	want("beyond the end", read(1, last+1000, 0), 1, last)
	want("some", read(10, 101, 0), 10, 101)
	want("up to another's", read(11, 100, 0), 11, 100)
	want("one", read(7, 7, 0), 7, 7)
	want("as many as are wanted", read(1, last, 3), 1, 5)
	for name, r := range map[string][2]uint64{"nothing": {8, 8}, "behind all": {last, last + 10}, "the wrong way": {9, 7}} {
		if got := read(r[0], r[1], 0); len(got) > 0 {
			t.Errorf("%s: read %v", name, got)
		}
	}

	// What is removed while it is read, more than was sent ahead of it.
	var got []uint64
	for m, err := range in.bus.Range(t.Context(), subject.DLQ, "ks.dlq.a.>", 1, last) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, m.Seq); len(got) == 1 {
			if err := in.bus.Purge(t.Context(), subject.DLQ, "ks.dlq.a.>", 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	want("removed", got, 1, got[len(got)-1])

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range in.bus.Range(ctx, subject.DLQ, "ks.dlq.b.>", 1, last) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

// BenchmarkRange reads what passed during a run of 20,000 changes of 1 KiB, and of one.
func BenchmarkRange(b *testing.B) {
	server := natstest.Start(b)
	conn := server.Connect(b)
	if err := conn.Provision(b.Context(), bus.Options{Replicas: 1}); err != nil {
		b.Fatal(err)
	}
	const most = 20_000
	js, err := jetstream.New(server.NATS(b), jetstream.WithPublishAsyncMaxPending(most))
	if err != nil {
		b.Fatal(err)
	}
	for n := range most {
		if _, err := js.PublishAsync(fmt.Sprintf("ks.live.d.0.0.c.n.%d", n%2), bytes.Repeat([]byte{'x'}, 1024)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	for _, n := range []int{1, most} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				read := 0
				for _, err := range conn.Range(b.Context(), subject.Live, "ks.live.d.>", 1, uint64(n)) {
					if err != nil {
						b.Fatal(err)
					}
					read++
				}
				if read != n {
					b.Fatalf("read %d", read)
				}
			}
		})
	}
}
