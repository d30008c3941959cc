package model

import (
	"errors"
	"fmt"

	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/event"
)

// rest checks a world in which no role has anything to do: that all of them have come
// to their ends, that Git equals the cluster (I5), that every version is there, once and
// in order (I1–I4), and that other people's files are (I8). What is checked of each
// commit as it is made is in [world.admits]; of each step, in [world.holds]: nothing that
// was pushed is gone (I7, I8).
func (w *world) rest() error {
	if err := w.stuck(); err != nil {
		return err
	}
	for o := range w.objects {
		v, rv := w.stands(o, len(w.cluster))
		want := v.content
		if !w.selects(o) {
			want = 0
		}
		if got := w.files[o]; got != want {
			return fmt.Errorf("I5: %s is %s in the repository, and %s in the cluster, version %d", w.paths[o], got, want, rv)
		}
		if err := w.versions(o); err != nil {
			return err
		}
	}
	if w.files[len(w.objects)] != theirs {
		return errors.New("I8: somebody else's file is gone")
	}
	return nil
}

// stuck reports that something waits, and nobody will do anything about it.
func (w *world) stuck() error {
	switch {
	case !w.exists || w.rec.Running():
		return fmt.Errorf("stuck: run %s, attempt %d has not closed", w.rec.Run, w.rec.Attempt)
	case w.rec.Phase != event.LiveProcessing:
		return fmt.Errorf("stuck: the phase is %s", w.rec.Phase)
	case len(w.asked) > 0:
		return errors.New("stuck: a request for a run is not carried out")
	}
	for i := range w.writers {
		if b, _ := w.batch(i, 1); b.Next() != ledger.Done {
			return fmt.Errorf("stuck: %s has not written everything", w.writerName(i))
		}
	}
	for i, s := range w.streams {
		if s.state.Step != phase.Idle && s.head == len(w.write) || s.lead < len(w.live) {
			return fmt.Errorf("stuck: stream %d has not taken everything", i)
		}
	}
	for l, ln := range w.lanes {
		if len(ln.states)+len(ln.resources) > 0 || ln.routed < len(ln.events) {
			return fmt.Errorf("stuck: lane %d has something to do", l)
		}
	}
	return nil
}

// versions checks that every version of an object that the watch delivered is in the
// history of its file, in order; the same content twice in a row is one.
func (w *world) versions(object int) error {
	var history []content
	history = append(history, w.objects[object].file)
	for _, c := range w.commits {
		if c.file == object {
			history = append(history, c.content)
		}
	}
	at := 0
	through := func(c content) bool {
		for i := at; i < len(history); i++ {
			if history[i] == c {
				at = i
				return true
			}
		}
		return false
	}
	// What reached the destination is in Git.
	last := content(theirs)
	for _, m := range w.live {
		if m.kind != change || m.object != object || m.content == last {
			continue
		}
		if last = m.content; !through(last) {
			return fmt.Errorf("I1: %s of %s was forwarded, and is not in its history, or out of order", m.words, w.paths[object])
		}
	}
	if w.gap || !w.alwaysSelected(object) {
		return nil
	}
	// What the watch delivered since it began reached the destination, whatever else its
	// rules have come to select.
	at = 0
	since := w.followers[w.objects[object].typ].since
	begun, _ := w.stands(object, since)
	last = begun.content
	for rv := since + 1; rv <= len(w.cluster); rv++ {
		v := w.cluster[rv-1]
		if v.object != object || v.content == last {
			continue
		}
		if last = v.content; !through(last) {
			return fmt.Errorf("I1: version %d of %s, %s, is not in its history, or out of order", rv, w.paths[object], v.content)
		}
	}
	return nil
}

// alwaysSelected reports whether all rules that there have been select an object.
func (w *world) alwaysSelected(object int) bool {
	for _, d := range w.destinations[:w.registry] {
		if !w.selectedBy(d, object) {
			return false
		}
	}
	return true
}
