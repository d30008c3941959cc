package stream

import (
	"context"
	"fmt"

	"github.com/kubescribe/kubescribe/services/stream/decide"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/stream/results"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// memory is what is remembered of a destination beside its state: all of it can be
// read again.
type memory struct {
	passed  phase.Passed
	results *results.Reader // being taken; nil while none are
	run     event.End       // what has closed them
}

// drop stops the taking of results.
func (m *memory) drop() {
	if m.results != nil {
		m.results.Stop()
	}
	m.results = nil
}

// note is what Decide and Work tell Stored.
type note struct {
	key event.DestinationKey
	decide.Decision
}

// Ledgers is one for each registered destination of the shard.
func (s *shard) Ledgers(ctx context.Context) ([]bus.LedgerConfig, error) {
	// One that registered a moment ago must not be missed: what was routed to
	// it already would be taken for consumed.
	newest, err := s.bus.LastSeq(ctx, "KV_"+subject.BucketDestination)
	if err != nil {
		return nil, err
	}
	if err := s.hold(ctx, newest); err != nil {
		return nil, err
	}
	var configs []bus.LedgerConfig
	all, _ := s.registry.All()
	for k := range all {
		if subject.LiveShard(k) == s.n {
			configs = append(configs, ledger(k))
		}
	}
	return configs, nil
}

// hold waits for a registry revision.
func (s *Stream) hold(ctx context.Context, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, registryWait)
	defer cancel()
	return s.registry.Wait(ctx, revision)
}

// Ledger is that of the input's destination. Of one that is not registered, the
// input goes to the dead letters: nobody wants it.
func (s *shard) Ledger(ctx context.Context, m bus.Message) (bus.LedgerConfig, error) {
	_, k, err := subject.ParseLiveData(m.Subject)
	if err != nil {
		return bus.LedgerConfig{}, err
	}
	revision, err := event.RegistryOf(m.Header)
	if err != nil {
		return bus.LedgerConfig{}, err
	}
	if err := s.hold(ctx, revision); err != nil {
		return bus.LedgerConfig{}, err
	}
	if _, ok := s.registry.Get(k); !ok {
		return bus.LedgerConfig{}, s.unknown(k)
	}
	return ledger(k), nil
}

// unknown counts what is meant for a destination that is not registered, and is the error
// that sends it to the dead letters.
func (s *Stream) unknown(k event.DestinationKey) error {
	s.metrics.changes.WithLabelValues(string(outcome.Unregistered), "").Inc()
	return fault.As(fault.Poison, fmt.Errorf("%w: %s", bus.ErrUnknownDestination, k))
}

// Left reports whether a ledger's destination is not registered any more.
func (s *shard) Left(l bus.LedgerConfig) bool {
	k, err := subject.ParseWriteCheckpoint(l.Checkpoint)
	if err != nil {
		return false // not made by ledger: cannot be
	}
	if _, ok := s.registry.Get(k); ok {
		return false
	}
	s.forget(k)
	delete(s.counts, k)
	return true
}

func ledger(k event.DestinationKey) bus.LedgerConfig {
	return bus.LedgerConfig{
		Input: subject.Live, InputFilter: subject.LiveDestination(k),
		Output: subject.Write, OwnerFilter: subject.WriteDestination(k), Checkpoint: subject.WriteCheckpoint(k),
	}
}

// Reset forgets everything that another owner may have made another.
func (s *shard) Reset() {
	s.term = s.terms.Add(1)
	for k := range s.known {
		s.forget(k)
	}
}

// forget drops what is remembered of a destination.
func (s *shard) forget(k event.DestinationKey) {
	if m := s.known[k]; m != nil {
		m.drop()
	}
	delete(s.known, k)
	s.release(k)
}

func (s *shard) memory(k event.DestinationKey) *memory {
	m := s.known[k]
	if m == nil {
		m = &memory{}
		s.known[k] = m
	}
	return m
}

// Opened completes KS_PHASE where a crash came between the checkpoint, which
// decides, and the bucket, which shows; and reads again what had passed during the
// run that is under way.
func (s *shard) Opened(ctx context.Context, l bus.LedgerConfig, state string, cursor uint64) error {
	st, err := phase.Parse(state)
	if err != nil {
		return err
	}
	k, err := subject.ParseWriteCheckpoint(l.Checkpoint)
	if err != nil {
		return err
	}
	m := s.memory(k)
	consumed := s.bus.Range(ctx, subject.Live, subject.LiveDestination(k), st.From, cursor)
	if m.passed, err = decide.Passed(st, consumed); err != nil {
		return err
	}
	s.due[s.n].add(k)
	s.retain(k, st, cursor)
	return s.show(ctx, k, st, cursor)
}

// Waits reports whether a state holds changes back.
func (s *shard) Waits(state string) bool {
	st, err := phase.Parse(state)
	return err == nil && st.Holds()
}

// Decide takes one change, MARK or fence into its destination stream.
func (s *shard) Decide(ctx context.Context, m bus.Message, state string) (bus.Decision, error) {
	part, k, err := subject.ParseLiveData(m.Subject)
	if err != nil {
		return bus.Decision{}, err
	}
	st, err := phase.Parse(state)
	if err != nil {
		return bus.Decision{}, err
	}
	dest, ok := s.destination(k)
	if !ok { // it has left since Ledger looked
		return bus.Decision{}, s.unknown(k)
	}
	if f, is := decide.Fence(m); is {
		return s.fenced(ctx, k, st, part, f)
	}
	in, err := decide.Parse(m)
	if err != nil {
		return bus.Decision{}, err
	}
	if in.IsMark() {
		rec, err := s.record(ctx, k)
		if err != nil {
			return bus.Decision{}, err
		}
		return decision(k, decide.Mark(dest, st, in, rec)), nil
	}
	last, _ := s.recent.Get(object{s.term, k, in.Path()})
	d, err := decide.Change(dest, st, in, last)
	s.remember(k, d) // the next ones may be decided before it is stored; if that fails, another term begins
	return decision(k, d), err
}

// remember keeps the contents of what is forwarded.
func (s *shard) remember(k event.DestinationKey, d decide.Decision) {
	for _, i := range d.Items {
		if i.Outcome == outcome.Forwarded {
			s.recent.Add(object{s.term, k, i.Path}, phase.Last{Known: true, Of: d.State.Epoch, Hash: i.Hash})
		}
	}
}

// destination is a destination as it is registered.
func (s *Stream) destination(k event.DestinationKey) (decide.Destination, bool) {
	d, ok := s.registry.Get(k)
	return decide.Destination{Registered: d, Incarnation: s.bus.Install.Incarnation}, ok
}

func decision(k event.DestinationKey, d decide.Decision) bus.Decision {
	return bus.Decision{Outputs: d.Outputs, State: d.State.String(), Note: note{k, d}}
}

// Stored remembers what was stored, and shows it.
func (s *shard) Stored(ctx context.Context, d bus.Decision, state string, cursor uint64) error {
	n, ok := d.Note.(note)
	if !ok {
		return nil // nobody's: dead-lettered
	}
	st, err := phase.Parse(state)
	if err != nil {
		return err
	}
	m, counts := s.memory(n.key), s.counted(n.key)
	n.Remember(&m.passed)
	if st.Step != phase.Applying {
		m.drop()
	}
	for _, i := range n.Items {
		s.metrics.changes.WithLabelValues(string(i.Outcome), string(i.Origin)).Inc()
		switch i.Outcome {
		case outcome.Forwarded:
			counts.Forwarded++
		case outcome.Suppressed:
			counts.Suppressed++
		case outcome.Pruned:
			counts.Pruned++
		default: // the metrics alone have them
		}
	}
	s.counts[n.key] = counts
	s.retain(n.key, st, cursor)
	if n.Effects.Barrier {
		s.due[s.n].add(n.key) // the answer may be there already
	}
	if !n.Effects.Show && !n.Effects.Barrier {
		return nil
	}
	// A crash here leaves KS_PHASE behind the checkpoint: Opened completes it.
	return s.show(ctx, n.key, st, cursor)
}

// retain keeps whose changes are held back, and from where on.
func (s *Stream) retain(k event.DestinationKey, st phase.State, cursor uint64) {
	if !st.Holds() {
		s.release(k)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[k] = cursor
}

func (s *Stream) release(k event.DestinationKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, was := s.held[k]; was {
		delete(s.held, k)
		s.metrics.held.DeleteLabelValues(k.String())
	}
}
