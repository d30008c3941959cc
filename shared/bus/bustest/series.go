package bustest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

var snapDestination = event.DestinationKey{Cluster: "test", Namespace: "default", Name: "live"}

// many entries are several chunks.
const many = 20_000

func snap(run string, attempt uint64, side subject.Side) subject.Series {
	return subject.Series{Destination: snapDestination, Run: run, Attempt: attempt, Side: side}
}

// state is n entries. Each says who wrote it.
func state(n int, writer string) []event.Entry {
	var entries []event.Entry
	for i := range n {
		entries = append(entries, event.Entry{
			Path: fmt.Sprintf("shop/configmaps/object-%06d.yaml", i), Hash: manifest.Hash([]byte(writer + strconv.Itoa(i))), Version: uint64(i),
		})
	}
	return entries
}

// answer writes a series of entries up to its end.
func answer(t *testing.T, b *bus.Bus, s subject.Series, entries []event.Entry) *bus.SeriesWriter {
	t.Helper()
	w := b.WriteSeries(s)
	for _, e := range entries {
		if err := w.Entry(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func closeSeries(t *testing.T, w *bus.SeriesWriter, won bool) {
	t.Helper()
	if got, err := w.Close(t.Context(), event.End{}); got != won || err != nil {
		t.Fatalf("closed as the winner: %v, %v; want %v", got, err, won)
	}
}

func seriesEnd(t *testing.T, b *bus.Bus, s subject.Series) event.End {
	t.Helper()
	end, err := b.SeriesEnd(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// collect reads a series and asserts that an error is the last thing of it.
func collect[T any](t *testing.T, items iter.Seq2[T, error]) (all []T, err error) {
	t.Helper()
	for item, ierr := range items {
		if err != nil {
			t.Fatalf("after %v comes %v, %v", err, item, ierr)
		}
		if err = ierr; err == nil {
			all = append(all, item)
		}
	}
	return all, err
}

// wantEntries asserts what a series that is closed says.
func wantEntries(t *testing.T, b *bus.Bus, s subject.Series, want []event.Entry) {
	t.Helper()
	got, err := collect(t, b.Entries(t.Context(), s, seriesEnd(t, b, s)))
	if !slices.Equal(got, want) || err != nil {
		t.Fatalf("read %d entries, %v; want %d", len(got), err, len(want))
	}
}

// seriesOfTwo: of two that answer the same, the first to close is read, whole; the
// other one learns that it was late, and closing again changes nothing.
func seriesOfTwo(t *testing.T, s Server) {
	b := provisioned(t, s)
	at := snap("r1", 1, subject.SideCluster(0))
	if end, err := b.SeriesEnd(t.Context(), at); !errors.Is(err, bus.ErrNoMessage) {
		t.Fatalf("the end of a series that nobody closed: %+v, %v", end, err)
	}
	early, late := answer(t, b, at, state(many, "early")), answer(t, s.Connect(t), at, state(many-1, "late"))
	closeSeries(t, late, true)
	closeSeries(t, early, false)
	end := seriesEnd(t, b, at)
	if end.Count != many-1 || end.Chunks < 2 {
		t.Fatalf("%d entries are %d in %d chunks", many-1, end.Count, end.Chunks)
	}
	for range 2 { // it can be read again
		wantEntries(t, b, at, state(many-1, "late"))
	}
	// Another attempt, another side, an empty answer: nothing of them meets.
	for _, other := range []subject.Series{snap("r1", 2, subject.SideCluster(0)), snap("r1", 1, subject.SideCluster(1)), snap("r2", 1, subject.SideRepo)} {
		closeSeries(t, answer(t, b, other, nil), true)
		wantEntries(t, b, other, nil)
	}
	wantEntries(t, b, at, state(many-1, "late"))
}

// seriesEndsSay: what the caller says of a series stands in its end; what the
// series is, the writer says.
func seriesEndsSay(t *testing.T, s Server) {
	b := provisioned(t, s)
	at := snap("r1", 1, subject.SideRun)
	won, err := b.WriteSeries(at).Close(t.Context(), event.End{
		Nonce: "mine", Chunks: 9, Count: 9, Digest: "no", Failed: "as the test wants it", Incomplete: []string{"secrets"}, Parts: []int{0, 7},
		Outcome: &event.Outcome{Run: "r1", Deleted: 3},
	})
	if !won || err != nil {
		t.Fatal(won, err)
	}
	end := seriesEnd(t, b, at)
	if end.Failed == "" || !slices.Equal(end.Incomplete, []string{"secrets"}) || !slices.Equal(end.Parts, []int{0, 7}) || end.Outcome.Deleted != 3 {
		t.Errorf("the end says %+v", end)
	}
	if end.V != event.Version || end.Nonce == "mine" || end.Chunks != 0 || end.Count != 0 || end.Digest == "no" {
		t.Errorf("the end believes what it was told: %+v", end)
	}
}

// seriesOutOfOrder: readers merge by path, and see one order from chunk to chunk.
func seriesOutOfOrder(t *testing.T, s Server) {
	b := provisioned(t, s)
	w := b.WriteSeries(snap("r1", 1, subject.SideRepo))
	last := ""
	for i, e := range state(many, "a") { // some chunks have been stored by then
		if err := w.Entry(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if err := w.Entry(t.Context(), event.Entry{Path: last}); !errors.Is(err, event.ErrMalformed) {
			t.Fatalf("behind entry %d: %v", i, err)
		}
		last = e.Path
	}
	w = b.WriteSeries(snap("r1", 1, subject.SideContent(0)))
	for _, tt := range []struct {
		path string
		want error
	}{{"", event.ErrMalformed}, {"b", nil}, {"b", event.ErrMalformed}, {"a", event.ErrMalformed}, {"c", nil}} {
		c := change("web", "1", "x")
		c.Path = tt.path
		if err := w.Content(t.Context(), c); !errors.Is(err, tt.want) {
			t.Fatalf("content of %q: %v", tt.path, err)
		}
	}
}

// seriesNotWhole: a series of which something is missing, or is not what was
// promised, is never taken for whole, and is not a fault of who reads it.
func seriesNotWhole(t *testing.T, s Server) {
	b := provisioned(t, s)
	at := snap("r1", 1, subject.SideResult(3))
	want := state(many, "a")
	closeSeries(t, answer(t, b, at, want), true)
	sound := seriesEnd(t, b, at)
	if sound.Chunks < 2 {
		t.Fatalf("%d chunks", sound.Chunks)
	}
	refused := func(what string, end event.End) {
		t.Helper()
		if got, err := collect(t, b.Entries(t.Context(), at, end)); !errors.Is(err, bus.ErrSeries) {
			t.Errorf("%s: %d entries, %v", what, len(got), err)
		}
	}
	with := func(f func(*event.End)) event.End { e := sound; f(&e); return e }
	refused("another digest", with(func(e *event.End) { e.Digest = strings.Repeat("0", 64) }))
	refused("no digest", with(func(e *event.End) { e.Digest = "" }))
	refused("another count", with(func(e *event.End) { e.Count++ }))
	refused("a chunk less", with(func(e *event.End) { e.Chunks-- }))
	refused("a chunk more", with(func(e *event.End) { e.Chunks++ }))
	refused("another writer", with(func(e *event.End) { e.Nonce = "nobody" }))
	refused("none of it", with(func(e *event.End) { e.Chunks = 0 }))
	if got, err := collect(t, b.Contents(t.Context(), at, sound)); !errors.Is(err, bus.ErrSeries) || len(got) != 0 {
		t.Errorf("entries as contents: %d, %v", len(got), err)
	}
	for e, err := range b.Entries(t.Context(), at, sound) { // who has seen enough is told no more
		if e != want[0] || err != nil {
			t.Fatal(e, err)
		}
		break
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := collect(t, b.Entries(gone, at, sound)); !errors.Is(err, context.Canceled) || errors.Is(err, bus.ErrSeries) {
		t.Errorf("reading that was given up: %v", err)
	}
	wantEntries(t, b, at, want)
	if err := b.Purge(t.Context(), subject.Snap, at.Chunk(sound.Nonce, 1), 0); err != nil {
		t.Fatal(err)
	}
	refused("a chunk that is gone", sound)
	if got, _ := collect(t, b.Entries(t.Context(), at, sound)); len(got) == 0 || len(got) == len(want) {
		t.Errorf("%d entries are before the gap", len(got))
	}
}

// seriesContents: contents of any size that the bus takes come back as they were,
// and one that it does not take is set aside alone.
func seriesContents(t *testing.T, s Server) {
	b := provisioned(t, s)
	at := snap("r1", 1, subject.SideContent(5))
	w := b.WriteSeries(at)
	var want []event.Change
	for i, size := range []int{10, 200 << 10, 100 << 10, 1 << 20, 0, bus.MaxPayload - 1<<10, 1, 300 << 10, bus.MaxPayload + 1, bus.MaxPayload - 100, 7} {
		c := change("web"+strconv.Itoa(i), strconv.Itoa(i+1), strings.Repeat(strconv.Itoa(i%10), size+1))
		c.Path = fmt.Sprintf("shop/configmaps/%02d.yaml", i)
		err := w.Content(t.Context(), c)
		switch tooLarge := size > bus.MaxPayload-1<<10; {
		case tooLarge && (fault.ClassOf(err) != fault.Poison || !strings.Contains(err.Error(), "web"+strconv.Itoa(i))):
			t.Fatalf("%d bytes: %v", size, err)
		case !tooLarge && err != nil:
			t.Fatalf("%d bytes: %v", size, err)
		case !tooLarge:
			want = append(want, c)
		}
	}
	closeSeries(t, w, true)
	end := seriesEnd(t, b, at)
	if end.Count != len(want) || end.Chunks >= len(want) {
		t.Errorf("%d contents are %d in %d chunks", len(want), end.Count, end.Chunks)
	}
	got, err := collect(t, b.Contents(t.Context(), at, end))
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d of %d contents, %v", len(got), len(want), err)
	}
	for i, c := range got {
		if c.Path != want[i].Path || c.Hash != want[i].Hash || string(c.Manifest) != string(want[i].Manifest) {
			t.Errorf("content %d is %s with %d bytes", i, c.Path, len(c.Manifest))
		}
	}
}

// seriesRoom: a series holds as many bytes of contents as it may, and one content at
// least; its end says how many they are.
func seriesRoom(t *testing.T, s Server) {
	b := provisioned(t, s)
	content := func(n int) event.Change {
		c := change(fmt.Sprint("web", n), "1", strings.Repeat("x", 1000))
		c.Path = fmt.Sprintf("shop/configmaps/web%d.yaml", n)
		return c
	}
	size := len(event.AppendContent(nil, content(0)))
	for room, want := range map[int]int{0: 9, 1: 1, size: 1, 3*size - 1: 2, 3 * size: 3, 99 * size: 9} {
		at := snap(fmt.Sprint("r", room), 1, subject.SideContent(5))
		w := b.WriteSeries(at)
		w.Room = room
		for n := range 9 {
			err := w.Content(t.Context(), content(n))
			if full := n >= want; full != errors.Is(err, bus.ErrNoRoom) || !full && err != nil {
				t.Fatalf("room for %d: content %d of %d bytes: %v", room, n, size, err)
			}
		}
		if won, err := w.Close(t.Context(), event.End{}); err != nil || !won {
			t.Fatal(won, err)
		}
		end := seriesEnd(t, b, at)
		if got, err := collect(t, b.Contents(t.Context(), at, end)); err != nil || len(got) != want || end.Bytes != want*size {
			t.Errorf("room for %d: it has %d contents, its end says %d bytes, %v", room, len(got), end.Bytes, err)
		}
	}
}

// seriesLostAnswer: the server stores the end of a series and dies before it says
// so. Whoever closes goes on asking, and is the winner that it is.
func seriesLostAnswer(t *testing.T, s Server) {
	b := provisioned(t, s)
	at := snap("r1", 1, subject.SideCluster(2))
	winner, loser := answer(t, b, at, state(many, "winner")), answer(t, s.Connect(t), at, state(10, "loser"))

	// The answer is lost to a subscriber that has the same subject as the stream and
	// says something else first.
	nc := s.NATS(t)
	var once sync.Once
	sub, err := nc.Subscribe(at.End(), func(m *nats.Msg) {
		once.Do(func() { _ = m.Respond([]byte(`{"error":{"code":503,"description":"as the test wants it"}}`)) })
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	closeSeries(t, winner, true)
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	closeSeries(t, loser, false)
	wantEntries(t, b, at, state(many, "winner"))
	if n := stored(t, s, subject.Snap, at.End()); n != 1 {
		t.Errorf("the end is stored %d times", n)
	}
}

// seriesRestarts: servers that restart while a series is written leave it whole.
func seriesRestarts(t *testing.T, s Server) {
	b := provisioned(t, s)
	at := snap("r1", 1, subject.SideRepo)
	w := b.WriteSeries(at)
	want := state(many, "a")
	for i, e := range want {
		if i%7000 == 6999 {
			s.Restart(t)
		}
		if err := w.Entry(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	s.Restart(t)
	closeSeries(t, w, true)
	wantEntries(t, b, at, want)
}

// seriesPurge: a run that has closed leaves nothing, whoever answered it, and what
// others have is left.
func seriesPurge(t *testing.T, s Server) {
	b := provisioned(t, s)
	other := snap("r1", 1, subject.SideRepo)
	other.Destination.Name = "other"
	next := snap("r2", 1, subject.SideRepo)
	for _, at := range []subject.Series{other, next} {
		closeSeries(t, answer(t, b, at, state(100, "a")), true)
	}
	kept := stored(t, s, subject.Snap, subject.AllSnap)
	for attempt := range uint64(2) {
		for _, side := range []subject.Side{subject.SideRepo, subject.SideRun, subject.SideCluster(0), subject.SideResult(0), subject.SideContent(0)} {
			at := snap("r1", attempt+1, side)
			closeSeries(t, answer(t, b, at, state(many, "a")), true)
			answer(t, b, at, state(many, "b")) // and dies before its end
		}
	}
	filter := subject.SnapRun(snapDestination, "r1")
	if n := stored(t, s, subject.Snap, filter); n < 50 {
		t.Fatalf("the run has %d messages", n)
	}
	if err := b.Purge(t.Context(), subject.Snap, filter, 0); err != nil {
		t.Fatal(err)
	}
	if n := stored(t, s, subject.Snap, filter); n != 0 {
		t.Errorf("the run leaves %d messages", n)
	}
	if n := stored(t, s, subject.Snap, subject.AllSnap); n != kept {
		t.Errorf("others have %d messages, had %d", n, kept)
	}
	wantEntries(t, b, other, state(100, "a"))
	wantEntries(t, b, next, state(100, "a"))

	// Up to a sequence: what came since stays.
	last, err := b.LastFor(t.Context(), subject.Snap, next.End())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Purge(t.Context(), subject.Snap, subject.SnapDestination(snapDestination), last.Seq); err != nil {
		t.Fatal(err)
	}
	if n := stored(t, s, subject.Snap, subject.SnapRun(snapDestination, "r2")); n != 1 {
		t.Errorf("%d messages are left of the run, want its end", n)
	}
}

// fullSnap: a stream that is full stalls who answers, and loses nothing of it: once
// another run is purged, it goes on. Who has waited for long enough gives up.
func fullSnap(t *testing.T, s Server) {
	b := provisioned(t, s)
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), subject.Snap)
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.MaxBytes = 1 << 20
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	old, at := snap("r1", 1, subject.SideRepo), snap("r2", 1, subject.SideRepo)
	closeSeries(t, answer(t, b, old, state(many/2, "old")), true)
	leaves := snap("r3", 1, subject.SideRepo)
	w := answer(t, b, leaves, state(many/2, "new"))
	w.FullFor = 100 * time.Millisecond
	if n := stored(t, s, subject.Snap, subject.SnapRun(snapDestination, leaves.Run)); n == 0 {
		t.Fatal("nothing is stored of what is to be given up")
	}

	// What is published twice was refused.
	refused, seen := make(chan struct{}), map[string]bool{}
	nc := s.NATS(t)
	var once sync.Once
	if _, err := nc.Subscribe(subject.AllSnap, func(m *nats.Msg) {
		if seen[m.Subject] {
			once.Do(func() { close(refused) })
		}
		seen[m.Subject] = true
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	want := state(many+many/2, "new")
	done := make(chan error, 1)
	go func() {
		w := b.WriteSeries(at)
		for _, e := range want {
			if err := w.Entry(t.Context(), e); err != nil {
				done <- err
				return
			}
		}
		won, err := w.Close(t.Context(), event.End{})
		if err == nil && !won {
			err = errors.New("it lost against nobody")
		}
		done <- err
	}()
	select {
	case <-refused:
	case err := <-done:
		t.Fatalf("it did not stall: %v", err)
	case <-t.Context().Done():
		t.Fatal("it does not try again")
	}
	if _, err := b.SeriesEnd(t.Context(), at); !errors.Is(err, bus.ErrNoMessage) {
		t.Fatalf("the series was closed without its chunks: %v", err)
	}
	for _, e := range state(many, "new")[many/2:] {
		if err = w.Entry(t.Context(), e); err != nil {
			break
		}
	}
	if !errors.Is(err, bus.ErrSnapFull) || fault.ClassOf(err) != fault.Retry {
		t.Errorf("who has waited for long enough gets %v", err)
	}
	if n := stored(t, s, subject.Snap, subject.SnapRun(snapDestination, leaves.Run)); n != 0 {
		t.Errorf("who has given up leaves %d messages", n)
	}
	if err := b.Purge(t.Context(), subject.Snap, subject.SnapRun(snapDestination, old.Run), 0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantEntries(t, b, at, want)
}
