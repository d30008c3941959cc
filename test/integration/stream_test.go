package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// live is a destination whose stream is tested, as the router feeds it.
type live struct {
	*install
	name string
	rev  uint64
	n    int
}

func newLive(t *testing.T, name string) *live {
	t.Helper()
	l := &live{install: newInstall(t), name: name}
	l.rev = l.register(name, everything)
	return l
}

// id is a new Ks-Id, as each output of a router has its own.
func (l *live) id() string { l.n++; return fmt.Sprintf("in-%d", l.n) }

// route stores a change of an object's content; "" is its deletion.
func (l *live) route(name, content string) {
	l.Helper()
	op := event.Update
	if content == "" {
		op = event.Delete
	}
	c := configMap(op, name, content, l.n+1)
	c.Registry = l.rev
	h, body := c.Message()
	l.store(subject.LiveData(subject.Part("test", "", "configmaps"), key(l.name)), l.id(), h, body)
}

// mark stores a MARK of one lane.
func (l *live) mark(part int, run string) {
	l.Helper()
	m := event.Mark{Cluster: "test", Part: part, Destination: key(l.name).String(), Run: run, Attempt: 1, Registry: l.rev}
	h, body := m.Message()
	l.store(subject.LiveData(part, key(l.name)), l.id(), h, body)
}

// written lists what stands in the destination's stream, as "op object content",
// up to the object that comes last.
func (l *live) written(last string) []string {
	l.Helper()
	var lines []string
	for _, m := range l.read(subject.Write, subject.WriteDestination(key(l.name)), named(last)) {
		c := l.change(m)
		content := strings.TrimSpace(strings.TrimPrefix(string(c.Manifest), "data: "))
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Op, c.Name, content)))
	}
	return lines
}

func TestStreamDeduplicates(t *testing.T) {
	l := newLive(t, "d")
	r := l.stream()
	for _, in := range [][2]string{
		{"web", "A"},
		{"web", "A"}, // suppressed
		{"api", "A"}, // another object of the same content
		{"web", "B"},
		{"web", "A"}, // A→B→A
		{"web", "A"}, // suppressed
		{"api", "A"}, // suppressed, whatever came between
		{"web", ""},
		{"web", ""},  // suppressed
		{"web", "A"}, // made again
		{"last", "x"},
	} {
		l.route(in[0], in[1])
	}
	got := l.written("last")
	want := []string{
		"UPDATE web A", "UPDATE api A", "UPDATE web B", "UPDATE web A", "DELETE web", "UPDATE web A", "UPDATE last x",
	}
	if !slices.Equal(got, want) {
		t.Errorf("it wrote\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	l.until("all is counted", func() bool {
		return l.counted(r, "kubescribe_stream_changes_total", "forwarded") == len(want) &&
			l.counted(r, "kubescribe_stream_changes_total", "suppressed") == 4
	})
	r.stop()
	l.noneLeft()
}

// TestStreamsAreApart: what one destination has seen says nothing of another.
func TestStreamsAreApart(t *testing.T) {
	l := newLive(t, "a")
	other := &live{install: l.install, name: "b"}
	other.rev = l.register("b", everything)
	l.stream()
	for _, d := range []*live{l, other} {
		d.route("web", "A")
		d.route("web", "A")
		d.route("last", "x")
	}
	for _, d := range []*live{l, other} {
		if got, want := d.written("last"), []string{"UPDATE web A", "UPDATE last x"}; !slices.Equal(got, want) {
			t.Errorf("destination %s got %q, want %q", d.name, got, want)
		}
	}
}

// TestStreamUnregistered: what was under way to a destination that has left is
// written nowhere.
func TestStreamUnregistered(t *testing.T) {
	l := newLive(t, "left")
	stays := &live{install: l.install, name: "stays"}
	stays.rev = l.register("stays", everything)
	l.unregister("left")
	r := l.stream()
	l.route("web", "A")
	stays.route("last", "x")
	if got := stays.written("last"); !slices.Equal(got, []string{"UPDATE last x"}) {
		t.Errorf("it wrote %q", got)
	}
	l.until("it is counted", func() bool { return l.counted(r, "kubescribe_stream_changes_total", "unregistered") == 1 })
	if m, err := l.bus.LastFor(t.Context(), subject.Write, subject.WriteDestination(key("left"))); err == nil && strings.HasPrefix(m.Subject, "ks.write.d.") {
		t.Errorf("it wrote to %s", m.Subject)
	}
}

func TestStreamPhase(t *testing.T) {
	l := newLive(t, "d")
	l.setPhase("d", event.PhaseRecord{Phase: event.StartupReconcile, Run: "run-1", Attempt: 1, Reason: event.ReasonNewDestination, Registered: l.rev})
	r := l.stream()
	for part := range subject.Parts {
		l.mark(part, "run-0") // of an old run
	}
	for part := range subject.Parts - 1 {
		l.mark(part, "run-1")
		l.mark(part, "run-1") // again
	}
	l.mark(2, "run-1")
	l.route("between", "x")
	l.written("between")
	if got := l.phase("d"); got.Phase != event.StartupReconcile || got.Run != "run-1" {
		t.Fatalf("one lane is missing, and the phase is %+v", got)
	}
	l.mark(subject.Parts-1, "run-1")
	l.until("the phase is LIVE_PROCESSING", func() bool { return l.phase("d").Phase == event.LiveProcessing })
	got := l.phase("d")
	if got.Run != "run-1" || got.Attempt != 1 || got.Registered != l.rev || got.Owner != "test" || got.Since.IsZero() || got.Reason != event.ReasonNewDestination {
		t.Errorf("the phase is %+v", got)
	}

	// A newer run, which the reconciler has begun meanwhile.
	l.setPhase("d", event.PhaseRecord{Phase: event.StartupReconcile, Run: "run-2", Attempt: 1, Registered: l.rev})
	for part := range subject.Parts {
		l.mark(part, "run-1") // late
	}
	l.route("later", "x")
	l.written("later")
	if got := l.phase("d"); got.Phase != event.StartupReconcile || got.Run != "run-2" {
		t.Fatalf("MARKs of the run before made the phase %+v", got)
	}
	for part := range subject.Parts {
		l.mark(part, "run-2")
	}
	l.until("the newer run is LIVE_PROCESSING", func() bool { p := l.phase("d"); return p.Phase == event.LiveProcessing && p.Run == "run-2" })
	r.stop()
	l.noneLeft()
}

// TestStreamCompletesThePhase: the checkpoint decides, the bucket shows. After a
// crash between the two the next owner completes the bucket, but not over a run
// that was begun since.
func TestStreamCompletesThePhase(t *testing.T) {
	l := newLive(t, "d")
	startup := event.PhaseRecord{Phase: event.StartupReconcile, Run: "run-1", Attempt: 1, Registered: l.rev}
	l.setPhase("d", startup)
	r := l.stream()
	for part := range subject.Parts {
		l.mark(part, "run-1")
	}
	l.until("the phase is LIVE_PROCESSING", func() bool { return l.phase("d").Phase == event.LiveProcessing })
	r.stop()

	l.setPhase("d", startup) // as a crash before the bucket was written leaves it
	r = l.stream()
	l.until("the next owner completes it", func() bool { return l.phase("d").Phase == event.LiveProcessing })
	r.stop()

	startup.Run = "run-2"
	l.setPhase("d", startup)
	r = l.stream()
	l.route("last", "x")
	l.written("last")
	if got := l.phase("d"); got.Phase != event.StartupReconcile || got.Run != "run-2" {
		t.Errorf("the state of the run before made the phase %+v", got)
	}
	r.stop()
	l.noneLeft()
}

// TestStreamKilled: the streams of two owners that compete and lose their
// connections in the middle hold each change once, in order, and MARKs that came
// between count once.
func TestStreamKilled(t *testing.T) {
	const n = 200
	l := newLive(t, "d")
	l.setPhase("d", event.PhaseRecord{Phase: event.StartupReconcile, Run: "run-1", Attempt: 1, Registered: l.rev})
	owners := []role{l.stream(), l.stream()}
	var want []string
	for i := range n {
		l.route("web", strconv.Itoa(i))
		want = append(want, "UPDATE web "+strconv.Itoa(i))
		if i%25 == 0 {
			l.mark(i/25, "run-1")
		}
		if i%50 == 30 {
			owners[0].bus.Close() // in the middle of whatever it does
			owners[0].stop()
			owners = append(owners[1:], l.stream())
		}
	}
	l.route("last", "x")
	if got := l.written("last"); !slices.Equal(got, append(want, "UPDATE last x")) {
		t.Errorf("it wrote %d of %d, %s", len(got)-1, n, firstDifference(got, want))
	}
	l.until("the phase is LIVE_PROCESSING", func() bool { return l.phase("d").Phase == event.LiveProcessing })
	for _, r := range owners {
		r.stop()
	}
	l.noneLeft()
}
