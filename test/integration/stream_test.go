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
	name    string
	rev     uint64
	attempt uint64 // at the runs that are played
	n       int
}

func newLive(t *testing.T, name string) *live {
	t.Helper()
	l := &live{install: newInstall(t), name: name, attempt: 1}
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
	m := event.Mark{Cluster: "test", Part: part, Destination: key(l.name).String(), Run: run, Attempt: l.attempt, Registry: l.rev}
	h, body := m.Message()
	l.store(subject.LiveData(part, key(l.name)), l.id(), h, body)
}

// written lists what stands in the destination's stream, as "op object content",
// up to the object that comes last.
func (l *live) written(last string) []string {
	l.Helper()
	var lines []string
	for _, m := range l.read(subject.Write, subject.WriteDestination(key(l.name)), named(last)) {
		if kind, _ := event.KindOf(m.Header); kind == event.KindRepoState {
			lines = append(lines, "BARRIER")
			continue
		}
		c := l.change(m)
		content := strings.TrimSpace(strings.TrimPrefix(string(c.Manifest), "data: "))
		line := strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Op, c.Name, content))
		if c.Origin == event.Reconcile {
			line += " by " + c.Run
		}
		if c.Origin == event.Reconcile && c.Op == event.Delete && c.Replaces != orphanHash(c.Name) {
			l.Errorf("%s does not say which content it removes: %q", line, c.Replaces)
		}
		if c.More {
			line += ", more"
		}
		lines = append(lines, line)
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
		t.Fatalf("it wrote\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
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

// TestStreamKilled: the streams of two owners that compete and lose their
// connections in the middle hold each change once, in order.
func TestStreamKilled(t *testing.T) {
	const n = 200
	l := newLive(t, "d")
	owners := []role{l.stream(), l.stream()}
	var want []string
	for i := range n {
		l.route("web", strconv.Itoa(i))
		want = append(want, "UPDATE web "+strconv.Itoa(i))
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
	for _, r := range owners {
		r.stop()
	}
	l.noneLeft()
}
