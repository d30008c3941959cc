package model

import (
	"fmt"
	"maps"
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/watcher/index"
	lanemark "github.com/kubescribe/kubescribe/services/watcher/mark"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func name(object int) string { return "o" + strconv.Itoa(object) }

func pathOf(resource string, object int) string {
	return manifest.Identity{Resource: resource, Namespace: "n", Name: name(object)}.Path()
}

func nameOf(object int) types.NamespacedName {
	return types.NamespacedName{Namespace: "n", Name: name(object)}
}

func (w *world) watcherSteps(put func(what, int, int)) {
	for t := range w.followers {
		f := &w.followers[t]
		if !w.follows(t) {
			continue
		}
		_, rv := w.next(t)
		switch {
		case f.at == none && f.list == nil:
			put(list, t, 0)
		case f.at == none:
			put(keepFirst, t, 0)
		case f.at < w.oldest:
			put(gone, t, 0)
		default:
			if rv > 0 {
				put(deliver, t, 0)
				if w.left.lost > 0 {
					put(deliverLost, t, 0)
				}
			}
			if f.index == nil && f.list == nil {
				put(list, t, 0)
			}
		}
	}
	for l := range w.lanes {
		ln := &w.lanes[l]
		if ln.routed < len(ln.events) && ln.known >= ln.events[ln.routed].written {
			put(route, l, 0)
		}
		if w.routers && ln.known < w.registry {
			put(learn, l, 0)
		}
		if len(ln.states) > 0 {
			switch {
			case ln.frozen == nil && w.freezes(l):
				put(freeze, l, 0)
			case ln.frozen != nil || w.end(ln.states[0].epoch, w.side(l, subject.SideCluster)) != nil:
				put(answer, l, 0)
				if w.left.lost > 0 && ln.frozen != nil {
					put(answerLost, l, 0)
				}
			}
		}
		if len(ln.resources) > 0 {
			put(fetch, l, 0)
			if w.left.lost > 0 {
				put(fetchLost, l, 0)
			}
		}
	}
}

func (w *world) side(l int, of func(int) subject.Side) subject.Side { return of(w.parts[l]) }

// next is the version that the watch of a type delivers next, and its number.
func (w *world) next(typ int) (version, int) {
	for rv := w.followers[typ].at + 1; rv <= len(w.cluster); rv++ {
		if v := w.cluster[max(rv, 1)-1]; rv > 0 && w.objects[v.object].typ == typ {
			return v, rv
		}
	}
	return version{}, 0
}

// change is a version as an event of the product.
func (w *world) change(v version, rv int) event.Change {
	c := event.Change{Object: w.identity(v.object), Op: event.Update, Hash: v.hash(), UID: strconv.Itoa(v.uid), ResourceVersion: strconv.Itoa(rv)}
	if v.content == 0 {
		c.Op = event.Delete
	}
	return c
}

// list is the index of a type as the cluster is.
func (w *world) list(typ int) index.Index {
	idx := index.Index{}
	for o := range w.objects {
		if v, rv := w.stands(o, len(w.cluster)); w.objects[o].typ == typ && v.content != 0 {
			idx[nameOf(o)] = index.EntryOf(w.change(v, rv))
		}
	}
	return idx
}

// listType lists a type: for the first time, and asks for a run that brings what is
// there unless one is to come; or for an index of what is being watched.
func (w *world) listType(typ int) {
	f := &w.followers[typ]
	f.list, f.listAt = w.list(typ), len(w.cluster)
	if f.at != none {
		return
	}
	if f.lost {
		w.ask(event.ReasonWatchGap)
		return
	}
	newest := w.newestMark(w.laneOf[typ])
	if len(f.list) > 0 && !lanemark.ToCome(w.rec, uint64(w.registry), newest) {
		w.ask(event.ReasonTypeAppeared)
	}
}

func (w *world) ask(reason string) {
	for i, waiting := range w.asked {
		if waiting == reason && (i > 0 || !w.reconciler.handled) {
			return // that one will do
		}
	}
	w.asked = add(w.asked, reason)
}

func (w *world) keepFirst(typ int) {
	f := &w.followers[typ]
	f.at, f.bookmark, f.lost = f.listAt, f.listAt, false
	if f.since == none {
		f.since = f.at
	}
	f.index, f.list, f.seen = f.list, nil, nil
}

// settle makes an index of a list, once the watch has passed it.
func (w *world) settle(typ int) {
	f := &w.followers[typ]
	if _, rv := w.next(typ); f.at == none || f.list == nil || (rv > 0 && rv <= f.listAt) {
		return
	}
	f.index = index.Merge(maps.Clone(f.list), strconv.Itoa(f.listAt), f.seen)
	f.at = max(f.at, f.listAt)
	f.list, f.seen = nil, nil
}

// deliver takes one event of a watch.
func (w *world) deliver(typ int, lost bool) {
	f := &w.followers[typ]
	v, rv := w.next(typ)
	next := index.Version{RV: strconv.Itoa(rv), Gone: v.content == 0}
	if !next.Gone {
		next.Entry = index.EntryOf(w.change(v, rv))
		if known, had := f.index[nameOf(v.object)]; had && known.Same(next.Entry) {
			f.at = rv
			return
		}
	}
	w.publish(typ, message{kind: change, object: v.object, content: v.content, version: rv, resume: rv}, next, lost)
	if !lost {
		f.at = rv
	}
}

// publish stores a change in its lane, and changes the index in the same turn. With
// the answer lost nothing is known of the index.
func (w *world) publish(typ int, m message, next index.Version, lost bool) {
	f := &w.followers[typ]
	l := w.laneOf[typ]
	m.lane = l
	stored := false // under the same ID
	for _, e := range w.lanes[l].events {
		stored = stored || (e.kind == change && e.object == m.object && e.version == m.version && e.content == m.content)
	}
	if !stored {
		w.lanes[l].events = add(w.lanes[l].events, w.said(m))
		w.routeAtOnce(l)
	}
	switch key := nameOf(m.object); {
	case lost:
		w.left.lost--
		f.index, f.list, f.seen = nil, nil, nil
	case f.index == nil:
		seen := maps.Clone(f.seen)
		if seen == nil {
			seen = index.Overlay{}
		}
		seen[key] = next
		f.seen = seen
	default:
		idx := maps.Clone(f.index)
		if idx[key] = next.Entry; next.Gone {
			delete(idx, key)
		}
		f.index = idx
	}
}

// catchUp is after a 410: with an index, what differs from it is published, one in
// each step; without, the type is listed as for the first time.
func (w *world) catchUp(typ int) {
	f := &w.followers[typ]
	w.gap = true
	if f.index == nil {
		*f = follower{bookmark: f.bookmark, at: none, lost: true, since: f.since}
		return
	}
	for o := range w.objects {
		v, rv := w.stands(o, len(w.cluster))
		if w.objects[o].typ != typ {
			continue
		}
		known, had := f.index[nameOf(o)]
		next := index.Version{Gone: v.content == 0}
		if next.Gone && !had {
			continue
		}
		if next.Gone {
			rv = len(w.cluster)
		} else if next.Entry = index.EntryOf(w.change(v, rv)); had && known.Same(next.Entry) {
			continue
		}
		w.publish(typ, message{kind: change, object: o, content: v.content, version: rv, resume: f.at}, next, false)
		return
	}
	if f.denied {
		w.ask(event.ReasonWatchGap)
	}
	f.at, f.bookmark, f.denied = len(w.cluster), len(w.cluster), false
}

// newestMark is the newest MARK in a lane.
func (w *world) newestMark(l int) event.Mark {
	events := w.lanes[l].events
	for i := len(events) - 1; i >= 0; i-- {
		if e := events[i]; e.kind == mark {
			return event.Mark{Run: e.epoch.Run, Attempt: e.epoch.Attempt}
		}
	}
	return event.Mark{}
}

func (w *world) verdict(l int) lanemark.Verdict {
	q := w.lanes[l].states[0]
	return lanemark.Answer(w.newestMark(l), event.Request{Run: q.epoch.Run, Attempt: q.epoch.Attempt})
}

// freezes reports whether a lane can do something about the first request for its
// state: freeze it once all its indexes are exact, or say that it will not.
func (w *world) freezes(l int) bool {
	if w.end(w.lanes[l].states[0].epoch, w.side(l, subject.SideCluster)) != nil {
		return false
	}
	for t := range w.followers {
		if w.laneOf[t] == l && w.follows(t) && w.followers[t].index == nil && w.verdict(l) == lanemark.Freeze {
			return false
		}
	}
	return true
}

func (w *world) freeze(l int) {
	ln := &w.lanes[l]
	q := ln.states[0]
	switch w.verdict(l) {
	case lanemark.Drop:
		ln.states = ln.states[1:]
	case lanemark.Fail:
		w.store(series{epoch: q.epoch, side: w.side(l, subject.SideCluster), end: event.End{Failed: "frozen by somebody else"}})
		ln.states = ln.states[1:]
	case lanemark.Freeze:
		ln.frozen = w.freezeLane(l, q.epoch)
		ln.events = add(ln.events, w.said(message{kind: mark, lane: l, epoch: q.epoch}))
		w.routeAtOnce(l)
	}
}

// freezeLane is what the lane has published of all objects that are selected.
func (w *world) freezeLane(l int, of phase.Epoch) *series {
	s := series{epoch: of, side: w.side(l, subject.SideCluster)}
	for _, f := range w.followers {
		s.upTo = append(s.upTo, f.at)
	}
	for _, o := range w.order {
		if o == len(w.objects) || w.laneOf[w.objects[o].typ] != l || !w.selects(o) {
			continue
		}
		if e, ok := w.followers[w.objects[o].typ].index[nameOf(o)]; ok {
			s.entries = append(s.entries, event.Entry{Path: w.paths[o], Hash: e.Hash.String(), Version: e.Version})
		}
	}
	return &s
}

func (w *world) answer(l int, lost bool) {
	ln := &w.lanes[l]
	if ln.frozen != nil {
		s := *ln.frozen
		if w.broken == noMark {
			s.entries = w.freezeLane(l, s.epoch).entries
		}
		w.store(s)
	}
	ln.frozen = nil
	if lost {
		w.left.lost--
		return
	}
	ln.states = ln.states[1:]
}

// fetch answers with the contents of those objects that still are what they were at
// the MARK.
func (w *world) fetch(l int, lost bool) {
	ln := &w.lanes[l]
	of := ln.resources[0].epoch
	if results := w.end(of, w.side(l, subject.SideResult)); results != nil {
		s := series{epoch: of, side: w.side(l, subject.SideContent), at: map[string]content{}}
		for o, path := range w.paths[:len(w.objects)] {
			v, _ := w.stands(o, len(w.cluster))
			for _, e := range results.entries {
				switch {
				case e.Path != path || e.What == event.ResultDelete:
				case v.content != 0 && v.hash() == e.Hash:
					s.at[path] = v.content
				default:
					w.followers[w.objects[o].typ].denied = true
				}
			}
		}
		w.store(s)
	}
	if lost {
		w.left.lost--
		return
	}
	ln.resources = ln.resources[1:]
}

// route hands on what the destination wants. A router that dies has stored it or not,
// and remembers nothing.
func (w *world) route(l int) {
	ln := &w.lanes[l]
	m := ln.events[ln.routed]
	ln.routed++
	if m.kind == mark || w.destinations[ln.known-1].Selects(cluster, w.identity(m.object)) {
		w.live = add(w.live, m)
	}
}

func (w *world) routeAtOnce(l int) {
	if !w.routers {
		w.lanes[l].known = w.registry
		w.route(l)
	}
}

// watcherDies leaves what is stored; the next one watches from there. One that was
// only paused may still store the answer that it holds.
func (w *world) watcherDies(paused bool) {
	for l := range w.lanes {
		if s := w.lanes[l].frozen; s != nil && paused {
			w.late = add(w.late, *s)
		}
		w.lanes[l].frozen = nil
	}
	for t := range w.followers {
		w.resume(t)
	}
}

func (w *world) resume(typ int) {
	was := w.followers[typ]
	f := follower{bookmark: was.bookmark, at: was.bookmark, since: was.since}
	if f.bookmark != none {
		for _, e := range w.lanes[w.laneOf[typ]].events {
			if e.kind == change && w.objects[e.object].typ == typ {
				f.at = max(was.bookmark, e.resume)
			}
		}
	}
	w.followers[typ] = f
}

// said gives a message its words.
func (w *world) said(m message) message {
	m.written = w.registry
	switch m.kind {
	case change:
		m.words = fmt.Sprintf("%s=%s@%d", name(m.object), m.content, m.version)
		if m.result {
			m.words += fmt.Sprintf(" of %s.%d", m.epoch.Run, m.epoch.Attempt)
		}
	case mark:
		m.words = fmt.Sprintf("MARK %d %s.%d", m.lane, m.epoch.Run, m.epoch.Attempt)
	case barrier:
		m.words = fmt.Sprintf("BARRIER %s.%d", m.epoch.Run, m.epoch.Attempt)
	case checkpoint:
		m.words = "checkpoint"
	}
	return m
}
