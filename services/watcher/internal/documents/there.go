package documents

import (
	"context"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// Grace is for how long a document that is gone counts on. Who replaces one (kubectl replace
// --force, GitOps tools, an installer that takes all of its objects along) deletes it and makes
// it again, within seconds: a destination that ended in between would lose what waits for it on
// the bus and begin anew, and a rule's files would leave Git and come back. Who means to delete
// one waits that much longer. It does not run while the kind cannot be listed, and ends nothing
// that the API server still has. A change of a document counts at once, so that consent is
// withdrawn by that.
//
// A document that went with its namespace has none: who makes a namespace by its name may be
// somebody else, whose objects are not for the former's remote. It has none either where the
// namespace may not be read: nobody knows that it stands. One that is in no namespace always has.
//
// This is not durable, and need not be: a process that begins while a document is gone gives it
// as long again, and captures nothing meanwhile (see [Source.Unsure]).
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
		select {
		case s.left <- struct{}{}:
		default: // it is about to be looked at
		}
	}
}

// release ends documents whose grace is over, until ctx ends. One that is gone is looked at at
// once: with its namespace it ends without any.
func (s *Source) release(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.left:
		case <-time.After(releaseEvery):
		}
		for kind := range kinds {
			gone := s.gone(kind)
			if len(gone) == 0 {
				continue
			}
			homeless := s.homeless(ctx, gone)
			s.end(kind, homeless)
			maps.DeleteFunc(gone, func(key string, _ document) bool { return homeless[key].Unstructured != nil })
			there, err := s.list(ctx, kind)
			s.end(kind, s.over(kind, gone, there, err, time.Now()))
		}
	}
}

// namespaces are read to know whether a document that is gone went with its own.
var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// homeless are those of documents that are gone whose namespaces are not known to stand.
func (s *Source) homeless(ctx context.Context, gone map[string]document) map[string]document {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	type answer struct {
		*unstructured.Unstructured
		err error
	}
	answers, homeless := map[string]answer{}, map[string]document{}
	for key, d := range gone {
		name := d.GetNamespace()
		if name == "" {
			continue
		}
		a, asked := answers[name]
		if !asked {
			a.Unstructured, a.err = s.client.Resource(namespaces).Get(ctx, name, metav1.GetOptions{})
			answers[name] = a
			if apierrors.IsForbidden(a.err) {
				s.log.Warn("a document is gone, and ends at once: whether its namespace stands may not be read, so that nobody knows whose one by its name would be; allow get on namespaces, as docs/rbac.yaml does", "namespace", name, "err", a.err)
			}
		}
		if left(d, a.Unstructured, a.err) {
			homeless[key] = d
		}
	}
	return homeless
}

// left reports whether a document's namespace is not known to stand any more, by what the API
// server says of its name: it is gone or going, may not be read, or is another one, since no
// document is older than its namespace. Where the API server does not answer, it is asked again.
func left(d metav1.Object, namespace *unstructured.Unstructured, err error) bool {
	if err != nil {
		return apierrors.IsNotFound(err) || apierrors.IsForbidden(err)
	}
	made := namespace.GetCreationTimestamp()
	return namespace.GetDeletionTimestamp() != nil || made.After(d.GetCreationTimestamp().Time)
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

// over are those of documents that are gone whose grace is over. While the kind cannot be listed,
// nobody can make a document again, and while one is there of which no watch has told yet, it is
// about to be known: for both, grace begins anew.
func (s *Source) over(kind string, gone map[string]document, there map[string]bool, err error, now time.Time) map[string]document {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := map[string]document{}
	for key, d := range gone {
		switch {
		case s.there[kind][key] != d: // it came back, or left again, meanwhile
		case err != nil || there[key]:
			s.there[kind][key] = document{d.Unstructured, now}
		case now.Sub(d.gone) >= s.grace:
			over[key] = d
		}
	}
	return over
}

// end ends documents, but for those that came back, or left again, meanwhile.
func (s *Source) end(kind string, documents map[string]document) {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := false
	for key, d := range documents {
		if s.there[kind][key] == d {
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
