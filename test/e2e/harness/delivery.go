package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	corev1 "k8s.io/api/core/v1"
)

// Delivery is a version that a watch was delivered.
type Delivery struct {
	Resource string // as commits name it: "v1 configmaps shop/settings"
	Version  string // of a deletion its own
	Deleted  bool
	Object   map[string]any
}

// Watch is a test's own watch: what the API server tells anybody who follows the
// ConfigMaps of a namespace.
type Watch struct {
	stop context.CancelFunc
	done chan struct{}

	mu        sync.Mutex
	delivered []Delivery // guarded by mu
	err       error      // why it has ended; guarded by mu
}

// WatchConfigMaps begins a watch of a namespace that has none, but for those that every
// namespace gets.
func WatchConfigMaps(ctx context.Context, cfg *rest.Config, namespace string) (*Watch, error) {
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	maps := client.Resource(configMaps).Namespace(namespace)
	list, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("watching the ConfigMaps of %s: %w", namespace, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	events, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watching the ConfigMaps of %s: %w", namespace, err)
	}
	w := &Watch{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		err := w.follow(ctx, events, list.GetResourceVersion(), func(version string) (watch.Interface, error) {
			return maps.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
		})
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}()
	return w, nil
}

// follow keeps what a watch is delivered until ctx ends. A watch that the server ends, because
// of its age or because it is not read fast enough, goes on from its last version.
func (w *Watch) follow(ctx context.Context, events watch.Interface, version string, from func(version string) (watch.Interface, error)) error {
	defer func() { events.Stop() }() // the last one
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-events.ResultChan():
			if !open {
				next, err := from(version)
				if err != nil {
					return fmt.Errorf("a test's own watch has ended: %w", err)
				}
				events = next
				continue
			}
			o, ok := e.Object.(*unstructured.Unstructured)
			if !ok || e.Type == watch.Error {
				return fmt.Errorf("a test's own watch has ended: %v %v", e.Type, e.Object)
			}
			version = o.GetResourceVersion()
			if derived(configMaps.GroupResource(), o) {
				continue
			}
			w.mu.Lock()
			w.delivered = append(w.delivered, Delivery{
				Resource: ResourceOf(configMaps, o.GetNamespace(), o.GetName()), Version: version,
				Deleted: e.Type == watch.Deleted, Object: o.Object,
			})
			w.mu.Unlock()
		}
	}
}

var configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")

// Until waits until the watch was delivered all that was written, ends it, and returns
// what it was delivered, in its order.
func (w *Watch) Until(ctx context.Context, writes []Written) ([]Delivery, error) {
	defer w.Stop()
	err := Poll(ctx, pollStart, "a test's own watch to be delivered what was written", func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		return errors.Join(w.err, Undelivered(w.delivered, writes))
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.delivered), err
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.stop()
	<-w.done
}

// Undelivered says what was written and not delivered. Of a deletion nobody has said a
// version.
func Undelivered(delivered []Delivery, writes []Written) error {
	have := map[string]int{}
	for _, d := range delivered {
		if d.Deleted {
			d.Version = ""
		}
		have[d.Resource+" at "+d.Version]++
	}
	var lacks []string
	for _, w := range writes {
		if key := w.Resource + " at " + w.Version; have[key] == 0 {
			lacks = append(lacks, key)
		} else {
			have[key]--
		}
	}
	if len(lacks) > 0 {
		return fmt.Errorf("%d are missing, among them %s", len(lacks), strings.Join(lacks[:min(5, len(lacks))], ", "))
	}
	return nil
}
