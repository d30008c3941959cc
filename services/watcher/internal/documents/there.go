package documents

import (
	"context"
	"maps"
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
// one waits that much longer. It does not run while the kind cannot be listed, and ends nothing
// that the API server still has. A change of a document counts at once, so that consent is
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

// release ends documents whose grace is over, until ctx ends.
func (s *Source) release(ctx context.Context) {
	for fault.Wait(ctx, releaseEvery) == nil {
		for kind := range kinds {
			if gone := s.gone(kind); len(gone) > 0 {
				there, err := s.list(ctx, kind)
				s.end(kind, gone, there, err, time.Now())
			}
		}
	}
}

// gone are the documents of a kind that are, by their names.
func (s *Source) gone(kind string) map[string]document {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := maps.Clone(s.there[kind])
	maps.DeleteFunc(gone, func(_ string, d document) bool { return d.gone.IsZero() })
	return gone
}

// list is which documents of a kind the API server has, by their names. An error says that the
// kind cannot be listed: its definition is gone, say, or its group fails.
func (s *Source) list(ctx context.Context, kind string) (there map[string]bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	l, err := s.client.Resource(kinds[kind]).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	there = map[string]bool{}
	for i := range l.Items {
		there[cache.MetaObjectToName(&l.Items[i]).String()] = true
	}
	return there, nil
}

// end ends what is gone for longer than its grace. While the kind cannot be listed, nobody can
// make a document again, and while one is there of which no watch has told yet, it is about to be
// known: for both, grace begins anew. Those that came back, or left again, meanwhile are let be.
func (s *Source) end(kind string, gone map[string]document, there map[string]bool, err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := false
	for key, d := range gone {
		switch {
		case s.there[kind][key] != d:
		case err != nil || there[key]:
			s.there[kind][key] = document{d.Unstructured, now}
		case now.Sub(d.gone) >= s.grace:
			delete(s.there[kind], key)
			some = true
		}
	}
	if some {
		s.touch(kind)
	}
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
