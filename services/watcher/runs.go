package watcher

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/mark"
	"github.com/kubescribe/kubescribe/services/watcher/owing"
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
		rec, err := s.record(ctx, d)
		if err != nil {
			return err
		}
		newest, err := s.lastMark(ctx, part, d)
		if err != nil {
			return err
		}
		if mark.ToCome(rec, s.synced.Revisions[d], newest) {
			return nil
		}
	}
	s.log.Info("asking for a run", "destination", d.String(), "reason", reason)
	return s.bus.Ask(ctx, subject.CtlRun(d), event.Request{V: event.Version, Kind: event.RequestRun, Destination: d, Reason: reason})
}

// caughtUp asks for a run of a destination where a gap in the watch of a type may hide what
// a run has skipped. It is durable once it returns.
func (s *session) caughtUp(ctx context.Context, part int, d event.DestinationKey, of schema.GroupResource) error {
	rec, err := s.record(ctx, d)
	if err != nil {
		return err
	}
	newest, err := s.lastMark(ctx, part, d)
	if err != nil {
		return err
	}
	contents, err := s.ended(ctx, subject.Series{Destination: d, Run: rec.Run, Attempt: rec.Attempt, Side: subject.SideContent(part)})
	if err != nil {
		return err
	}
	reason := owing.CaughtUp(rec, s.synced.Revisions[d], newest, contents, of)
	if reason == "" {
		return nil
	}
	return s.askRun(ctx, part, d, reason)
}

// record is a destination's entry in KS_PHASE, from the leader; the zero one if there
// is none.
func (s *session) record(ctx context.Context, d event.DestinationKey) (event.PhaseRecord, error) {
	rec, _, err := s.phases.Newest(ctx, subject.DestinationToken(d))
	if errors.Is(err, bus.ErrNoMessage) {
		return event.PhaseRecord{}, nil
	}
	return rec, err
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

// debt is what a lane's answer to a destination lacked, by worker.
type debt = owing.Debt[*running]

// contentsOfAnswer names the contents that a lane adds to its state.
func contentsOfAnswer(answer subject.Series, part int) subject.Series {
	answer.Side = subject.SideContent(part)
	return answer
}

// owe notes what was missing in an answer, unless more is known of it already, and asks
// for another run at once if some of what it lacked is there by now.
func (s *session) owe(ctx context.Context, d event.Destination, part int, o debt) error {
	return s.oweTold(ctx, d, part, func() (debt, error) { return o, nil })
}

// oweRecalled is owe, of the lane's newest answer as the bus tells of it: a request that
// is not carried out may have been, before. It may also be an old one that comes again: a
// newer one's answer was given since.
func (s *session) oweRecalled(ctx context.Context, d event.Destination, part int) error {
	return s.oweTold(ctx, d, part, func() (debt, error) {
		rec, err := s.record(ctx, d.Key)
		if err != nil {
			return debt{}, err
		}
		return s.recalled(ctx, lane{d.Key, part}, rec)
	})
}

// oweTold is owe, of what is told in the turn in which it is noted.
func (s *session) oweTold(ctx context.Context, d event.Destination, part int, told func() (debt, error)) error {
	l := lane{d.Key, part}
	o, err := s.note(l, told)
	if err != nil {
		return err
	}
	var there []*running
	s.mu.Lock()
	for _, r := range s.touched(d, part) {
		if exact, _ := r.State(); exact && !r.ended() && o.Lacks(r) {
			there = append(there, r)
		}
	}
	s.mu.Unlock()
	if len(there) == 0 {
		return nil
	}
	return s.settleOne(ctx, l, o, there...)
}

// note makes what is told of a lane's newest answer what is owed, unless more is known of
// that answer. Requests for states and for contents are answered side by side: a newer
// answer may be noted before one is asked what there is, and after that is noted, and not
// in between.
func (s *session) note(l lane, told func() (debt, error)) (debt, error) {
	s.noting.Lock()
	defer s.noting.Unlock()
	o, err := told()
	if err != nil {
		return o, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o = o.Or(s.owed[l])
	s.owed[l] = o
	return o, nil
}

// settle asks for a run of the destinations whose answers lacked what a worker
// follows, whose index is exact now.
func (s *session) settle(ctx context.Context, part int, r *running) error {
	due := map[lane]debt{}
	s.mu.Lock()
	for _, d := range s.destinations {
		l := lane{d.Key, part}
		if o := s.owed[l]; o.Lacks(r) && touches(d, r.typ, r.namespace) {
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
func (s *session) settleOne(ctx context.Context, l lane, o debt, have ...*running) error {
	if err := s.askRun(ctx, l.part, l.destination, event.ReasonTypeAppeared); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.owed[l]; now.Of == o.Of {
		s.owed[l] = now.Paid(have...)
	}
	return nil
}

// lost notes types that an answer had, and of which contents were not to be had any more.
// They are listed anew: a run is asked for once that succeeds.
func (s *session) lost(d event.Destination, q event.Request, types []string) {
	if len(types) == 0 || !owing.Owed(q.Reason, event.End{}) {
		return
	}
	s.log.Warn("types are not to be had since the lane was frozen: a run follows once they are", "destination", d.Key.String(), "run", q.Run, "types", types)
	l := lane{d.Key, q.Part}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.owed[l].Lost(types)
	s.owed[l] = o
	for _, r := range s.touched(d, q.Part) {
		if o.Lacks(r) {
			r.Relist()
		}
	}
}

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
		for part, ours := range s.lanes {
			if ours == nil {
				continue
			}
			l := lane{d.Key, part}
			if s.owed[l], err = s.recalled(ctx, l, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// recalled is what the bus tells of what a lane's newest answer lacked.
func (s *session) recalled(ctx context.Context, l lane, rec event.PhaseRecord) (debt, error) {
	answer := subject.Series{Destination: l.destination, Run: rec.Run, Attempt: rec.Attempt, Side: subject.SideCluster(l.part)}
	state, err := s.ended(ctx, answer)
	if err != nil {
		return debt{}, err
	}
	contents, err := s.ended(ctx, contentsOfAnswer(answer, l.part))
	return owing.Recalled[*running](answer, rec, state, contents), err
}

// ended is the end of a series, nil if it has none.
func (s *session) ended(ctx context.Context, of subject.Series) (*event.End, error) {
	end, err := s.bus.SeriesEnd(ctx, of)
	if errors.Is(err, bus.ErrNoMessage) {
		return nil, nil
	}
	return &end, err
}
