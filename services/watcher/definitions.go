package watcher

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/shared/fault"
)

// definitionsLength is how long one watch of the definitions is asked for.
const definitionsLength = 10 * time.Minute

// definitions are what says which types are served. The status of an APIService changes
// when the API server behind it fails and when it is back.
var definitions = []schema.GroupVersionResource{
	{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"},
}

// followDefinitions asks for a look at the types whenever a definition of types
// changes. Where that may not be watched, the regular look has to do.
func (s *session) followDefinitions(ctx context.Context, of schema.GroupVersionResource, kick chan<- struct{}) {
	for ctx.Err() == nil {
		wait := discoverAgain
		if err := s.watchDefinitions(ctx, of, kick); err != nil && ctx.Err() == nil {
			s.log.Debug("type definitions are not watched", "resource", of.GroupResource().String(), "err", err)
			if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
				wait = discoverEvery
			}
		}
		_ = fault.Wait(ctx, wait)
	}
}

// watchDefinitions is one watch, until it ends or should have.
func (s *session) watchDefinitions(ctx context.Context, of schema.GroupVersionResource, kick chan<- struct{}) error {
	seconds := int64(definitionsLength / time.Second)
	ctx, cancel := context.WithTimeout(ctx, definitionsLength+answerWait)
	defer cancel()
	wi, err := s.metadata.Resource(of).Watch(ctx, metav1.ListOptions{TimeoutSeconds: &seconds})
	if err != nil {
		return err
	}
	defer wi.Stop()
	for range wi.ResultChan() { // client-go closes it when ctx ends
		select {
		case kick <- struct{}{}:
		default:
		}
	}
	return nil
}
