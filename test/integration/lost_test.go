package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// recreate makes a stream anew, empty.
func (in *install) recreate(stream string) {
	in.Helper()
	st, err := in.js.Stream(in.Context(), stream)
	if err != nil {
		in.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	if err := in.js.DeleteStream(in.Context(), stream); err != nil {
		in.Fatal(err)
	}
	if _, err := in.js.CreateStream(in.Context(), cfg); err != nil {
		in.Fatal(err)
	}
	clear(in.lanes) // their fences
}

// asked waits for a request for a run of a destination, takes it, and returns its reason.
func (in *install) asked(name string) (reason string) {
	in.Helper()
	in.until("a run of "+name+" is asked for", func() bool {
		m, err := in.bus.LastFor(in.Context(), subject.Ctl, subject.CtlRun(key(name)))
		if err != nil {
			return false
		}
		q, err := event.Decode[event.Request](m.Data)
		if err != nil {
			in.Fatal(err)
		}
		reason = q.Reason
		return true
	})
	if err := in.bus.Purge(in.Context(), subject.Ctl, subject.CtlRun(key(name)), 0); err != nil {
		in.Fatal(err)
	}
	return reason
}

// started is a destination that is live.
func started(t *testing.T) (*live, role) {
	t.Helper()
	l := newLive(t, "d")
	r := l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	l.results("run-1", event.Outcome{})
	l.closed("run-1")
	return l, r
}

// TestStreamLogWentBack: a stream whose KS_LIVE is another one than its cursor is of
// asks for a run, and writes nothing of it before that: the router may route again
// what was written long ago. Then it goes on, and nobody has to help.
func TestStreamLogWentBack(t *testing.T) {
	for name, again := range map[string]int{"shorter": 1, "longer": 20} {
		t.Run(name, func(t *testing.T) {
			l, r := started(t)
			l.route("web", "A")
			l.route("web", "B")
			l.written("web")
			l.route("stop", "x")
			l.written("stop")
			r.stop()
			l.recreate(subject.Live)
			for range again {
				l.route("web", "A")
			}
			r = l.stream()
			if reason := l.asked("d"); reason != event.ReasonCheckpointLost {
				t.Errorf("a run is asked for because of %s", reason)
			}
			l.until("it is shown", func() bool { return l.phase("d").Phase == event.StartupReconcile })
			r.stop()
			r = l.stream() // and does not ask again
			l.route("web", "B")
			l.begin("run-2", event.StartupReconcile)
			l.mark(configMapsPart, "run-2")
			l.route("api", "new")
			l.mark(anotherPart, "run-2")
			l.results("run-2", event.Outcome{}, "CREATE api old", "UPDATE web C")
			l.closed("run-2")
			l.route("last", "x")
			l.wantWritten("last", "BARRIER", "UPDATE web A", "UPDATE web B", "UPDATE stop x",
				"UPDATE api new", "BARRIER", "UPDATE web C by run-2", "UPDATE last x")
			if got := l.subjects(subject.Ctl, subject.CtlRuns); len(got) > 0 {
				t.Errorf("it asked again: %q", got)
			}
			if n := l.counted(r, "kubescribe_stream_changes_total", "covered"); n != 1 {
				t.Errorf("%d changes are counted as covered by the run, want 1", n)
			}
			r.stop()
			l.noneLeft()
		})
	}
}

// TestStreamCheckpointRemoved: with its checkpoint a stream has lost what it has
// forwarded, and does not forward it again.
func TestStreamCheckpointRemoved(t *testing.T) {
	l, r := started(t)
	l.route("web", "A")
	l.route("web", "B")
	l.written("web")
	r.stop()
	if err := l.bus.Purge(t.Context(), subject.Write, subject.WriteDestination(key("d")), 0); err != nil {
		t.Fatal(err)
	}
	l.stream()
	if reason := l.asked("d"); reason != event.ReasonCheckpointLost {
		t.Errorf("a run is asked for because of %s", reason)
	}
	l.begin("run-2", event.StartupReconcile)
	l.marks("run-2")
	l.results("run-2", event.Outcome{}, "UPDATE web C")
	l.closed("run-2")
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "UPDATE web C by run-2", "UPDATE last x")
}

// TestStreamLostInChain: what a run holds back that comes after a loss is new, and goes
// on also where another run continues that one, or replaces it.
func TestStreamLostInChain(t *testing.T) {
	l, r := started(t)
	r.stop()
	if err := l.bus.Purge(t.Context(), subject.Write, subject.WriteDestination(key("d")), 0); err != nil {
		t.Fatal(err)
	}
	l.stream()
	l.asked("d")
	l.begin("run-2", event.StartupReconcile)
	l.marks("run-2")
	l.route("web", "")
	l.results("run-2", event.Outcome{Continues: true}, "UPDATE api A")
	l.closed("run-2")
	l.begin("run-3", event.StartupReconcile)
	l.marks("run-3")
	l.route("zoo", "A")
	l.until("it is held back", func() bool { return l.phase("d").Counts.Held == 1 })
	l.begin("run-4", event.StartupReconcile)
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "UPDATE api A by run-2", "DELETE web", "BARRIER", "UPDATE zoo A", "UPDATE last x")
}

// TestRouterLogWentBack: a router whose KS_EVENTS is another one than its cursors are
// of tells every destination, in each part, and routes what comes from then on.
func TestRouterLogWentBack(t *testing.T) {
	in := newInstall(t)
	in.register("a", everything)
	in.register("b", everything)
	r := in.router()
	in.publish(deployment("api", "shop", 1)) // of another part
	for i := range 5 {
		in.publish(configMap(event.Update, "web", "old", i+2))
	}
	in.publish(configMap(event.Update, "first", "x", 9))
	in.until("all is routed", func() bool { return in.counted(r, "kubescribe_router_events_total", "routed") == 7 })
	r.stop()
	in.recreate(subject.Events)
	in.publish(configMap(event.Update, "web", "skipped", 10)) // the run has it
	in.router()
	parts := []int{subject.Part("test", "", "configmaps"), subject.Part("test", "apps", "deployments")}
	in.until("all are told", func() bool {
		for _, d := range []string{"a", "b"} {
			for _, part := range parts {
				m, err := in.bus.LastFor(t.Context(), subject.Live, subject.LiveData(part, key(d)))
				if kind, _ := event.KindOf(m.Header); err != nil || kind != event.KindFence {
					return false
				}
			}
		}
		return true
	})
	in.publish(configMap(event.Update, "web", "new", 11))
	in.publish(configMap(event.Update, "last", "x", 12))
	for _, d := range []string{"a", "b"} {
		var got []string
		for _, m := range in.read(subject.Live, subject.LiveDestination(key(d)), named("last")) {
			if kind, _ := event.KindOf(m.Header); kind == event.KindFence {
				got = append(got, "fence "+m.Header[event.HeaderReason][0])
				continue
			}
			c := in.change(m)
			got = append(got, c.Name+" "+c.ResourceVersion)
		}
		got = slices.DeleteFunc(got, func(line string) bool { return line == "api 1" }) // of another part, it may be anywhere
		if want := []string{"web 2", "web 3", "web 4", "web 5", "web 6", "first 9", "fence CheckpointLost", "fence CheckpointLost", "web 11", "last 12"}; !slices.Equal(got, want) {
			t.Errorf("%s got %q, want %q", d, got, want)
		}
	}
}

// TestRouterCut: a router tells where a part of KS_EVENTS was removed before it was
// routed, and routes what is left.
func TestRouterCut(t *testing.T) {
	in := newInstall(t)
	in.register("a", everything)
	r := in.router()
	routed := in.publish(configMap(event.Update, "web", "A", 1))
	in.until("it is routed", func() bool { return in.counted(r, "kubescribe_router_events_total", "routed") == 1 })
	r.stop()
	in.publish(configMap(event.Update, "web", "removed", 2))
	removed := in.publish(configMap(event.Update, "web", "removed", 3))
	if err := in.bus.Purge(t.Context(), subject.Events, ">", in.publish(configMap(event.Update, "last", "x", 4))); err != nil {
		t.Fatal(err)
	}
	in.router()
	var names []string
	for _, m := range in.read(subject.Live, subject.LiveDestination(key("a")), named("last")) {
		if kind, _ := event.KindOf(m.Header); kind != event.KindFence {
			names = append(names, in.change(m).Name)
			continue
		}
		names = append(names, "fence")
		f, err := event.ParseFence(m.Header)
		if want := (event.Fence{Reason: event.ReasonHistoryGap, After: routed, Until: removed}); f != want || err != nil {
			t.Errorf("it tells %+v, %v, want %+v", f, err, want)
		}
	}
	if want := []string{"web", "fence", "last"}; !slices.Equal(names, want) {
		t.Errorf("it routed %q, want %q", names, want)
	}
}

// fence stores a router's fence in one lane.
func (l *live) fence(part int, f event.Fence) {
	l.Helper()
	h, body := f.Message()
	l.store(subject.LiveData(part, key(l.name)), l.id(), h, body)
}

// TestStreamFenced: a stream whose router has lost its place asks for a run, and
// forwards nothing until the lanes have stored their MARKs: it may be old. One whose
// router has missed something forwards all the same.
func TestStreamFenced(t *testing.T) {
	for reason, want := range map[string][]string{
		event.ReasonCheckpointLost: {"BARRIER", "UPDATE web A", "BARRIER", "UPDATE web C by run-3", "UPDATE last x"},
		event.ReasonHistoryGap:     {"BARRIER", "UPDATE web A", "UPDATE web B", "BARRIER", "UPDATE web C by run-3", "UPDATE last x"},
	} {
		t.Run(reason, func(t *testing.T) {
			l, _ := started(t)
			l.route("web", "A")
			l.begin("run-2", event.StartupReconcile) // it will never get its MARKs
			l.fence(anotherPart, event.Fence{Reason: reason, After: 3, Until: 7})
			l.route("web", "B")
			if got := l.asked("d"); got != reason {
				t.Errorf("a run is asked for because of %s", got)
			}
			if gap := l.phase("d").Gap; reason == event.ReasonHistoryGap {
				if gap == nil || gap.Stream != subject.Events || gap.After != 3 || gap.Until != 7 || gap.Found.IsZero() {
					t.Errorf("it shows %+v", gap)
				}
			}
			l.begin("run-3", event.StartupReconcile)
			l.marks("run-3")
			l.results("run-3", event.Outcome{}, "UPDATE web C")
			l.closed("run-3")
			l.route("last", "x")
			l.wantWritten("last", want...)
		})
	}
}

// TestStreamFencedInEachLane: the fences of one loss, one in each lane, are one run.
func TestStreamFencedInEachLane(t *testing.T) {
	for _, reason := range []string{event.ReasonCheckpointLost, event.ReasonHistoryGap} {
		t.Run(reason, func(t *testing.T) {
			l, _ := started(t)
			fence := event.Fence{Reason: reason, After: 3, Until: 7}
			var others []int // of which the destination has nothing
			for part := range subject.Parts {
				if part != configMapsPart && part != anotherPart {
					others = append(others, part)
				}
			}
			l.fence(others[0], fence)
			l.fence(configMapsPart, fence)
			if got := l.asked("d"); got != reason {
				t.Errorf("a run is asked for because of %s", got)
			}
			l.fence(others[1], fence)
			l.begin("run-2", event.StartupReconcile)
			rec := l.phase("d")
			rec.Reason = reason
			l.setPhase("d", rec)
			l.mark(configMapsPart, "run-2")
			l.fence(others[2], fence)
			l.fence(anotherPart, fence)
			l.mark(anotherPart, "run-2")
			l.results("run-2", event.Outcome{}, "UPDATE web A")
			l.closed("run-2")
			for _, part := range others[3:] {
				l.fence(part, fence)
			}
			l.route("last", "x")
			l.wantWritten("last", "BARRIER", "BARRIER", "UPDATE web A by run-2", "UPDATE last x")
			if got := l.subjects(subject.Ctl, subject.CtlRuns); len(got) > 0 {
				t.Errorf("it asked again: %q", got)
			}
			if p := l.phase("d"); p.Phase != event.LiveProcessing {
				t.Errorf("it shows %+v", p)
			}
		})
	}
}

// TestStreamCutAndStopped: a stream that is stopped right behind its decision that a
// part of the backlog is missing has shown what is known of that.
func TestStreamCutAndStopped(t *testing.T) {
	l := newLive(t, "d")
	link := l.nats.Link(t)
	l.streamOn(l.verified(link.Connect(t)))
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	for n := range 4 {
		l.route("web", fmt.Sprint(n))
	}
	l.until("they are counted", func() bool { return l.phase("d").Counts.Held == 4 })
	newest, err := l.bus.LastFor(t.Context(), subject.Live, subject.LiveDestination(key("d")))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.bus.Purge(t.Context(), subject.Live, subject.LiveDestination(key("d")), newest.Seq); err != nil {
		t.Fatal(err)
	}
	stored := link.EndBehind(event.HeaderState + ": " + string(event.Parked))
	l.results("run-1", event.Outcome{})
	select {
	case <-stored:
	case <-time.After(patience):
		t.Fatal("it is not parked")
	}
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "UPDATE web 3", "UPDATE last x")
	if p := l.phase("d"); p.Phase != event.Parked || p.Gap == nil || p.Gap.Missing != 3 {
		t.Errorf("it shows %+v, %+v", p, p.Gap)
	}
}

// cut removes all of KS_LIVE but the destination's newest message, and returns where the
// gap ends.
func (l *live) cut() uint64 {
	l.Helper()
	newest, err := l.bus.LastFor(l.Context(), subject.Live, subject.LiveDestination(key(l.name)))
	if err != nil {
		l.Fatal(err)
	}
	if err := l.bus.Purge(l.Context(), subject.Live, ">", newest.Seq); err != nil {
		l.Fatal(err)
	}
	return newest.Seq - 1
}

// TestStreamCutAndReconciled: KS_PHASE shows each phase that a destination is in, also
// where the run that mends a gap begins at once.
func TestStreamCutAndReconciled(t *testing.T) {
	l := newLive(t, "d")
	p := &played{install: l.install, name: "d"}
	p.reconciler()
	r := p.stream()
	run := func(reason string, before ...string) event.PhaseRecord {
		t.Helper()
		rec := p.begins(reason, before...)
		for _, part := range rec.Parts {
			l.mark(part, rec.Run)
		}
		p.compares(rec)
		return l.closed(rec.Run)
	}
	first := run(event.ReasonNewDestination)
	l.route("web", "A")
	l.written("web")
	r.stop()
	l.route("web", "B")
	l.route("web", "C")
	until := l.cut()
	history := l.history("d")
	p.stream()
	run(event.ReasonHistoryGap, first.Run)
	var got []string
	l.until("the watch has shown it", func() bool {
		got = nil
		for _, rec := range history() {
			line := string(rec.Phase)
			if rec.Gap != nil {
				line += fmt.Sprintf(", gap up to %d", rec.Gap.Until)
			}
			if len(got) == 0 || got[len(got)-1] != line {
				got = append(got, line)
			}
		}
		return strings.HasPrefix(got[len(got)-1], string(event.LiveProcessing)) && len(got) > 1
	})
	gap := fmt.Sprintf(", gap up to %d", until)
	if want := []string{"LIVE_PROCESSING", "PARKED" + gap, "STARTUP_RECONCILE" + gap, "LIVE_PROCESSING" + gap}; !slices.Equal(got, want) {
		t.Errorf("it shows %q, want %q", got, want)
	}
}

// TestStreamCutAndCompared: a comparison for a person that begins before the run that
// mends a gap leaves the destination parked.
func TestStreamCutAndCompared(t *testing.T) {
	l, r := started(t)
	r.stop()
	l.route("web", "A")
	l.route("web", "B")
	l.cut()
	l.stream()
	if reason := l.asked("d"); reason != event.ReasonHistoryGap {
		t.Errorf("a run is asked for because of %s", reason)
	}
	l.begin("run-2", event.Parked)
	l.marks("run-2")
	l.dry("run-2", event.Outcome{}, "UPDATE api A")
	if p := l.closed("run-2"); p.Phase != event.Parked {
		t.Errorf("compared, it shows %+v", p)
	}
	l.begin("run-3", event.StartupReconcile)
	l.marks("run-3")
	l.results("run-3", event.Outcome{}, "UPDATE zoo Z")
	if p := l.closed("run-3"); p.Phase != event.LiveProcessing {
		t.Errorf("reconciled, it shows %+v", p)
	}
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "UPDATE web B", "BARRIER", "BARRIER", "UPDATE zoo Z by run-3", "UPDATE last x")
	if got := l.subjects(subject.Ctl, subject.CtlRuns); len(got) > 0 {
		t.Errorf("it asked again: %q", got)
	}
}

// TestStreamCut: what an operator removes from KS_LIVE before it was taken parks the
// destination, with what is known of the gap, until a run has found what is missing.
// What comes behind the gap goes on.
func TestStreamCut(t *testing.T) {
	const held = 6
	for name, tt := range map[string]struct {
		stopped bool   // while it is removed
		filter  string // of what is removed
		missing uint64
	}{
		"the stream is stopped":   {true, ">", 0},
		"it holds":                {false, ">", held - 1},
		"it holds, by the filter": {false, subject.LiveDestination(key("d")), held - 1},
	} {
		t.Run(name, func(t *testing.T) {
			l, r := started(t)
			l.begin("run-2", event.StartupReconcile)
			l.marks("run-2")
			for n := range held {
				l.route("web", fmt.Sprint(n))
			}
			l.until("they are counted", func() bool { return l.phase("d").Counts.Held == held })
			if tt.stopped {
				r.stop()
			}
			newest, err := l.bus.LastFor(t.Context(), subject.Live, subject.LiveDestination(key("d")))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.bus.Purge(t.Context(), subject.Live, tt.filter, newest.Seq); err != nil {
				t.Fatal(err)
			}
			if tt.stopped {
				l.stream()
			} else {
				l.results("run-2", event.Outcome{}, "UPDATE api A")
			}
			if reason := l.asked("d"); reason != event.ReasonHistoryGap {
				t.Errorf("a run is asked for because of %s", reason)
			}
			l.until("it is parked", func() bool { return l.phase("d").Phase == event.Parked })
			gap := l.phase("d").Gap
			if gap == nil || gap.Stream != subject.Live || gap.Missing != tt.missing || gap.After == 0 || gap.Until < newest.Seq-1 || gap.Found.IsZero() {
				t.Errorf("it shows %+v", gap)
			}
			l.begin("run-3", event.StartupReconcile)
			l.marks("run-3")
			l.results("run-3", event.Outcome{}, "UPDATE zoo Z")
			if p := l.closed("run-3"); p.Phase != event.LiveProcessing {
				t.Errorf("it shows %+v", p)
			}
			l.route("last", "x")
			want := []string{"BARRIER", "BARRIER"}
			if !tt.stopped {
				want = append(want, "UPDATE api A by run-2")
			}
			want = append(want, "UPDATE web 5", "BARRIER", "UPDATE zoo Z by run-3", "UPDATE last x")
			l.wantWritten("last", want...)
		})
	}
}
