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

// reconciler is what one knows of KS_PHASE, which may be behind, and what it remembers of
// the attempt that it knows of.
type reconciler struct {
	rec    event.PhaseRecord
	exists bool
	rev    int

	epoch      phase.Epoch
	states     uint64 // lanes asked
	contents   uint64
	comparison plan.Comparison
	parts      []int
	wanted     map[int]event.Wanted
	outcome    event.Outcome
	failed     string
}

func (w *world) reconcilerSteps(put func(what, int, int)) {
	for i := range w.reconcilers {
		if w.reconcilers[i].rev != w.rev {
			put(sees, i, 0)
		}
		if a := plan.Next(w.situation(i)); a.Kind != plan.Wait && !w.refused(i, a) {
			put(plans, i, 0)
		}
		if w.unseen && w.drifts(i) {
			put(driftCheck, i, 0)
		}
	}
	switch {
	case w.handled:
		put(acknowledge, 0, 0)
		if w.left.lost > 0 {
			put(acknowledgeLost, 0, 0)
		}
	case len(w.asked) > 0:
		put(requested, 0, 0)
	}
}

// see brings what a reconciler knows of KS_PHASE up to date. What it did in an attempt
// that is over is dropped.
func (w *world) see(i int) {
	r := &w.reconcilers[i]
	if of := phase.RunOf(w.rec).Epoch; r.epoch != of {
		*r = reconciler{epoch: of}
	}
	r.rec, r.exists, r.rev = w.rec, w.exists, w.rev
}

// put writes KS_PHASE.
func (w *world) put(rec event.PhaseRecord) { w.rec, w.exists, w.rev = rec, true, w.rev+1 }

// refused reports whether the bus refuses what a reconciler wants to do, for being
// behind. It will see.
func (w *world) refused(i int, a plan.Action) bool {
	r := &w.reconcilers[i]
	switch a.Kind {
	case plan.Begin, plan.Retry:
		return r.rev != w.rev
	case plan.Purge: // it looks
		return r.rec.Run != w.rec.Run || w.rec.Running()
	default:
		return false
	}
}

func (w *world) situation(i int) plan.Situation {
	r := &w.reconcilers[i]
	s := plan.Situation{
		Now: now, Key: key, Registered: true, Revision: uint64(w.registry), Exists: r.exists, Record: r.rec,
		Ends: map[subject.Side]event.End{}, Series: len(w.snap) > 0,
		AskedStates: bits(r.states), AskedContents: bits(r.contents), Comparison: r.comparison, Wanted: slices.Sorted(maps.Keys(r.wanted)), Room: w.room, Failed: r.failed, Progress: now,
	}
	if s.Room == 0 {
		s.Room = len(w.objects) + 1
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
func (w *world) drifting(i int) plan.Situation {
	s := w.situation(i)
	s.Interval = 1
	return s
}

func (w *world) impatient(i int) plan.Situation {
	s := w.situation(i)
	s.Progress = time.Time{}
	return s
}

// drifts reports whether a reconciler begins a drift check once the interval is over,
// gives up whether it makes another attempt once it has waited long enough.
func (w *world) drifts(i int) bool {
	a := plan.Next(w.drifting(i))
	return a.Reason == event.ReasonDriftCheck && !w.refused(i, a)
}

func (w *world) givesUp(i int) bool {
	a := plan.Next(w.impatient(i))
	return a.Kind == plan.Retry && !w.refused(i, a) && plan.Next(w.situation(i)).Kind == plan.Wait
}

var kinds = map[plan.Kind]string{
	plan.Begin: "begins a run", plan.AskStates: "asks for states", plan.Compare: "compares", plan.AskContents: "asks for contents", plan.Leave: "leaves contents",
	plan.HandIn: "hands in the results", plan.Retry: "makes another attempt", plan.Purge: "removes the series",
}

func (w *world) planned(s plan.Situation) string {
	a := plan.Next(s)
	return fmt.Sprintf("%s %s", kinds[a.Kind], a.Reason)
}

// plan has a reconciler do the next thing that the plan says.
func (w *world) plan(i int, s plan.Situation) {
	a := plan.Next(s)
	r := &w.reconcilers[i]
	switch a.Kind {
	case plan.Begin:
		w.begin(a.Reason)
		w.see(i)
	case plan.AskStates:
		l := slices.Index(w.parts, a.Parts[0])
		r.states |= 1 << a.Parts[0]
		w.lanes[l].states = r.request(w.lanes[l].states, 0)
	case plan.AskContents:
		l := slices.Index(w.parts, a.Parts[0])
		r.contents |= 1 << a.Parts[0]
		w.lanes[l].resources = r.request(w.lanes[l].resources, a.Room)
	case plan.Leave:
		w.store(series{epoch: r.epoch, side: subject.SideContent(a.Parts[0]), end: event.End{Left: r.wanted[a.Parts[0]]}})
	case plan.Compare:
		w.compare(r)
	case plan.HandIn:
		out := plan.Outcome(r.rec, r.outcome, s.Ends, false)
		out.Continues = out.Continues && w.broken != noMore
		w.store(series{epoch: r.epoch, side: subject.SideRun, end: event.End{Parts: r.parts, Outcome: &out, Dry: plan.Dry(r.rec.Reason)}})
	case plan.Retry:
		was := r.epoch
		w.purge(func(e phase.Epoch) bool { return e == was })
		w.put(plan.Again(r.rec, time.Time{}))
		w.see(i)
	case plan.Purge:
		w.purge(func(phase.Epoch) bool { return true })
	case plan.Wait, plan.Remove:
	}
}

// request adds a request to those of a lane: one message a subject.
func (r *reconciler) request(all []request, room int) []request {
	q := request{r.epoch, int(r.rec.Registered), r.rec.Reason, room}
	if slices.Contains(all, q) {
		return all
	}
	return add(all, q)
}

func (w *world) begin(reason string) {
	w.runs++
	run := plan.Run{ID: fmt.Sprintf("r%d", w.runs), Reason: reason}
	w.put(run.Record(w.rec, w.destination(), uint64(w.registry)))
	w.unseen = w.unseen && plan.Dry(reason) // which repairs nothing
}

// compare merges the states of the attempt, and stores the results.
func (w *world) compare(r *reconciler) {
	cfg := diff.Config{
		Run: r.epoch.Run, Prune: w.destination().Prune,
		Part: func(group, resource string) int { return subject.Part(cluster, group, resource) },
	}
	lanes := map[int]diff.State{}
	for _, part := range r.rec.Parts {
		s := w.end(r.epoch, subject.SideCluster(part))
		cfg.Incomplete = append(cfg.Incomplete, s.end.Incomplete...)
		lanes[part] = stateOf(s.entries)
	}
	found := map[int][]event.Entry{}
	wanted := map[int]event.Wanted{}
	out, err := diff.Merge(cfg, lanes, stateOf(w.end(r.epoch, subject.SideRepo).entries), func(part int, e event.Entry) error {
		found[part] = append(found[part], e)
		if e.What != event.ResultDelete {
			wanted[part] = wanted[part].With(e.What)
		}
		return nil
	})
	if err != nil {
		r.failed = err.Error()
		return
	}
	r.comparison, r.parts, r.wanted, r.outcome = plan.Compared, slices.Sorted(maps.Keys(found)), wanted, out
	for _, part := range r.parts {
		w.store(series{epoch: r.epoch, side: subject.SideResult(part), entries: found[part], end: event.End{Wanted: wanted[part].Count()}})
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
	w.handled = true
	a := plan.Requested(w.rec, w.exists, uint64(w.registry), event.Request{Reason: w.asked[0]})
	switch a.Verdict {
	case plan.Start:
		w.begin(a.Reason)
	case plan.Queue:
		w.put(a.Record)
	case plan.Drop:
	}
}

func (w *world) acknowledge(lost bool) {
	w.handled = false
	if lost {
		w.left.lost--
		return
	}
	w.asked = w.asked[1:]
}
