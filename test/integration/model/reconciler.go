package model

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/services/reconciler/diff"
	"github.com/kubescribe/kubescribe/services/reconciler/plan"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Everything has happened at one moment, and all waits of the plan are over by now;
// that of who waits for somebody else ends by a step of its own.
var (
	closed = time.Unix(1, 0).UTC()
	now    = time.Unix(1e6, 0).UTC()
)

// reconciler is what it remembers of the newest attempt.
type reconciler struct {
	epoch      phase.Epoch
	states     uint64 // lanes asked
	contents   uint64
	comparison plan.Comparison
	parts      []int
	wanted     []int
	failed     string
	handled    bool // the first request for a run, not yet acknowledged
}

func (w *world) reconcilerSteps(put func(what, int, int)) {
	if plan.Next(w.situation()).Kind != plan.Wait {
		put(plans, 0, 0)
	}
	switch {
	case w.reconciler.handled:
		put(acknowledge, 0, 0)
		if w.left.lost > 0 {
			put(acknowledgeLost, 0, 0)
		}
	case len(w.asked) > 0:
		put(requested, 0, 0)
	}
	if w.unseen && plan.Next(w.drifting()).Reason == event.ReasonDriftCheck {
		put(driftCheck, 0, 0)
	}
}

// memory is what the reconciler remembers of the attempt that is under way.
func (w *world) memory() reconciler {
	if of := phase.RunOf(w.rec).Epoch; w.reconciler.epoch != of {
		return reconciler{epoch: of, handled: w.reconciler.handled}
	}
	return w.reconciler
}

func (w *world) situation() plan.Situation {
	r := w.memory()
	s := plan.Situation{
		Now: now, Key: key, Registered: true, Revision: uint64(w.registry), Exists: w.exists, Record: w.rec,
		Ends: map[subject.Side]event.End{}, Series: len(w.snap) > 0,
		AskedStates: bits(r.states), AskedContents: bits(r.contents), Comparison: r.comparison, Wanted: r.wanted, Failed: r.failed, Progress: now,
	}
	for _, e := range w.snap {
		if e.epoch == r.epoch {
			s.Ends[e.side] = e.end
		}
	}
	return s
}

func bits(b uint64) map[int]bool {
	m := map[int]bool{}
	for i := range 64 {
		if b&(1<<i) != 0 {
			m[i] = true
		}
	}
	return m
}

// drifting is the situation once the interval is over, impatient once whoever is
// waited for has had its time.
func (w *world) drifting() plan.Situation {
	s := w.situation()
	s.Interval = 1
	return s
}

func (w *world) impatient() plan.Situation {
	s := w.situation()
	s.Progress = time.Time{}
	return s
}

var kinds = map[plan.Kind]string{
	plan.Begin: "begins a run", plan.AskStates: "asks for states", plan.Compare: "compares", plan.AskContents: "asks for contents",
	plan.HandIn: "hands in the results", plan.Retry: "makes another attempt", plan.Purge: "removes the series",
}

func (w *world) planned(s plan.Situation) string {
	a := plan.Next(s)
	return fmt.Sprintf("%s %s", kinds[a.Kind], a.Reason)
}

// plan does the next thing that the plan says.
func (w *world) plan(s plan.Situation) {
	a := plan.Next(s)
	w.reconciler = w.memory()
	r := &w.reconciler
	switch a.Kind {
	case plan.Begin:
		w.begin(a.Reason)
	case plan.AskStates:
		l := slices.Index(w.parts, a.Parts[0])
		r.states |= 1 << a.Parts[0]
		w.lanes[l].states = w.request(w.lanes[l].states)
	case plan.AskContents:
		l := slices.Index(w.parts, a.Parts[0])
		r.contents |= 1 << a.Parts[0]
		w.lanes[l].resources = w.request(w.lanes[l].resources)
	case plan.Compare:
		w.compare()
	case plan.HandIn:
		w.store(series{epoch: r.epoch, side: subject.SideRun, end: event.End{Parts: r.parts}})
	case plan.Retry:
		w.purge(func(e phase.Epoch) bool { return e == r.epoch })
		w.rec = plan.Again(w.rec, time.Time{})
	case plan.Purge:
		w.purge(func(phase.Epoch) bool { return true })
	case plan.Wait, plan.Remove:
	}
}

// request adds a request to those of a lane: one message a subject.
func (w *world) request(all []request) []request {
	q := request{w.reconciler.epoch, int(w.rec.Registered)}
	if slices.Contains(all, q) {
		return all
	}
	return add(all, q)
}

func (w *world) begin(reason string) {
	w.runs++
	run := plan.Run{ID: fmt.Sprintf("r%d", w.runs), Reason: reason}
	w.rec = run.Record(w.rec, w.destination(), uint64(w.registry))
	w.exists, w.unseen = true, false
}

// compare merges the states of the attempt, and stores the results.
func (w *world) compare() {
	r := &w.reconciler
	cfg := diff.Config{
		Run: r.epoch.Run, Prune: w.destination().Prune,
		Part: func(group, resource string) int { return subject.Part(cluster, group, resource) },
	}
	lanes := map[int]diff.State{}
	for _, part := range w.rec.Parts {
		s := w.end(r.epoch, subject.SideCluster(part))
		cfg.Incomplete = append(cfg.Incomplete, s.end.Incomplete...)
		lanes[part] = stateOf(s.entries)
	}
	found := map[int][]event.Entry{}
	wants := map[int]int{}
	_, err := diff.Merge(cfg, lanes, stateOf(w.end(r.epoch, subject.SideRepo).entries), func(part int, e event.Entry) error {
		found[part] = append(found[part], e)
		if e.What != event.ResultDelete {
			wants[part]++
		}
		return nil
	})
	if err != nil {
		r.failed = err.Error()
		return
	}
	r.comparison, r.parts, r.wanted = plan.Compared, slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(wants))
	for _, part := range r.parts {
		w.store(series{epoch: r.epoch, side: subject.SideResult(part), entries: found[part], end: event.End{Wanted: wants[part]}})
	}
}

func stateOf(entries []event.Entry) diff.State {
	return func(yield func(event.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// purge removes the series and the requests of attempts.
func (w *world) purge(of func(phase.Epoch) bool) {
	var snap []series
	for _, s := range w.snap {
		if !of(s.epoch) {
			snap = append(snap, s)
		}
	}
	w.snap = snap
	keep := func(all []request) (kept []request) {
		for i, q := range all {
			if i == 0 || !of(q.epoch) { // the first may be in somebody's hands
				kept = append(kept, q)
			}
		}
		return kept
	}
	for l := range w.lanes {
		ln := &w.lanes[l]
		ln.states, ln.resources = keep(ln.states), keep(ln.resources)
	}
}

// requested takes the first request for a run.
func (w *world) requested() {
	w.reconciler.handled = true
	a := plan.Requested(w.rec, w.exists, uint64(w.registry), event.Request{Reason: w.asked[0]})
	switch a.Verdict {
	case plan.Start:
		w.begin(a.Reason)
	case plan.Queue:
		w.rec = a.Record
	case plan.Drop:
	}
}

func (w *world) acknowledge(lost bool) {
	w.reconciler.handled = false
	if lost {
		w.left.lost--
		return
	}
	w.asked = w.asked[1:]
}
