package capture

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/shared/event"
)

// errStopped answers offers that came too late: they are to be made again.
var errStopped = errors.New("the worker of this type has stopped")

type offer struct {
	Offer
	done chan error
}

// Offer asks for what a run wants to know of a type.
type Offer struct {
	Destination event.Destination
	Revision    uint64 // at which the destination was registered
	Run         string
	Attempt     uint64
	New         bool // nothing but what reached it since Revision is known to the destination
}

// Offer publishes to one destination all objects of the type that it selects,
// as of the lane's position, and returns once they are durable. What changed
// since is on its way behind them. It waits while the API server cannot be
// reached, fails to answer, or forbids what it allowed a moment ago; it fails when
// the server refused (see [Refused]).
func (w *Worker) Offer(ctx context.Context, o Offer) error {
	q := offer{o, make(chan error, 1)}
	select {
	case w.offers <- q:
	case <-w.ended:
		return w.why
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// offer publishes to one destination what the index holds and the API server
// still has: an object that is different there has a newer version coming by
// the watch.
func (w *Worker) offer(ctx context.Context, o Offer) error {
	if o.New && w.fullAt >= o.Revision {
		return nil // everything was published after it had registered
	}
	_, err := w.list(ctx, func() {}, func(u *unstructured.Unstructured) error {
		known, ok := w.index[nameOf(u)]
		c := w.change(u)
		if !ok || !o.Destination.Selects(w.Cluster, c.Object) {
			return nil
		}
		if err := render(&c, u); err != nil || known != (entry{u.GetUID(), c.Hash}) {
			return nil //nolint:nilerr // one that cannot be rendered was dead-lettered when it came
		}
		c.Op, c.Origin = event.Update, event.Reconcile
		c.Run, c.Attempt = o.Run, o.Attempt
		_, err := w.publish(ctx, c)
		return err
	})
	return err
}
