package documents

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"

	"github.com/kubescribe/kubescribe/shared/fault"
)

// Grace is for how long a document that is gone counts on. Who replaces one (kubectl replace
// --force, GitOps tools, an installer that takes all of its objects along) deletes it and makes
// it again, within seconds: a destination that ended in between would lose what waits for it on
// the bus and begin anew, and a rule's files would leave Git and come back. Who means to delete
// one waits that much longer. A change of a document counts at once, so that consent is
// withdrawn by that.
//
// This is not durable, and need not be: a process that begins while a document is gone gives it
// as long again (see [Source.Unsure]).
const Grace = 10 * time.Second

// releaseEvery is how often it is looked whose grace is over.
const releaseEvery = time.Second

// document is one that counts.
type document struct {
	*unstructured.Unstructured
	gone time.Time // since when it is; zero: it is there
}

// put notes a document as it is now. A change of its status alone is none.
func (s *Source) put(kind string, o any) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := cache.MetaObjectToName(u).String()
	was, known := s.there[kind][key]
	s.there[kind][key] = document{Unstructured: u}
	if !known || was.GetUID() != u.GetUID() || was.GetGeneration() != u.GetGeneration() || !was.gone.IsZero() {
		s.touch(kind)
	}
}

// leave notes that a document is gone.
func (s *Source) leave(kind string, o any, now time.Time) {
	if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = last.Obj
	}
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := cache.MetaObjectToName(u).String(); s.there[kind][key].Unstructured != nil {
		s.there[kind][key] = document{u, now}
	}
}

// release ends documents whose grace is over, until ctx ends. Where their kind cannot be listed,
// because its definition is gone, say, or its group fails, it is not known what there is, and
// they count on.
func (s *Source) release(ctx context.Context) {
	for fault.Wait(ctx, releaseEvery) == nil {
		before := time.Now().Add(-s.grace)
		for kind := range kinds {
			if s.over(kind, before, false) && s.served(ctx, kind) {
				s.over(kind, before, true)
			}
		}
	}
}

// over reports whether the grace of documents that were gone before a moment is over, and may
// end them.
func (s *Source) over(kind string, before time.Time, end bool) (some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, d := range s.there[kind] {
		if d.gone.IsZero() || d.gone.After(before) {
			continue
		}
		some = true
		if end {
			delete(s.there[kind], key)
		}
	}
	if some && end {
		s.touch(kind)
	}
	return some
}

func (s *Source) served(ctx context.Context, kind string) bool {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	_, err := s.client.Resource(kinds[kind]).List(ctx, metav1.ListOptions{Limit: 1})
	return err == nil
}

// Unsure is for how long, since the documents were first known, one that is not among them may
// be about to be made again: a process that has just begun cannot tell.
func (s *Source) Unsure() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.grace-time.Since(s.known))
}

func (s *Source) isKnown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.known.IsZero()
}

// all are the documents of a kind that are there.
func (s *Source) all(kind string) (objects []*unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.there[kind] {
		if d.gone.IsZero() {
			objects = append(objects, d.Unstructured)
		}
	}
	return objects
}
