package reconciler

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Deps is what a reconciler works with.
type Deps struct {
	Bus     *bus.Bus
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Clock   Clock // nil: the system's
	Room    int   // for the contents of one run, in bytes; 0: 48 MiB
}

// contentRoom is how much of KS_SNAP the contents of one run may take: with both states
// and the results it stays below 64 MB.
const contentRoom = 48 << 20

// Reconciler is the role. Make it with [New].
type Reconciler struct {
	bus          *bus.Bus
	log          *slog.Logger
	clock        Clock
	room         int
	metrics      metrics
	registry     *bus.Registry
	destinations *bus.Bucket[event.Destination]
	phases       *bus.Bucket[event.PhaseRecord]
	statuses     *bus.Bucket[event.Status]
	requests     *bus.Responder
	troubles     troubles

	phaseNews chan phaseNews
	endNews   chan endNews
}

// New makes a reconciler of all destinations.
func New(ctx context.Context, d Deps) (*Reconciler, error) {
	r := &Reconciler{
		bus: d.Bus, log: d.Log.With("role", "reconciler"), clock: d.Clock, room: d.Room, registry: bus.NewRegistry(),
		phaseNews: make(chan phaseNews), endNews: make(chan endNews),
	}
	if r.clock == nil {
		r.clock = systemClock{}
	}
	if r.room == 0 {
		r.room = contentRoom
	}
	var err1, err2, err3 error
	r.destinations, err1 = bus.OpenBucket[event.Destination](ctx, d.Bus, subject.BucketDestination)
	r.phases, err2 = bus.OpenBucket[event.PhaseRecord](ctx, d.Bus, subject.BucketPhase)
	r.statuses, err3 = bus.OpenBucket[event.Status](ctx, d.Bus, subject.BucketStatus)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	r.requests = &bus.Responder{Bus: d.Bus, Consumer: subject.ConsumerRuns, Filter: subject.CtlRuns, Handle: r.requested, Log: r.log}
	r.metrics = newMetrics(d.Metrics)
	return r, nil
}

// Run works until ctx ends and then returns nil.
func (r *Reconciler) Run(ctx context.Context) error {
	var roles sync.WaitGroup
	var last uint64
	var synced bool
	roles.Go(func() { _ = r.registry.Run(ctx, r.bus, r.log) }) // returns only with ctx, without error
	roles.Go(func() { r.follow(ctx, "phases", r.followPhases) })
	roles.Go(func() { r.follow(ctx, "ends of series", r.followEnds(&last, &synced)) })
	roles.Go(func() { r.requests.Run(ctx) })
	newManager(r).run(ctx)
	roles.Wait()
	return nil
}

// Ready is nil while runs can be begun and go on.
func (r *Reconciler) Ready() error {
	return errors.Join(r.registry.Ready(), r.requests.Ready(), r.troubles.get())
}
