package model

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/watcher/index"
	lanemark "github.com/kubescribe/kubescribe/services/watcher/mark"
	"github.com/kubescribe/kubescribe/services/watcher/owing"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
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
			if w.untold(t) {
				put(settle, t, 0)
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
			case ln.frozen == nil && w.left.late > 0 && w.end(ln.states[0].epoch, w.side(l, subject.SideCluster)) == nil:
				put(freezeLate, l, 0)
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
			for t := range w.followers {
				if w.left.late > 0 && w.laneOf[t] == l && w.follows(t) {
					put(fetchLate, l, t)
					if w.left.lost > 0 {
						put(fetchLateLost, l, t)
					}
				}
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

// change is a message as an event of the product.
func (w *world) change(m message) event.Change {
	c := event.Change{Object: w.identity(m.object), Op: event.Update, Hash: m.content.hash(), ResourceVersion: strconv.Itoa(m.version)}
	if m.content == 0 {
		c.Op = event.Delete
	}
	return c
}

// the one destination's place in the watcher's selection.
var place = selection.Only(0)

// entryOf is a version as an index holds it.
func entryOf(v version, rv int) index.Entry {
	e := index.NewEntry(strconv.Itoa(v.uid), strconv.Itoa(rv))
	e.Add(place, index.DigestOf(v.hash()))
	return e
}

// nextOf is a version as it comes to an index, from a watch where resume is not "".
func nextOf(v version, rv int, resume string) index.Version {
	next := index.Version{RV: resume, Gone: v.content == 0}
	if !next.Gone {
		next.Entry = entryOf(v, rv)
	}
	return next
}

// publications are what is to be published of a version: one message, or nothing.
func publications(i index.Index, object int, next index.Version) []index.Publication {
	return i.Publications(nameOf(object), next, func() selection.Set { return place })
}

// list is the index of a type as the cluster is.
func (w *world) list(typ int) index.Index {
	idx := index.Index{}
	for o := range w.objects {
		if v, rv := w.stands(o, len(w.cluster)); w.objects[o].typ == typ && v.content != 0 {
			idx[nameOf(o)] = entryOf(v, rv)
		}
	}
	return idx
}

// listType lists a type: for the first time, and asks for a run that brings what is
// there unless one is to come; or for an index of what is being watched.
func (w *world) listType(typ int) {
	f := &w.followers[typ]
	f.list, f.listAt = w.list(typ), len(w.cluster)
	if f.at == none {
		w.askUnlessToCome(w.laneOf[typ], owing.Listed(f.lost, len(f.list) > 0))
	}
}

// askUnlessToCome asks for a run, if there is a reason, unless what a lane lists now comes
// by one that is under way or about to begin.
func (w *world) askUnlessToCome(l int, reason string) {
	if reason == event.ReasonTypeAppeared && lanemark.ToCome(w.rec, uint64(w.registry), w.newestMark(l)) {
		return
	}
	w.ask(reason)
}

func (w *world) ask(reason string) {
	if reason == "" {
		return
	}
	for i, waiting := range w.asked {
		if waiting == reason && (i > 0 || !w.handled) {
			return // that one will do
		}
	}
	w.asked = add(w.asked, reason)
}

// resource is who follows a type, as the debts know it.
type resource string

func (r resource) GroupResource() schema.GroupResource {
	return schema.GroupResource{Resource: string(r)}
}

func (resource) Version() string { return "v1" }

func (resource) Follows() string { return "" }

// touched are the types of a lane that are followed.
func (w *world) touched(l int) (all []int) {
	for t := range w.followers {
		if w.laneOf[t] == l && w.follows(t) {
			all = append(all, t)
		}
	}
	return all
}

// owe takes in what a lane's answer lacked, and asks for a run if some of that is there
// by now.
func (w *world) owe(l int, d owing.Debt[resource]) {
	d = d.Or(w.lanes[l].owed)
	w.lanes[l].owed = d
	for _, t := range w.touched(l) {
		if w.followers[t].index != nil && d.Lacks(resource(w.types[t])) {
			w.settleDebt(l, t)
		}
	}
}

// untold reports whether a type's index has come to be exact, and was missing before.
func (w *world) untold(typ int) bool {
	f := &w.followers[typ]
	return f.index != nil && !f.told && w.lanes[w.laneOf[typ]].owed.Lacks(resource(w.types[typ]))
}

// settleDebt asks for the run that brings a type which was missing.
func (w *world) settleDebt(l, typ int) {
	if w.broken != notOwed {
		w.askUnlessToCome(l, event.ReasonTypeAppeared)
	}
	ln := &w.lanes[l]
	ln.owed = ln.owed.Paid(resource(w.types[typ]))
}

// debtOf is what an answer lacked, which is of what was frozen here.
func (w *world) debtOf(l int, frozen *series) owing.Debt[resource] {
	var had []resource
	for _, t := range w.touched(l) {
		if name := w.types[t]; !slices.Contains(frozen.end.Incomplete, name) {
			had = append(had, resource(name))
		}
	}
	return owing.Of(seriesOf(frozen.epoch, frozen.side), frozen.end.Incomplete, had...)
}

// contents is the end of a lane's contents, nil if there is none.
func (w *world) contents(l int, of phase.Epoch) *event.End {
	if s := w.end(of, w.side(l, subject.SideContent)); s != nil {
		return &s.end
	}
	return nil
}

// recall is what the newest answer of a lane lacked, which was another process's.
func (w *world) recall(l int) owing.Debt[resource] {
	of, side := phase.RunOf(w.rec).Epoch, w.side(l, subject.SideCluster)
	var state *event.End
	if s := w.end(of, side); s != nil {
		state = &s.end
	}
	return owing.Recalled[resource](seriesOf(of, side), w.rec, state, w.contents(l, of))
}

func seriesOf(of phase.Epoch, side subject.Side) subject.Series {
	return subject.Series{Destination: key, Run: of.Run, Attempt: of.Attempt, Side: side}
}

func (w *world) keepFirst(typ int) {
	f := &w.followers[typ]
	f.at, f.bookmark, f.lost = f.listAt, f.listAt, false
	if f.since == none {
		f.since = f.at
	}
	f.index, f.list, f.seen, f.told = f.list, nil, nil, false
}

// catchList makes an index of a list, once the watch has passed it. Where nothing is owed
// there is nothing to tell of it.
func (w *world) catchList(typ int) {
	f := &w.followers[typ]
	_, rv := w.next(typ)
	if f.at != none && f.list != nil && (rv == 0 || rv > f.listAt || w.broken == earlyIndex) {
		f.index = index.Merge(maps.Clone(f.list), strconv.Itoa(f.listAt), f.seen)
		if w.broken != earlyIndex {
			f.at = max(f.at, f.listAt)
		}
		f.list, f.seen, f.told = nil, nil, false
	}
	f.told = f.index != nil && !w.untold(typ)
}

// deliver takes one event of a watch.
func (w *world) deliver(typ int, lost bool) {
	f := &w.followers[typ]
	v, rv := w.next(typ)
	next := nextOf(v, rv, strconv.Itoa(rv))
	if len(publications(f.index, v.object, next)) == 0 {
		f.at = rv
		return
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
		f.drop()
	case f.index == nil:
		seen := maps.Clone(f.seen)
		if seen == nil {
			seen = index.Overlay{}
		}
		seen[key] = next
		f.seen = seen
	default:
		all := publications(f.index, m.object, next)
		f.index = maps.Clone(f.index)
		f.index.Published(key, next, all[0])
	}
}

// drop forgets the index, and whatever was to become one.
func (f *follower) drop() { f.index, f.list, f.seen, f.told = nil, nil, nil, false }

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
		next := nextOf(v, rv, "")
		if next.Gone {
			rv = len(w.cluster)
		}
		if len(publications(f.index, o, next)) == 0 {
			continue
		}
		w.publish(typ, message{kind: change, object: o, content: v.content, version: rv, resume: f.at}, next, false)
		return
	}
	if w.broken != notSkipped {
		l := w.laneOf[typ]
		w.ask(owing.CaughtUp(w.rec, uint64(w.registry), w.newestMark(l), w.contents(l, phase.RunOf(w.rec).Epoch), resource(w.types[typ]).GroupResource()))
	}
	f.at, f.bookmark = len(w.cluster), len(w.cluster)
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
	return lanemark.Answer(w.rec, w.newestMark(l), requestOf(w.lanes[l].states[0].epoch))
}

func requestOf(of phase.Epoch) event.Request { return event.Request{Run: of.Run, Attempt: of.Attempt} }

// freezes reports whether a lane can do something about the first request for its
// state: freeze it once all its indexes are exact, or say that it will not.
func (w *world) freezes(l int) bool {
	if w.end(w.lanes[l].states[0].epoch, w.side(l, subject.SideCluster)) != nil {
		return false
	}
	return w.verdict(l) != lanemark.Carry || len(w.inexact(l)) == 0
}

// inexact names the types of a lane that have no index.
func (w *world) inexact(l int) (names []string) {
	for _, t := range w.touched(l) {
		if w.followers[t].index == nil {
			names = append(names, resource(w.types[t]).GroupResource().String())
		}
	}
	return names
}

// freeze takes a request for the state of a lane. Types without an index are missing from
// what it freezes: nobody waits for them any longer.
func (w *world) freeze(l int) {
	ln := &w.lanes[l]
	q := ln.states[0]
	switch w.verdict(l) {
	case lanemark.Drop:
		w.owe(l, w.recall(l)) // answered perhaps, and the acknowledgement lost until the run had closed
		ln.states = ln.states[1:]
	case lanemark.Fail:
		w.refuse(l, q.epoch)
		ln.states = ln.states[1:]
	case lanemark.Later:
		panic("a request before its attempt")
	case lanemark.Carry:
		ln.frozen = w.freezeLane(l, q.epoch)
		ln.frozen.end.Incomplete = w.inexact(l)
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
			hash, _ := e.Of(0)
			s.entries = append(s.entries, event.Entry{Path: w.paths[o], Hash: hash.String(), Version: e.Version})
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
	had := ln.frozen
	ln.frozen = nil
	if lost { // before anything else is done about it
		w.left.lost--
		return
	}
	switch {
	case had == nil: // answered before
		w.owe(l, w.recall(l))
	case owing.Owed(ln.states[0].reason, had.end):
		w.owe(l, w.debtOf(l, had))
	}
	ln.states = ln.states[1:]
}

// contentsOf is what a lane answers to a request for contents, nil if there is nothing to
// answer: those of the objects that still are what they were at the MARK, as many as
// there is room for: each is one byte. A type that is late is not to be had.
func (w *world) contentsOf(l int, q request, late int) *series {
	results := w.end(q.epoch, w.side(l, subject.SideResult))
	if results == nil || w.end(q.epoch, w.side(l, subject.SideContent)) != nil {
		return nil
	}
	s := series{epoch: q.epoch, side: w.side(l, subject.SideContent), at: map[string]content{}}
	for _, e := range results.entries { // in the order of paths
		o := w.objectAt(e.Path)
		typ := w.objects[o].typ
		v, _ := w.stands(o, len(w.cluster))
		is := typ != late && v.content != 0 && v.hash() == e.Hash
		switch {
		case e.What == event.ResultDelete:
			continue
		case s.end.Left.Count() > 0 || is && s.end.Bytes == q.room:
			s.end.Left = s.end.Left.With(e.What)
		case is:
			s.at[e.Path] = v.content
			s.end.Count++
			s.end.Bytes++
		case !slices.Contains(s.end.Skipped, w.types[typ]):
			s.end.Skipped = append(s.end.Skipped, w.types[typ])
		}
		if typ == late { // left or not: it was asked for all of them
			s.end.Incomplete = []string{w.types[late]}
		}
	}
	return &s
}

// fetch carries out a request for contents.
func (w *world) fetch(l, late int, lost bool) {
	ln := &w.lanes[l]
	q := ln.resources[0]
	if lanemark.Asked(w.rec, requestOf(q.epoch)) != lanemark.Carry && w.end(q.epoch, w.side(l, subject.SideContent)) == nil {
		w.owe(l, w.recall(l)) // as for a state
		ln.resources = ln.resources[1:]
		return
	}
	if s := w.contentsOf(l, q, late); s != nil {
		w.store(*s)
	}
	if lost { // before anything else is done about it
		w.left.lost--
		return
	}
	if end := w.contents(l, q.epoch); end != nil {
		w.lose(l, end.Incomplete)
	}
	ln.resources = ln.resources[1:]
}

// lose takes in what a lane's contents lacked, and has it listed anew.
func (w *world) lose(l int, types []string) {
	ln := &w.lanes[l]
	if len(types) == 0 || !owing.Owed(ln.resources[0].reason, event.End{}) {
		return
	}
	ln.owed = ln.owed.Lost(types)
	for _, t := range w.touched(l) {
		if ln.owed.Lacks(resource(w.types[t])) && w.followers[t].at != none {
			w.followers[t].drop()
		}
	}
}

// route hands on what is for the destination: what its rules selected for the watcher that
// wrote it. A router that dies has stored it or not,
// and remembers nothing.
func (w *world) route(l int) {
	ln := &w.lanes[l]
	m := ln.events[ln.routed]
	ln.routed++
	if m.kind == mark || w.selectedBy(w.destinations[m.written-1], m.object) {
		w.live = add(w.live, m)
	}
}

func (w *world) routeAtOnce(l int) {
	if !w.routers {
		w.lanes[l].known = w.registry
		w.route(l)
	}
}

// watcherDies leaves what is stored; the next one watches from there.
func (w *world) watcherDies() {
	for l := range w.lanes {
		w.lanes[l].frozen = nil
	}
	for t := range w.followers {
		w.resume(t)
	}
	for l := range w.lanes {
		w.lanes[l].owed = w.recall(l)
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
