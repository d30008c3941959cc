package model

import (
	"fmt"

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
	freeze
	answer
	fetch
	route
	learn // of the registry, by a router
	openStream
	take
	work
	show
	flush
	plans
	requested
	acknowledge
	writes
	look
	tell
	wake // of a process that was paused: its answer is stored

	// What befalls them.
	surroundings
	clusterWrite
	deliverLost
	answerLost
	fetchLost
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
	if i := w.writer.consumed; i < len(w.write) && w.writer.looked == nil && w.left.foreign == 0 && w.left.writer == 0 && w.broken != noBarrier {
		if m := w.write[i]; m.kind != barrier || w.end(m.epoch, subject.SideRepo) != nil {
			return step{what: writes}, true // nobody looks before the next BARRIER
		}
	}
	if len(w.streams) == 1 && !w.streams[0].open {
		return step{what: openStream}, true // nobody else writes to its ledger
	}
	for t, f := range w.followers {
		if w.left.writes == 0 && w.follows(t) && f.at != none && f.at >= w.oldest && f.index == nil && f.list == nil {
			return step{what: list, a: t}, true // there is nothing left to come between
		}
	}
	return step{}, false
}

// after is the world behind a step. The error says which invariant it breaks.
func (w *world) after(s step) (*world, error) {
	n := w.clone()
	err := n.do(s)
	for t := range n.followers {
		n.settle(t)
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
	case freeze:
		w.freeze(s.a)
	case answer, answerLost:
		w.answer(s.a, s.what == answerLost)
	case fetch, fetchLost:
		w.fetch(s.a, s.what == fetchLost)
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
		w.plan(w.situation())
	case requested:
		w.requested()
	case acknowledge, acknowledgeLost:
		w.acknowledge(s.what == acknowledgeLost)
	case writes:
		return w.writes()
	case look:
		w.look(s.a)
	case tell:
		w.answerBarrier()
	case wake:
		w.store(w.late[s.a])
		w.late = append(w.late[:s.a:s.a], w.late[s.a+1:]...)
	default:
		w.befall(s)
	}
	return nil
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
	case answer:
		return fmt.Sprintf("lane %d answers with its state", s.a)
	case answerLost:
		return fmt.Sprintf("lane %d answers with its state, and the acknowledgement is lost", s.a)
	case fetch:
		return fmt.Sprintf("lane %d answers with contents", s.a)
	case fetchLost:
		return fmt.Sprintf("lane %d answers with contents, and the acknowledgement is lost", s.a)
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
		return "the reconciler: " + w.planned(w.situation())
	case requested:
		return "the reconciler takes a request for a run: " + w.asked[0]
	case acknowledge:
		return "the reconciler acknowledges it"
	case acknowledgeLost:
		return "the reconciler acknowledges it, which is lost"
	case writes:
		if m := w.write[w.writer.consumed]; m.kind == change {
			return "the git-writer pushes " + m.words
		}
		return "the git-writer goes on behind " + w.write[w.writer.consumed].words
	case look:
		return "the git-writer looks at the repository for " + w.write[s.a].words
	case tell:
		return "the git-writer answers with what it saw"
	case wake:
		return "who was paused wakes and stores " + string(w.late[s.a].side)
	case clusterWrite:
		return fmt.Sprintf("somebody writes %s = %s", name(s.a), content(s.b))
	case watcherDies:
		return "the watcher dies, another takes over"
	case watcherPauses:
		return "the watcher is paused, another takes over"
	case streamDies:
		return fmt.Sprintf("stream %d dies", s.a)
	case reconcilerDies:
		return "the reconciler dies"
	case writerDies:
		return "the git-writer dies, another takes over"
	case writerPauses:
		return "the git-writer is paused, another takes over"
	case otherCommit:
		return fmt.Sprintf("somebody commits %s = %s", w.paths[s.a], content(s.b))
	case driftCheck:
		return "the reconciler: a drift check is due"
	case personAsks:
		return "a person asks for a run"
	case impatience:
		return "the reconciler has waited long enough: " + w.planned(w.impatient())
	case rulesChange:
		return fmt.Sprintf("the rules change to %v", w.rules[w.registry])
	case forgotten:
		return "the API server forgets old versions"
	case surroundings:
	}
	return fmt.Sprintf("step %d", s.what)
}
