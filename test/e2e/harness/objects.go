package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// Written is a write that the API server has answered.
type Written struct {
	Resource string // as commits name it: "v1 configmaps shop/settings"
	Version  string // the resourceVersion that it led to; empty for deletions
	Deleted  bool
	At       time.Time // of the answer
}

// Objects writes objects of any type. Its methods may be called from any
// goroutine.
type Objects struct {
	client dynamic.Interface

	mu     sync.Mutex
	mapper *restmapper.DeferredDiscoveryRESTMapper // guarded by mu
}

// NewObjects makes a writer with a client configuration's rights.
func NewObjects(cfg *rest.Config) (*Objects, error) {
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &Objects{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))}, nil
}

// Apply brings an object to what a manifest says, as kubectl apply --server-side
// does. A type that was defined just now is waited for until ctx ends.
func (o *Objects) Apply(ctx context.Context, manifest string) (Written, error) {
	object, err := parseObject(manifest)
	if err != nil {
		return Written{}, err
	}
	var done Written
	var refused error
	err = Poll(ctx, 20*time.Millisecond, "the type of "+object.GetName()+" to be served", func(ctx context.Context) error {
		r, m, err := o.resource(object)
		if err != nil {
			return err
		}
		answer, err := r.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: UserAgent, Force: true})
		switch {
		case typeMissing(err):
			o.forget()
			return err
		case err != nil:
			refused = err
		default:
			done = Written{Resource: resourceOf(m, object), Version: answer.GetResourceVersion(), At: time.Now()}
		}
		return nil
	})
	if err = errors.Join(err, refused); err != nil {
		return Written{}, fmt.Errorf("applying %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return done, nil
}

// typeMissing tells a type that is not served, yet, from a namespace that is not
// there.
func typeMissing(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Kind != "namespaces"
}

// Delete deletes the object that a manifest names, and what it owns in the
// background.
func (o *Objects) Delete(ctx context.Context, manifest string) (Written, error) {
	object, err := parseObject(manifest)
	if err != nil {
		return Written{}, err
	}
	r, m, err := o.resource(object)
	if err == nil {
		background := metav1.DeletePropagationBackground
		err = r.Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
	}
	if err != nil {
		return Written{}, fmt.Errorf("deleting %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return Written{Resource: resourceOf(m, object), Deleted: true, At: time.Now()}, nil
}

func parseObject(manifest string) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(manifest), &object.Object); err != nil {
		return nil, fmt.Errorf("reading a manifest: %w", err)
	}
	return object, nil
}

// resource is where an object is written.
func (o *Objects) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, *meta.RESTMapping, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	gvk := object.GroupVersionKind()
	m, err := o.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		o.mapper.Reset()
		return nil, nil, err
	}
	r := o.client.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return r.Namespace(object.GetNamespace()), m, nil
	}
	return r, m, nil
}

func (o *Objects) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mapper.Reset()
}

// resourceOf names an object as commits do.
func resourceOf(m *meta.RESTMapping, object *unstructured.Unstructured) string {
	return ResourceOf(m.Resource, object.GetNamespace(), object.GetName())
}

// ResourceOf names an object as commits do: "v1 configmaps shop/settings".
func ResourceOf(r schema.GroupVersionResource, namespace, name string) string {
	return r.Version + " " + Identity{r.Group, r.Resource, namespace, name}.String()
}

// OfNamespace reports whether it was a ConfigMap of a namespace that was written.
func (w Written) OfNamespace(namespace string) bool { return ofNamespace(w.Resource, namespace) }

func ofNamespace(resource, namespace string) bool {
	return strings.HasPrefix(resource, ResourceOf(corev1.SchemeGroupVersion.WithResource("configmaps"), namespace, ""))
}
