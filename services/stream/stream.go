package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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
}

// Stream is the role. Make it with [New].
type Stream struct {
	bus      *bus.Bus
	log      *slog.Logger
	owner    string
	registry *bus.Registry
	phases   *bus.Bucket[event.PhaseRecord]
	hop      *bus.Hop
	metrics  *metrics
	due      *dueSet

	// What follows is the hop's goroutine's alone.
	recent *lru.Cache[object, phase.Last]
	known  map[event.DestinationKey]*memory
	counts map[event.DestinationKey]counted // not shown yet

	mu   sync.Mutex
	held map[event.DestinationKey]uint64 // the cursor behind which changes wait; guarded by mu
}

// object names an object within a destination, by the path of its file.
type object struct {
	destination event.DestinationKey
	path        string
}

// New makes a stream of all shards.
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
		metrics: newMetrics(d.Metrics), due: newDueSet(),
		known: map[event.DestinationKey]*memory{}, counts: map[event.DestinationKey]counted{}, held: map[event.DestinationKey]uint64{},
	}
	filters := make([]string, subject.LiveShards)
	for i := range filters {
		filters[i] = subject.LiveShardData(i)
	}
	s.hop = &bus.Hop{
		Bus: d.Bus, Name: "stream", Input: subject.Live, Filters: filters, Stage: s, Log: log, Wake: s.due.wake,
		Lag: func(n uint64) { s.metrics.lag.Set(float64(n)) },
	}
	return s, nil
}

// Run works until ctx ends, then stores its cursors and returns nil.
func (s *Stream) Run(ctx context.Context) error {
	rctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { _ = s.registry.Run(rctx, s.bus, s.log) }) // returns only with its context, without error
	beside.Go(func() { s.followRuns(ctx) })
	beside.Go(func() { s.followResults(ctx) })
	beside.Go(func() { s.countHeld(ctx) })
	err := s.hop.Run(ctx)
	cancel()
	beside.Wait()
	s.showCounts(ctx)
	s.Reset() // results that were being taken
	return err
}

// Ready is nil while changes move.
func (s *Stream) Ready() error { return errors.Join(s.registry.Ready(), s.hop.Ready()) }
