package watcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/internal/capture"
	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/mark"
	"github.com/kubescribe/kubescribe/services/watcher/owing"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// answerResources carries out one REQUEST_RESOURCES: it answers with the contents
// of the lane's results, of those objects that still have the hash that the lane
// was frozen with. A newer version of the others is behind the MARK. Those for which
// there is no room are left, from one path on.
//
// A crash leaves the request, and chunks that nobody reads: it is carried out anew. Where
// the run has closed by then it may have been answered, and what the answer lacked be owed.
func (s *session) answerResources(ctx context.Context, q event.Request) error {
	d, ok, err := s.asked(ctx, q)
	if err != nil || !ok {
		return err
	}
	results := subject.Series{Destination: d.Key, Run: q.Run, Attempt: q.Attempt, Side: subject.SideResult(q.Part)}
	contents := results
	contents.Side = subject.SideContent(q.Part)
	if end, err := s.bus.SeriesEnd(ctx, contents); !errors.Is(err, bus.ErrNoMessage) {
		if err == nil { // answered, and the acknowledgement was lost, or what comes before it
			s.lost(d, q, end.Incomplete)
		}
		return err
	}
	end, err := s.bus.SeriesEnd(ctx, results)
	if errors.Is(err, bus.ErrNoMessage) { // the run has closed, and its series are purged
		return s.oweRecalled(ctx, d, q.Part)
	}
	if err != nil {
		return err
	}
	rec, err := s.record(ctx, d.Key)
	if err != nil {
		return err
	}
	switch mark.Asked(rec, q) {
	case mark.Later:
		return errLater
	case mark.Drop, mark.Fail:
		return s.oweRecalled(ctx, d, q.Part)
	case mark.Carry:
	}
	var wanted []want
	if end.Wanted > 0 {
		for e, err := range s.bus.Entries(ctx, results, end) {
			if errors.Is(err, bus.ErrSeries) {
				_, err = s.bus.WriteSeries(contents).Close(ctx, event.End{Failed: err.Error()})
				return err
			}
			if err != nil {
				return err
			}
			if e.What == event.ResultCreate || e.What == event.ResultReconcile {
				wanted = append(wanted, want{e.Path, e.Hash, e.What})
			}
		}
	}
	select { // the contents of one answer are in memory at a time, not of each lane's
	case s.contents <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.contents }()
	w := s.bus.WriteSeries(contents)
	w.Room = q.Room
	limit := windowBytes
	if q.Room > 0 {
		limit = min(limit, q.Room)
	}
	answered, found := 0, map[string]bool{}
	left, missing, err := contentsOf(ctx, wanted, limit, func(ctx context.Context, wanted []want, dropped func(string) bool, each func(event.Change) error) ([]string, error) {
		return s.fetch(ctx, d, q.Part, wanted, dropped, each)
	}, func(c event.Change, what event.What) error {
		c.Op = event.Update
		if what == event.ResultCreate {
			c.Op = event.Create
		}
		c.Origin, c.Run, c.Attempt = event.Reconcile, q.Run, q.Attempt
		found[c.Path] = true
		err := w.Content(ctx, c)
		if fault.ClassOf(err) == fault.Poison { // no lane holds it either
			s.log.Error("content left out of the run", "resource", c.Object.String(), "destination", d.Key.String(), "run", q.Run, "err", err)
			return nil
		}
		if err == nil {
			answered++
		}
		return err
	})
	if err != nil {
		return err
	}
	answer := event.End{Incomplete: missing, Skipped: typesWithout(wanted[:len(wanted)-len(left)], found)}
	for _, e := range left {
		answer.Left = answer.Left.With(e.what)
	}
	if _, err := w.Close(ctx, answer); err != nil {
		return err
	}
	skipped := len(wanted) - len(left) - answered
	s.contentsOf.WithLabelValues("answered").Add(float64(answered))
	s.contentsOf.WithLabelValues("skipped").Add(float64(skipped))
	s.contentsOf.WithLabelValues("left").Add(float64(len(left)))
	s.log.Debug("the contents of a run were answered", "destination", d.Key.String(), "run", q.Run, "part", q.Part, "objects", answered, "skipped", skipped, "left", len(left))
	s.lost(d, q, missing)
	return nil
}

// typesWithout are the types of what is wanted, which is sorted by path, and was not found.
func typesWithout(wanted []want, found map[string]bool) (types []string) {
	for _, e := range wanted {
		if found[e.path] {
			continue
		}
		if id, err := manifest.ParsePath(e.path); err == nil || errors.Is(err, manifest.ErrShortened) {
			types = append(types, schema.GroupResource{Group: id.Group, Resource: id.Resource}.String())
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// fetch gives the objects of a lane that are wanted, in no order and without those that
// are dropped meanwhile, and returns the types that are not to be had any more.
func (s *session) fetch(ctx context.Context, d event.Destination, part int, wanted []want, dropped func(string) bool, each func(event.Change) error) (missing []string, err error) {
	s.mu.Lock()
	touched := s.touched(d, part)
	s.mu.Unlock()
	of := map[*running]*capture.Wanted{}
	for _, e := range wanted {
		id, err := manifest.ParsePath(e.path)
		if err != nil && !errors.Is(err, manifest.ErrShortened) {
			continue // of nobody who froze this lane
		}
		i := slices.IndexFunc(touched, func(r *running) bool {
			return r.typ.Group == id.Group && r.typ.Resource == id.Resource && (r.namespace == "" || r.namespace == id.Namespace)
		})
		if i < 0 {
			// Not served any more, or followed in another version from now on.
			missing = append(missing, schema.GroupResource{Group: id.Group, Resource: id.Resource}.String())
			continue
		}
		q := of[touched[i]]
		if q == nil {
			q = &capture.Wanted{For: d.Key, Hashes: map[string]string{}, Dropped: dropped}
			of[touched[i]] = q
		}
		q.Hashes[e.path] = e.hash
		if err == nil {
			q.Names = append(q.Names, id)
		}
	}
	for r, q := range of {
		if len(q.Names) < len(q.Hashes) {
			q.Names = nil
		}
		had, err := s.fetchType(ctx, r, *q, each)
		if err != nil {
			return nil, err
		}
		if !had {
			missing = append(missing, owing.Name(r.GroupResource(), r.namespace))
		}
	}
	return missing, nil
}

// fetchType goes on trying while it takes no longer than patience, and was not given up
// before, or the API server does not answer at all. had is false if the type is not to be had.
func (s *session) fetchType(ctx context.Context, r *running, q capture.Wanted, each func(event.Change) error) (had bool, err error) {
	var backoff fault.Backoff
	for began := time.Now(); ; {
		err := r.Fetch(ctx, q, each)
		switch {
		case err == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, err
		case capture.Refused(err):
			return false, nil
		}
		if _, down := discover.Types(ctx, s.discovery); down != nil {
			began = time.Now()
		} else if r.givenUp.Load() || time.Since(began) >= s.Patience {
			r.givenUp.Store(true)
			return false, nil
		}
		s.log.Warn("contents that a run wants cannot be read, retrying", "resource", r.typ.GroupResource().String(), "err", err)
		if err := fault.Wait(ctx, backoff.Next()); err != nil {
			return false, fmt.Errorf("reading contents: %w", err)
		}
	}
}
