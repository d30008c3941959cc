package model

import (
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func (w *world) streamSteps(put func(what, int, int)) {
	for i := range w.streams {
		s := &w.streams[i]
		switch {
		case !s.open:
			put(openStream, i, 0)
			continue
		case !s.shown:
			put(show, i, 0)
			continue
		}
		taken := len(w.live) > s.lead && (!s.state.Holds() || w.broken == resultsLast || w.broken == noHold)
		if taken {
			put(take, i, 0)
		}
		if _, _, ok := w.worked(i); ok {
			put(work, i, 0)
		} else if !taken && s.lead > s.cursor {
			put(flush, i, 0)
		}
	}
}

// openStream reads where the ledger stands, and what passed during the run that is
// under way.
func (w *world) openStream(i int) {
	s := stream{open: true, head: len(w.write), recent: make([]phase.Last, len(w.objects)), passed: &phase.Passed{}}
	if s.head > 0 {
		last := w.write[s.head-1]
		s.cursor, s.lead, s.state = last.cursor, last.cursor, last.state
	}
	s.shown = !w.shows(s.state)
	if s.state.Step != phase.Idle {
		run, was := s.state.Began()
		for seq := int(s.state.From); seq <= s.cursor; seq++ {
			m := w.live[seq-1]
			var fx phase.Effects
			if was, fx = phase.Next(was, w.input(seq, run)); fx.Remember {
				s.passed = w.remember(s.passed, m.object)
			}
		}
		if was.Epoch != s.state.Epoch || was.Marked() != s.state.Marked() {
			s.passed.Fill()
		}
	}
	w.streams[i] = s
}

// current is the run that the reconciler asks for. MARKs begin none that has closed.
func (w *world) current() phase.Run {
	if !w.rec.Running() {
		return phase.Run{}
	}
	return phase.RunOf(w.rec)
}

// input is message seq of KS_LIVE as the machine is fed it.
func (w *world) input(seq int, current phase.Run) phase.Input {
	m := w.live[seq-1]
	part := w.parts[m.lane]
	if m.kind == mark {
		return phase.Mark{Part: part, Of: m.epoch, Seq: uint64(seq), Current: current}
	}
	return phase.Change{Part: part}
}

// remember adds an object to a copy of what passed.
func (w *world) remember(p *phase.Passed, object int) *phase.Passed {
	n := &phase.Passed{}
	for _, path := range w.paths {
		if p.Has(path) {
			n.Add(path)
		}
	}
	if p.Full() {
		n.Fill()
	}
	if w.broken != noPassed {
		n.Add(w.paths[object])
	}
	return n
}

// commit stores outputs, the state and the cursor by compare-and-swap on the newest
// message. Who is behind is refused, and opens its ledger again.
func (w *world) commit(i int, s stream, outputs ...message) {
	if w.streams[i].head != len(w.write) {
		w.streams[i] = stream{}
		return
	}
	if len(outputs) == 0 {
		outputs = []message{w.said(message{kind: checkpoint})}
	}
	last := &outputs[len(outputs)-1]
	last.cursor, last.state, last.said = s.lead, s.state, s.state.String()
	w.write = add(w.write, outputs...)
	s.head, s.cursor = len(w.write), s.lead
	s.shown = !w.shows(s.state)
	w.streams[i] = s
}

// take consumes the next message of KS_LIVE.
func (w *world) take(i int) {
	s := w.streams[i]
	s.lead++
	m := w.live[s.lead-1]
	was := s.state
	var fx phase.Effects
	s.state, fx = phase.Next(s.state, w.input(s.lead, w.current()))
	if fx.Forget {
		s.passed = &phase.Passed{}
	}
	switch {
	case m.kind == mark && fx.Barrier:
		w.commit(i, s, w.said(message{kind: barrier, epoch: s.state.Epoch}))
	case m.kind == mark && s.state == was, m.kind == change && fx.Hold && w.broken == noHold:
		w.streams[i] = s // nothing is stored: the cursor leads
	case m.kind == mark:
		w.commit(i, s)
	default:
		w.forward(i, s, m, fx)
	}
}

func (w *world) forward(i int, s stream, m message, fx phase.Effects) {
	last := s.recent[m.object]
	if w.broken == longMemory {
		last.Of = s.state.Epoch
	}
	if phase.FateOf(w.change(m), s.state, fx, last, event.PruneAlways) != phase.Forwarded {
		w.streams[i] = s
		return
	}
	s.recent = with(s.recent, m.object, forwarded(s.state, m))
	if fx.Remember {
		s.passed = w.remember(s.passed, m.object)
	}
	w.commit(i, s, m)
}

// forwarded is what is remembered of a message.
func forwarded(st phase.State, m message) phase.Last {
	return phase.Last{Known: true, Of: st.Epoch, Hash: m.content.hash()}
}

// flush stores a cursor that leads.
func (w *world) flush(i int) { w.commit(i, w.streams[i]) }

// work leaves a run that another has replaced, or takes results: one write at a time,
// which is the smallest batch there is.
func (w *world) work(i int) {
	s, outputs, _ := w.worked(i)
	if !s.open { // it has to look again
		w.streams[i] = s
		return
	}
	w.commit(i, s, outputs...)
}

func (w *world) worked(i int) (s stream, outputs []message, ok bool) {
	s = w.streams[i]
	if s.state.Step == phase.Idle {
		return s, nil, false
	}
	if next, fx := phase.Next(s.state, phase.Superseded{By: phase.RunOf(w.rec).Epoch}); fx.Forget {
		s.state, s.passed = next, &phase.Passed{}
		return s, nil, true
	}
	if s.state.Behind(w.rec) {
		return stream{}, nil, true
	}
	run := w.end(s.state.Epoch, subject.SideRun)
	if run == nil || s.state.Step == phase.Marking || (w.broken == resultsLast && s.lead < len(w.live)) {
		return s, nil, false
	}
	st, fx := phase.Next(s.state, phase.Results{Of: s.state.Epoch, Dry: run.end.Dry})
	if run.end.Dry && fx.Forget {
		s.state, s.passed = st, &phase.Passed{}
		return s, nil, true
	}
	if !fx.Apply {
		return s, nil, false
	}
	if s.passed.Full() {
		panic("more has passed than there is")
	}
	results, whole := w.results(run)
	if !whole {
		return s, nil, false
	}
	applied := phase.Applied{Last: true, Continues: run.end.Outcome.Continues}
	for _, r := range results[st.Done:] {
		due := r.kind == change
		if due && s.passed.Has(w.paths[r.object]) {
			due = false
			applied.Late++
		}
		if due && len(outputs) > 0 {
			applied.Last = false
			break
		}
		if due {
			outputs = append(outputs, w.said(r))
			s.recent = with(s.recent, r.object, forwarded(s.state, r))
		}
		applied.Taken++
	}
	s.state, fx = phase.Next(st, applied)
	if fx.Forget {
		s.passed = &phase.Passed{}
	}
	return s, outputs, true
}

// results are the results of a run as writes; a checkpoint stands for one that has no
// content: something newer is behind the MARK.
func (w *world) results(run *series) (all []message, whole bool) {
	for l, part := range w.parts {
		found := w.end(run.epoch, subject.SideResult(part))
		contents := w.end(run.epoch, subject.SideContent(part))
		has := false
		for _, p := range run.end.Parts {
			has = has || p == part
		}
		if !has {
			continue
		}
		if found == nil || (found.end.Wanted > 0 && contents == nil) {
			return nil, false
		}
		for _, e := range found.entries {
			m := message{kind: checkpoint, lane: l, object: w.objectAt(e.Path), version: int(e.Version), epoch: run.epoch, result: true}
			if e.What == event.ResultDelete {
				m.kind = change
				m.version = none // of a type that the rules do not touch any more: no lane was frozen for it
				if state := w.end(run.epoch, subject.SideCluster(part)); state != nil {
					m.version = state.upTo[w.objects[m.object].typ]
				}
			} else if c := contents.at[e.Path]; c != 0 {
				m.kind, m.content = change, c
			}
			all = append(all, m)
		}
	}
	return all, true
}

func (w *world) objectAt(path string) int {
	for o, p := range w.paths {
		if p == path {
			return o
		}
	}
	panic("no object at " + path)
}

// shows reports whether KS_PHASE has yet to say what a state means.
func (w *world) shows(st phase.State) bool {
	if st.Epoch == (phase.Epoch{}) || phase.RunOf(w.rec).Epoch != st.Epoch {
		return false
	}
	return w.rec.Phase != st.Phase() || (st.Closed && w.rec.Closed.IsZero())
}

func (w *world) show(i int) {
	s := &w.streams[i]
	s.shown = true
	if !w.shows(s.state) {
		return
	}
	rec := w.rec
	rec.Phase = s.state.Phase()
	if s.state.Closed && rec.Closed.IsZero() {
		rec.Closed = closed
		if s.state.Settled {
			rec.Outcome = nil
			if run := w.end(s.state.Epoch, subject.SideRun); run != nil {
				rec.Outcome = run.end.Outcome
			}
			if !rec.Continues() {
				rec.Settled = closed
			}
		}
	}
	w.put(rec)
}
