package model

import (
	"encoding/binary"
	"slices"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/watcher/index"
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
	e.ints(l.writes, l.watcher, l.stream, l.reconciler, l.writer, l.lost, l.paused, l.foreign, l.drifts, l.requests, l.impatient, l.changes, l.forget)
	e.ints(len(w.cluster))
	for _, v := range w.cluster {
		e.ints(v.object, int(v.content), v.uid)
	}
	e.ints(w.oldest, w.registry, w.runs)
	e.flag(w.exists)
	e.flag(w.unseen)
	e.flag(w.gap)
	for _, f := range w.followers {
		e.ints(f.bookmark, f.at, f.listAt, f.since)
		e.flag(f.lost)
		e.flag(f.denied)
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
	for _, ln := range w.lanes {
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
	e.ints(len(w.asked))
	for _, a := range w.asked {
		e.str(a)
	}
	e.str(string(w.rec.Phase))
	e.epoch(phase.RunOf(w.rec).Epoch)
	e.str(w.rec.Reason)
	e.str(w.rec.Next)
	e.ints(int(w.rec.Registered))
	e.flag(w.rec.Running())
	w.manySeries(e, w.snap)
	w.manySeries(e, w.late)
	for _, s := range w.streams {
		e.flag(s.open)
		e.flag(s.shown)
		e.ints(s.head, s.cursor, s.lead)
		e.str(s.state.String())
		for _, k := range s.recent {
			e.flag(k.is)
			e.ints(int(k.content))
		}
		for o := 0; s.passed != nil && o < len(w.objects); o++ {
			e.flag(s.passed.Has(w.paths[o]))
		}
	}
	r := w.reconciler
	e.epoch(r.epoch)
	e.ints(int(r.states), int(r.contents), int(r.comparison))
	e.ints(len(r.parts))
	e.ints(r.parts...)
	e.ints(len(r.wanted))
	e.ints(r.wanted...)
	e.str(r.failed)
	e.flag(r.handled)
	e.ints(w.writer.consumed)
	e.flag(w.writer.looked != nil)
	if w.writer.looked != nil {
		w.series(e, *w.writer.looked)
	}
	for _, f := range w.files {
		e.b = append(e.b, byte(f))
	}
	for _, c := range w.commits {
		e.ints(c.file, int(c.content), c.version, c.position)
		e.flag(c.foreign)
		e.flag(c.result)
	}
	return e.b
}

func (w *world) index(e *encoder, i index.Index) {
	e.flag(i != nil)
	for o := range w.objects {
		if v, ok := i[nameOf(o)]; ok {
			e.ints(o+1, int(v.Version), int(v.Hash[0]))
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
	e.ints(s.end.Wanted, len(s.end.Parts))
	e.ints(s.end.Parts...)
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
