package capture

import (
	"context"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// rendered renders a change. One that cannot be goes to the dead letters, and
// then there is no entry.
func (w *Worker) rendered(ctx context.Context, c *event.Change, o *unstructured.Unstructured) (*entry, error) {
	if err := render(c, o); err != nil {
		return nil, w.deadLetter(ctx, *c, err)
	}
	return &entry{o.GetUID(), c.Hash}, nil
}

// publish stores a change in the lane, or in the dead letters if it never can.
// A duplicate was stored before, by somebody.
func (w *Worker) publish(ctx context.Context, c event.Change) (duplicate bool, err error) {
	h, body := c.Message()
	duplicate, err = w.Lane.Publish(ctx, subject.ChangeID(c), bus.Output{
		Subject: subject.EventChange(w.Part, w.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	}, nil)
	switch {
	case err == nil && duplicate:
		w.count("duplicate")
	case err == nil:
		w.count("published")
	case fault.ClassOf(err) == fault.Poison:
		return false, w.deadLetter(ctx, c, err)
	}
	return duplicate, err
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
