package bustest

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// stalledReader: a hop whose consumer is handed nothing, although there is more and the
// server says that all is well, goes on with another one. A replica that does not catch up is
// such a server; here the consumer is paused.
func stalledReader(t *testing.T, s Server) {
	const n = 20
	b := provisioned(t, s)
	runHop(t, hop(b, &copier{to: func(bus.Message) []string { return []string{"a"} }}))
	feed(t, b, n/2)
	wantInOrder(t, outputs(t, b, "a"), n/2)
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	events, err := js.Stream(t.Context(), subject.Events)
	if err != nil {
		t.Fatal(err)
	}
	paused := 0
	all := events.ConsumerNames(t.Context())
	for name := range all.Name() {
		if _, err := events.PauseConsumer(t.Context(), name, time.Now().Add(time.Hour)); err == nil { // outputs' may just be going
			paused++
		}
	}
	if all.Err() != nil || paused == 0 {
		t.Fatalf("%d consumers are paused, %v", paused, all.Err())
	}
	feedFrom(t, b, n/2, n)
	until(t, "the rest is there", func() bool {
		return stored(t, s, subject.Live, "ks.live.d.>") == n
	})
	wantInOrder(t, outputs(t, b, "a"), n)
}
