package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// registryWait bounds how long one event may wait for the registry before the
// hop says that it does not move and begins anew.
const registryWait = 10 * time.Second

// Deps is what a router works with.
type Deps struct {
	Bus     *bus.Bus
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Replica is its name among those with which it shares the parts; "": it routes all of
	// them, whoever else does.
	Replica string
}

// Router is the role. Make it with [New].
type Router struct {
	bus.Stateless
	bus      *bus.Bus
	log      *slog.Logger
	registry *bus.Registry
	hops     *bus.Hops
	routed   *prometheus.CounterVec
}

// New makes a router.
func New(d Deps) *Router {
	log := d.Log.With("role", "router")
	r := &Router{bus: d.Bus, log: log, registry: bus.NewRegistry()}
	r.routed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kubescribe_router_events_total", Help: "Events read, by what became of them: routed, or unregistered because their destinations are gone.",
	}, []string{"outcome"})
	lag := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kubescribe_router_lag_messages", Help: "Events stored and not yet routed, of the parts that this router has.",
	})
	d.Metrics.MustRegister(r.routed, lag)
	r.hops = &bus.Hops{
		Leases: bus.Leases{Bus: d.Bus, Role: subject.LeaseRouter, Shards: subject.Parts, Owner: d.Replica, Log: log},
		Lag:    func(n uint64) { lag.Set(float64(n)) },
		Begin: func(p int) *bus.Hop {
			return &bus.Hop{Bus: d.Bus, Name: bus.StageRouter, Input: subject.Events, Filters: []string{subject.EventPart(p)}, Output: subject.Live, Stage: part{r, p}, Log: log}
		},
	}
	return r
}

// part is one part's stage.
type part struct {
	*Router
	n int
}

// Run routes until ctx ends, then stores its cursors and returns nil.
func (r *Router) Run(ctx context.Context) error {
	rctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- r.registry.Run(rctx, r.bus, r.log) }()
	err := r.hops.Run(ctx)
	cancel()
	return errors.Join(err, <-done)
}

// Ready is nil while events are being routed.
func (r *Router) Ready() error { return errors.Join(r.registry.Ready(), r.hops.Ready()) }

// Ledgers is the part's.
func (p part) Ledgers(context.Context) ([]bus.LedgerConfig, error) {
	return []bus.LedgerConfig{ledger(p.n)}, nil
}

// Ledger is that of the input's part.
func (r *Router) Ledger(_ context.Context, m bus.Message) (bus.LedgerConfig, error) {
	p, err := subject.ParseEventPart(m.Subject)
	if err != nil {
		return bus.LedgerConfig{}, err
	}
	return ledger(p), nil
}

func ledger(part int) bus.LedgerConfig {
	return bus.LedgerConfig{
		Input: subject.Events, InputFilter: subject.EventPart(part),
		Output: subject.Live, OwnerFilter: subject.LivePart(part), Checkpoint: subject.LiveCheckpoint(part),
	}
}

// Lost tells every destination, where what KS_EVENTS lacks would stand: it may have been
// for any of them. What comes behind may have been routed before, where the log is
// another one, since watchers begin again at their last bookmark.
func (r *Router) Lost(ctx context.Context, l bus.LedgerConfig, state string, loss *bus.Loss) (bus.Decision, error) {
	part, err := subject.ParseLiveCheckpoint(l.Checkpoint)
	if err != nil {
		return bus.Decision{}, err
	}
	newest, err := r.bus.LastSeq(ctx, "KV_"+subject.BucketDestination)
	if err != nil {
		return bus.Decision{}, err
	}
	if err := r.hold(ctx, newest); err != nil {
		return bus.Decision{}, err
	}
	reason := event.ReasonCheckpointLost
	if errors.Is(loss, bus.ErrCut) {
		reason = event.ReasonHistoryGap
	}
	d := bus.Decision{State: state}
	all, _ := r.registry.All()
	for k := range all {
		h, body := event.Fence{Reason: reason, After: loss.After, Until: loss.Until}.Message()
		h[event.HeaderID] = []string{subject.OutputID(r.bus.Install.Incarnation, loss.Until, k, reason)}
		d.Outputs = append(d.Outputs, bus.Output{Subject: subject.LiveData(part, k), Header: h, Data: body})
	}
	return d, nil
}

// Decide routes one event.
func (r *Router) Decide(ctx context.Context, m bus.Message, state string) (bus.Decision, error) {
	kind, err := event.KindOf(m.Header)
	if err != nil {
		return bus.Decision{}, err
	}
	part, err := subject.ParseEventPart(m.Subject)
	if err != nil {
		return bus.Decision{}, err
	}
	var to []event.DestinationKey
	var hash string
	var became outcome.Outcome
	switch kind {
	case event.KindChange:
		c, err := event.ParseChange(m.Header, m.Data)
		if err != nil {
			return bus.Decision{}, err
		}
		if err := r.hold(ctx, c.Registry); err != nil {
			return bus.Decision{}, err
		}
		to, became = r.registered(c)
		hash = c.Hash
	case event.KindMark:
		mark, err := event.ParseMark(m.Header)
		if err != nil {
			return bus.Decision{}, err
		}
		if err := r.hold(ctx, mark.Registry); err != nil {
			return bus.Decision{}, err
		}
		to, became, err = r.addressed(mark.Destination)
		if err != nil {
			return bus.Decision{}, err
		}
	case event.KindFence, event.KindCheckpoint, event.KindRepoState:
		return bus.Decision{}, fmt.Errorf("%w: a %s among the events", event.ErrMalformed, kind)
	}
	d := bus.Decision{State: state, Note: became}
	for _, k := range to {
		d.Outputs = append(d.Outputs, bus.Output{
			Subject: subject.LiveData(part, k),
			Header:  event.Forward(m.Header, subject.OutputID(r.bus.Install.Incarnation, m.Seq, k, hash)),
			Data:    m.Data,
		})
	}
	return d, nil
}

// Stored counts.
func (r *Router) Stored(_ context.Context, d bus.Decision, _ string, _ uint64) error {
	if became, ok := d.Note.(outcome.Outcome); ok {
		r.routed.WithLabelValues(string(became)).Inc()
	}
	return nil
}

// hold waits for a registry revision: under an older one a destination that the
// watcher knew might be left out.
func (r *Router) hold(ctx context.Context, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, registryWait)
	defer cancel()
	return r.registry.Wait(ctx, revision)
}

// registered are those of the destinations that a change is for which are there still.
func (r *Router) registered(c event.Change) ([]event.DestinationKey, outcome.Outcome) {
	to := slices.DeleteFunc(slices.Clone(c.To), func(k event.DestinationKey) bool {
		_, ok := r.registry.Get(k)
		return !ok
	})
	if len(to) == 0 {
		return nil, outcome.Unregistered
	}
	return to, outcome.Routed
}

// addressed is the one destination that a MARK names.
func (r *Router) addressed(name string) ([]event.DestinationKey, outcome.Outcome, error) {
	k, err := event.ParseDestinationKey(name)
	if err != nil {
		return nil, "", err
	}
	if _, ok := r.registry.Get(k); !ok {
		return nil, outcome.Unregistered, nil
	}
	return []event.DestinationKey{k}, outcome.Routed, nil
}
