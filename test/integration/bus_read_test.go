package integration

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
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
	r, err := in.bus.Read(t.Context(), subject.DLQ, []string{"ks.dlq.test.>"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()

	// On a busy machine nats.go (v1.55.0) may be told that a message does not fit into
	// what it has asked for while it still takes itself to be asking, and asks no more.
	// What mends that are heartbeats that it misses, for 30 seconds: it begins anew.
	const wait = 90 * time.Second
	read := 0
	next := func() {
		t.Helper()
		m, ok, err := r.Next(t.Context(), wait)
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
