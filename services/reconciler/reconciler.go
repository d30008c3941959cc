package reconciler

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/services/reconciler/janitor"
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
	// Replica is its name among those with which it shares the destinations; "": it does all of
	// them, whoever else does.
	Replica string
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
	leases       *bus.Leases
	janitor      *janitor.Janitor
	troubles     troubles

	phaseNews chan phaseNews
	endNews   chan endNews
	shardNews chan shardNews
}

// New makes a reconciler.
func New(ctx context.Context, d Deps) (*Reconciler, error) {
	r := &Reconciler{
		bus: d.Bus, log: d.Log.With("role", "reconciler"), clock: d.Clock, room: d.Room, registry: bus.NewRegistry(),
		phaseNews: make(chan phaseNews), endNews: make(chan endNews), shardNews: make(chan shardNews),
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
	r.requests = &bus.Responder{Bus: d.Bus, Stage: bus.StageReconciler, Consumer: subject.ConsumerRuns, Filter: subject.CtlRuns, Handle: r.requested, Log: r.log}
	r.leases = &bus.Leases{Bus: d.Bus, Role: subject.LeaseReconciler, Shards: shards, Owner: d.Replica, Log: r.log}
	r.metrics = newMetrics(d.Metrics)
	var err error
	r.janitor, err = janitor.New(ctx, d.Bus, r.registry, r.log, d.Metrics)
	return r, err
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
	mctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until the shards are given back
	var managed sync.WaitGroup
	managed.Go(func() { newManager(r).run(mctx) })
	err := r.leases.Run(ctx, r.shard)
	cancel()
	managed.Wait()
	roles.Wait()
	return err
}

// What replicas share: the destinations, by their shards, and what one does for all.
const (
	janitorShard = subject.LiveShards // trimming, and counting what waits and the dead letters
	shards       = subject.LiveShards + 1
)

// shard has the manager do the runs of a shard, or the janitor work, until ctx ends.
func (r *Reconciler) shard(ctx context.Context, n int) error {
	if n == janitorShard {
		var counted sync.WaitGroup
		counted.Go(func() { r.countLetters(ctx) })
		r.janitor.Run(ctx)
		counted.Wait()
		return nil
	}
	done := make(chan struct{})
	if send(ctx, r.shardNews, shardNews{shard: n, ours: true}) != nil {
		return nil
	}
	<-ctx.Done()
	r.shardNews <- shardNews{shard: n, done: done}
	<-done
	return nil
}

// Ready is nil while runs can be begun and go on.
func (r *Reconciler) Ready() error {
	return errors.Join(r.registry.Ready(), r.leases.Ready(), r.requests.Ready(), r.troubles.get())
}
