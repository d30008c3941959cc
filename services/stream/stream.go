package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// recentObjects bounds how many objects' last contents are remembered, of
	// all destinations together: about 20 MB. For an object beyond it the
	// git-writer sees that its content stands already.
	recentObjects = 1 << 16
	// registryWait bounds how long one change may wait for the registry before
	// the hop says that it does not move and begins anew.
	registryWait = 10 * time.Second
)

// Deps is what a stream works with.
type Deps struct {
	Bus     *bus.Bus
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Owner   string // who this is, for those who look at KS_PHASE
	// Replica is its name among those with which it shares the destinations; "": it takes all
	// of them, whoever else does.
	Replica string
}

// Stream is the role. Make it with [New].
type Stream struct {
	bus      *bus.Bus
	log      *slog.Logger
	owner    string
	registry *bus.Registry
	phases   *bus.Bucket[event.PhaseRecord]
	hops     *bus.Hops
	metrics  *metrics
	due      [subject.LiveShards]*dueSet
	recent   *lru.Cache[object, phase.Last]
	terms    atomic.Uint64 // how many rounds the shards have begun

	mu   sync.Mutex
	held map[event.DestinationKey]uint64 // the cursor behind which changes wait; guarded by mu
}

// shard is one shard's stage. What it has itself is its hop's goroutine's alone.
type shard struct {
	*Stream
	n      int
	term   uint64 // of the round: what was remembered before counts no more
	known  map[event.DestinationKey]*memory
	counts map[event.DestinationKey]counted // not shown yet
}

// object names an object within a destination, by the path of its file, and a round.
type object struct {
	term        uint64
	destination event.DestinationKey
	path        string
}

// New makes a stream.
func New(ctx context.Context, d Deps) (*Stream, error) {
	log := d.Log.With("role", "stream")
	phases, err := bus.OpenBucket[event.PhaseRecord](ctx, d.Bus, subject.BucketPhase)
	if err != nil {
		return nil, err
	}
	recent, err := lru.New[object, phase.Last](recentObjects)
	if err != nil {
		return nil, fmt.Errorf("making the memory of recent objects: %w", err)
	}
	s := &Stream{
		bus: d.Bus, log: log, owner: d.Owner, registry: bus.NewRegistry(), phases: phases, recent: recent,
		metrics: newMetrics(d.Metrics), held: map[event.DestinationKey]uint64{},
	}
	for n := range s.due {
		s.due[n] = newDueSet()
	}
	s.hops = &bus.Hops{
		Leases: bus.Leases{Bus: d.Bus, Role: subject.LeaseStream, Shards: subject.LiveShards, Owner: d.Replica, Log: log},
		Lag:    func(n uint64) { s.metrics.lag.Set(float64(n)) },
		Begin:  s.begin,
	}
	return s, nil
}

// begin makes the hop of a shard.
func (s *Stream) begin(n int) *bus.Hop {
	stage := &shard{Stream: s, n: n, known: map[event.DestinationKey]*memory{}, counts: map[event.DestinationKey]counted{}}
	return &bus.Hop{
		Bus: s.bus, Name: bus.StageStream, Input: subject.Live, Filters: []string{subject.LiveShardData(n)}, Output: subject.Write, Stage: stage, Log: s.log, Wake: s.due[n].wake,
		Ended: func() {
			stage.showCounts()
			stage.Reset() // results that were being taken
		},
	}
}

// Run works until ctx ends, then stores its cursors and returns nil.
func (s *Stream) Run(ctx context.Context) error {
	rctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { _ = s.registry.Run(rctx, s.bus, s.log) }) // returns only with its context, without error
	beside.Go(func() { s.followRuns(ctx) })
	beside.Go(func() { s.followResults(ctx) })
	beside.Go(func() { s.countHeld(ctx) })
	err := s.hops.Run(ctx)
	cancel()
	beside.Wait()
	return err
}

// Ready is nil while changes move.
func (s *Stream) Ready() error { return errors.Join(s.registry.Ready(), s.hops.Ready()) }
