package stream

import (
	"context"
	"fmt"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// memory is what is remembered of a destination beside its state: all of it can be
// read again.
type memory struct {
	passed  phase.Passed
	results *results // being taken; nil while none are
	counts  event.Counts
}

// note is what Decide and Work tell Stored.
type note struct {
	key     event.DestinationKey
	effects phase.Effects
	items   []item
}

// item is one change, and what became of it.
type item struct {
	outcome string
	origin  event.Origin
	path    string
	hash    string
}

// Ledgers is one for each registered destination.
func (s *Stream) Ledgers(ctx context.Context) ([]bus.LedgerConfig, error) {
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
		configs = append(configs, ledger(k))
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
func (s *Stream) Ledger(ctx context.Context, m bus.Message) (bus.LedgerConfig, error) {
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
		s.metrics.changes.WithLabelValues(outcomeUnregistered, "").Inc()
		return bus.LedgerConfig{}, fault.As(fault.Poison, fmt.Errorf("%w: %s", bus.ErrUnknownDestination, k))
	}
	return ledger(k), nil
}

// Left reports whether a ledger's destination is not registered any more.
func (s *Stream) Left(l bus.LedgerConfig) bool {
	k, err := subject.ParseWriteCheckpoint(l.Checkpoint)
	if err != nil {
		return false // not made by ledger: cannot be
	}
	if _, ok := s.registry.Get(k); ok {
		return false
	}
	s.forget(k)
	return true
}

func ledger(k event.DestinationKey) bus.LedgerConfig {
	return bus.LedgerConfig{
		Input: subject.Live, InputFilter: subject.LiveDestination(k),
		Output: subject.Write, OwnerFilter: subject.WriteDestination(k), Checkpoint: subject.WriteCheckpoint(k),
	}
}

// Reset forgets everything: another owner may have written since.
func (s *Stream) Reset() {
	s.recent.Purge()
	for k := range s.known {
		s.forget(k)
	}
}

// forget drops what is remembered of a destination.
func (s *Stream) forget(k event.DestinationKey) {
	if m := s.known[k]; m != nil && m.results != nil {
		m.results.stop()
	}
	delete(s.known, k)
	s.release(k)
}

func (s *Stream) memory(k event.DestinationKey) *memory {
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
func (s *Stream) Opened(ctx context.Context, l bus.LedgerConfig, state string, cursor uint64) error {
	st, err := phase.Parse(state)
	if err != nil {
		return err
	}
	k, err := subject.ParseWriteCheckpoint(l.Checkpoint)
	if err != nil {
		return err
	}
	if err := s.checkpointLost(ctx, k, st); err != nil {
		return err
	}
	m := s.memory(k)
	if m.passed, err = s.readPassed(ctx, k, st, cursor); err != nil {
		return err
	}
	s.due.add(k)
	s.retain(k, st, cursor)
	return s.show(ctx, k, st, cursor)
}

// checkpointLost asks for a run where the state is that of a destination nobody has
// reconciled, and KS_PHASE tells of a run that has closed: somebody has removed the
// checkpoint, and with it what says how far KS_LIVE was consumed.
func (s *Stream) checkpointLost(ctx context.Context, k event.DestinationKey, st phase.State) error {
	if st != (phase.State{}) {
		return nil
	}
	rec, err := s.record(ctx, k)
	if err != nil || rec.Run == "" || rec.Running() {
		return err
	}
	s.log.Warn("the checkpoint of a destination is gone, asking for a run", "destination", k.String(), "run", rec.Run)
	q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: event.ReasonCheckpointLost}
	return s.bus.Ask(ctx, subject.CtlRun(k), q)
}

// readPassed feeds the machine what was consumed since the run's first MARK. What
// it does not find any more may have been anything.
func (s *Stream) readPassed(ctx context.Context, k event.DestinationKey, st phase.State, cursor uint64) (passed phase.Passed, err error) {
	if st.Step == phase.Idle {
		return passed, nil
	}
	run, was := st.Began()
	for m, err := range s.bus.Range(ctx, subject.Live, subject.LiveDestination(k), st.From, cursor) {
		if err != nil {
			return passed, err
		}
		in, path, err := input(m, run)
		if err != nil {
			continue // it was dead-lettered
		}
		var fx phase.Effects
		if was, fx = phase.Next(was, in); fx.Remember {
			passed.Add(path)
		}
		if passed.Full() {
			break
		}
	}
	if was.Epoch != st.Epoch || was.Marked() != st.Marked() {
		passed.Fill()
	}
	return passed, nil
}

// Waits reports whether a state holds changes back.
func (s *Stream) Waits(state string) bool {
	st, err := phase.Parse(state)
	return err == nil && st.Holds()
}

// input is a message as the phase machine is fed it, and of a change the path of
// its object's file.
func input(m bus.Message, current phase.Run) (phase.Input, string, error) {
	part, _, err := subject.ParseLiveData(m.Subject)
	if err != nil {
		return nil, "", err
	}
	kind, err := event.KindOf(m.Header)
	if err != nil {
		return nil, "", err
	}
	switch kind {
	case event.KindChange:
		c, err := event.ParseChange(m.Header, m.Data)
		return phase.Change{Part: part}, path(c), err
	case event.KindMark:
		mark, err := event.ParseMark(m.Header)
		return phase.Mark{Part: part, Of: phase.Epoch{Run: mark.Run, Attempt: mark.Attempt}, Seq: m.Seq, Current: current}, "", err
	case event.KindFence, event.KindCheckpoint, event.KindRepoState:
	}
	return nil, "", fmt.Errorf("%w: a %s among the changes", event.ErrMalformed, kind)
}

// path is where the object of a change stands.
func path(c event.Change) string {
	id := manifest.Identity{Group: c.Group, Resource: c.Resource, Namespace: c.Namespace, Name: c.Name}
	return id.Path()
}

// Decide takes one change or MARK into its destination stream.
func (s *Stream) Decide(ctx context.Context, m bus.Message, state string) (bus.Decision, error) {
	_, k, err := subject.ParseLiveData(m.Subject)
	if err != nil {
		return bus.Decision{}, err
	}
	st, err := phase.Parse(state)
	if err != nil {
		return bus.Decision{}, err
	}
	dest, ok := s.registry.Get(k)
	if !ok { // since Ledger looked
		return bus.Decision{State: state, Note: note{key: k, items: []item{{outcome: outcomeUnregistered}}}}, nil
	}
	in, path, err := input(m, phase.Run{})
	if err != nil {
		return bus.Decision{}, err
	}
	if mark, is := in.(phase.Mark); is {
		return s.mark(ctx, k, dest, mark, st)
	}
	c, err := event.ParseChange(m.Header, m.Data)
	if err != nil {
		return bus.Decision{}, err
	}
	st, fx := phase.Next(st, in)
	if !fx.Forward {
		return bus.Decision{}, fmt.Errorf("a change of %s came although it waits", k)
	}
	i := item{origin: event.Live, path: path, hash: c.Hash, outcome: outcomeForwarded}
	last, known := s.recent.Get(object{k, path})
	d := bus.Decision{State: st.String()}
	switch phase.FateOf(c, fx, last, known, dest.Prune.Mode) {
	case phase.Suppressed:
		i.outcome = outcomeSuppressed
	case phase.Pruned:
		i.outcome, fx.Remember = outcomePruned, false
	case phase.Forwarded:
		d.Outputs = []bus.Output{{
			Subject: subject.WriteData(dest.BranchKey, k),
			Header:  event.Forward(m.Header, subject.OutputID(s.bus.Install.Incarnation, m.Seq, k, c.Hash)),
			Data:    m.Data,
		}}
	}
	d.Note = note{key: k, effects: fx, items: []item{i}}
	return d, nil
}

// mark takes a MARK. The last one stores the BARRIER in the message that consumes
// it: there is one of each, or neither.
func (s *Stream) mark(ctx context.Context, k event.DestinationKey, dest bus.Registered, mark phase.Mark, st phase.State) (bus.Decision, error) {
	rec, err := s.record(ctx, k)
	if err != nil {
		return bus.Decision{}, err
	}
	if rec.Running() { // read again from KS_LIVE, its MARKs begin no run that has closed
		mark.Current = phase.RunOf(rec)
	}
	next, fx := phase.Next(st, mark)
	d := bus.Decision{State: next.String(), Note: note{key: k, effects: fx, items: []item{{outcome: outcomeMarked}}}}
	if fx.Barrier {
		h, body := event.Barrier{Run: rec.Run, Attempt: rec.Attempt, Registry: rec.Registered}.Message()
		h[event.HeaderID] = []string{subject.ResultID(k, rec.Run, rec.Attempt, 0)}
		d.Outputs = []bus.Output{{Subject: subject.WriteData(dest.BranchKey, k), Header: h, Data: body}}
	}
	return d, nil
}

// Stored remembers what was stored, and shows it.
func (s *Stream) Stored(ctx context.Context, d bus.Decision, state string, cursor uint64) error {
	n, ok := d.Note.(note)
	if !ok {
		return nil // dead-lettered
	}
	st, err := phase.Parse(state)
	if err != nil {
		return err
	}
	m := s.memory(n.key)
	if n.effects.Forget {
		m.passed = phase.Passed{}
	}
	if st.Step != phase.Applying && m.results != nil {
		m.results.stop()
		m.results = nil
	}
	for _, i := range n.items {
		s.metrics.changes.WithLabelValues(i.outcome, string(i.origin)).Inc()
		switch i.outcome {
		case outcomeForwarded:
			m.counts.Forwarded++
			s.recent.Add(object{n.key, i.path}, i.hash)
			if n.effects.Remember {
				m.passed.Add(i.path)
			}
		case outcomeSuppressed:
			m.counts.Suppressed++
		case outcomePruned:
			m.counts.Pruned++
		}
	}
	s.retain(n.key, st, cursor)
	if n.effects.Barrier {
		s.due.add(n.key) // the answer may be there already
	}
	if !n.effects.Show && !n.effects.Barrier {
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
