package watcher

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubescribe/kubescribe/services/watcher/internal/capture"
	"github.com/kubescribe/kubescribe/shared/fault"
)

const (
	// definitionsLength is how long one watch of the definitions is asked for.
	definitionsLength = 10 * time.Minute
	// rereadAgain is when the objects of a type whose definition has changed are looked at
	// once more: of several API servers, one may learn of it later than the one that told us.
	rereadAgain = 10 * time.Second
	// rereads is how many types are listed again at a time: an operator's upgrade may change a
	// hundred definitions at once.
	rereads = 4
)

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// definitions are what says which types are served. The status of an APIService changes
// when the API server behind it fails and when it is back.
var definitions = []schema.GroupVersionResource{crds, {Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}}

// follower follows the definitions of one kind.
type follower struct {
	of schema.GroupVersionResource
	// kick holds something if the types are to be looked at.
	kick chan<- struct{}
	// defined is called with the generation of a custom type's definition when that is seen for
	// the first time, and when it has changed.
	defined func(of schema.GroupResource, generation int64, changed bool)

	generations map[types.UID]int64
}

// followDefinitions asks for a look at the types whenever a definition of types
// changes, and says by which definition a type is served. Where definitions may not be watched,
// the regular look has to do, and what a changed one makes of objects is seen when the API
// server forgets the past of the type.
func (s *session) followDefinitions(ctx context.Context, f follower) {
	f.generations = map[types.UID]int64{}
	for ctx.Err() == nil {
		wait := discoverAgain
		if err := s.watchDefinitions(ctx, f); err != nil && ctx.Err() == nil {
			s.log.Debug("type definitions are not watched", "resource", f.of.GroupResource().String(), "err", err)
			if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
				wait = discoverEvery
			}
		}
		_ = fault.Wait(ctx, wait)
	}
}

// watchDefinitions is one watch, until it ends or should have. It begins with all there are.
func (s *session) watchDefinitions(ctx context.Context, f follower) error {
	seconds := int64(definitionsLength / time.Second)
	ctx, cancel := context.WithTimeout(ctx, definitionsLength+answerWait)
	defer cancel()
	wi, err := s.metadata.Resource(f.of).Watch(ctx, metav1.ListOptions{TimeoutSeconds: &seconds})
	if err != nil {
		return err
	}
	defer wi.Stop()
	for ev := range wi.ResultChan() { // client-go closes it when ctx ends
		f.take(ev)
	}
	return nil
}

func (f follower) take(ev watch.Event) {
	select {
	case f.kick <- struct{}{}:
	default:
	}
	o, err := meta.Accessor(ev.Object)
	if err != nil || f.of != crds {
		return
	}
	was, known := f.generations[o.GetUID()]
	f.generations[o.GetUID()] = o.GetGeneration()
	if (!known || was != o.GetGeneration()) && o.GetDeletionTimestamp() == nil {
		f.defined(schema.ParseGroupResource(o.GetName()), o.GetGeneration(), known) // a definition has the name of its type
	}
}

// defined tells the workers of a type by which generation of its definition it is served, once
// it is. One that has changed is looked at once more, a while after its last change.
func (s *session) defined(of schema.GroupResource, generation int64, changed bool) {
	s.mu.Lock()
	s.generations[of] = generation
	switch again := s.again[of]; {
	case !changed:
	case again != nil:
		again.Reset(rereadAgain)
	default:
		s.again[of] = time.AfterFunc(rereadAgain, func() { s.tell(of, (*capture.Worker).Reread) })
	}
	s.mu.Unlock()
	if !changed {
		s.tell(of, func(w *capture.Worker) { w.Defined(generation) })
		return
	}
	time.AfterFunc(discoverAfter, func() { s.tell(of, func(w *capture.Worker) { w.Defined(s.generations[of]) }) })
}

// tell calls f, with mu held, for each worker of a type. One that has stopped hears nothing.
func (s *session) tell(of schema.GroupResource, f func(*capture.Worker)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, r := range s.workers {
		if key.resource == of {
			f(r.Worker)
		}
	}
}
