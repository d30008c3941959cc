package integration

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// asked lists the requests that are waiting, as subjects.
func (in *install) asked(filter string) []string {
	in.Helper()
	st, err := in.js.Stream(in.Context(), subject.Ctl)
	if err != nil {
		in.Fatal(err)
	}
	info, err := st.Info(in.Context(), jetstream.WithSubjectFilter(filter))
	if err != nil {
		in.Fatal(err)
	}
	var all []string
	for s := range info.State.Subjects {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// requests are those that a run sends, one to each lane.
func requests(runs ...string) []string {
	var all []string
	for _, run := range runs {
		for part := range subject.Parts {
			all = append(all, subject.CtlClusterState("test", part, run, 1))
		}
	}
	slices.Sort(all)
	return all
}

const allRequests = "ks.ctl." + event.RequestClusterState + ".>"

// begun waits for a run of a destination beside those that were, and for its
// requests, and returns it.
func (in *install) begun(name, reason string, before ...string) string {
	in.Helper()
	in.until(fmt.Sprintf("a run of %s begins, %s", name, reason), func() bool {
		p := in.phase(name)
		return p.Run != "" && !slices.Contains(before, p.Run)
	})
	p := in.phase(name)
	if p.Phase != event.StartupReconcile || p.Attempt != 1 || p.Reason != reason || p.Since.IsZero() {
		in.Errorf("the phase of %s is %+v, want a run because of %s", name, p, reason)
	}
	in.until("each lane is asked", func() bool {
		all := in.asked(allRequests)
		for _, want := range requests(p.Run) {
			if !slices.Contains(all, want) {
				return false
			}
		}
		return true
	})
	return p.Run
}

// settled waits until a reconciler has looked at every destination since: it
// begins a run of one that is made for that.
func (in *install) settled() {
	in.Helper()
	first := in.phase("probe").Run
	in.register("probe")
	reason := event.ReasonNewDestination
	if first != "" {
		reason = event.ReasonSpecChanged
	}
	second := in.begun("probe", reason, first)
	in.register("probe") // in the look that sees this, the one before is over
	in.begun("probe", event.ReasonSpecChanged, first, second)
}

func TestReconcilerNewDestination(t *testing.T) {
	in := newInstall(t)
	rev := in.register("d", everything)
	r := in.reconciler()
	run := in.begun("d", event.ReasonNewDestination)
	if p := in.phase("d"); p.Registered != rev {
		t.Errorf("the run covers revision %d, want %d", p.Registered, rev)
	}
	if got := in.asked(allRequests); !slices.Equal(got, requests(run)) {
		t.Errorf("it asked %q", got)
	}
	for part := range subject.Parts {
		m, err := in.bus.LastFor(t.Context(), subject.Ctl, subject.CtlClusterState("test", part, run, 1))
		if err != nil {
			t.Fatal(err)
		}
		q, err := event.Decode[event.Request](m.Data)
		want := event.Request{V: event.Version, Kind: event.RequestClusterState, Destination: key("d"), Part: part, Run: run, Attempt: 1, Registered: rev, Reason: event.ReasonNewDestination}
		if err != nil || q != want {
			t.Errorf("lane %d is asked for %+v, %v", part, q, err)
		}
	}
	if n := in.counted(r, "kubescribe_reconciler_runs_total", event.ReasonNewDestination); n != 1 {
		t.Errorf("%d runs are counted", n)
	}
	r.stop()
	in.noneLeft()
}

// TestReconcilerRestart: a destination that is reconciled stays so.
func TestReconcilerRestart(t *testing.T) {
	in := newInstall(t)
	rev := in.register("d", everything)
	live := event.PhaseRecord{Phase: event.LiveProcessing, Run: "run-1", Attempt: 1, Reason: event.ReasonNewDestination, Registered: rev}
	in.setPhase("d", live)
	for range 2 {
		r := in.reconciler()
		in.settled()
		if p := in.phase("d"); p.Run != "run-1" || p.Phase != event.LiveProcessing {
			t.Fatalf("a restart made the phase %+v", p)
		}
		for _, s := range requests("run-1") {
			if slices.Contains(in.asked(allRequests), s) {
				t.Errorf("a restart asked again: %s", s)
			}
		}
		r.stop()
	}
	in.noneLeft()
}

// TestReconcilerChangedSpec: one run for one change, whether the reconciler sees
// it happen or finds it.
func TestReconcilerChangedSpec(t *testing.T) {
	in := newInstall(t)
	rev := in.register("d", everything)
	in.setPhase("d", event.PhaseRecord{Phase: event.LiveProcessing, Run: "run-1", Attempt: 1, Registered: rev})
	r := in.reconciler()
	rev = in.register("d", event.Rule{Groups: []string{"apps"}, Resources: []string{"*"}})
	second := in.begun("d", event.ReasonSpecChanged, "run-1")
	if p := in.phase("d"); p.Registered != rev {
		t.Errorf("the run covers revision %d, want %d", p.Registered, rev)
	}
	in.settled()
	if p := in.phase("d"); p.Run != second {
		t.Errorf("one change began runs %s and %s", second, p.Run)
	}
	r.stop()

	in.register("d", everything)
	in.reconciler()
	third := in.begun("d", event.ReasonSpecChanged, "run-1", second)
	in.settled()
	if p := in.phase("d"); p.Run != third {
		t.Errorf("one change began runs %s and %s", third, p.Run)
	}
}

// TestReconcilerRequestedAgain: what a run had published before Git lost it, or
// before the folder was admitted, is not in Git. Another run begins.
func TestReconcilerRequestedAgain(t *testing.T) {
	for _, reason := range []string{event.ReasonHistoryRewritten, event.ReasonAdmitted} {
		in := newInstall(t)
		in.register("d", everything)
		in.reconciler()
		first := in.begun("d", event.ReasonNewDestination)
		q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: key("d"), Reason: reason}
		if err := in.bus.Ask(t.Context(), subject.CtlRun(key("d")), q); err != nil {
			t.Fatal(err)
		}
		in.begun("d", reason, first)
	}
}

// TestReconcilerRequested: asking for a run while one is under way is asking for
// that one.
func TestReconcilerRequested(t *testing.T) {
	const byHand = "Requested"
	in := newInstall(t)
	rev := in.register("d", everything)
	in.setPhase("d", event.PhaseRecord{Phase: event.LiveProcessing, Run: "run-1", Attempt: 1, Registered: rev})
	r := in.reconciler()
	ask := func() {
		t.Helper()
		q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: key("d"), Reason: byHand}
		if err := in.bus.Ask(t.Context(), subject.CtlRun(key("d")), q); err != nil {
			t.Fatal(err)
		}
	}
	answered := func() bool { return len(in.asked(subject.CtlRuns)) == 0 }
	ask()
	run := in.begun("d", byHand, "run-1")
	in.until("the request is answered", answered)
	for range 2 {
		ask()
		in.until("a further request is answered", answered)
	}
	if p := in.phase("d"); p.Run != run {
		t.Errorf("three requests began runs %s and %s", run, p.Run)
	}
	if got := in.asked(allRequests); !slices.Equal(got, requests(run)) {
		t.Errorf("it asked %q", got)
	}

	// Once that is over, a request begins another.
	p := in.phase("d")
	p.Phase = event.LiveProcessing
	in.setPhase("d", p)
	ask()
	in.begun("d", byHand, "run-1", run)

	// One for a destination that has left is answered, and begins nothing.
	q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: key("left"), Reason: event.ReasonAdmitted}
	if err := in.bus.Ask(t.Context(), subject.CtlRun(key("left")), q); err != nil {
		t.Fatal(err)
	}
	in.until("the request for one that has left is answered", answered)
	if p := in.phase("left"); p.Run != "" {
		t.Errorf("it began %+v", p)
	}
	r.stop()
	in.noneLeft()
}

// TestReconcilerCrashedBeforeItAsked: a run that stands in the bucket, and whose
// lanes were asked in part or not at all, is asked for by the next process.
func TestReconcilerCrashedBeforeItAsked(t *testing.T) {
	in := newInstall(t)
	rev := in.register("d", everything)
	in.setPhase("d", event.PhaseRecord{Phase: event.StartupReconcile, Run: "run-1", Attempt: 1, Reason: event.ReasonNewDestination, Registered: rev})
	q := event.Request{V: event.Version, Kind: event.RequestClusterState, Destination: key("d"), Part: 2, Run: "run-1", Attempt: 1, Reason: event.ReasonNewDestination}
	if err := in.bus.Ask(t.Context(), subject.CtlClusterState("test", 2, "run-1", 1), q); err != nil {
		t.Fatal(err)
	}
	in.reconciler()
	in.until("each lane is asked", func() bool { return slices.Equal(in.asked(allRequests), requests("run-1")) })
	in.settled()
	if p := in.phase("d"); p.Run != "run-1" || p.Reason != event.ReasonNewDestination {
		t.Errorf("the phase is %+v", p)
	}
}
