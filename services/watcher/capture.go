package watcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/services/watcher/internal/registry"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// takeOverAfter is how long a watcher that shares with nobody, and has lost its lanes, leaves
// them to whoever took them, at first.
const takeOverAfter = time.Minute

// share does one watcher's part of what those of a cluster share, until ctx ends.
func (w *Watcher) share(ctx context.Context, shard int) error {
	if shard == configurationShard {
		return w.configure(ctx)
	}
	w.holding.hold(ctx, shard)
	return nil
}

// captureAll has a session at work on the lanes that are held, until ctx ends.
func (w *Watcher) captureAll(ctx context.Context) {
	backoff := fault.Backoff{Max: 5 * time.Second}
	// Another watcher of this cluster is at work, which shares nothing. Taking the lanes back
	// at once would only make both begin their lists again and again.
	yield := fault.Backoff{Min: takeOverAfter, Max: 10 * takeOverAfter}
	said := "" // what was last logged as wrong
	for {
		has, err := w.holding.settled(ctx)
		if err != nil {
			return
		}
		begun := time.Now()
		err = w.capture(ctx, has, func() { said = "" })
		w.setSession(nil, err)
		w.holding.done()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errReconfigured):
			backoff.Reset()
			continue
		case errors.Is(err, registry.ErrWritten):
			_ = fault.Wait(ctx, backoff.Next()) // the loop sees how ctx is
			continue
		}
		w.interruptions.Inc()
		if gist := fault.Gist(err); gist != said {
			said = gist // once; /readyz goes on saying it
			w.log.Warn("the cluster is not being watched, retrying", "err", err)
		}
		if lasted := time.Since(begun); lasted > takeOverAfter {
			backoff.Reset()
			if lasted > 10*takeOverAfter {
				yield.Reset()
			}
		}
		wait := backoff.Next()
		if w.alone && errors.Is(err, bus.ErrFenced) {
			wait = yield.Next()
		}
		_ = fault.Wait(ctx, wait)
	}
}

// capture is one session: it takes lanes and works, by what is registered, until that, or what is
// held, has changed, ctx ends or it has lost a lane.
func (w *Watcher) capture(ctx context.Context, has lanes, works func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel(nil)
	beside.Go(func() {
		w.holding.outdated(ctx, has)
		cancel(errReconfigured) // unless it has ended before
	})
	id, err := w.clusterID(ctx)
	if err != nil {
		return orCause(ctx, err)
	}
	destinations, synced, err := registry.Read(ctx, w.bus, w.cfg.Cluster)
	if err != nil {
		return orCause(ctx, err)
	}
	for _, d := range destinations {
		if d.ClusterID != id {
			return fmt.Errorf("destination %s is registered for another cluster by the name %s: whoever has the configuration is about to register it anew", d.Key, w.cfg.Cluster)
		}
	}
	s, err := w.newSession(id, destinations, synced)
	if err != nil {
		return err
	}
	if err := s.take(ctx, has); err != nil {
		return orCause(ctx, err)
	}
	w.setSession(s, nil)
	works()
	beside.Go(func() {
		if s.otherThan(ctx, synced, s.registered) == nil {
			cancel(errReconfigured)
		}
	})
	return s.run(ctx)
}

// orCause is why ctx ended, or, where it has not, err.
func orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// take takes lanes, and has requests about them answered.
func (s *session) take(ctx context.Context, has lanes) (err error) {
	for part := range s.lanes {
		if !has[part] {
			continue
		}
		if s.lanes[part], err = s.bus.TakeLane(ctx, part, s.cfg.Cluster, s.cfg.Owner); err != nil {
			return err
		}
		s.requests = append(s.requests, &bus.Responder{
			Bus: s.bus, Stage: bus.StageWatcher, Sole: true, Consumer: subject.ConsumerClusterState(s.cfg.Cluster, part), Filter: subject.CtlClusterStates(s.cfg.Cluster, part),
			Handle: s.answerState, Log: s.log,
		}, &bus.Responder{
			Bus: s.bus, Stage: bus.StageWatcher, Sole: true, Consumer: subject.ConsumerResources(s.cfg.Cluster, part), Filter: subject.CtlResourcesOf(s.cfg.Cluster, part),
			Handle: s.answerResources, Log: s.log,
		}, &bus.Responder{
			Bus: s.bus, Stage: bus.StageWatcher, Sole: true, Consumer: subject.ConsumerObjects(s.cfg.Cluster, part), Filter: subject.CtlObjects(s.cfg.Cluster, part),
			Handle: s.answerObject, Log: s.log,
		})
	}
	// Whoever has the configuration may have removed a destination in between and registered it
	// again, and the MARK of its first run may be stored: what was published behind it under the
	// revision from before would be left out by all. From here on it is fenced.
	if s.registered, err = registry.Confirm(ctx, s.bus, s.cfg.Cluster, s.synced); err != nil {
		return err
	}
	return s.recall(ctx)
}

// otherThan returns once something else is registered of the cluster than was at a revision of
// the registry, or with ctx's error.
func (w *Watcher) otherThan(ctx context.Context, synced registry.Synced, at uint64) error {
	if err := w.registry.Wait(ctx, at); err != nil {
		return err
	}
	for {
		all, changed := w.registry.All()
		ours := 0
		for k, d := range all {
			if k.Cluster != w.cfg.Cluster {
				continue
			}
			if ours++; synced.Revisions[k] != d.Revision {
				return nil
			}
		}
		if ours != len(synced.Revisions) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newSession is one by what is registered, with nothing followed yet.
func (w *Watcher) newSession(id string, destinations []event.Destination, synced registry.Synced) (*session, error) {
	selector, err := selection.New(destinations)
	if err != nil {
		return nil, err
	}
	if err := w.patterns.Follow(destinations); err != nil {
		return nil, err
	}
	return newSession(w, id, destinations, selector, synced), nil
}
