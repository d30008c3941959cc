package model

import (
	"strconv"

	"github.com/kubescribe/kubescribe/shared/event"
)

// surroundingSteps are what befalls the roles, as long as the scene allows it.
func (w *world) surroundingSteps(put func(what, int, int)) {
	left := &w.left
	for o, what := range w.objects {
		if left.writes == 0 || what.orphan {
			continue
		}
		switch v, _ := w.stands(o, len(w.cluster)); v.content {
		case 0:
			put(clusterWrite, o, 'a')
		case 'a':
			put(clusterWrite, o, 'b')
			put(clusterWrite, o, 'a') // of the status
			put(clusterWrite, o, 0)
		default:
			put(clusterWrite, o, 'a')
			put(clusterWrite, o, 0)
		}
	}
	if left.watcher > 0 {
		put(watcherDies, 0, 0)
		if left.paused > 0 {
			w.lateWatcher(func(does lateKind, at int) { put(watcherPauses, int(does), at) })
		}
	}
	for i := range w.streams {
		if left.stream > 0 && w.streams[i].open {
			put(streamDies, i, 0)
		}
	}
	for i := range w.reconcilers {
		if left.reconciler > 0 {
			put(reconcilerDies, i, 0)
		}
		if left.drifts > 0 && !w.unseen && w.drifts(i) {
			put(driftCheck, i, 0)
		}
		if left.impatient > 0 && w.givesUp(i) {
			put(impatience, i, 0)
		}
	}
	for i := range w.writers {
		if left.writer > 0 {
			put(writerDies, i, 0)
			if left.paused > 0 && w.writers[i].looked != nil {
				put(writerPauses, i, 0)
			}
		}
	}
	if left.foreign > 0 {
		for o := range w.objects {
			if w.files[o] != theirs {
				put(otherCommit, o, int(theirs))
			}
			if v, _ := w.stands(o, len(w.cluster)); w.files[o] != v.content && v.content != 0 {
				put(otherCommit, o, int(v.content))
			}
			if w.files[o] != 0 {
				put(otherCommit, o, 0)
			}
		}
	}
	if left.requests > 0 {
		put(personAsks, 0, 0)
	}
	if left.compares > 0 {
		put(personCompares, 0, 0)
	}
	if left.changes > 0 && w.registry < len(w.destinations) {
		put(rulesChange, 0, 0)
	}
	if left.forget > 0 && w.oldest < len(w.cluster) {
		put(forgotten, 0, 0)
	}
}

func (w *world) befall(s step) {
	left := &w.left
	switch s.what {
	case clusterWrite:
		left.writes--
		v, _ := w.stands(s.a, len(w.cluster))
		if v.content == 0 {
			v.uid++
		}
		v.content = content(s.b)
		w.cluster = add(w.cluster, v)
	case watcherDies, watcherPauses:
		left.watcher--
		if s.what == watcherPauses {
			left.paused--
			w.pauseWatcher(lateKind(s.a), s.b)
		}
		w.watcherDies()
	case streamDies:
		left.stream--
		w.streams[s.a] = stream{}
	case reconcilerDies:
		left.reconciler--
		w.reconcilers[s.a] = reconciler{}
	case writerDies, writerPauses:
		left.writer--
		if s.what == writerPauses {
			left.paused--
		}
		w.writerDies(s.a, s.what == writerPauses)
	case otherCommit:
		left.foreign--
		w.files = with(w.files, s.a, content(s.b))
		w.commits = add(w.commits, commit{file: s.a, content: content(s.b), foreign: true})
		w.unseen = true
	case driftCheck:
		if !w.unseen {
			left.drifts--
		}
		w.plan(s.a, w.drifting(s.a))
	case personAsks:
		left.requests--
		w.ask(event.ReasonRequested)
	case personCompares:
		left.compares--
		w.ask(event.ReasonCompare)
	case impatience:
		left.impatient--
		w.plan(s.a, w.impatient(s.a))
	case rulesChange:
		left.changes--
		w.registry++
		for t := range w.followers {
			switch {
			case w.broken == listAnew:
				w.followers[t] = follower{at: none, bookmark: none, since: w.followers[t].since}
			case !w.follows(t): // nobody follows it any more
				w.resume(t)
			}
		}
	case forgotten:
		left.forget--
		w.oldest = len(w.cluster)
	default:
		panic("nobody knows how to do step " + strconv.Itoa(int(s.what)))
	}
}
