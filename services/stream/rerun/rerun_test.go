package rerun

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/kubescribe/kubescribe/services/stream/decide"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

var (
	key  = event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	dest = decide.Destination{Registered: bus.Registered{Destination: event.Destination{Key: key, BranchKey: "main"}}, Incarnation: "install"}
)

// log is what was recorded of a destination.
type log struct {
	live, written []bus.Message
	state         phase.State
}

func change(name, hash string) event.Change {
	return event.Change{
		Object: event.Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: name},
		Op:     event.Update, ClusterID: "id", UID: "uid", ResourceVersion: "1", Origin: event.Live, Hash: hash, Manifest: []byte(hash),
	}
}

// routed is the next message of KS_LIVE.
func (l *log) routed(part int, h event.Header, body []byte) bus.Message {
	m := bus.Message{Subject: subject.LiveData(part, key), Seq: uint64(len(l.live) + 1), Header: h, Data: body}
	l.live = append(l.live, m)
	return m
}

// stored is what a stream stores at once: with everything consumed that was routed.
func (l *log) stored(st phase.State, outputs ...bus.Output) {
	if len(outputs) == 0 {
		outputs = []bus.Output{{Subject: subject.WriteCheckpoint(key), Header: event.NewHeader(event.KindCheckpoint)}}
	}
	last := outputs[len(outputs)-1].Header
	last[event.HeaderCursor] = []string{bus.Cursor{Seq: uint64(len(l.live))}.String()}
	if l.state = st; st.String() != "" {
		last[event.HeaderState] = []string{st.String()}
	}
	for _, o := range outputs {
		l.written = append(l.written, bus.Message{Subject: o.Subject, Seq: uint64(len(l.written) + 1), Header: o.Header, Data: o.Data})
	}
}

// mark routes a MARK of a run, and stores what it leads to.
func (l *log) mark(t *testing.T, part int, of event.Phase) {
	t.Helper()
	rec := event.PhaseRecord{Run: "run-1", Attempt: 1, Parts: []int{1, 2}, Phase: of}
	in, err := decide.Parse(l.routed(part, first(event.Mark{Cluster: "prod", Part: part, Destination: key.String(), Run: rec.Run, Attempt: rec.Attempt}.Message()), nil))
	if err != nil {
		t.Fatal(err)
	}
	d := decide.Mark(dest, l.state, in, rec)
	l.stored(d.State, d.Outputs...)
}

func first(h event.Header, _ []byte) event.Header { return h }

// change routes one, and stores that it was forwarded, or nothing.
func (l *log) change(t *testing.T, name, hash string, forwarded bool) {
	t.Helper()
	h, body := change(name, hash).Message()
	in, err := decide.Parse(l.routed(1, h, body))
	if err != nil {
		t.Fatal(err)
	}
	if !forwarded {
		return
	}
	d, err := decide.Change(dest, l.state, in, phase.Last{})
	if err != nil {
		t.Fatal(err)
	}
	l.stored(d.State, d.Outputs...)
}

// all yields messages.
func all(messages []bus.Message) iter.Seq2[bus.Message, error] {
	return func(yield func(bus.Message, error) bool) {
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// run decides again: what became of each input, and what is written.
func (l *log) run(t *testing.T) (decisions []string, written []uint64) {
	t.Helper()
	s, err := New(dest, func(d Decided) {
		decisions = append(decisions, fmt.Sprintf("%d %s %s", d.Input.Seq, d.Outcome, d.Differs))
	})
	if err != nil {
		t.Fatal(err)
	}
	for w, err := range s.Run(all(l.live), all(l.written)) {
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, w.Seq)
	}
	return decisions, written
}

// recorded is a run with a result, which holds in a phase, and changes on each side of it.
func recorded(t *testing.T, in event.Phase, forgotten, forwarded bool) *log {
	t.Helper()
	l := &log{}
	l.mark(t, 1, in)              // 1
	l.change(t, "a", "one", true) // 2
	l.mark(t, 2, in)              // 3, and the BARRIER
	result := change("b", "two")
	result.Origin, result.Run, result.Attempt, result.Path = event.Reconcile, "run-1", 1, "shop/configmaps/b.yaml"
	h, body := result.Message()
	applying, _ := phase.Next(l.state, phase.Results{Of: l.state.Epoch})
	closed, _ := phase.Next(applying, phase.Applied{Taken: 1, Last: true})
	l.stored(closed, bus.Output{Subject: subject.WriteData("main", key), Header: event.Forward(h, "result"), Data: body})
	l.change(t, "a", "one", forgotten) // 4: the same
	l.change(t, "b", "two", false)     // 5: as the run has found it
	l.change(t, "a", "two", forwarded) // 6
	l.routed(1, event.Header{event.HeaderVersion: {"1"}, event.HeaderKind: {"nonsense"}}, nil)
	l.stored(l.state)              // a cursor behind 7
	l.change(t, "c", "one", false) // 8: nobody has taken it
	return l
}

// TestRun: what is decided again is what was recorded, by whatever a run did in between.
func TestRun(t *testing.T) {
	for _, in := range []event.Phase{event.StartupReconcile, event.LiveProcessing} {
		decisions, written := recorded(t, in, false, true).run(t)
		if want := []string{"1 marked ", "2 forwarded ", "3 marked ", "4 suppressed ", "5 suppressed ", "6 forwarded ", "7 dead_lettered ", "8 held "}; !slices.Equal(decisions, want) {
			t.Errorf("in %s it decides %q, want %q", in, decisions, want)
		}
		if want := []uint64{1, 2, 3, 4, 5, 6}; !slices.Equal(written, want) {
			t.Errorf("in %s it writes %d, want %d", in, written, want)
		}
	}
}

// TestRunDiffers: what was decided otherwise then is told, and what would not go on now does
// not.
func TestRunDiffers(t *testing.T) {
	decisions, written := recorded(t, event.StartupReconcile, true, false).run(t)
	if decisions[3] != "4 suppressed it was forwarded" || decisions[5] != "6 forwarded it was not forwarded" {
		t.Errorf("it decides %q", decisions)
	}
	if want := []uint64{1, 2, 3, 4, 6}; !slices.Equal(written, want) {
		t.Errorf("it writes %d, want %d", written, want)
	}
}

// TestRunLeft: a MARK of no use may be the last input before a run is left.
func TestRunLeft(t *testing.T) {
	l := &log{}
	l.mark(t, 1, event.StartupReconcile)
	l.routed(2, first(event.Mark{Cluster: "prod", Part: 2, Destination: key.String(), Run: "run-0"}.Message()), nil)
	left, _ := phase.Next(l.state, phase.Superseded{By: phase.Epoch{Run: "run-2"}})
	l.stored(left)
	l.change(t, "a", "one", true)
	if decisions, _ := l.run(t); !slices.Equal(decisions, []string{"1 marked ", "2 marked ", "3 forwarded "}) {
		t.Errorf("it decides %q", decisions)
	}
}

// TestRunTrimmed: about what led to writes that were removed nothing is decided.
func TestRunTrimmed(t *testing.T) {
	l := recorded(t, event.StartupReconcile, false, true)
	l.written = l.written[3:] // from the result on
	decisions, written := l.run(t)
	if len(decisions) != 5 || decisions[0] != "4 forwarded it was not forwarded" || decisions[1] != "5 suppressed " || !slices.Equal(written, []uint64{4, 5, 6}) {
		t.Errorf("it decides %q, and writes %d", decisions, written)
	}
}

// TestRunFails: what cannot be read ends it, with the error.
func TestRunFails(t *testing.T) {
	broken := errors.New("the bus is gone")
	ends := func(yield func(bus.Message, error) bool) { yield(bus.Message{}, broken) }
	odd := recorded(t, event.StartupReconcile, false, true)
	odd.written[1].Header[event.HeaderCursor] = []string{"x"}
	l := recorded(t, event.StartupReconcile, false, true)
	for name, tt := range map[string]struct {
		live, written iter.Seq2[bus.Message, error]
		want          error
	}{
		"KS_LIVE":  {ends, all(l.written), broken},
		"KS_WRITE": {all(l.live), ends, broken},
		"a cursor": {all(odd.live), all(odd.written), event.ErrMalformed},
		"the rest": {ends, all(nil), broken},
	} {
		s, err := New(dest, func(Decided) {})
		if err != nil {
			t.Fatal(err)
		}
		var got error
		for _, err := range s.Run(tt.live, tt.written) {
			got = errors.Join(got, err)
		}
		if !errors.Is(got, tt.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
