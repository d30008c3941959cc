package capture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/event"
)

// watch follows the type from its position until the request ends. It has moved
// if the server sent anything, or held the request for a while.
func (w *Worker) watch(ctx, ictx context.Context) (moved bool, err error) {
	length := watchLength + rand.N(watchLength)
	if w.index == nil {
		length = catchUpLength
	}
	seconds := int64(length / time.Second)
	wctx, cancel := context.WithTimeout(ctx, length+watchGrace)
	defer cancel()
	if w.index != nil && !w.listed {
		if now := w.newest(wctx); index.Newer(w.rv, now) {
			w.wentBack(now)
			return true, nil
		}
	}
	w.compare()
	w.beginAnew()
	wi, err := w.Client.Watch(wctx, metav1.ListOptions{ResourceVersion: w.rv, AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		return false, fmt.Errorf("watching %s: %w", w.name(), err)
	}
	done := make(chan struct{})
	defer close(done)
	defer wi.Stop()
	events := ahead(wi.ResultChan(), done)
	w.listed = false
	w.setStatus(nil)
	w.watched, w.denied = true, time.Time{}
	begun := time.Now()
	if w.index == nil && w.listing == nil && w.waiting == nil {
		w.seen = index.Overlay{}
		w.reread.indexed = w.generation()
		w.listing = make(chan listed, 1)
		var lctx context.Context
		lctx, w.unlist = context.WithCancel(ictx)
		go w.listIndex(lctx, w.rv, w.listing)
	}
	for {
		if w.index != nil && !w.told {
			if err := w.OnExact(ctx); err != nil {
				return moved, err
			}
			w.told = true
		}
		if w.look(ctx, ictx) {
			return moved, nil
		}
		again := w.again
		if w.reread.due != nothing {
			again = nil // once that is done
		}
		reminders := w.reminders
		if w.index == nil {
			reminders = nil // once it tells what the lane has
		}
		select {
		case <-wctx.Done():
			return moved, w.overdue(ctx, length)
		case ev, open := <-events:
			if !open && wctx.Err() != nil {
				return moved, w.overdue(ctx, length)
			}
			if !open {
				if moved = moved || time.Since(begun) >= shortWatch; !moved {
					return false, fmt.Errorf("watching %s: the API server ended the watch at once", w.name())
				}
				return true, nil
			}
			before := w.rv
			if err := w.handleAll(ctx, ev, events); err != nil {
				return moved || w.rv != before, err
			}
			moved = true
		case <-w.relist:
			w.dropIndex()
			return moved, nil
		case <-again:
			w.renew()
		case r := <-reminders:
			err := w.remind(ctx, r.Reminder)
			r.done <- err
			if w.index == nil { // what became of the publish is not known
				return moved, err
			}
		case <-w.redefined:
			w.compare()
		case <-w.reread.retry:
			w.reread.retry = nil
		case r := <-w.reread.reading:
			w.takeIn(ctx, &r)
		case l := <-w.listing:
			w.waiting, w.listing = &l, nil
			if index.Newer(l.from, l.at) {
				w.wentBack(l.at)
				return moved, nil
			}
		}
		if w.waiting != nil && !index.Newer(w.waiting.at, w.rv) {
			w.setIndex(index.Merge(w.waiting.index, w.waiting.at, w.seen))
			w.waiting = nil
			w.Log.Debug("index is exact again", "resource", w.name(), "objects", len(w.index), "resource_version", w.rv)
		}
		if ahead := w.reread.ahead; ahead != nil {
			w.takeIn(ctx, ahead)
		}
	}
}

// newest is the API server's newest version, "" if it does not tell.
func (w *Worker) newest(ctx context.Context) string {
	l, err := page(ctx, w.Client, metav1.ListOptions{Limit: 1})
	if err != nil {
		return "" // the watch will say what is wrong
	}
	return l.GetResourceVersion()
}

// wentBack begins anew: the cluster was restored from a backup. Watched from a
// version that it has not reached again, it would say nothing until it has. What
// it was restored to is for a run to bring: published as changes, these versions
// would be taken for those that were published before.
func (w *Worker) wentBack(now string) {
	w.Log.Warn("the API server's versions went back, listing", "resource", w.name(), "resource_version", w.rv, "now", now)
	w.rv, w.lost = "", true
}

// overdue is the error of a watch that had to be ended from here, none when it
// was because ctx ended. What was not heard of it is heard by the next.
func (w *Worker) overdue(ctx context.Context, length time.Duration) error {
	if ctx.Err() != nil {
		return nil
	}
	w.Log.Info("a watch did not end when it was due, watching anew", "resource", w.name(), "due", length)
	return fmt.Errorf("watching %s: the watch did not end when it was due", w.name())
}

// handle takes one event of the watch; what is to be published of it waits for flush.
// It reports whether there is anything to publish.
func (w *Worker) handle(ctx context.Context, ev watch.Event) (published bool, err error) {
	o, ok := ev.Object.(*unstructured.Unstructured)
	switch {
	case ev.Type == watch.Error:
		return false, fmt.Errorf("watching %s: %w", w.name(), apierrors.FromObject(ev.Object))
	case !ok:
		return false, fmt.Errorf("watching %s: an event holds a %T", w.name(), ev.Object)
	case ev.Type == watch.Bookmark:
		if err := w.flush(ctx); err != nil {
			return false, err
		}
		w.rv = o.GetResourceVersion()
		return false, nil
	}
	if err := w.await(ctx, nameOf(o)); err != nil {
		return false, err
	}
	c := w.change(o)
	if w.reread.touched != nil {
		w.reread.touched[nameOf(o)] = c.ResourceVersion
	}
	next := index.Version{RV: c.ResourceVersion, Gone: ev.Type == watch.Deleted}
	var r rendered
	switch ev.Type {
	case watch.Deleted:
		c.Time = time.Now()
		c.FieldManager = "" // whoever wrote it last is not who deleted it
	case watch.Added:
		c.Op = event.Create
	default:
		c.Op = event.Update
	}
	if !next.Gone {
		r = w.renderAll(o)
		next.Entry = r.Entry
		scaled(&c, o, w.index[nameOf(o)], r, time.Now())
		if err := w.cannotRender(ctx, c, next, r); err != nil {
			return false, err
		}
	}
	published, err = w.publishAll(ctx, c, next, r.contents, func() selection.Set { return w.Selection.Possible(o) })
	if err == nil && !published && next.To() == "" {
		w.count("unwanted")
	}
	return published, err
}
