package unmatched

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// Seen is a client that shows see each object that it lists or watches, before it is handed on.
// see reports whether it waits for more.
func Seen(client dynamic.ResourceInterface, see func(*unstructured.Unstructured) (waits bool)) dynamic.ResourceInterface {
	return seen{client, see}
}

type seen struct {
	dynamic.ResourceInterface
	see func(*unstructured.Unstructured) bool
}

// List lists.
func (s seen) List(ctx context.Context, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	l, err := s.ResourceInterface.List(ctx, opts)
	if err != nil {
		return nil, err
	}
	for i := range l.Items {
		if !s.see(&l.Items[i]) {
			break
		}
	}
	return l, nil
}

// Watch watches.
func (s seen) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	wi, err := s.ResourceInterface.Watch(ctx, opts)
	if err != nil {
		return nil, err
	}
	w := &watched{Interface: wi, out: make(chan watch.Event), stopped: make(chan struct{})}
	go w.pass(s.see)
	return w, nil
}

// watched is a watch whose events pass by somebody. It ends when the watch does, or is stopped.
type watched struct {
	watch.Interface
	out     chan watch.Event
	stop    sync.Once
	stopped chan struct{}
}

// ResultChan has the events.
func (w *watched) ResultChan() <-chan watch.Event { return w.out }

// Stop ends it.
func (w *watched) Stop() {
	w.stop.Do(func() { close(w.stopped) })
	w.Interface.Stop()
}

func (w *watched) pass(see func(*unstructured.Unstructured) bool) {
	defer close(w.out)
	for ev := range w.Interface.ResultChan() {
		if o, ok := ev.Object.(*unstructured.Unstructured); ok && (ev.Type == watch.Added || ev.Type == watch.Modified) {
			see(o)
		}
		select {
		case w.out <- ev:
		case <-w.stopped:
			return
		}
	}
}
