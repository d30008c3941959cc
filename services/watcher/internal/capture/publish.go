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

// publishAll prepares to publish a version of an object, whose change it is given without what
// differs from one destination to another: flush does it. It reports whether there was
// anything to publish. There is room for it, see await.
//
// Only the last message says that a watch may resume behind the version: after a crash before
// it the successor, who does not know what the lane holds, sends the version again to all who
// select it, and has a run find who had the one before.
func (w *Worker) publishAll(ctx context.Context, c event.Change, next index.Version, contents map[index.Digest]content, possible func() selection.Set) (published bool, err error) {
	key := types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
	all := w.byLength(w.bySensitivity(w.index.Publications(key, next, possible)))
	if w.index == nil && !next.Gone {
		if err := w.askWhoHad(ctx, possible().Without(next.To())); err != nil {
			return false, err
		}
	}
	position := w.burst.position(w.rv)
	v := &version{key: key, Version: next}
	for i, p := range all {
		m := c
		m.Resume = position
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
		w.prepare(m, v, p)
	}
	w.burst.add(v)
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

// byLength keeps destinations apart that one message cannot name.
func (w *Worker) byLength(all []index.Publication) (apart []index.Publication) {
	for _, p := range all {
		keys := w.Selection.Keys(p.To)
		most := len(named(keys))
		if most == len(keys) {
			apart = append(apart, p)
			continue
		}
		var to selection.Set
		n := 0
		for place := range p.To.Places() {
			if n == most {
				apart = append(apart, index.Publication{To: to, Hash: p.Hash, Delete: p.Delete})
				to, most = "", most+len(named(keys[n:]))
			}
			to = to.With(selection.Only(place))
			n++
		}
		apart = append(apart, index.Publication{To: to, Hash: p.Hash, Delete: p.Delete})
	}
	return apart
}

// toBytes is how many bytes the names of a message's destinations may have: a NATS server takes
// 64 KiB of headers, and others stand beside them.
const toBytes = 32 << 10

// named is as many of destinations as one message names, from the first on.
func named(to []event.DestinationKey) []event.DestinationKey {
	length := 0
	for n, k := range to {
		if length += len(k.Namespace) + len("/") + len(k.Name) + len(" "); length > toBytes {
			return to[:n]
		}
	}
	return to
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

// prepare has a change published in the lane, or stored in the dead letters if it never can be. The
// index takes it in in the same turn, so that who freezes the lane finds there
// what it holds. Should it not be known whether the change was stored, nothing is
// known of the index either.
func (w *Worker) prepare(c event.Change, v *version, p index.Publication) {
	h, body := c.Message()
	w.burst.put(c, bus.Item{ID: subject.ChangeID(c), Output: bus.Output{
		Subject: subject.EventChange(w.Part, w.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	}, Then: func(duplicate bool, err error) {
		switch {
		case err == nil:
			w.remember(v.key, v.Version, p)
			outcome := "published"
			if duplicate {
				outcome = "duplicate"
			}
			w.count(outcome)
		case fault.ClassOf(err) == fault.Poison:
			v.Version = v.Unwritable(p.To)
			w.unwritable(v.key, v.Version, p.To)
		default:
			w.dropIndex()
		}
	}})
}

// cannotRender sends a version that cannot be rendered to the dead letters, and remembers
// that it is there.
func (w *Worker) cannotRender(ctx context.Context, c event.Change, next index.Version, r rendered) error {
	if r.err == nil {
		return nil
	}
	to := r.unwritable()
	w.unwritable(types.NamespacedName{Namespace: c.Namespace, Name: c.Name}, next, to)
	c.To = w.Selection.Keys(to)
	return w.deadLetter(ctx, c, r.err)
}

// deadLetter keeps what a change was about and for whom, not what it held: the first of them, where
// one message cannot name all.
func (w *Worker) deadLetter(ctx context.Context, c event.Change, why error) error {
	size := len(c.Manifest)
	c.Manifest, c.Hash, c.Op = nil, "", event.Delete // an envelope without a body is a DELETE's
	c.To = named(c.To)
	h, _ := c.Message()
	delete(h, event.HeaderOp)
	seq, _ := strconv.ParseUint(c.ResourceVersion, 10, 64) // one write of one object, within a cluster
	m := bus.Message{
		Subject: subject.EventChange(w.Part, w.Cluster, c.Group, c.Resource, c.Namespace), Seq: seq, Header: h,
	}
	if err := w.Bus.DeadLetter(ctx, bus.StageWatcher, event.DestinationKey{Cluster: w.Cluster}, w.Type.GroupResource().String(), m, why); err != nil {
		return err
	}
	w.count("dead_lettered")
	w.Log.Error("version cannot be written, sent to the dead letters", "resource", c.Object.String(), "bytes", size, "err", why)
	return nil
}

func (w *Worker) count(outcome string) { w.Events.WithLabelValues(outcome).Inc() }
