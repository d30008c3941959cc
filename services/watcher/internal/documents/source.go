// Package documents reads the configuration from the custom resources of a cluster, and follows
// them.
package documents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
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
	informers map[string]cache.SharedIndexInformer // by kind

	mu      sync.Mutex
	changed chan struct{}    // closed and replaced when a document changes; guarded by mu
	wrong   map[string]error // why a kind cannot be listed or watched; guarded by mu
}

// New makes a source that Run reads.
func New(client dynamic.Interface) (*Source, error) {
	s := &Source{client: client, informers: map[string]cache.SharedIndexInformer{}, changed: make(chan struct{}), wrong: map[string]error{}}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	for kind, resource := range kinds {
		informer := factory.ForResource(resource).Informer()
		failed := func(_ context.Context, _ *cache.Reflector, err error) { s.fail(kind, err) }
		if err := errors.Join(informer.SetTransform(slim), informer.SetWatchErrorHandlerWithContext(failed)); err != nil {
			return nil, fmt.Errorf("following %s: %w", resource.Resource, err)
		}
		handler := cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { s.touch(kind) }, DeleteFunc: func(any) { s.touch(kind) },
			UpdateFunc: func(before, after any) {
				if version(before) != version(after) {
					s.touch(kind)
				}
			},
		}
		if _, err := informer.AddEventHandler(handler); err != nil {
			return nil, fmt.Errorf("following %s: %w", resource.Resource, err)
		}
		s.informers[kind] = informer
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

// version is which object it is, and what its spec is; its status is nothing to this.
func version(o any) string {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s %d", u.GetUID(), u.GetGeneration())
}

func (s *Source) fail(kind string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong[kind] = err
}

func (s *Source) touch(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
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

// Get waits until the documents are known, and gives them with their defaults, oldest first,
// and a channel that is closed once one has changed since. An error says why they are not known
// within a while.
func (s *Source) Get(ctx context.Context, within time.Duration) (*v1alpha1.Documents, <-chan struct{}, error) {
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, informer := range s.informers {
		if !cache.WaitForCacheSync(wait.Done(), informer.HasSynced) {
			return nil, nil, s.unknown(ctx)
		}
	}
	s.mu.Lock()
	changed := s.changed
	s.mu.Unlock()
	docs := &v1alpha1.Documents{}
	err := errors.Join(
		read(s.informers[v1alpha1.KindGitRemote], &docs.GitRemotes),
		read(s.informers[v1alpha1.KindGitDestination], &docs.GitDestinations),
		read(s.informers[v1alpha1.KindWatchRule], &docs.WatchRules),
		read(s.informers[v1alpha1.KindClusterWatchRule], &docs.ClusterWatchRules),
	)
	v1alpha1.SetDefaults(docs)
	return docs, changed, err
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

// read is all documents of a kind, oldest first.
func read[T any](informer cache.SharedIndexInformer, into *[]T) error {
	objects := informer.GetStore().List()
	slices.SortFunc(objects, func(a, b any) int { return older(a.(metav1.Object), b.(metav1.Object)) })
	for _, o := range objects {
		var document T
		u := o.(*unstructured.Unstructured)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &document); err != nil {
			return fmt.Errorf("reading %s %s/%s: %w: are the custom resource definitions those of this version? kubectl apply -f deploy/crds", u.GetKind(), u.GetNamespace(), u.GetName(), err)
		}
		*into = append(*into, document)
	}
	return nil
}

func older(a, b metav1.Object) int {
	x, y := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	return cmp.Or(x.Compare(y.Time), cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}
