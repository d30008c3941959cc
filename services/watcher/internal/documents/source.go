// Package documents reads the configuration from the custom resources of a cluster, and follows
// them.
package documents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// kinds are the resources of the documents.
var kinds = map[string]schema.GroupVersionResource{
	v1alpha1.KindGitRemote:        of("gitremotes"),
	v1alpha1.KindGitDestination:   of("gitdestinations"),
	v1alpha1.KindWatchRule:        of("watchrules"),
	v1alpha1.KindClusterWatchRule: of("clusterwatchrules"),
}

func of(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kubescribe.dev", Version: "v1alpha1", Resource: resource}
}

// settle is how long documents may go on changing before they are read: who applies several
// means all of them.
const settle = 300 * time.Millisecond

// settleWithin bounds that: some may go on changing for ever.
const settleWithin = 3 * time.Second

// installedEvery is how often it is looked whether the kinds are there.
const installedEvery = 2 * time.Second

// ErrNotInstalled says that the API server does not know the documents' kinds.
var ErrNotInstalled = errors.New("the custom resources of kubescribe are not installed in the cluster: kubectl apply -f deploy/crds")

// Source is the documents of a cluster. Make it with [New].
type Source struct {
	client    dynamic.Interface
	log       *slog.Logger
	grace     time.Duration
	informers map[string]cache.SharedIndexInformer // by kind
	followed  []cache.InformerSynced               // whether all that was there has come, of each kind
	left      chan struct{}                        // has one where a document is gone, and nobody has looked yet

	mu      sync.Mutex
	there   map[string]map[string]document // by kind, and namespace/name; guarded by mu
	changed chan struct{}                  // closed and replaced when a document changes; guarded by mu
	wrong   map[string]error               // why a kind cannot be listed or watched; guarded by mu
	known   time.Time                      // when all documents were first known; guarded by mu
}

// New makes a source that Run reads.
func New(client dynamic.Interface, log *slog.Logger) (*Source, error) {
	s := &Source{
		client: client, log: log, grace: Grace, informers: map[string]cache.SharedIndexInformer{}, left: make(chan struct{}, 1),
		there: map[string]map[string]document{}, changed: make(chan struct{}), wrong: map[string]error{},
	}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	for kind, resource := range kinds {
		s.there[kind] = map[string]document{}
		informer := factory.ForResource(resource).Informer()
		failed := func(_ context.Context, _ *cache.Reflector, err error) { s.fail(kind, err) }
		if err := errors.Join(informer.SetTransform(slim), informer.SetWatchErrorHandlerWithContext(failed)); err != nil {
			return nil, fmt.Errorf("following %s: %w", resource.Resource, err)
		}
		followed, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { s.put(kind, o) },
			UpdateFunc: func(_, o any) { s.put(kind, o) },
			DeleteFunc: func(o any) { s.leave(kind, o, time.Now()) },
		})
		if err != nil {
			return nil, fmt.Errorf("following %s: %w", resource.Resource, err)
		}
		s.informers[kind], s.followed = informer, append(s.followed, followed.HasSynced)
	}
	return s, nil
}

// slim drops what nobody reads.
func slim(o any) (any, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.SetManagedFields(nil)
	}
	return o, nil
}

// fail notes why a kind cannot be read. That needs a person where it is not served, or not
// allowed.
func (s *Source) fail(kind string, err error) {
	s.mu.Lock()
	was := s.wrong[kind]
	s.wrong[kind] = err
	s.mu.Unlock()
	if s.isKnown() && (apierrors.IsNotFound(err) || apierrors.IsForbidden(err)) && (was == nil || fault.Gist(was) != fault.Gist(err)) {
		s.log.Warn("custom resources cannot be read any more; what they meant stays", "kind", kind, "err", err)
	}
}

// touch tells of a change; mu is held.
func (s *Source) touch(kind string) {
	delete(s.wrong, kind)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Run follows the documents until ctx ends.
func (s *Source) Run(ctx context.Context) {
	var all sync.WaitGroup
	for kind, informer := range s.informers {
		all.Go(func() {
			if s.installed(ctx, kind) == nil {
				informer.RunWithContext(ctx)
			}
		})
	}
	all.Go(func() { s.release(ctx) })
	all.Wait()
}

// installed waits until the API server knows a kind: an informer asks less and less often.
func (s *Source) installed(ctx context.Context, kind string) error {
	for {
		_, err := s.client.Resource(kinds[kind]).List(ctx, metav1.ListOptions{Limit: 1})
		if !apierrors.IsNotFound(err) {
			return ctx.Err()
		}
		s.fail(kind, err)
		if err := fault.Wait(ctx, installedEvery); err != nil {
			return err
		}
	}
}

// Read is the documents as they count.
type Read struct {
	// Documents have their defaults, in the order of their namespaces and names. Of those in
	// Unread they have what could be read.
	Documents *v1alpha1.Documents
	Unread    []v1alpha1.Refused
	Changed   <-chan struct{} // closed once one has changed since
}

// Get waits until the documents are known. An error says why they are not within a while.
func (s *Source) Get(ctx context.Context, within time.Duration) (Read, error) {
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if !cache.WaitForCacheSync(wait.Done(), s.followed...) {
		return Read{}, s.unknown(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known.IsZero() {
		s.known = time.Now()
	}
	r := Read{Documents: &v1alpha1.Documents{}, Changed: s.changed}
	r.Unread = slices.Concat(
		read(s.there[v1alpha1.KindGitRemote], &r.Documents.GitRemotes),
		read(s.there[v1alpha1.KindGitDestination], &r.Documents.GitDestinations),
		read(s.there[v1alpha1.KindWatchRule], &r.Documents.WatchRules),
		read(s.there[v1alpha1.KindClusterWatchRule], &r.Documents.ClusterWatchRules),
	)
	v1alpha1.SetDefaults(r.Documents)
	return r, nil
}

// Settled waits until documents have changed, and then do not for a moment.
func (s *Source) Settled(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	latest := time.After(settleWithin)
	for {
		s.mu.Lock()
		changed = s.changed
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settle):
			return nil
		case <-latest:
			return nil
		case <-changed:
		}
	}
}

func (s *Source) unknown(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.wrong {
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("%w (%w)", ErrNotInstalled, err)
		}
		return fmt.Errorf("reading the custom resources of kubescribe: %w", err)
	}
	return errors.New("the custom resources of kubescribe are not read yet")
}
