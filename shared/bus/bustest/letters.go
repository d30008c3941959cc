package bustest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// all are the letters that stand in KS_DLQ.
func all(t *testing.T, b *bus.Bus) (letters []bus.Letter) {
	t.Helper()
	for l, err := range b.Letters(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, l)
	}
	return letters
}

// letters: what was kept can be listed, read, counted and dropped, each by its own name.
func letters(t *testing.T, s Server) {
	b := provisioned(t, s)
	if got := all(t, b); got != nil {
		t.Fatalf("in a new install there are %+v", got)
	}
	k := event.DestinationKey{Cluster: "test", Namespace: "default", Name: "a"}
	began := time.Now()
	send := func(stage string, seq uint64) {
		t.Helper()
		m := bus.Message{Subject: subject.LiveData(0, k), Seq: seq, Header: event.NewHeader(event.KindChange), Data: []byte(fmt.Sprint("body ", seq))}
		if err := b.DeadLetter(t.Context(), stage, k, subject.Live, m, errors.New("as the test wants it")); err != nil {
			t.Fatal(err)
		}
	}
	send(bus.StageStream, 7)
	send(bus.StageStream, 9)
	send(bus.StageStream, 7) // again
	send(bus.StageGitWriter, 7)
	if _, err := s.NATS(t).Request("ks.dlq.somebody.else", []byte("x"), patience); err != nil {
		t.Fatal(err)
	}
	got := all(t, b)
	var ids []uint64
	for _, l := range got {
		ids = append(ids, l.ID)
	}
	if len(got) != 4 || !slices.IsSorted(ids) || got[3].Stage != "" {
		t.Fatalf("the letters are %+v", got)
	}
	l, err := b.Letter(t.Context(), ids[1])
	if err != nil {
		t.Fatal(err)
	}
	if l.Stage != bus.StageStream || l.Destination != k || l.Stream != subject.Live || l.Attempts != 1 || l.Reason != "as the test wants it" ||
		l.Message.Seq != 9 || l.Message.Subject != subject.LiveData(0, k) || string(l.Message.Data) != "body 9" || l.When.Before(began.Add(-time.Minute)) {
		t.Errorf("the letter is %+v", l)
	}
	count := func(want map[string]int) {
		t.Helper()
		if got, err := b.CountLetters(t.Context()); err != nil || !maps.Equal(got, want) {
			t.Errorf("they count as %v, %v, want %v", got, err, want)
		}
	}
	count(map[string]int{bus.StageStream: 2, bus.StageGitWriter: 1, "": 1})

	for range 2 { // dropped, and gone
		if err := b.DropLetter(t.Context(), l.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Letter(t.Context(), l.ID); !errors.Is(err, bus.ErrNoMessage) {
		t.Errorf("the letter that was dropped: %v", err)
	}
	count(map[string]int{bus.StageStream: 1, bus.StageGitWriter: 1, "": 1})
	// The same message sent again is another letter: who drops the former one does not drop it.
	send(bus.StageStream, 9)
	if err := b.DropLetter(t.Context(), l.ID); err != nil {
		t.Fatal(err)
	}
	count(map[string]int{bus.StageStream: 2, bus.StageGitWriter: 1, "": 1})
}

// fullDeadLetters: while KS_DLQ is full a hop stands still at the message that should go there,
// says what to do, loses nothing, and goes on once a letter was dropped.
func fullDeadLetters(t *testing.T, s Server) {
	const n = 6
	b := provisioned(t, s)
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), subject.DLQ)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxBytes = 8 << 10
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	big := &nats.Msg{Subject: "ks.dlq.somebody.else", Data: make([]byte, 7<<10+512)}
	if _, err := s.NATS(t).RequestMsg(big, patience); err != nil {
		t.Fatal(err)
	}
	h := hop(b, &copier{to: func(bus.Message) []string { return []string{"a"} }, decide: func(m bus.Message) error {
		if string(m.Data) == "2" {
			return fmt.Errorf("%w: %s", event.ErrMalformed, strings.Repeat("as the test wants it ", 20))
		}
		return nil
	}})
	runHop(t, h)
	feed(t, b, n)
	until(t, "the hop says what to do", func() bool {
		err := h.Ready()
		return err != nil && strings.Contains(err.Error(), "KS_DLQ is full") && strings.Contains(err.Error(), "kubescribe dlq drop")
	})
	if got := stored(t, s, subject.Live, subject.LiveDestination(event.DestinationKey{Cluster: "test", Namespace: "default", Name: "a"})); got != 2 {
		t.Errorf("%d went on, want the two before it", got)
	}
	if err := b.DropLetter(t.Context(), all(t, b)[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := outputs(t, b, "a"); len(got) != n-1 {
		t.Errorf("got %v", got)
	}
	until(t, "the hop is ready again", func() bool { return h.Ready() == nil })
	if got := all(t, b); len(got) != 1 || string(got[0].Message.Data) != "2" {
		t.Errorf("the letters are %+v", got)
	}
}
