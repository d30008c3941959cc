package integration

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestReadAhead: a reader that is slow has a bounded number of messages in memory, so
// that a backlog stays where it is; and it gets on with the largest there are.
func TestReadAhead(t *testing.T) {
	in := newInstall(t)
	const filter = "ks.dlq.test.>"
	store := func(count, size int) {
		for n := range count {
			if _, err := in.js.Publish(t.Context(), fmt.Sprintf("ks.dlq.test.%d.%d", size, n), bytes.Repeat([]byte{'x'}, size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	store(2000, 100)
	store(5, bus.MaxPayload-100)

	r, err := in.bus.Read(t.Context(), subject.DLQ, []string{filter}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := 0
	next := func() {
		m, ok, err := r.Next(t.Context(), 10*time.Second)
		if read++; !ok || err != nil || m.Seq != uint64(read) {
			t.Fatalf("message %d is %d, %v, %v", read, m.Seq, ok, err)
		}
	}
	next()
	in.until("what is read ahead has come", func() bool { return in.handedOut(subject.DLQ) >= 32 })
	for range 100 {
		next()
		if ahead := in.handedOut(subject.DLQ) - read; ahead > 60 {
			t.Fatalf("%d messages were read ahead", ahead)
		}
	}
	for read < 2005 {
		next()
	}
}

// handedOut is how many messages a stream's one consumer was given.
func (in *install) handedOut(stream string) int {
	in.Helper()
	s, err := in.js.Stream(in.Context(), stream)
	if err != nil {
		in.Fatal(err)
	}
	for c := range s.ListConsumers(in.Context()).Info() {
		return int(c.Delivered.Consumer)
	}
	in.Fatalf("%s has no consumer", stream)
	return 0
}
