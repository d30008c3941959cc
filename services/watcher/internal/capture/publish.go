package capture

import (
	"context"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// rendered renders a change. One that cannot be goes to the dead letters, and
// then has no hash.
func (w *Worker) rendered(ctx context.Context, c *event.Change, o *unstructured.Unstructured) error {
	err := render(c, o)
	if err == nil {
		return nil
	}
	c.Manifest, c.Hash = nil, ""
	return w.deadLetter(ctx, *c, err)
}

// publish stores a change in the lane, or in the dead letters if it never can. The
// index becomes next in the same turn, so that who freezes the lane finds there
// what it holds. Should it not be known whether the change was stored, nothing is
// known of the index either.
func (w *Worker) publish(ctx context.Context, c event.Change, next index.Version) error {
	key := types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
	c.Resume = w.rv
	if next.RV != "" { // of a watch: everything up to it is in the lane then
		c.Resume = next.RV
	}
	h, body := c.Message()
	duplicate, err := w.Lane.Publish(ctx, subject.ChangeID(c), bus.Output{
		Subject: subject.EventChange(w.Part, w.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	}, func(err error) {
		switch {
		case err == nil:
			w.remember(key, next)
		case fault.ClassOf(err) == fault.Poison:
			w.unwritable(key, c)
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

// deadLetter keeps what a change was about, not what it held.
func (w *Worker) deadLetter(ctx context.Context, c event.Change, why error) error {
	size := len(c.Manifest)
	c.Manifest, c.Hash, c.Op = nil, "", event.Delete // an envelope without a body is a DELETE's
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
