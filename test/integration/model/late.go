package model

import (
	"fmt"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	lanemark "github.com/kubescribe/kubescribe/services/watcher/mark"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// late is what a process that was paused may yet do, when another has taken over: what
// needs no lane, for that refuses it.
type late struct {
	does   lateKind
	answer series
	asked  request
	at     int // lane; or, of a bookmark, type
	value  int // of a bookmark
}

type lateKind int

const (
	lateAnswer   lateKind = iota // of a watcher that froze a lane, or a git-writer that looked
	lateRefusal                  // of a request for a lane's state, if somebody else has frozen it
	lateContents                 // for a request that was in its hands
	lateBookmark
)

func (l late) String() string {
	switch l.does {
	case lateAnswer:
		return "stores " + string(l.answer.side)
	case lateRefusal:
		return fmt.Sprintf("carries out a request for the state of lane %d", l.at)
	case lateContents:
		return fmt.Sprintf("reads contents of lane %d", l.at)
	case lateBookmark:
		return fmt.Sprintf("stores version %d as a bookmark", l.value)
	}
	return "does nothing"
}

// lateWatcher lists what a watcher that is paused now may do later, of which a play takes
// one.
func (w *world) lateWatcher(put func(lateKind, int)) {
	for l, ln := range w.lanes {
		if ln.frozen != nil {
			put(lateAnswer, l)
		}
		if len(ln.states) > 0 {
			put(lateRefusal, l)
		}
		if len(ln.resources) > 0 {
			put(lateContents, l)
		}
	}
	for t, f := range w.followers {
		if f.at != none && f.at != f.bookmark {
			put(lateBookmark, t)
		}
	}
}

// pauseWatcher keeps one of those for later.
func (w *world) pauseWatcher(does lateKind, at int) {
	l := late{does: does, at: at}
	switch does {
	case lateAnswer:
		l.answer = *w.lanes[at].frozen
	case lateRefusal:
		l.asked = w.lanes[at].states[0]
	case lateContents:
		l.asked = w.lanes[at].resources[0]
	case lateBookmark:
		l.value = w.followers[at].at
	}
	w.late = add(w.late, l)
}

func (w *world) wake(i int) {
	l := w.late[i]
	w.late = append(w.late[:i:i], w.late[i+1:]...)
	switch l.does {
	case lateAnswer:
		w.store(l.answer)
	case lateRefusal:
		q := requestOf(l.asked.epoch)
		looked := event.PhaseRecord{Run: q.Run, Attempt: q.Attempt} // before it was paused
		if lanemark.Answer(looked, w.newestMark(l.at), q) == lanemark.Fail {
			w.refuse(l.at, l.asked.epoch)
		}
	case lateContents:
		if s := w.contentsOf(l.at, l.asked, none); s != nil { // read, and not stored yet
			w.late = add(w.late, late{does: lateAnswer, answer: *s})
		}
	case lateBookmark:
		w.followers[l.at].bookmark = l.value
	}
}

// refuse answers that a lane was frozen by somebody who did not say how.
func (w *world) refuse(l int, of phase.Epoch) {
	w.store(series{epoch: of, side: w.side(l, subject.SideCluster), end: event.End{Failed: "frozen by somebody else"}})
}
