package model

import (
	"fmt"
	"strings"

	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// what is a kind of step.
type what byte

const (
	// What the roles do.
	list what = iota // b: the answer counts
	keepFirst
	deliver
	gone
	settle
	freeze
	freezeLate
	answer
	fetch
	fetchLate // b: the type
	route
	learn // of the registry, by a router
	openStream
	take
	work
	show
	flush
	sees // of KS_PHASE, by a reconciler
	plans
	requested
	acknowledge
	writesTo
	keep
	look
	tell
	wake // of a process that was paused

	// What befalls them.
	surroundings
	clusterWrite
	deliverLost
	answerLost
	fetchLost
	fetchLateLost // b: the type
	acknowledgeLost
	watcherDies
	watcherPauses
	streamDies
	reconcilerDies
	writerDies
	writerPauses
	otherCommit
	driftCheck
	personAsks
	personCompares
	impatience
	rulesChange
	forgotten
)

// step is one thing that may happen next: what, to whom, how.
type step struct {
	what
	a, b int
}

// steps lists everything that may happen next. quiet is true if none of it is what
// a role does: everything has come to rest.
func (w *world) steps() (all []step, quiet bool) {
	if s, ok := w.alone(); ok {
		return []step{s}, false
	}
	put := func(k what, a, b int) { all = append(all, step{k, a, b}) }
	w.watcherSteps(put)
	w.streamSteps(put)
	w.reconcilerSteps(put)
	w.writerSteps(put)
	for i := range w.late {
		put(wake, i, 0)
	}
	quiet = len(all) == 0
	w.surroundingSteps(put)
	return all, quiet
}

// alone is a step that may as well be the next one: whatever else happens, before it
// or behind it, comes to the same.
func (w *world) alone() (step, bool) {
	if len(w.writers) == 1 && w.writers[0].looked == nil && w.left.foreign == 0 && w.left.writer == 0 && w.broken != noBarrier {
		b, ended := w.batch(0, all)
		switch {
		case b.Next() == ledger.Push:
			return step{writesTo, 0, w.writes(b)}, true // nobody looks before the next BARRIER
		case ended > 0 && w.end(w.write[ended-1].epoch, subject.SideRepo) != nil:
			return step{look, 0, ended}, true
		}
	}
	if len(w.streams) == 1 && !w.streams[0].open {
		return step{what: openStream}, true // nobody else writes to its ledger
	}
	for t, f := range w.followers {
		if w.left.writes == 0 && w.left.late == 0 && w.follows(t) && f.at != none && f.at >= w.oldest && f.index == nil && f.list == nil {
			return step{what: list, a: t}, true // there is nothing left to come between
		}
	}
	return step{}, false
}

// after is the world behind a step. The error says which invariant it breaks.
func (w *world) after(s step) (*world, error) {
	n := w.clone()
	err := n.do(s)
	if lost := n.holds(w.commits); lost != nil {
		err = lost
	}
	for t := range n.followers {
		n.catchList(t)
	}
	if len(n.reconcilers) == 1 {
		n.see(0) // at once: nobody else begins runs, and whatever its stream has done it will see
	}
	return n, err
}

func (w *world) do(s step) error {
	switch s.what {
	case list:
		w.listType(s.a)
	case keepFirst:
		w.keepFirst(s.a)
	case deliver, deliverLost:
		w.deliver(s.a, s.what == deliverLost)
	case gone:
		w.catchUp(s.a)
	case settle:
		w.settleDebt(w.laneOf[s.a], s.a)
	case freeze:
		w.freeze(s.a)
	case freezeLate:
		w.left.late--
		w.freeze(s.a)
	case answer, answerLost:
		w.answer(s.a, s.what == answerLost)
	case fetch, fetchLost:
		w.fetch(s.a, none, s.what == fetchLost)
	case fetchLate, fetchLateLost:
		w.left.late--
		w.fetch(s.a, s.b, s.what == fetchLateLost)
	case route:
		w.route(s.a)
	case learn:
		w.lanes[s.a].known = w.registry
	case openStream:
		w.openStream(s.a)
	case take:
		w.take(s.a)
	case work:
		w.work(s.a)
	case show:
		w.show(s.a)
	case flush:
		w.flush(s.a)
	case plans:
		w.plan(s.a, w.situation(s.a))
	case sees:
		w.see(s.a)
	case requested:
		w.requested()
	case acknowledge, acknowledgeLost:
		w.acknowledge(s.what == acknowledgeLost)
	case writesTo:
		return w.push(s.a, s.b)
	case keep:
		w.keep(s.a)
	case look:
		w.look(s.a, s.b)
	case tell:
		w.tell(s.a)
	case wake:
		w.wake(s.a)
	default:
		w.befall(s)
	}
	return nil
}

func (w *world) reconcilerName(i int) string { return oneOf(len(w.reconcilers), "reconciler", i) }

func (w *world) writerName(i int) string { return oneOf(len(w.writers), "git-writer", i) }

// oneOf is who is meant, of so many.
func oneOf(n int, role string, i int) string {
	if n == 1 {
		return "the " + role
	}
	return fmt.Sprintf("%s %d", role, i)
}

// words tells a step to a person who reads the trace.
func (w *world) words(s step) string {
	typ := func() string { return w.types[s.a] }
	switch s.what {
	case list:
		return "the watcher lists " + typ()
	case keepFirst:
		return "the watcher stores the position of its first list of " + typ()
	case deliver, deliverLost:
		v, rv := w.next(s.a)
		words := fmt.Sprintf("the watch delivers %s = %s, version %d", name(v.object), v.content, rv)
		if s.what == deliverLost {
			words += "; it is stored, and the answer is lost"
		}
		return words
	case gone:
		return "the watcher is told 410 for " + typ() + " and closes the gap"
	case freeze:
		return fmt.Sprintf("lane %d is frozen, and its MARK stored", s.a)
	case freezeLate:
		return fmt.Sprintf("lane %d is frozen without %v, and its MARK stored", s.a, w.inexact(s.a))
	case settle:
		return "the watcher has an index of " + typ() + ", which was missing"
	case answer:
		return fmt.Sprintf("lane %d answers with its state", s.a)
	case answerLost:
		return fmt.Sprintf("lane %d answers with its state, and the acknowledgement is lost", s.a)
	case fetch:
		return fmt.Sprintf("lane %d answers with contents", s.a)
	case fetchLost:
		return fmt.Sprintf("lane %d answers with contents, and the acknowledgement is lost", s.a)
	case fetchLate:
		return fmt.Sprintf("lane %d answers with contents, and %s is not to be had", s.a, w.types[s.b])
	case fetchLateLost:
		return fmt.Sprintf("lane %d answers with contents, and %s is not to be had, and the acknowledgement is lost", s.a, w.types[s.b])
	case route:
		return fmt.Sprintf("the router hands on %s of lane %d", w.lanes[s.a].events[w.lanes[s.a].routed].words, s.a)
	case learn:
		return fmt.Sprintf("the router of lane %d sees the new rules", s.a)
	case openStream:
		return fmt.Sprintf("stream %d opens its ledger", s.a)
	case take:
		return fmt.Sprintf("stream %d takes %s", s.a, w.live[w.streams[s.a].lead].words)
	case work:
		return fmt.Sprintf("stream %d takes results, or leaves a run", s.a)
	case show:
		return fmt.Sprintf("stream %d shows its phase", s.a)
	case flush:
		return fmt.Sprintf("stream %d stores its cursor", s.a)
	case plans:
		return w.reconcilerName(s.a) + ": " + w.planned(w.situation(s.a))
	case sees:
		return w.reconcilerName(s.a) + " sees what is in KS_PHASE"
	case requested:
		return "the reconciler takes a request for a run: " + w.asked[0]
	case acknowledge:
		return "the reconciler acknowledges it"
	case acknowledgeLost:
		return "the reconciler acknowledges it, which is lost"
	case writesTo:
		var said []string
		b, _ := w.batch(s.a, s.b)
		for _, m := range b.Writes() {
			said = append(said, m.words)
		}
		return w.writerName(s.a) + " pushes " + strings.Join(said, ", ")
	case keep:
		return w.writerName(s.a) + " keeps its position"
	case look:
		return w.writerName(s.a) + " looks at the repository for " + w.write[s.b-1].words
	case tell:
		return w.writerName(s.a) + " answers with what it saw"
	case wake:
		return "who was paused wakes and " + w.late[s.a].String()
	case clusterWrite:
		return fmt.Sprintf("somebody writes %s = %s", name(s.a), content(s.b))
	case watcherDies:
		return "the watcher dies, another takes over"
	case watcherPauses:
		return "the watcher is paused, another takes over"
	case streamDies:
		return fmt.Sprintf("stream %d dies", s.a)
	case reconcilerDies:
		return w.reconcilerName(s.a) + " dies"
	case writerDies:
		return w.writerName(s.a) + " dies, another takes over"
	case writerPauses:
		return w.writerName(s.a) + " is paused, another takes over"
	case otherCommit:
		return fmt.Sprintf("somebody commits %s = %s", w.paths[s.a], content(s.b))
	case driftCheck:
		return w.reconcilerName(s.a) + ": a drift check is due"
	case personAsks:
		return "a person asks for a run"
	case personCompares:
		return "a person asks for a comparison"
	case impatience:
		return w.reconcilerName(s.a) + " has waited long enough: " + w.planned(w.impatient(s.a))
	case rulesChange:
		return fmt.Sprintf("the rules change to %v", w.rules[w.registry])
	case forgotten:
		return "the API server forgets old versions"
	case surroundings:
	}
	return fmt.Sprintf("step %d", s.what)
}
