package watcher

import (
	"context"
	"errors"
	"slices"

	"github.com/kubescribe/kubescribe/services/watcher/internal/capture"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// answerObject carries out one REQUEST_OBJECT: it publishes the object as it is now, once more,
// for a destination that a version of it did not reach. One that cannot be had, or cannot be
// written now either, goes back to the dead letters, as the request for it.
//
// A crash before the acknowledgement leaves the request: the same version published again for
// the same letter is a duplicate, and behind the window of duplicates the git-writer finds that
// the content stands.
func (s *session) answerObject(ctx context.Context, q event.Request) error {
	d, ok, err := s.asked(ctx, q)
	if err != nil || !ok {
		return err
	}
	r := s.following(d, q.Object)
	if r == nil {
		s.log.Info("an object is not published once more: nobody selects its type, or nobody serves it", "resource", q.Object.String(), "destination", d.Key.String(), "letter", q.Letter)
		return nil
	}
	if err := r.Exact(ctx); err != nil {
		switch {
		case errors.Is(err, capture.ErrTypeGone):
			return nil
		case capture.Refused(err):
			return fault.As(fault.Poison, err)
		}
		return err
	}
	return r.Remind(ctx, capture.Reminder{For: d.Key, Namespace: q.Object.Namespace, Name: q.Object.Name, UID: q.UID, Letter: q.Letter})
}

// following is who follows an object for a destination; nil if nobody does.
func (s *session) following(d event.Destination, o event.Object) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, r := range s.workers {
		if key.resource.Group == o.Group && key.resource.Resource == o.Resource && slices.Contains([]string{"", o.Namespace}, key.namespace) && touches(d, r.typ, key.namespace) {
			return r
		}
	}
	return nil
}
