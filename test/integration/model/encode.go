package model

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/shared/event"
)

// encoder writes a world down, so that worlds in which the same can happen are the
// same bytes.
type encoder struct{ b []byte }

func (e *encoder) ints(v ...int) {
	for _, i := range v {
		e.b = binary.AppendVarint(e.b, int64(i))
	}
}

func (e *encoder) str(s string) {
	e.ints(len(s))
	e.b = append(e.b, s...)
}

func (e *encoder) strs(all []string) {
	e.ints(len(all))
	for _, s := range all {
		e.str(s)
	}
}

func (e *encoder) record(rec event.PhaseRecord, exists bool) {
	e.flag(exists)
	e.str(string(rec.Phase))
	e.epoch(phase.RunOf(rec).Epoch)
	e.str(rec.Reason)
	e.str(rec.Next)
	e.ints(int(rec.Registered))
	e.flag(rec.Running())
	e.outcome(rec.Outcome)
}

func (e *encoder) outcome(o *event.Outcome) {
	if o == nil {
		o = &event.Outcome{}
	}
	e.strs(o.Incomplete)
	e.strs(o.Skipped)
	if e.flag(o.Continues); o.Continues {
		e.ints(o.Before.Created + o.Before.Updated + o.Created + o.Updated)
	}
}

func (e *encoder) flag(f bool) {
	if f {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) epoch(p phase.Epoch) {
	e.str(p.Run)
	e.ints(int(p.Attempt))
}

func (w *world) encode(b []byte) []byte {
	e := &encoder{b}
	l := w.left
	e.ints(l.writes, l.watcher, l.stream, l.reconciler, l.writer, l.lost, l.paused, l.foreign, l.late, l.drifts, l.requests, l.compares, l.impatient, l.changes, l.forget)
	e.ints(len(w.cluster))
	for _, v := range w.cluster {
		e.ints(v.object, int(v.content), v.uid)
	}
	e.ints(w.oldest, w.registry, w.runs)
	e.flag(w.unseen)
	e.flag(w.gap)
	for _, f := range w.followers {
		e.ints(f.bookmark, f.at, f.listAt, f.since)
		e.flag(f.lost)
		e.flag(f.told)
		w.index(e, f.index)
		w.index(e, f.list)
		e.flag(f.seen != nil)
		for o := range w.objects {
			if v, ok := f.seen[nameOf(o)]; ok {
				e.ints(o, int(v.Version))
				e.str(v.RV)
				e.flag(v.Gone)
			}
		}
	}
	e.flag(w.handled)
	for _, ln := range w.lanes {
		e.epoch(phase.Epoch{Run: ln.owed.Of.Run, Attempt: ln.owed.Of.Attempt})
		for _, t := range w.types {
			e.flag(ln.owed.Lacks(resource(t)))
		}
		e.messages(ln.events)
		e.ints(ln.routed, ln.known)
		e.requests(ln.states)
		e.requests(ln.resources)
		e.flag(ln.frozen != nil)
		if ln.frozen != nil {
			w.series(e, *ln.frozen)
		}
	}
	e.messages(w.live)
	e.messages(w.write)
	e.strs(w.asked)
	e.record(w.rec, w.exists)
	w.manySeries(e, w.snap)
	w.lates(e)
	for _, s := range w.streams {
		e.flag(s.open)
		e.flag(s.shown)
		e.ints(s.head, s.cursor, s.lead)
		e.str(s.state.String())
		for _, last := range s.recent {
			used := last.Known && (last.Of == s.state.Epoch || w.broken == longMemory)
			e.flag(used)
			if used {
				e.str(last.Hash)
			}
		}
		for o := 0; s.passed != nil && o < len(w.objects); o++ {
			e.flag(s.passed.Has(w.paths[o]))
		}
	}
	for _, r := range w.reconcilers {
		e.flag(r.rev != w.rev)
		if r.rev != w.rev {
			e.record(r.rec, r.exists)
		}
		e.epoch(r.epoch)
		e.ints(int(r.states), int(r.contents), int(r.comparison))
		e.ints(len(r.parts))
		e.ints(r.parts...)
		e.ints(len(r.wanted))
		e.ints(slices.Sorted(maps.Keys(r.wanted))...)
		e.str(r.failed)
	}
	e.ints(w.hint)
	for _, wr := range w.writers {
		e.ints(wr.consumed, wr.asked, len(w.commits)-wr.base, w.hint-wr.hint)
		e.flag(wr.unkept)
		e.flag(wr.looked != nil)
		if wr.looked != nil {
			w.series(e, *wr.looked)
		}
	}
	for _, f := range w.files {
		e.b = append(e.b, byte(f))
	}
	for _, c := range w.commits {
		position := c.position
		if !w.readAgain() {
			position = 0 // nobody will look at it
		}
		e.ints(c.file, int(c.content), c.version, position)
		e.flag(c.foreign)
		e.flag(c.result)
	}
	return e.b
}

func (w *world) index(e *encoder, i index.Index) {
	e.flag(i != nil)
	for o := range w.objects {
		if v, ok := i[nameOf(o)]; ok {
			hash, _ := v.Of(0)
			e.ints(o+1, int(v.Version), int(hash[0]))
			e.str(string(v.UID))
		}
	}
	e.ints(0)
}

func (e *encoder) messages(all []message) {
	e.ints(len(all))
	for _, m := range all {
		e.str(m.words)
		e.ints(m.resume, m.written, m.cursor)
		e.str(m.said)
	}
}

func (e *encoder) requests(all []request) {
	e.ints(len(all))
	for _, q := range all {
		e.epoch(q.epoch)
		e.ints(q.room)
	}
}

func (w *world) lates(e *encoder) {
	e.ints(len(w.late))
	for _, l := range w.late {
		e.ints(int(l.does), l.at, l.value)
		e.requests([]request{l.asked})
		w.series(e, l.answer)
	}
}

// manySeries writes series down in an order of their own: they may have come in any.
func (w *world) manySeries(e *encoder, all []series) {
	var each []string
	for _, s := range all {
		var one encoder
		w.series(&one, s)
		each = append(each, string(one.b))
	}
	slices.Sort(each)
	e.ints(len(each))
	for _, s := range each {
		e.str(s)
	}
}

func (w *world) series(e *encoder, s series) {
	e.epoch(s.epoch)
	e.str(string(s.side))
	e.str(s.end.Failed)
	e.flag(s.end.Dry)
	e.ints(s.end.Wanted, s.end.Bytes, s.end.Left.Created, s.end.Left.Updated, len(s.end.Parts))
	e.ints(s.end.Parts...)
	e.strs(s.end.Incomplete)
	e.strs(s.end.Skipped)
	e.outcome(s.end.Outcome)
	e.ints(len(s.entries))
	for _, n := range s.entries {
		e.str(n.Path)
		e.str(n.Hash[:min(len(n.Hash), 1)])
		e.ints(int(n.Version), int(n.What))
	}
	for o := range w.objects {
		e.ints(int(s.at[w.paths[o]]))
	}
	e.ints(s.upTo...)
}
