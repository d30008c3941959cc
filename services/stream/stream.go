package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/services/stream/internal/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// recentObjects bounds how many objects' last contents are remembered, of
	// all destinations together: about 16 MB. For an object beyond it the
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
	recent   *lru.Cache[object, string] // last content hash forwarded, "" once deleted
	counts   map[event.DestinationKey]*event.Counts
	seen     *prometheus.CounterVec
}

// object names an object within a destination.
type object struct {
	destination event.DestinationKey
	key         string
}

// New makes a stream of all shards.
func New(ctx context.Context, d Deps) (*Stream, error) {
	log := d.Log.With("role", "stream")
	phases, err := bus.OpenBucket[event.PhaseRecord](ctx, d.Bus, subject.BucketPhase)
	if err != nil {
		return nil, err
	}
	recent, err := lru.New[object, string](recentObjects)
	if err != nil {
		return nil, fmt.Errorf("making the memory of recent objects: %w", err)
	}
	s := &Stream{
		bus: d.Bus, log: log, owner: d.Owner, registry: bus.NewRegistry(), phases: phases, recent: recent,
		counts: map[event.DestinationKey]*event.Counts{},
	}
	s.seen = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kubescribe_stream_changes_total",
		Help: "Changes read, by what became of them: forwarded, suppressed, marked or unregistered.",
	}, []string{"outcome"})
	lag := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kubescribe_stream_lag_messages", Help: "Changes routed and not yet in a destination stream.",
	})
	d.Metrics.MustRegister(s.seen, lag)
	filters := make([]string, subject.LiveShards)
	for i := range filters {
		filters[i] = subject.LiveShardData(i)
	}
	s.hop = &bus.Hop{
		Bus: d.Bus, Name: "stream", Input: subject.Live, Filters: filters, Stage: s, Log: log,
		Lag: func(n uint64) { lag.Set(float64(n)) },
	}
	return s, nil
}

// Run works until ctx ends, then stores its cursors and returns nil.
func (s *Stream) Run(ctx context.Context) error {
	rctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- s.registry.Run(rctx, s.bus, s.log) }()
	err := s.hop.Run(ctx)
	cancel()
	return errors.Join(err, <-done)
}

// Ready is nil while changes move.
func (s *Stream) Ready() error { return errors.Join(s.registry.Ready(), s.hop.Ready()) }

// Ledgers is one for each registered destination.
func (s *Stream) Ledgers(ctx context.Context) ([]bus.LedgerConfig, error) {
	wait, cancel := context.WithTimeout(ctx, registryWait)
	defer cancel()
	// One that registered a moment ago must not be missed: what was routed to
	// it already would be taken for consumed.
	newest, err := s.bus.LastSeq(wait, "KV_"+subject.BucketDestination)
	if err != nil {
		return nil, err
	}
	if err := s.registry.Wait(wait, newest); err != nil {
		return nil, err
	}
	var configs []bus.LedgerConfig
	all, _ := s.registry.All()
	for k := range all {
		configs = append(configs, ledger(k))
	}
	return configs, nil
}

// Ledger is that of the subject's destination.
func (s *Stream) Ledger(subj string) (bus.LedgerConfig, error) {
	_, k, err := subject.ParseLiveData(subj)
	if err != nil {
		return bus.LedgerConfig{}, err
	}
	return ledger(k), nil
}

func ledger(k event.DestinationKey) bus.LedgerConfig {
	return bus.LedgerConfig{
		Input: subject.Live, InputFilter: subject.LiveDestination(k),
		Output: subject.Write, OwnerFilter: subject.WriteDestination(k), Checkpoint: subject.WriteCheckpoint(k),
	}
}

// Reset forgets contents: another owner may have written since.
func (s *Stream) Reset() { s.recent.Purge() }

// Opened completes KS_PHASE where a crash came between the checkpoint, which
// decides, and the bucket, which shows.
func (s *Stream) Opened(ctx context.Context, l bus.LedgerConfig, state string) error {
	st, err := phase.Parse(state)
	if err != nil || !st.Live {
		return err
	}
	k, err := subject.ParseWriteCheckpoint(l.Checkpoint)
	if err != nil {
		return err
	}
	return s.show(ctx, k, st, 0, nil)
}

// note is what Decide tells Stored.
type note struct {
	outcome    string
	key        event.DestinationKey
	object     string
	hash       string
	became     *phase.State // set when the phase changed
	incomplete []string
}

// What became of a change.
const (
	outcomeForwarded    = "forwarded"
	outcomeSuppressed   = "suppressed"   // the same content as the last one of its object
	outcomeMarked       = "marked"       // a MARK
	outcomeUnregistered = "unregistered" // its destination left while it was under way
)

// Decide takes one change or MARK into its destination stream.
func (s *Stream) Decide(ctx context.Context, m bus.Message, state string) (bus.Decision, error) {
	part, k, err := subject.ParseLiveData(m.Subject)
	if err != nil {
		return bus.Decision{}, err
	}
	kind, err := event.KindOf(m.Header)
	if err != nil {
		return bus.Decision{}, err
	}
	switch kind {
	case event.KindChange:
		c, err := event.ParseChange(m.Header, m.Data)
		if err != nil {
			return bus.Decision{}, err
		}
		return s.change(ctx, m, k, c, state)
	case event.KindMark:
		mark, err := event.ParseMark(m.Header)
		if err != nil {
			return bus.Decision{}, err
		}
		return s.mark(ctx, k, part, mark, state)
	case event.KindFence, event.KindCheckpoint, event.KindRepoState:
	}
	return bus.Decision{}, fmt.Errorf("%w: a %s among the changes", event.ErrMalformed, kind)
}

func (s *Stream) change(ctx context.Context, m bus.Message, k event.DestinationKey, c event.Change, state string) (bus.Decision, error) {
	wait, cancel := context.WithTimeout(ctx, registryWait)
	defer cancel()
	if err := s.registry.Wait(wait, c.Registry); err != nil {
		return bus.Decision{}, err
	}
	d := bus.Decision{State: state}
	n := note{key: k, object: c.Key(), hash: c.Hash}
	dest, ok := s.registry.Get(k)
	last, known := s.recent.Get(object{k, n.object})
	switch {
	case !ok:
		n.outcome = outcomeUnregistered
	case known && last == c.Hash && c.Run == "": // a run asks because Git may have lost it
		n.outcome = outcomeSuppressed
	default:
		n.outcome = outcomeForwarded
		d.Outputs = []bus.Output{{
			Subject: subject.WriteData(dest.BranchKey, k),
			Header:  event.Forward(m.Header, subject.OutputID(s.bus.Install.Incarnation, m.Seq, k, c.Hash)),
			Data:    m.Data,
		}}
	}
	d.Note = n
	return d, nil
}

func (s *Stream) mark(ctx context.Context, k event.DestinationKey, part int, mark event.Mark, state string) (bus.Decision, error) {
	st, err := phase.Parse(state)
	if err != nil {
		return bus.Decision{}, err
	}
	n := note{outcome: outcomeMarked, key: k}
	rec, _, err := s.phases.Newest(ctx, subject.DestinationToken(k))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return bus.Decision{}, err
	}
	next := st.Mark(part, phase.Epoch{Run: mark.Run, Attempt: mark.Attempt}, phase.Epoch{Run: rec.Run, Attempt: rec.Attempt})
	if next != st {
		n.became = &next
	}
	return bus.Decision{State: next.String(), Note: n}, nil
}

// Stored remembers what was forwarded and shows the phase.
func (s *Stream) Stored(ctx context.Context, m bus.Message, d bus.Decision) error {
	n, ok := d.Note.(note)
	if !ok {
		return nil // dead-lettered
	}
	s.seen.WithLabelValues(n.outcome).Inc()
	c := s.counts[n.key]
	if c == nil {
		c = &event.Counts{}
		s.counts[n.key] = c
	}
	switch n.outcome {
	case outcomeForwarded:
		c.Forwarded++
		s.recent.Add(object{n.key, n.object}, n.hash)
	case outcomeSuppressed:
		c.Suppressed++
	}
	if n.became == nil {
		return nil
	}
	// A crash here leaves KS_PHASE behind the checkpoint: Opened completes it.
	return s.show(ctx, n.key, *n.became, m.Seq, n.incomplete)
}

// show writes a phase to KS_PHASE, unless it stands there already or the
// reconciler has begun another run in the meantime.
func (s *Stream) show(ctx context.Context, k event.DestinationKey, st phase.State, cursor uint64, incomplete []string) error {
	key := subject.DestinationToken(k)
	for {
		// From the leader: a replica that lags shows the run before, and this
		// one would be left at its phase.
		rec, rev, err := s.phases.Newest(ctx, key)
		if errors.Is(err, bus.ErrNoMessage) {
			return nil // the destination is being removed
		}
		if err != nil {
			return err
		}
		if rec.Run != st.Run || rec.Attempt != st.Attempt {
			return nil
		}
		was := rec.Phase
		if was == st.Phase() && len(incomplete) == 0 {
			return nil
		}
		rec.Phase, rec.Owner = st.Phase(), s.owner
		rec.Cursor = max(rec.Cursor, cursor)
		if c := s.counts[k]; c != nil {
			rec.Counts = *c
		}
		if was != rec.Phase {
			rec.Since = time.Now().UTC()
		}
		_, err = s.phases.Put(ctx, key, rec, rev)
		if errors.Is(err, bus.ErrConflict) {
			continue
		}
		if err == nil && was != rec.Phase {
			s.log.Info("phase changed", "destination", k.String(), "phase", rec.Phase, "run", rec.Run)
		}
		return err
	}
}
