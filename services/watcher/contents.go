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
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// answerResources carries out one REQUEST_RESOURCES: it answers with the contents
// of the lane's results, of those objects that still have the hash that the lane
// was frozen with. A newer version of the others is behind the MARK.
//
// A crash leaves the request, and chunks that nobody reads: it is carried out anew.
func (s *session) answerResources(ctx context.Context, q event.Request) error {
	d, ok, err := s.asked(ctx, q)
	if err != nil || !ok {
		return err
	}
	results := subject.Series{Destination: d.Key, Run: q.Run, Attempt: q.Attempt, Side: subject.SideResult(q.Part)}
	contents := results
	contents.Side = subject.SideContent(q.Part)
	if _, err := s.bus.SeriesEnd(ctx, contents); !errors.Is(err, bus.ErrNoMessage) {
		return err // answered, with the acknowledgement lost
	}
	end, err := s.bus.SeriesEnd(ctx, results)
	if errors.Is(err, bus.ErrNoMessage) {
		return nil // the run is over, and its series are purged
	}
	if err != nil {
		return err
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
				wanted = append(wanted, want{e.Path, e.Hash, e.What == event.ResultCreate})
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
	answered := 0
	missing, err := contentsOf(ctx, wanted, windowBytes, func(ctx context.Context, wanted []want, dropped func(string) bool, each func(event.Change) error) ([]string, error) {
		return s.fetch(ctx, d, q.Part, wanted, dropped, each)
	}, func(c event.Change, created bool) error {
		c.Op = event.Update
		if created {
			c.Op = event.Create
		}
		c.Origin, c.Run, c.Attempt = event.Reconcile, q.Run, q.Attempt
		err := w.Content(ctx, c)
		if fault.ClassOf(err) == fault.Poison { // no lane holds it either
			s.log.Error("content left out of the run", "resource", c.Object.String(), "destination", d.Key.String(), "run", q.Run, "err", err)
			return nil
		}
		answered++
		return err
	})
	if err != nil {
		return err
	}
	if _, err := w.Close(ctx, event.End{Incomplete: missing}); err != nil {
		return err
	}
	s.contentsOf.WithLabelValues("answered").Add(float64(answered))
	s.contentsOf.WithLabelValues("skipped").Add(float64(len(wanted) - answered))
	s.log.Debug("the contents of a run were answered", "destination", d.Key.String(), "run", q.Run, "part", q.Part, "objects", answered, "skipped", len(wanted)-answered)
	if len(missing) == 0 {
		return nil
	}
	s.log.Warn("types are not to be had since the lane was frozen: a run follows once they are", "destination", d.Key.String(), "run", q.Run, "types", missing)
	s.lost(lane{d.Key, q.Part}, missing)
	return nil
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
			q = &capture.Wanted{Hashes: map[string]string{}, Dropped: dropped}
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
			missing = append(missing, r.typ.GroupResource().String())
		}
	}
	return missing, nil
}

// fetchType goes on trying while it takes no longer than patience, or the API server
// does not answer at all. had is false if the type is not to be had.
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
		} else if time.Since(began) >= patience {
			return false, nil
		}
		s.log.Warn("contents that a run wants cannot be read, retrying", "resource", r.typ.GroupResource().String(), "err", err)
		if err := fault.Wait(ctx, backoff.Next()); err != nil {
			return false, fmt.Errorf("reading contents: %w", err)
		}
	}
}
