package bus

import (
	"context"
	"slices"
	"sync/atomic"
)

// request is a call of [Lane.PublishAll], which returns once it is done.
type request struct {
	ctx   context.Context //nolint:containedctx // of the caller, for as long as it waits
	items []Item

	done   chan struct{} // closed behind what is below
	stored int
	err    error
}

func (l *Lane) enqueue(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued = append(l.queued, r)
}

// withdraw takes back a request that nobody has begun, and reports whether that is so.
func (l *Lane) withdraw(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := slices.Index(l.queued, r)
	if n >= 0 {
		l.queued = slices.Delete(l.queued, n, n+1)
	}
	return n >= 0
}

// dequeue is what is stored next: the requests that have waited longest, as many as one batch
// can hold; one at least, if any waits.
func (l *Lane) dequeue() (next []*request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var size extent
	for _, r := range l.queued {
		for _, i := range r.items {
			size = size.and(extentOf([]Output{i.Output}))
		}
		if len(next) > 0 && !size.fits() {
			break
		}
		next = append(next, r)
	}
	l.queued = slices.Delete(l.queued, 0, len(next))
	return next
}

// serve stores what waits, with the turn taken: whoever has it works for all. It goes on for as
// long as one of them has not given up.
func (l *Lane) serve() {
	all := l.dequeue()
	if len(all) == 0 {
		return
	}
	ctx, cancel := whileAny(all)
	defer cancel()
	var items []Item
	for _, r := range all {
		items = append(items, r.items...)
	}
	batched, err := l.storeBatch(ctx, items)
	for _, r := range all {
		switch {
		case err != nil:
			r.items[0].then(false, err)
			r.err = err
		case batched:
			for _, i := range r.items {
				i.then(false, nil)
			}
			r.stored = len(r.items)
		default:
			r.stored, r.err = l.store(ctx, r.items)
		}
		close(r.done)
	}
}

// whileAny is a context that ends once those of all requests have.
func whileAny(all []*request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(all[0].ctx))
	var waiting atomic.Int64
	waiting.Store(int64(len(all)))
	stops := make([]func() bool, len(all))
	for n, r := range all {
		stops[n] = context.AfterFunc(r.ctx, func() {
			if waiting.Add(-1) == 0 {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
