package bustest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// killedBehindAnswers: a server that is killed right behind its answers has what it answered for. A
// request that was carried out and acknowledged just then may come again, and stops nobody.
func killedBehindAnswers(t *testing.T, s Server) {
	const kills, together = 6, 20
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	kv, err := bus.OpenBucket[event.Bookmark](t.Context(), b, subject.BucketCursor)
	if err != nil {
		t.Fatal(err)
	}
	carriedOut := make(chan uint64, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	r := &bus.Responder{
		Bus: s.Connect(t), Consumer: subject.ConsumerClusterState("test", 3), Filter: subject.CtlClusterStates("test", 3), Log: quiet(),
		Handle: func(_ context.Context, q event.Request) error { carriedOut <- q.Attempt; return nil },
	}
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	var rev uint64
	n := 0
	next := func() bus.Item {
		n++
		return item(change(fmt.Sprint("web-", n%7), strconv.Itoa(n), strconv.Itoa(n)))
	}
	for kill := range uint64(kills) {
		q := event.Request{V: event.Version, Kind: event.RequestClusterState, Part: 3, Run: "r", Attempt: kill + 1}
		if err := b.Ask(t.Context(), subject.CtlClusterState("test", 3, q.Run, q.Attempt), q); err != nil {
			t.Fatal(err)
		}
		for attempt := uint64(0); attempt != q.Attempt; {
			select {
			case attempt = <-carriedOut:
			case <-time.After(patience):
				t.Fatalf("request %d is not carried out", q.Attempt)
			}
		}
		var items []bus.Item
		for range together {
			items = append(items, next())
		}
		if _, err := l.PublishAll(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		if rev, err = kv.Put(t.Context(), "k", event.Bookmark{V: event.Version, ResourceVersion: strconv.Itoa(n)}, rev); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Publish(t.Context(), next()); err != nil {
			t.Fatal(err)
		}
		s.Restart(t)
		// What is asked before the client notices that the server went is answered by nobody.
		var now event.Bookmark
		var at uint64
		until(t, "an answer behind the kill", func() bool {
			now, at, err = kv.Newest(t.Context(), "k")
			return err == nil || errors.Is(err, bus.ErrNoMessage)
		})
		if err != nil || at != rev || now.ResourceVersion != strconv.Itoa(n-1) {
			t.Fatalf("after kill %d the key is %+v at %d, %v; want what was written at %d", kill+1, now, at, err, rev)
		}
	}
	got, _ := inLane(t, b)
	wantEqual(t, got, numbers(1, n))
	until(t, "no request is left", func() bool { return stored(t, s, subject.Ctl, subject.AllCtl) == 0 })
	cancel()
	<-done
}

// forgetful: where the server has forgotten an ID after a second, answers are lost, and it is
// killed, what a lane stores, one by one and in batches, and what three hops make of it that compete, is
// there once and in order.
func forgetful(t *testing.T, s Server) {
	const rounds, alone, together = 20, 15, 25
	b := provisioned(t, s)
	forgets(t, s, time.Second) // an answer is waited for longer
	feeder, lost := s.Lossy(t, "ks.ev.d.", 80)
	l, err := feeder.TakeLane(t.Context(), 0, "test", "feeder")
	if err != nil {
		t.Fatal(err)
	}
	var lostByHops []func() int64
	for range 3 {
		conn, lost := s.Lossy(t, "ks.live.", 30)
		lostByHops = append(lostByHops, lost)
		runHop(t, hop(conn, &copier{to: func(m bus.Message) []string {
			if number(m)%7 == 0 {
				return []string{"a", "b"}
			}
			return []string{"a"}
		}}))
	}
	n := 0
	next := func() bus.Item {
		n++
		return item(change("web", strconv.Itoa(n), strconv.Itoa(n-1)))
	}
	for round := range rounds {
		for range alone {
			if _, err := l.Publish(t.Context(), next()); err != nil {
				t.Fatal(err)
			}
		}
		var items []bus.Item
		for range together {
			items = append(items, next())
		}
		if _, err := l.PublishAll(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		if round%7 == 3 {
			s.Restart(t)
		}
	}
	wantInOrder(t, outputs(t, s.Connect(t), "a"), n)
	got, _ := inLane(t, b)
	wantEqual(t, got, numbers(1, n))
	hops := int64(0)
	for _, lost := range lostByHops {
		hops += lost()
	}
	if t.Logf("%d answers of %d changes were lost to the lane, %d to hops", lost(), n, hops); lost() == 0 || hops == 0 {
		t.Error("that is none")
	}
}

// cutRange: what is read while the server is killed, or the consumer that reads it removed, is all
// that is there, in order, or ends with an error: it is never less without one.
func cutRange(t *testing.T, s Server) {
	const n, size = 2500, 4 << 10 // more than is sent ahead
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf("%0*d", size, 0)
	for v := 0; v < n; {
		var items []bus.Item
		for range 250 {
			v++
			items = append(items, item(change(fmt.Sprint("web-", v%250), strconv.Itoa(v), body)))
		}
		if _, err := l.PublishAll(t.Context(), items); err != nil {
			t.Fatal(err)
		}
	}
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	for what, cut := range map[string]func(){
		"the consumer removed": func() {
			st, err := js.Stream(t.Context(), subject.Events)
			if err != nil {
				t.Fatal(err)
			}
			for name := range st.ConsumerNames(t.Context()).Name() {
				if err := st.DeleteConsumer(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
		},
		"the server killed": func() { s.Restart(t) },
	} {
		whole := false
		for try := 0; !whole; try++ {
			read := 0
			var ended error
			for m, err := range b.Range(t.Context(), subject.Events, subject.EventPart(0), 1, 1<<60) {
				if ended = err; err != nil {
					break
				}
				v := m.Header[event.HeaderRevision]
				if len(v) == 0 { // the fence
					continue
				}
				if read++; v[0] != strconv.Itoa(read) {
					t.Fatalf("%s: number %d is %s", what, read, v[0])
				}
				if read == n/5 && try == 0 {
					cut()
				}
			}
			switch {
			case ended == nil && read != n:
				t.Fatalf("%s: %d of %d are read, and nothing says that it is not all", what, read, n)
			case ended != nil && try > 10:
				t.Fatalf("%s: it cannot be read any more: %v", what, ended)
			}
			whole = ended == nil
		}
	}
}
