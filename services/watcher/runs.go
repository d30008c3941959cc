package watcher

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/mark"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// lane is what a destination is told of one part.
type lane struct {
	destination event.DestinationKey
	part        int
}

// askRun asks for a run of a destination, unless what a lane lists now comes to it
// by one that is under way or about to begin. It is durable once it returns.
func (s *session) askRun(ctx context.Context, part int, d event.DestinationKey, reason string) error {
	if reason == event.ReasonTypeAppeared {
		rec, _, err := s.phases.Newest(ctx, subject.DestinationToken(d))
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return err
		}
		newest, err := s.lastMark(ctx, part, d)
		if err != nil {
			return err
		}
		if mark.ToCome(rec, s.revisions[d], newest) {
			return nil
		}
	}
	s.log.Info("asking for a run", "destination", d.String(), "reason", reason)
	return s.bus.Ask(ctx, subject.CtlRun(d), event.Request{V: event.Version, Kind: event.RequestRun, Destination: d, Reason: reason})
}

// lastMark is the newest MARK in a lane for a destination; the zero one if there
// is none.
func (s *session) lastMark(ctx context.Context, part int, d event.DestinationKey) (event.Mark, error) {
	m, err := s.bus.LastFor(ctx, subject.Events, subject.EventMark(part, s.cfg.Cluster, d))
	if errors.Is(err, bus.ErrNoMessage) {
		return event.Mark{}, nil
	}
	if err != nil {
		return event.Mark{}, err
	}
	found, err := event.ParseMark(m.Header)
	if err != nil {
		return event.Mark{}, fmt.Errorf("message %d of %s: %w", m.Seq, subject.Events, err)
	}
	return found, nil
}

// owe notes what was missing in an answer, and asks for another run at once if some
// of it is there by now.
func (s *session) owe(ctx context.Context, d event.Destination, part int, missing []string) error {
	s.mu.Lock()
	s.owed[lane{d.Key, part}] = missing
	there := false
	for _, r := range s.touched(d, part) {
		if isMissing(missing, r.typ) {
			exact, _ := r.State()
			there = there || (exact && !r.ended())
		}
	}
	s.mu.Unlock()
	if !there {
		return nil
	}
	return s.askRun(ctx, part, d.Key, event.ReasonTypeAppeared)
}

// settle asks for a run of the destinations that were answered without a type,
// whose index is exact now.
func (s *session) settle(ctx context.Context, part int, t discover.Type) error {
	s.mu.Lock()
	var due []event.DestinationKey
	for l, missing := range s.owed {
		if l.part == part && isMissing(missing, t) {
			due = append(due, l.destination)
		}
	}
	s.mu.Unlock()
	for _, d := range due {
		if err := s.askRun(ctx, part, d, event.ReasonTypeAppeared); err != nil {
			return err
		}
	}
	return nil
}

// isMissing reports whether a list of incomplete types, or groups, names one.
func isMissing(names []string, t discover.Type) bool {
	return slices.Contains(names, t.GroupResource().String()) || slices.Contains(names, wholeGroup(t.Group))
}

// wholeGroup names a group of which nothing is known.
func wholeGroup(group string) string { return "*." + group }

// recall reads what was missing in the newest answers, which may be another
// process's.
func (s *session) recall(ctx context.Context) error {
	for _, d := range s.destinations {
		rec, _, err := s.phases.Newest(ctx, subject.DestinationToken(d.Key))
		if errors.Is(err, bus.ErrNoMessage) {
			continue
		}
		if err != nil {
			return err
		}
		for part := range subject.Parts {
			switch end, err := s.bus.SeriesEnd(ctx, subject.Series{Destination: d.Key, Run: rec.Run, Attempt: rec.Attempt, Side: subject.SideCluster(part)}); {
			case err == nil:
				s.owed[lane{d.Key, part}] = end.Incomplete
			case !errors.Is(err, bus.ErrNoMessage):
				return err
			case rec.Outcome != nil:
				s.owed[lane{d.Key, part}] = rec.Outcome.Incomplete
			}
		}
	}
	return nil
}
