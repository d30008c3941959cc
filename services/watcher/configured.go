package watcher

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/kubescribe/kubescribe/services/watcher/internal/documents"
	"github.com/kubescribe/kubescribe/services/watcher/internal/registry"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// documentsWait is how long a session waits for the custom resources before it says why they
// are not there.
const documentsWait = 10 * time.Second

// errReconfigured ends a session because the custom resources mean something else.
var errReconfigured = errors.New("the configuration has changed")

// plan is what the documents mean.
type plan struct {
	destinations []event.Destination
	refused      []v1alpha1.Refused
	changed      <-chan struct{} // closed once a document has changed; nil: none does
}

// same reports whether nothing has to be done differently.
func (p plan) same(other plan) bool {
	return slices.EqualFunc(p.destinations, other.destinations, func(a, b event.Destination) bool {
		a.First, b.First = 0, 0
		return string(event.Encode(a)) == string(event.Encode(b))
	})
}

// configured is what the documents mean for a cluster by its id. Of custom resources, one that
// is wrong stands in nobody else's way; a file was found right before.
func (w *Watcher) configured(ctx context.Context, id string) (p plan, err error) {
	if w.source == nil {
		if p.destinations, err = registry.Compile(w.cfg.Documents, w.cfg.Cluster, id); err != nil {
			return p, fault.As(fault.Terminate, err)
		}
		return p, nil
	}
	all, changed, err := w.source.Get(ctx, documentsWait)
	if err != nil {
		return p, err
	}
	usable, refused := all.Usable()
	p.refused, p.changed = refused, changed
	if p.destinations, err = registry.Compile(usable, w.cfg.Cluster, id); err != nil {
		return p, err
	}
	registered, err := registry.Registered(ctx, w.bus, w.cfg.Cluster)
	if err != nil {
		return p, err
	}
	p.destinations = registry.Retain(p.destinations, registered, refused, func(of v1alpha1.Ref) bool { return hasRemote(all, of) })
	return p, nil
}

// hasRemote reports whether a destination's remote is there, wrong or not.
func hasRemote(all *v1alpha1.Documents, of v1alpha1.Ref) bool {
	return slices.ContainsFunc(all.GitDestinations, func(d v1alpha1.GitDestination) bool {
		return d.Namespace == of.Namespace && d.Name == of.Name && slices.ContainsFunc(all.GitRemotes, func(r v1alpha1.GitRemote) bool {
			return r.Namespace == d.Namespace && r.Name == d.Spec.RemoteRef.Name
		})
	})
}

// reconfigured returns once the documents mean something else than a session goes by, or ctx
// has ended.
func (w *Watcher) reconfigured(ctx context.Context, id string, by plan) error {
	w.sayRefused(by.refused)
	for changed := by.changed; ; {
		if err := w.source.Settled(ctx, changed); err != nil {
			return err
		}
		now, err := w.configured(ctx, id)
		if err != nil || !now.same(by) {
			return errReconfigured // which finds out what is wrong, if anything
		}
		w.sayRefused(now.refused)
		changed = now.changed
	}
}

// sayRefused logs what is wrong with documents, each once, and has their statuses say it.
func (w *Watcher) sayRefused(refused []v1alpha1.Refused) {
	w.mu.Lock()
	w.wrong = refused
	w.mu.Unlock()
	said := map[string]bool{}
	for _, r := range refused {
		text := r.Problems.Error()
		said[text] = true
		if !w.refused[text] {
			w.log.Warn("a document is not taken; what it meant before stays", "document", r.String(), "err", text)
		}
	}
	w.refused = said
}

// reportDocuments has the statuses of the custom resources say what becomes of them, until ctx ends.
func (w *Watcher) reportDocuments(ctx context.Context) {
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: w.client.CoreV1().Events("")})
	r := documents.Reporter{
		Source: w.source, Client: w.dynamic, Cluster: w.cfg.Cluster, Phases: w.phases, Statuses: w.statuses,
		Events: events.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: "kubescribe"}), Log: w.log,
	}
	r.Run(ctx, func() []v1alpha1.Refused {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.wrong
	})
}
