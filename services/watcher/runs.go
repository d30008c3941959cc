package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// debt is what a lane's answer to a destination lacked.
type debt struct {
	of      subject.Series // the answer
	missing []string       // types and groups
	// held are workers of the missing types that nobody has to wait for any more: the
	// answer had what they follow, or a run was asked for. Of another process's answer
	// it is not known what it had: each type that comes to be exact is asked for, once.
	held map[*running]bool
}

// lacks reports whether the answer lacked what a worker follows.
func (o *debt) lacks(r *running) bool { return isMissing(o.missing, r.typ) && !o.held[r] }

// debtOf is what is known of an answer that was given before.
func (s *session) debtOf(l lane, answer subject.Series, missing []string) *debt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.owed[l]; o != nil && o.of == answer {
		return o
	}
	return &debt{of: answer, missing: missing, held: map[*running]bool{}}
}

// owe notes what was missing in an answer, and asks for another run at once if some
// of what it lacked is there by now.
func (s *session) owe(ctx context.Context, d event.Destination, part int, o *debt) error {
	l := lane{d.Key, part}
	s.mu.Lock()
	s.owed[l] = o
	var there []*running
	for _, r := range s.touched(d, part) {
		if exact, _ := r.State(); exact && !r.ended() && o.lacks(r) {
			there = append(there, r)
		}
	}
	s.mu.Unlock()
	if len(there) == 0 {
		return nil
	}
	return s.settleOne(ctx, l, o, there...)
}

// settle asks for a run of the destinations whose answers lacked what a worker
// follows, whose index is exact now.
func (s *session) settle(ctx context.Context, part int, r *running) error {
	due := map[lane]*debt{}
	s.mu.Lock()
	for _, d := range s.destinations {
		l := lane{d.Key, part}
		if o := s.owed[l]; o != nil && o.lacks(r) && touches(d, r.typ, r.namespace) {
			due[l] = o
		}
	}
	s.mu.Unlock()
	for l, o := range due {
		if err := s.settleOne(ctx, l, o, r); err != nil {
			return err
		}
	}
	return nil
}

// settleOne asks for the run that brings what workers have.
func (s *session) settleOne(ctx context.Context, l lane, o *debt, have ...*running) error {
	if err := s.askRun(ctx, l.part, l.destination, event.ReasonTypeAppeared); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range have {
		o.held[r] = true
	}
	return nil
}

// lost notes types that an answer had, and that are not to be had any more.
func (s *session) lost(l lane, types []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.owed[l]
	if o == nil {
		o = &debt{held: map[*running]bool{}}
		s.owed[l] = o
	}
	o.missing = append(slices.Clone(o.missing), types...)
	maps.DeleteFunc(o.held, func(r *running, _ bool) bool { return isMissing(types, r.typ) })
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
			answer := subject.Series{Destination: d.Key, Run: rec.Run, Attempt: rec.Attempt, Side: subject.SideCluster(part)}
			l := lane{d.Key, part}
			switch end, err := s.bus.SeriesEnd(ctx, answer); {
			case err == nil:
				s.owed[l] = s.debtOf(l, answer, end.Incomplete)
			case !errors.Is(err, bus.ErrNoMessage):
				return err
			case rec.Outcome != nil:
				s.owed[l] = s.debtOf(l, answer, rec.Outcome.Incomplete)
			}
		}
	}
	return nil
}
