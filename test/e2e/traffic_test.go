package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestRunsUnderTraffic: while 200 changes a second flow into a destination, it goes
// through runs that hold and runs that do not: an attempt that is replaced, a run that
// was asked for, one for other rules, and a drift check. Before each of them somebody
// else has changed files. Each run closes, Git equals the cluster in the end, and every
// version that the API server answered has its commit, in order, none twice, and so has
// every deletion, an eighth of the changes.
func TestRunsUnderTraffic(t *testing.T) {
	long(t)
	w := newWorld(t, cluster)
	ns, more := w.namespace(t, "traffic"), w.namespace(t, "more")
	for n := range 20 {
		w.apply(t, configMap(ns, fmt.Sprintf("still-%02d", n), "1"))
		w.apply(t, configMap(more, fmt.Sprintf("still-%02d", n), "1"))
	}
	r := newRaces(t, ns)
	r.settle(t, scope(ns)) // somebody else needs a branch to work on
	runs := r.watchRuns(t)
	flow := r.flow(t, ns)

	flow.during(t, "an attempt is replaced", func() {
		before := r.now(t)
		r.reach(t, beforeTheBarrier, before.Run, func() { r.ask(t, event.ReasonWatchGap) }) // the git-writer stands still
		rec := r.now(t)
		r.disfigure(t, ns, 0)
		won, err := r.bus.WriteSeries(r.series(rec, subject.SideRepo)).Close(within(t, stepLimit), event.End{Failed: "said by a test"})
		must(t, err)
		if !won {
			t.Fatal("somebody else has answered before")
		}
		await(t, "another attempt", func() bool { return r.now(t).Attempt > rec.Attempt })
		must(t, r.running["git-writer"].Resume())
		r.closed(t, before.Run)
	})
	flow.during(t, "somebody asks", func() {
		before := r.now(t)
		r.paused(t, "git-writer", func() { r.disfigure(t, ns, 1) })
		r.ask(t, event.ReasonRequested)
		r.closed(t, before.Run)
	})
	flow.during(t, "the rules change", func() {
		before := r.now(t)
		r.paused(t, "git-writer", func() { r.disfigure(t, ns, 2) })
		r.interval = "10s"
		r.mirror(t, mirror{"live", []string{ns, more}})
		r.again(t, "watcher")
		r.closed(t, before.Run)
	})
	flow.during(t, "the drift check", func() {
		before := r.now(t)
		r.paused(t, "git-writer", func() { r.disfigure(t, ns, 3) })
		r.closed(t, before.Run)
	})

	writes := flow.stop(t)
	must(t, r.awaitVersions(within(t, stepLimit), "", writes...))
	r.sentinel(t, ns)
	r.settle(t, scope(ns, more))
	r.others.check(t, r.world)
	history := r.history(t)
	report(t, harness.Versions(history, writes))
	report(t, harness.Deletions(history, writes))
	runs.check(t, event.ReasonWatchGap, event.ReasonRequested, event.ReasonSpecChanged, event.ReasonDriftCheck)
}

// beforeTheBarrier is when the git-writer has yet to take a run's BARRIER.
var beforeTheBarrier = instants[slices.IndexFunc(instants, func(at instant) bool { return at.name == "before the barrier" })]

// paused has a service stand still while something is done.
func (r *races) paused(t *testing.T, service string, do func()) {
	t.Helper()
	must(t, r.running[service].Pause())
	defer func() { must(t, r.running[service].Resume()) }()
	do()
}

// disfigure changes, removes and adds a file of a namespace, as somebody else.
func (r *races) disfigure(t *testing.T, ns string, n int) {
	t.Helper()
	dir := "live/" + ns + "/configmaps/"
	name := func(i int) string { return fmt.Sprintf("%sstill-%02d.yaml", dir, 3*n+i) }
	r.others.pull(t)
	r.others.remove(t, name(0))
	r.others.commit(t, map[string]string{"apps/note.txt": fmt.Sprint(n)})
	r.others.disfigure(t, map[string]string{
		name(1):                                 "data: {value: theirs}\n",
		fmt.Sprintf("%sorphan-%d.yaml", dir, n): configMap(ns, fmt.Sprintf("orphan-%d", n), "1"),
	})
	r.others.push(t)
}

// flow is traffic beside a test.
type flow struct {
	harness.Traffic
	begun  time.Time
	end    chan struct{}
	done   chan struct{}
	writes []harness.Written
	err    error
}

// flow begins with the 200 changes a second.
func (r *races) flow(t *testing.T, ns string) *flow {
	t.Helper()
	f := &flow{Traffic: harness.Traffic{Namespace: ns, Objects: 100, Rate: 200}, begun: time.Now(), end: make(chan struct{}), done: make(chan struct{})}
	ctx := within(t, 4*stepLimit)
	go func() {
		defer close(f.done)
		f.writes, f.err = f.Run(ctx, f.end, r.cfg)
	}()
	t.Cleanup(func() { <-f.done }) // its context ends with the test
	return f
}

// during does something, in the middle of which changes have to be flowing.
func (f *flow) during(t *testing.T, what string, do func()) {
	t.Helper()
	before, begun := f.Answered(), time.Now()
	await(t, "changes to flow", func() bool { return f.Answered() > before })
	before = f.Answered()
	do()
	n := f.Answered() - before
	t.Logf("%s: %d changes in %s", what, n, time.Since(begun).Round(time.Millisecond))
	if n < 20 {
		t.Errorf("%s: only %d changes came in the middle", what, n)
	}
}

// stop ends the traffic, and fails the test unless half of it at least came in time: what
// the API server did not take has not been tested.
func (f *flow) stop(t *testing.T) []harness.Written {
	t.Helper()
	close(f.end)
	<-f.done
	must(t, f.err)
	rate := float64(len(f.writes)) / time.Since(f.begun).Seconds()
	t.Logf("%d changes, %.0f a second", len(f.writes), rate)
	if rate < float64(f.Rate)/2 {
		t.Errorf("%.0f changes came in a second, and it wants %d", rate, f.Rate)
	}
	return f.writes
}

// runsSeen is what KS_PHASE has shown of a destination's runs.
type runsSeen struct {
	mu     sync.Mutex
	reason map[string]string // by run; guarded by mu
	closed map[string]uint64 // the attempt that was; guarded by mu
}

// watchRuns follows KS_PHASE until the test ends.
func (r *races) watchRuns(t *testing.T) *runsSeen {
	t.Helper()
	s := &runsSeen{reason: map[string]string{}, closed: map[string]uint64{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- r.phases.Watch(ctx, func(e bus.Entry[event.PhaseRecord]) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.reason[e.Record.Run] = e.Record.Reason
			if !e.Record.Running() {
				s.closed[e.Record.Run] = e.Record.Attempt
			}
			return nil
		}, func() error { return nil })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("runs were not watched to the end: %v", err)
		}
	})
	return s
}

// check waits until every run has closed, and fails the test unless one was because of
// each reason, and one closed with another attempt than its first.
func (s *runsSeen) check(t *testing.T, reasons ...string) {
	t.Helper()
	await(t, "every run to close", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.closed) == len(s.reason)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	again := false
	for run, attempt := range s.closed {
		reasons = slices.DeleteFunc(reasons, func(r string) bool { return r == s.reason[run] })
		again = again || attempt > 1
	}
	if len(reasons) > 0 || !again {
		t.Errorf("no run was because of %v; one with several attempts: %t", reasons, again)
	}
}
