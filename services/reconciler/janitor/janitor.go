// Package janitor removes from the bus what nobody needs any more.
//
// Each reader has a cursor, and only what lies behind that is ever removed: what the
// router has routed, what destinations' streams have taken, what is on the remotes. It
// stays for the time in which it can be replayed, and no longer than there is room.
// [Events.Trims], [Live.Trims] and [Write.Trims] say what of it has to stay all the same.
//
// Any number of janitors may be at work at once, and be killed at any point. Cursors only
// move on, and the newest message of an owner is only replaced by a newer one: what one of
// them has read allows less than what is true by the time it removes something.
package janitor

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// retention is for how long what was consumed can be replayed, while there is room.
	retention = 72 * time.Hour
	// sweepEvery is how often what has become older than that is removed.
	sweepEvery = 10 * time.Minute
	// lookEvery is how often it is looked how full the streams are.
	lookEvery = 5 * time.Second
	// lagEvery is how often what waits is counted, and what is shown of who has left removed.
	lagEvery = 30 * time.Second
)

// Janitor is made with [New].
type Janitor struct {
	bus          *bus.Bus
	log          *slog.Logger
	registry     *bus.Registry
	destinations *bus.Bucket[event.Destination]
	phases       *bus.Bucket[event.PhaseRecord]
	cursors      *bus.Bucket[event.Hint]
	lags         *bus.Bucket[event.Lag]
	statuses     *bus.Bucket[event.Status]
	metrics      metrics
}

// New makes a janitor. The registry is one that is followed.
func New(ctx context.Context, b *bus.Bus, registry *bus.Registry, log *slog.Logger, r prometheus.Registerer) (*Janitor, error) {
	j := &Janitor{bus: b, log: log, registry: registry, metrics: newMetrics(r)}
	var err error
	if j.destinations, err = bus.OpenBucket[event.Destination](ctx, b, subject.BucketDestination); err != nil {
		return nil, err
	}
	if j.phases, err = bus.OpenBucket[event.PhaseRecord](ctx, b, subject.BucketPhase); err != nil {
		return nil, err
	}
	if j.cursors, err = bus.OpenBucket[event.Hint](ctx, b, subject.BucketCursor); err != nil {
		return nil, err
	}
	if j.lags, err = bus.OpenBucket[event.Lag](ctx, b, subject.BucketLag); err != nil {
		return nil, err
	}
	if j.statuses, err = bus.OpenBucket[event.Status](ctx, b, subject.BucketStatus); err != nil {
		return nil, err
	}
	return j, nil
}

// Run works until ctx ends. What fails is tried again: nothing waits for it but room.
func (j *Janitor) Run(ctx context.Context) {
	defer j.metrics.reset() // another replica counts
	if j.registry.Wait(ctx, 0) != nil {
		return
	}
	swept, counted := map[string]time.Time{}, time.Time{}
	for {
		for _, stream := range []string{subject.Write, subject.Live, subject.Events} { // what frees one lets the hop before it go on
			if err := j.look(ctx, stream, swept); err != nil && ctx.Err() == nil {
				j.log.Warn("a stream was not trimmed, trying again", "stream", stream, "err", err)
			}
		}
		if time.Since(counted) >= lagEvery {
			counted = time.Now()
			if err := j.Count(ctx); err != nil && ctx.Err() == nil {
				j.log.Warn("what waits was not counted, trying again", "err", err)
			}
			if err := j.ForgetStatuses(ctx); err != nil && ctx.Err() == nil {
				j.log.Warn("what is shown of destinations that have left was not removed, trying again", "err", err)
			}
		}
		if fault.Wait(ctx, lookEvery) != nil {
			return
		}
	}
}

// look trims a stream if it is time, or if room has to be made.
func (j *Janitor) look(ctx context.Context, stream string, swept map[string]time.Time) error {
	level, err := j.bus.Level(ctx, stream)
	if err != nil {
		return err
	}
	j.metrics.bytes.WithLabelValues(stream).Set(float64(level.Bytes))
	j.metrics.limit.WithLabelValues(stream).Set(float64(level.Limit))
	if !level.Pressed() && time.Since(swept[stream]) < sweepEvery {
		return nil
	}
	swept[stream] = time.Now()
	return j.Sweep(ctx, stream, time.Now().Add(-retention))
}
