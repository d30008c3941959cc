package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Deps is what a reconciler works with.
type Deps struct {
	Bus     *bus.Bus
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Reconciler is the role. Make it with [New].
type Reconciler struct {
	bus      *bus.Bus
	log      *slog.Logger
	registry *bus.Registry
	phases   *bus.Bucket[event.PhaseRecord]
	requests *bus.Responder
	runs     *prometheus.CounterVec

	mu    sync.Mutex                      // held over requests to the bus
	asked map[event.DestinationKey]string // the run whose lanes this process has asked; guarded by mu

	state sync.Mutex
	why   error // why a run could not be begun, nil when all were; guarded by state
}

// New makes a reconciler of all destinations.
func New(ctx context.Context, d Deps) (*Reconciler, error) {
	phases, err := bus.OpenBucket[event.PhaseRecord](ctx, d.Bus, subject.BucketPhase)
	if err != nil {
		return nil, err
	}
	r := &Reconciler{
		bus: d.Bus, log: d.Log.With("role", "reconciler"), registry: bus.NewRegistry(), phases: phases,
		asked: map[event.DestinationKey]string{},
	}
	r.requests = &bus.Responder{Bus: d.Bus, Consumer: subject.ConsumerRuns, Filter: subject.CtlRuns, Handle: r.requested, Log: r.log}
	r.runs = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kubescribe_reconciler_runs_total", Help: "Runs begun, by why.",
	}, []string{"reason"})
	d.Metrics.MustRegister(r.runs)
	return r, nil
}

// Run works until ctx ends and then returns nil.
func (r *Reconciler) Run(ctx context.Context) error {
	var roles sync.WaitGroup
	roles.Go(func() { _ = r.registry.Run(ctx, r.bus, r.log) }) // returns only with ctx, without error
	roles.Go(func() { r.requests.Run(ctx) })
	r.manage(ctx)
	roles.Wait()
	return nil
}

// Ready is nil while runs can be begun.
func (r *Reconciler) Ready() error {
	r.state.Lock()
	defer r.state.Unlock()
	return errors.Join(r.registry.Ready(), r.requests.Ready(), r.why)
}

// manage looks at every destination whenever the registry changes, and again
// after a failure.
func (r *Reconciler) manage(ctx context.Context) {
	if r.registry.Wait(ctx, 0) != nil {
		return
	}
	var backoff fault.Backoff
	for {
		all, changed := r.registry.All()
		var failed []error
		for k, d := range all {
			if err := r.consider(ctx, k, d); err != nil && ctx.Err() == nil {
				failed = append(failed, fmt.Errorf("run of %s not begun yet: %w", k, err))
				r.log.Warn("run not begun yet, retrying", "destination", k.String(), "err", err)
			}
		}
		r.state.Lock()
		r.why = errors.Join(failed...)
		r.state.Unlock()
		var retry <-chan time.Time
		if len(failed) > 0 {
			retry = time.After(backoff.Next())
		} else {
			backoff.Reset()
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-retry:
		}
	}
}

// consider begins a run if the destination needs one, and asks the lanes of a
// run that is under way.
func (r *Reconciler) consider(ctx context.Context, k event.DestinationKey, d bus.Registered) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, rev, err := r.phases.Get(ctx, subject.DestinationToken(k))
	switch {
	case errors.Is(err, bus.ErrNoMessage):
		return r.begin(ctx, k, d, rev, event.ReasonNewDestination)
	case err != nil:
		return err
	case rec.Registered != d.Revision:
		return r.begin(ctx, k, d, rev, event.ReasonSpecChanged)
	case rec.Phase == event.StartupReconcile && r.asked[k] != rec.Run:
		// Begun by a process that may have died before it asked every lane.
		return r.ask(ctx, k, rec)
	}
	return nil
}

// requested begins a run because somebody asked for it.
func (r *Reconciler) requested(ctx context.Context, q event.Request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.registry.Wait(ctx, 0); err != nil {
		return err
	}
	d, ok := r.registry.Get(q.Destination)
	if !ok {
		return nil // it has left since: nothing to reconcile
	}
	rec, rev, err := r.phases.Get(ctx, subject.DestinationToken(q.Destination))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return err
	}
	if rec.Phase == event.StartupReconcile && q.Reason != event.ReasonAdmitted && q.Reason != event.ReasonHistoryRewritten {
		// One is under way and covers this. Not so for those two: what the run
		// had published before is what Git has lost.
		if r.asked[q.Destination] != rec.Run {
			return r.ask(ctx, q.Destination, rec)
		}
		return nil
	}
	if rec.Phase == event.StartupReconcile && rec.Reason == q.Reason && r.asked[q.Destination] != rec.Run {
		return r.ask(ctx, q.Destination, rec) // begun for this very request, and cut short
	}
	return r.begin(ctx, q.Destination, d, rev, q.Reason)
}

// begin writes the phase, then asks. A crash between the two leaves a run that
// nobody was asked for: the next process asks (see consider).
func (r *Reconciler) begin(ctx context.Context, k event.DestinationKey, d bus.Registered, rev uint64, reason string) error {
	rec := event.PhaseRecord{
		V: event.Version, Phase: event.StartupReconcile, Run: nuid.Next(), Attempt: 1,
		Reason: reason, Registered: d.Revision, Since: time.Now().UTC(),
	}
	if _, err := r.phases.Put(ctx, subject.DestinationToken(k), rec, rev); err != nil {
		return fmt.Errorf("beginning a run: %w", err)
	}
	r.runs.WithLabelValues(reason).Inc()
	r.log.Info("run begun", "destination", k.String(), "run", rec.Run, "reason", reason)
	return r.ask(ctx, k, rec)
}

// ask sends a request to the owner of each lane. Asked again, a lane publishes
// the same messages under the same IDs.
func (r *Reconciler) ask(ctx context.Context, k event.DestinationKey, rec event.PhaseRecord) error {
	for part := range subject.Parts {
		q := event.Request{
			V: event.Version, Kind: event.RequestClusterState, Destination: k, Part: part,
			Run: rec.Run, Attempt: rec.Attempt, Registered: rec.Registered, Reason: rec.Reason,
		}
		if err := r.bus.Ask(ctx, subject.CtlClusterState(k.Cluster, part, rec.Run, rec.Attempt), q); err != nil {
			return err
		}
	}
	r.asked[k] = rec.Run
	return nil
}
