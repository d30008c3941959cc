package capture

import (
	"context"
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// publishAll publishes a version of an object, whose change it is given without what
// differs from one destination to another. It reports whether there was anything to do.
//
// Only the last message says that a watch may resume behind the version: after a crash before
// it the successor, who does not know what the lane holds, sends the version again to all who
// select it, and has a run find who had the one before.
func (w *Worker) publishAll(ctx context.Context, c event.Change, next index.Version, contents map[index.Digest]content, possible func() selection.Set) (published bool, err error) {
	key := types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
	all := w.bySensitivity(w.index.Publications(key, next, possible))
	if w.index == nil && !next.Gone {
		if err := w.askWhoHad(ctx, possible().Without(next.To())); err != nil {
			return false, err
		}
	}
	for i, p := range all {
		m := c
		m.Resume = w.rv
		if next.RV != "" && i == len(all)-1 { // of a watch: everything up to it is in the lane then
			m.Resume = next.RV
		}
		m.To = w.Selection.Keys(p.To)
		switch sensitive := w.Selection.Sensitive(); {
		case !p.Delete:
			if err := w.fill(&m, p.Hash.String(), contents[p.Hash]); err != nil {
				return i > 0, err
			}
		case p.To.Without(sensitive) == "": // its file has a path of its own
			m.Op, m.Path = event.Delete, w.path(c.Object, true)
		default:
			m.Op = event.Delete
		}
		if err := w.publish(ctx, m, key, &next, p); err != nil {
			return true, err
		}
	}
	return len(all) > 0, nil
}

// bySensitivity keeps destinations apart to which the type is sensitive and others: the files
// have other paths.
func (w *Worker) bySensitivity(all []index.Publication) (apart []index.Publication) {
	for _, p := range all {
		open := p.To.Without(w.Selection.Sensitive())
		for _, to := range []selection.Set{p.To.Without(open), open} {
			if p.To = to; to != "" {
				apart = append(apart, p)
			}
		}
	}
	return apart
}

// askWhoHad asks for a run of destinations that may have had an object which they do not
// select: once, since a run waits for the index to be exact.
func (w *Worker) askWhoHad(ctx context.Context, to selection.Set) error {
	for _, k := range w.Selection.Keys(to.Without(w.askedFor)) {
		if err := w.AskRun(ctx, k, event.ReasonMayHaveLeft); err != nil {
			return err
		}
	}
	w.askedFor = w.askedFor.With(to)
	return nil
}

// publish stores a change in the lane, or in the dead letters if it never can. The
// index takes it in in the same turn, so that who freezes the lane finds there
// what it holds. Should it not be known whether the change was stored, nothing is
// known of the index either.
func (w *Worker) publish(ctx context.Context, c event.Change, key types.NamespacedName, next *index.Version, p index.Publication) error {
	h, body := c.Message()
	duplicate, err := w.Lane.Publish(ctx, subject.ChangeID(c), bus.Output{
		Subject: subject.EventChange(w.Part, w.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	}, func(err error) {
		switch {
		case err == nil:
			w.remember(key, *next, p)
		case fault.ClassOf(err) == fault.Poison:
			*next = next.Unwritable(p.To)
			w.unwritable(key, *next, p.To)
		default:
			w.dropIndex()
		}
	})
	switch {
	case err == nil && duplicate:
		w.count("duplicate")
	case err == nil:
		w.count("published")
	case fault.ClassOf(err) == fault.Poison:
		return w.deadLetter(ctx, c, err)
	}
	return err
}

// cannotRender sends a version that cannot be rendered to the dead letters, and remembers
// that it is there.
func (w *Worker) cannotRender(ctx context.Context, c event.Change, next index.Version, r rendered) error {
	if r.err == nil {
		return nil
	}
	for of := range r.Renderings() {
		if of.Hash == (index.Digest{}) {
			w.unwritable(types.NamespacedName{Namespace: c.Namespace, Name: c.Name}, next, of.To)
		}
	}
	return w.deadLetter(ctx, c, r.err)
}

// deadLetter keeps what a change was about, not what it held.
func (w *Worker) deadLetter(ctx context.Context, c event.Change, why error) error {
	size := len(c.Manifest)
	c.Manifest, c.Hash, c.To, c.Op = nil, "", nil, event.Delete // an envelope without a body is a DELETE's
	h, _ := c.Message()
	delete(h, event.HeaderOp)
	seq, _ := strconv.ParseUint(c.ResourceVersion, 10, 64) // one write of one object, within a cluster
	m := bus.Message{
		Subject: subject.EventChange(w.Part, w.Cluster, c.Group, c.Resource, c.Namespace), Seq: seq, Header: h,
	}
	if err := w.Bus.DeadLetter(ctx, "watcher", event.DestinationKey{Cluster: w.Cluster}, w.Type.GroupResource().String(), m, why); err != nil {
		return err
	}
	w.count("dead_lettered")
	w.Log.Error("version cannot be written, sent to the dead letters", "resource", c.Object.String(), "bytes", size, "err", why)
	return nil
}

func (w *Worker) count(outcome string) { w.Events.WithLabelValues(outcome).Inc() }
