package watcher

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// vanished finds types of this session's lanes that were followed before it and are not served
// any more: what was deleted with them, nobody has seen. A run of whoever selects them finds it.
// Their bookmarks go behind that, so that after a crash in between it is asked for again.
func (s *session) vanished(ctx context.Context, found discover.Found) error {
	if s.before == nil {
		keys, err := s.bookmarks.Written(ctx, subject.BookmarksOf(s.cfg.Cluster))
		if err != nil {
			return err
		}
		s.before = map[workerKey]bool{}
		for _, k := range keys {
			_, group, resource, namespace, err := subject.ParseBookmarkKey(k)
			if err == nil && s.lanes[subject.Part(s.cfg.Cluster, group, resource)] != nil {
				s.before[workerKey{schema.GroupResource{Group: group, Resource: resource}, namespace}] = true
			}
		}
	}
	unknown := map[string]bool{}
	for gv := range found.Failed {
		unknown[gv.Group] = true
	}
	served := map[schema.GroupResource]bool{}
	for _, t := range found.Types {
		served[t.GroupResource()] = true
	}
	for key := range s.before {
		switch {
		case served[key.resource]: // whether it is followed, or not any more, is seen in this session
		case unknown[key.resource.Group]:
			continue
		default:
			gone, err := s.askForGone(ctx, key)
			if err != nil {
				return err
			}
			if !gone {
				continue
			}
		}
		delete(s.before, key)
	}
	return nil
}

// askForGone asks for the runs that a type calls for which is not named any more, if it is gone.
func (s *session) askForGone(ctx context.Context, key workerKey) (gone bool, err error) {
	k := subject.BookmarkKey(s.cfg.Cluster, key.resource.Group, key.resource.Resource, key.namespace)
	b, _, err := s.bookmarks.Get(ctx, k)
	if errors.Is(err, bus.ErrNoMessage) || err == nil && b.ClusterID != s.clusterID {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	t := key.resource.WithVersion(b.APIVersion)
	// What is named may lack it while the API server starts; what it answers then is no 404.
	if _, err := s.dynamic.Resource(t).Namespace(key.namespace).List(ctx, metav1.ListOptions{Limit: 1}); !apierrors.IsNotFound(err) {
		return false, nil
	}
	part := subject.Part(s.cfg.Cluster, t.Group, t.Resource)
	for _, d := range s.destinations {
		if selection.Selects(d, t, true, key.namespace) || selection.Selects(d, t, false, key.namespace) {
			if err := s.askRun(ctx, part, d.Key, event.ReasonMayHaveLeft); err != nil {
				return false, err
			}
		}
	}
	s.log.Info("type is no longer served", "resource", key.resource.String())
	return true, s.bookmarks.Delete(ctx, k)
}
