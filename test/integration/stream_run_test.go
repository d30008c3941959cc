package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// configMapsPart is the lane of the objects that these tests change; anotherPart
// has none.
var (
	configMapsPart = subject.Part("test", "", "configmaps")
	anotherPart    = (configMapsPart + 1) % subject.Parts
)

// begin begins a run of both lanes, as a reconciler does.
func (l *live) begin(run string, phase event.Phase) {
	l.Helper()
	l.setPhase(l.name, event.PhaseRecord{
		Phase: phase, Run: run, Attempt: l.attempt, Reason: event.ReasonRequested, Registered: l.rev,
		Parts:  []int{min(configMapsPart, anotherPart), max(configMapsPart, anotherPart)},
		Counts: l.phase(l.name).Counts,
	})
}

// marks stores the MARKs of both lanes.
func (l *live) marks(run string) {
	l.Helper()
	l.mark(anotherPart, run)
	l.mark(configMapsPart, run)
}

// results closes a run with results, each as "verb object content", sorted by
// object; one with a question mark for its content gets none.
func (l *live) results(run string, outcome event.Outcome, results ...string) {
	l.Helper()
	l.handIn(run, event.End{Outcome: &outcome}, results...)
}

// dry is results, of a comparison for a person.
func (l *live) dry(run string, outcome event.Outcome, results ...string) {
	l.Helper()
	l.handIn(run, event.End{Outcome: &outcome, Dry: true}, results...)
}

func (l *live) handIn(run string, end event.End, results ...string) {
	l.Helper()
	end.Outcome.Run = run
	series := func(side subject.Side) subject.Series {
		return subject.Series{Destination: key(l.name), Run: run, Attempt: l.attempt, Side: side}
	}
	shut := func(w *bus.SeriesWriter, end event.End) {
		l.Helper()
		if won, err := w.Close(l.Context(), end); err != nil || !won {
			l.Fatalf("closing a series: %t, %v", won, err)
		}
	}
	found, contents, wanted := l.bus.WriteSeries(series(subject.SideResult(configMapsPart))), l.bus.WriteSeries(series(subject.SideContent(configMapsPart))), 0
	for _, r := range results {
		f := append(strings.Fields(r), "")
		e := event.Entry{Path: "shop/configmaps/" + f[1] + ".yaml", What: map[string]event.What{"CREATE": event.ResultCreate, "UPDATE": event.ResultReconcile, "DELETE": event.ResultDelete}[f[0]]}
		if e.What == event.ResultDelete {
			e.Hash = orphanHash(f[1])
		} else {
			wanted++
			if f[2] != "?" {
				c := configMap(event.Op(f[0]), f[1], f[2], 1)
				c.Origin, c.Run, c.Attempt, c.Path = event.Reconcile, run, l.attempt, e.Path
				e.Hash = c.Hash
				if err := contents.Content(l.Context(), c); err != nil {
					l.Fatal(err)
				}
			}
		}
		if err := found.Entry(l.Context(), e); err != nil {
			l.Fatal(err)
		}
	}
	if len(results) > 0 {
		end.Parts = []int{configMapsPart}
		shut(found, event.End{Wanted: wanted})
		shut(contents, event.End{})
	}
	shut(l.bus.WriteSeries(series(subject.SideRun)), end)
}

// orphanHash is the content that a run sees in the file of an orphan.
func orphanHash(name string) string { return manifest.Hash([]byte(name)) }

// closed waits for the end of a run, and returns its record.
func (l *live) closed(run string) event.PhaseRecord {
	l.Helper()
	l.until(run+" is closed", func() bool { p := l.phase(l.name); return p.Run == run && !p.Closed.IsZero() })
	return l.phase(l.name)
}

func (l *live) wantWritten(last string, want ...string) {
	l.Helper()
	if got := l.written(last); !slices.Equal(got, want) {
		l.Errorf("it wrote\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// TestStreamHolds: what comes behind the last MARK is held back and counted, the
// results go first, and then it is released, in order.
func TestStreamHolds(t *testing.T) {
	l := newLive(t, "d")
	other := &live{install: l.install, name: "other"}
	other.rev = l.register("other", everything)
	r := l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.route("before", "x")
	l.marks("run-1")
	for i := range 5 {
		l.route("web", fmt.Sprint(i))
	}
	l.until("they are counted", func() bool { return l.phase("d").Counts.Held == 5 })
	other.route("last", "x") // those of others go on
	other.wantWritten("last", "UPDATE last x")

	l.results("run-1", event.Outcome{Created: 1}, "DELETE api", "UPDATE web now", "CREATE zoo new")
	l.route("web", "5")
	l.route("last", "x")
	l.wantWritten("last",
		"UPDATE before x", "BARRIER", "DELETE api by run-1, more", "UPDATE web now by run-1, more", "CREATE zoo new by run-1",
		"UPDATE web 0", "UPDATE web 1", "UPDATE web 2", "UPDATE web 3", "UPDATE web 4", "UPDATE web 5", "UPDATE last x")
	p := l.closed("run-1")
	if p.Phase != event.LiveProcessing || p.Counts.Held != 0 || p.Outcome == nil || p.Outcome.Created != 1 || p.Owner != "test" || p.Since.IsZero() {
		t.Errorf("it shows %+v", p)
	}
	l.until("origins are told apart", func() bool {
		return l.counted(r, "kubescribe_stream_changes_total", "reconcile") == 3
	})
	r.stop()
	l.noneLeft()
}

// TestStreamPhases: KS_PHASE keeps each phase that a destination was in.
func TestStreamPhases(t *testing.T) {
	l := newLive(t, "d")
	l.stream()
	for _, run := range []string{"run-1", "run-2"} {
		l.begin(run, event.StartupReconcile)
		l.marks(run)
		l.results(run, event.Outcome{})
		l.closed(run)
	}
	kv, err := l.js.KeyValue(t.Context(), subject.BucketPhase)
	if err != nil {
		t.Fatal(err)
	}
	history, err := kv.History(t.Context(), subject.DestinationToken(key("d")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range history {
		rec, err := event.Decode[event.PhaseRecord](e.Value())
		if err != nil {
			t.Fatal(err)
		}
		if line := rec.Run + " " + string(rec.Phase); len(got) == 0 || got[len(got)-1] != line {
			got = append(got, line)
		}
	}
	if want := []string{"run-1 STARTUP_RECONCILE", "run-1 LIVE_PROCESSING", "run-2 STARTUP_RECONCILE", "run-2 LIVE_PROCESSING"}; !slices.Equal(got, want) {
		t.Errorf("it shows %q", got)
	}
}

// TestStreamLate: a result for what has changed behind its MARK is dropped; so is
// one whose object has another version behind the MARK.
func TestStreamLate(t *testing.T) {
	l := newLive(t, "d")
	l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.mark(configMapsPart, "run-1")
	l.route("gone", "") // behind its MARK, and forwarded: not every lane is marked
	l.route("made", "new")
	l.mark(anotherPart, "run-1")
	l.results("run-1", event.Outcome{}, "UPDATE gone old", "DELETE made", "CREATE moved ?", "CREATE stays x")
	l.route("last", "x")
	l.wantWritten("last", "DELETE gone", "UPDATE made new", "BARRIER", "CREATE stays x by run-1", "UPDATE last x")
	if p := l.closed("run-1"); p.Overrun != 2 {
		t.Errorf("it shows %+v, want two results that came too late", p)
	}
}

// TestStreamDriftCheck: a run that holds nothing leaves the phase, and results for
// what changes meanwhile are dropped.
func TestStreamDriftCheck(t *testing.T) {
	l := newLive(t, "d")
	l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	l.results("run-1", event.Outcome{})
	l.closed("run-1")
	l.begin("run-2", event.LiveProcessing)
	l.marks("run-2")
	l.route("web", "A")
	l.route("sentinel", "x")
	l.wantWritten("sentinel", "BARRIER", "BARRIER", "UPDATE web A", "UPDATE sentinel x")
	l.results("run-2", event.Outcome{}, "UPDATE api B", "UPDATE web old")
	p := l.closed("run-2")
	if p.Phase != event.LiveProcessing || p.Overrun != 1 {
		t.Errorf("it shows %+v", p)
	}
	l.route("api", "B") // what the run has just written
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "BARRIER", "UPDATE web A", "UPDATE sentinel x", "UPDATE api B by run-2", "UPDATE last x")
}

// TestStreamForgetsAtRuns: what was forwarded before a run says nothing behind it of what
// stands in the folder, which a run that finds no difference does not tell; not even
// where the destination is another one of the same name.
func TestStreamForgetsAtRuns(t *testing.T) {
	l := newLive(t, "d")
	l.stream()
	run := func(name string) {
		t.Helper()
		l.begin(name, event.StartupReconcile)
		l.marks(name)
		l.results(name, event.Outcome{})
		l.closed(name)
	}
	run("run-1")
	l.route("web", "A")
	l.route("web", "A") // suppressed
	l.route("between", "x")
	l.written("between")
	run("run-2") // finds B in both
	l.route("web", "A")
	l.route("web", "A") // suppressed
	l.route("left", "x")
	l.written("left")

	l.unregister("d")
	l.rev = l.register("d", everything)
	run("run-3") // the same
	l.route("web", "A")
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "UPDATE web A", "UPDATE between x", "BARRIER", "UPDATE web A", "UPDATE left x", "BARRIER", "UPDATE web A", "UPDATE last x")
}

// TestStreamSuperseded: another run releases what was held back for the one before,
// whose answers are ignored from then on.
func TestStreamSuperseded(t *testing.T) {
	l := newLive(t, "d")
	l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	l.route("web", "A")
	l.until("it is held back", func() bool { return l.phase("d").Counts.Held == 1 })
	l.begin("run-2", event.StartupReconcile)
	l.written("web")
	l.results("run-1", event.Outcome{}, "DELETE web")
	l.marks("run-1") // late
	l.route("between", "x")
	l.written("between")
	l.marks("run-2")
	l.results("run-2", event.Outcome{}, "UPDATE api B")
	l.closed("run-2")
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "UPDATE web A", "UPDATE between x", "BARRIER", "UPDATE api B by run-2", "UPDATE last x")
}

// TestStreamWithholds: deletions that wait for a person are not written.
func TestStreamWithholds(t *testing.T) {
	l := newLive(t, "d")
	l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	l.results("run-1", event.Outcome{Pending: &event.Pending{Run: "run-1", Count: 1}}, "DELETE api", "CREATE web A")
	p := l.closed("run-1")
	if p.Outcome == nil || p.Outcome.Pending == nil || p.Outcome.Pending.Count != 1 {
		t.Errorf("it shows %+v", p.Outcome)
	}
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "CREATE web A by run-1", "UPDATE last x")
}

// pruneNever registers that nothing of the destination may be removed.
func (l *live) pruneNever() {
	l.Helper()
	kv, err := bus.OpenBucket[event.Destination](l.Context(), l.bus, subject.BucketDestination)
	if err != nil {
		l.Fatal(err)
	}
	d, rev, err := kv.Newest(l.Context(), subject.DestinationToken(key(l.name)))
	if err != nil {
		l.Fatal(err)
	}
	d.Prune.Mode = event.PruneNever
	if l.rev, err = kv.Put(l.Context(), subject.DestinationToken(key(l.name)), d, rev); err != nil {
		l.Fatal(err)
	}
}

// TestStreamCounts: KS_PHASE says what became of all that has reached a destination,
// each time a run has closed and once the stream has stopped.
func TestStreamCounts(t *testing.T) {
	l := newLive(t, "d")
	l.pruneNever()
	r := l.stream()
	run := func(name string, results ...string) event.PhaseRecord {
		t.Helper()
		l.begin(name, event.StartupReconcile)
		l.marks(name)
		l.results(name, event.Outcome{}, results...)
		return l.closed(name)
	}
	wants := func(what string, got, want event.Counts) {
		t.Helper()
		if got != want {
			t.Errorf("%s it shows %+v, want %+v", what, got, want)
		}
	}
	wants("after the first run", run("run-1", "CREATE api A").Counts, event.Counts{Forwarded: 1})
	l.route("web", "A")
	l.route("web", "A") // suppressed
	l.route("web", "")  // pruned
	l.route("web", "B")
	wants("after the second run", run("run-2", "UPDATE api B").Counts, event.Counts{Forwarded: 4, Suppressed: 1, Pruned: 1})
	l.route("zoo", "A")
	l.route("zoo", "A") // suppressed
	l.until("all are taken", func() bool { return l.counted(r, "kubescribe_stream_changes_total", "suppressed") == 2 })
	r.stop()
	wants("stopped", l.phase("d").Counts, event.Counts{Forwarded: 5, Suppressed: 2, Pruned: 1})
	l.stream()
	l.route("zoo", "B")
	wants("after a restart", run("run-3").Counts, event.Counts{Forwarded: 6, Suppressed: 2, Pruned: 1})
}

// TestStreamPruneNever: deletions go no further where nothing may be pruned.
func TestStreamPruneNever(t *testing.T) {
	l := newLive(t, "d")
	l.pruneNever()
	r := l.stream()
	l.route("web", "A")
	l.route("web", "")
	l.route("last", "x")
	l.wantWritten("last", "UPDATE web A", "UPDATE last x")
	if n := l.counted(r, "kubescribe_stream_changes_total", "pruned"); n != 1 {
		t.Errorf("%d are counted", n)
	}
}

// TestStreamManyResults: results of several batches and chunks are written once and
// in order, the last one says so, and what was held back follows.
func TestStreamManyResults(t *testing.T) {
	const n = 1700
	l := newLive(t, "d")
	l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	for i := range 300 {
		l.route("web", fmt.Sprint(i))
	}
	var results, want []string
	for i := range n {
		results = append(results, fmt.Sprintf("CREATE o%04d %s", i, strings.Repeat("x", 300)))
		want = append(want, results[i]+" by run-1, more")
	}
	want[n-1] = strings.TrimSuffix(want[n-1], ", more")
	l.results("run-1", event.Outcome{}, results...)
	l.route("last", "x")
	got := l.written("last")
	want = append([]string{"BARRIER"}, want...)
	for i := range 300 {
		want = append(want, fmt.Sprintf("UPDATE web %d", i))
	}
	if want = append(want, "UPDATE last x"); !slices.Equal(got, want) {
		t.Errorf("it wrote %d of %d, %s", len(got), len(want), firstDifference(got, want))
	}
}

// TestStreamRestartedInRun: whoever goes on after a crash at any step of a run, the
// stream is the same.
func TestStreamRestartedInRun(t *testing.T) {
	for _, phase := range []event.Phase{event.StartupReconcile, event.LiveProcessing} {
		t.Run(string(phase), func(t *testing.T) {
			l := newLive(t, "d")
			r := l.stream()
			crash := func() {
				r.bus.Close() // in the middle of whatever it does
				r.stop()
				r = l.stream()
			}
			l.begin("run-0", event.StartupReconcile)
			l.marks("run-0")
			l.results("run-0", event.Outcome{})
			l.closed("run-0")

			var results []string
			for i := range 600 {
				results = append(results, fmt.Sprintf("CREATE o%04d x", i))
			}
			results = append(results, "UPDATE web old")
			l.begin("run-1", phase)
			for _, step := range []func(){
				func() { l.mark(configMapsPart, "run-1") },
				func() { l.route("web", "new"); l.written("web") },
				func() { l.mark(anotherPart, "run-1") },
				func() { l.route("api", "A") },
				func() { l.results("run-1", event.Outcome{}, results...) },
				func() { l.route("zoo", "A") },
			} {
				step()
				crash()
			}
			l.closed("run-1")
			crash()
			l.route("last", "x")
			got := l.written("last")
			n := 0
			for _, line := range got {
				if strings.HasPrefix(line, "CREATE o") {
					if want := fmt.Sprintf("CREATE o%04d x by run-1", n); !strings.HasPrefix(line, want) {
						t.Fatalf("result %d is %q", n, line)
					}
					n++
				}
			}
			rest := slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "CREATE o") })
			if want := []string{"BARRIER", "UPDATE web new", "BARRIER", "UPDATE api A", "UPDATE zoo A", "UPDATE last x"}; n != 600 || !slices.Equal(rest, want) {
				t.Errorf("it wrote %d results of 600, and %q", n, rest)
			}
			r.stop()
			l.noneLeft()
		})
	}
}

// TestStreamForgetful: a stream that cannot read any more what has passed during a
// run writes none of its results, and asks for another run.
func TestStreamForgetful(t *testing.T) {
	l := newLive(t, "d")
	r := l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.mark(configMapsPart, "run-1")
	l.route("web", "new")
	l.written("web")
	r.stop()
	if err := l.bus.Purge(t.Context(), subject.Live, subject.LiveDestination(key("d")), 0); err != nil {
		t.Fatal(err)
	}
	l.stream()
	l.mark(anotherPart, "run-1")
	l.results("run-1", event.Outcome{}, "DELETE web")
	if p := l.closed("run-1"); p.Phase != event.StartupReconcile {
		t.Errorf("it shows %+v, and nothing was settled", p)
	}
	if got := l.subjects(subject.Ctl, subject.CtlRuns); !slices.Equal(got, []string{subject.CtlRun(key("d"))}) {
		t.Errorf("it asked for %q", got)
	}
	l.route("last", "x")
	l.wantWritten("last", "UPDATE web new", "BARRIER", "UPDATE last x")
}

// TestStreamCheckpointLost: where somebody has removed what says how far a
// destination's stream has come, a run is asked for, and nothing is guessed.
func TestStreamCheckpointLost(t *testing.T) {
	l := newLive(t, "d")
	r := l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	l.results("run-1", event.Outcome{})
	l.closed("run-1")
	r.stop()
	if got := l.subjects(subject.Ctl, subject.CtlRuns); len(got) > 0 {
		t.Fatalf("it asked for %q", got)
	}
	if err := l.bus.Purge(t.Context(), subject.Write, subject.WriteDestination(key("d")), 0); err != nil {
		t.Fatal(err)
	}
	l.stream()
	l.until("a run is asked for", func() bool {
		return slices.Equal(l.subjects(subject.Ctl, subject.CtlRuns), []string{subject.CtlRun(key("d"))})
	})
}

// TestStreamOvertakenRun: a run whose results are not written has found nothing that
// anybody should be told, and what waited for a person waits still.
func TestStreamOvertakenRun(t *testing.T) {
	l := newLive(t, "d")
	r := l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	l.results("run-1", event.Outcome{Pending: &event.Pending{Run: "run-1", Count: 1}}, "DELETE api")
	waiting := l.closed("run-1")
	rec := waiting
	rec.Run, rec.Closed = "run-2", time.Time{}
	l.setPhase("d", rec)
	l.mark(configMapsPart, "run-2")
	l.route("web", "x")
	l.until("it was forwarded", func() bool { return l.counted(r, "kubescribe_stream_changes_total", "forwarded") > 0 })
	r.stop()
	if err := l.bus.Purge(t.Context(), subject.Live, subject.LiveDestination(key("d")), 0); err != nil {
		t.Fatal(err)
	}
	l.stream()
	l.mark(anotherPart, "run-2")
	l.results("run-2", event.Outcome{Deleted: 1}, "DELETE api")
	p := l.closed("run-2")
	if p.Outcome == nil || p.Outcome.Pending == nil || p.Outcome.Pending.Run != "run-1" || p.Outcome.Deleted != 0 || !p.Settled.Equal(waiting.Settled) {
		t.Errorf("it shows %+v", p)
	}
}

// TestStreamEndUnreadable: an end of a run that is none stops nobody.
func TestStreamEndUnreadable(t *testing.T) {
	l := newLive(t, "d")
	other := &live{install: l.install, name: "other"}
	other.rev = l.register("other", everything)
	l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	end := subject.Series{Destination: key("d"), Run: "run-1", Attempt: 1, Side: subject.SideRun}.End()
	if _, err := l.js.Publish(t.Context(), end, []byte("none")); err != nil {
		t.Fatal(err)
	}
	l.begin("run-1", event.StartupReconcile) // the stream looks again
	other.route("last", "x")
	other.wantWritten("last", "UPDATE last x")
}

// TestStreamCompletesThePhase: the checkpoint decides, the bucket shows. After a
// crash between the two the next owner completes the bucket, but not over a run
// that was begun since.
func TestStreamCompletesThePhase(t *testing.T) {
	l := newLive(t, "d")
	r := l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	l.results("run-1", event.Outcome{Created: 3})
	l.closed("run-1")
	r.stop()

	l.begin("run-1", event.StartupReconcile) // as a crash before the bucket was written leaves it
	r = l.stream()
	if p := l.closed("run-1"); p.Phase != event.LiveProcessing || p.Outcome == nil || p.Outcome.Created != 3 {
		t.Errorf("the next owner shows %+v", p)
	}
	r.stop()

	l.begin("run-2", event.StartupReconcile)
	r = l.stream()
	l.route("last", "x")
	l.written("last")
	if got := l.phase("d"); got.Phase != event.StartupReconcile || got.Run != "run-2" || !got.Closed.IsZero() {
		t.Errorf("the state of the run before made the phase %+v", got)
	}
	r.stop()
	l.noneLeft()
}

// TestStreamContinues: a run that another continues is written and closed, and settles
// nothing: one that holds keeps its phase. So it stands after a crash between the
// checkpoint and the bucket, too.
func TestStreamContinues(t *testing.T) {
	l := newLive(t, "d")
	r := l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	l.route("held", "x")
	left := event.Outcome{Created: 1, Left: event.Wanted{Created: 2}, Continues: true}
	l.results("run-1", left, "CREATE api x", "CREATE web ?", "CREATE zoo ?", "DELETE zz")
	check := func(what string) {
		t.Helper()
		if p := l.closed("run-1"); p.Phase != event.StartupReconcile || p.Outcome == nil || p.Outcome.Left != left.Left || !p.Continues() || !p.Settled.IsZero() {
			t.Errorf("%s it shows %+v, %+v", what, p, p.Outcome)
		}
	}
	check("closed,")
	l.route("next", "x")
	l.wantWritten("next", "BARRIER", "CREATE api x by run-1, more", "DELETE zz by run-1", "UPDATE held x", "UPDATE next x")
	r.stop()
	l.begin("run-1", event.StartupReconcile) // as a crash before the bucket was written leaves it
	r = l.stream()
	check("after a crash")

	l.begin("run-2", event.StartupReconcile)
	l.marks("run-2")
	l.results("run-2", event.Outcome{Created: 2}, "CREATE web y", "CREATE zoo y")
	if p := l.closed("run-2"); p.Phase != event.LiveProcessing || p.Settled.IsZero() {
		t.Errorf("what continues it shows %+v", p)
	}
	r.stop()
	l.noneLeft()
}

// TestStreamUnknownDestination: a change for a destination that nobody has
// registered goes to the dead letters, says why, and stops nobody else.
func TestStreamUnknownDestination(t *testing.T) {
	l := newLive(t, "left")
	stays := &live{install: l.install, name: "stays"}
	stays.rev = l.register("stays", everything)
	l.unregister("left")
	r := l.stream()
	l.route("web", "A")
	stays.route("last", "x")
	stays.wantWritten("last", "UPDATE last x")
	l.until("it is counted", func() bool { return l.counted(r, "kubescribe_stream_changes_total", "unregistered") == 1 })
	if _, err := l.bus.LastFor(t.Context(), subject.Write, subject.WriteDestination(key("left"))); err == nil {
		t.Error("it wrote something to it")
	}
	if why := newestLetter(t, l.bus).Reason; !strings.Contains(why, bus.ErrUnknownDestination.Error()) || !strings.Contains(why, "test/default/left") {
		t.Errorf("the dead letter says %q", why)
	}
	r.stop()
	l.noneLeft()
}

// TestStreamRegisteredAgain: the results of a run are not for a destination of the same
// name that was registered since.
func TestStreamRegisteredAgain(t *testing.T) {
	l := newLive(t, "d")
	r := l.stream()
	l.begin("run-1", event.LiveProcessing)
	l.marks("run-1")
	l.barrier("run-1")
	r.stop()
	l.unregister("d")
	l.rev = l.register("d", everything)
	l.results("run-1", event.Outcome{Created: 1}, "CREATE web A")
	l.stream()
	l.route("before", "x") // a stream that begins takes results first
	l.wantWritten("before", "BARRIER", "UPDATE before x")

	l.begin("run-2", event.StartupReconcile)
	l.marks("run-2")
	l.results("run-2", event.Outcome{Created: 1}, "CREATE web B")
	l.closed("run-2")
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "UPDATE before x", "BARRIER", "CREATE web B by run-2", "UPDATE last x")
}

// TestStreamConsumersStay: many runs leave no consumer behind.
func TestStreamConsumersStay(t *testing.T) {
	l := newLive(t, "d")
	l.stream()
	var before int
	for i := range 12 {
		run := fmt.Sprintf("run-%d", i)
		l.begin(run, event.StartupReconcile)
		l.marks(run)
		l.route("web", run)
		l.results(run, event.Outcome{})
		l.closed(run)
		l.written("web")
		if i <= 2 { // the most of some: readers come and go
			before = max(before, l.consumers())
		}
	}
	l.consumersFallTo(before)
}

// consumers counts those of all streams.
func (in *install) consumers() (n int) {
	in.Helper()
	all := in.js.ListStreams(in.Context())
	for info := range all.Info() {
		n += info.State.Consumers
	}
	if err := all.Err(); err != nil {
		in.Fatal(err)
	}
	return n
}

func (in *install) consumersFallTo(n int) {
	in.Helper()
	// What a reader leaves goes by itself, after 30 s of silence.
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(90 * time.Second); in.consumers() > n; <-tick.C {
		if time.Now().After(end) {
			in.Fatalf("%d consumers are left, there were %d", in.consumers(), n)
		}
	}
}
