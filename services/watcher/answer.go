package watcher

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubescribe/kubescribe/services/watcher/internal/capture"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// answer carries out one REQUEST_CLUSTER_STATE: it has each type of the lane
// that the destination's rules touch published to it, and then the MARK.
//
// A crash before the MARK is stored leaves the request unacknowledged: it is
// answered again, under the same IDs.
func (s *session) answer(ctx context.Context, q event.Request) error {
	select {
	case <-s.known:
	case <-ctx.Done():
		return ctx.Err()
	}
	if q.Registered > s.registered {
		// It is for a watcher with another configuration that takes over just now.
		return fmt.Errorf("the run covers revision %d of the registry, this watcher wrote %d", q.Registered, s.registered)
	}
	i := slices.IndexFunc(s.destinations, func(d event.Destination) bool { return d.Key == q.Destination })
	if i < 0 {
		return nil // it left while the request was waiting
	}
	d := s.destinations[i]
	offer := capture.Offer{
		Destination: d, Revision: s.registered, Run: q.Run, Attempt: q.Attempt, New: q.Reason == event.ReasonNewDestination,
	}
	s.mu.Lock()
	incomplete := slices.Clone(s.failed)
	var asked []*running
	for key, r := range s.workers {
		touches := slices.ContainsFunc(d.Rules, func(rule event.Rule) bool {
			return rule.SelectsType(r.typ.Group, r.typ.Version, r.typ.Resource)
		})
		if touches && subject.Part(s.cfg.Cluster, key.resource.Group, key.resource.Resource) == q.Part {
			asked = append(asked, r)
		}
	}
	s.mu.Unlock()
	for _, r := range asked {
		switch err := r.Offer(ctx, offer); {
		case err == nil:
		case errors.Is(err, capture.ErrTypeGone):
		case capture.Refused(err):
			incomplete = append(incomplete, r.typ.GroupResource().String())
			s.log.Warn("type is missing from the run", "resource", r.typ.GroupResource().String(), "destination", q.Destination.String(), "err", err)
		default:
			return err
		}
	}
	slices.Sort(incomplete)
	mark := event.Mark{
		Cluster: s.cfg.Cluster, Part: q.Part, Destination: q.Destination.String(), Run: q.Run, Attempt: q.Attempt,
		Registry: s.registered,
	}
	h, body := mark.Message()
	_, err := s.lanes[q.Part].Publish(ctx, subject.MarkID(mark), bus.Output{
		Subject: subject.EventMark(q.Part, s.cfg.Cluster, q.Destination), Header: h, Data: body,
	}, nil)
	return err
}
