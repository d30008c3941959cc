package reconciler

import (
	"context"
	"errors"
	"time"

	"github.com/kubescribe/kubescribe/services/reconciler/diff"
	"github.com/kubescribe/kubescribe/services/reconciler/plan"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// behindWait is after how long what should have been news is looked at again.
const behindWait = time.Second

// manager takes in what is known of all destinations, and does what the plan says
// about each of its shards. It is one goroutine's.
type manager struct {
	*Reconciler
	all  map[event.DestinationKey]*destination
	pool pool
	// Nothing is decided before KS_PHASE and the ends there are were read.
	phasesRead, endsRead bool
	running              int // of the runs under way, how many are ours
	ours                 [subject.LiveShards]bool
}

// shardNews is that a shard is to be worked on from now on, or no more; done is closed once
// nothing of it is done any more.
type shardNews struct {
	shard int
	ours  bool
	done  chan struct{}
}

func newManager(r *Reconciler) *manager {
	m := &manager{Reconciler: r, all: map[event.DestinationKey]*destination{}}
	m.pool.done = make(chan compared)
	m.pool.work = func(ctx context.Context, c comparison) (found, error) { return compare(ctx, r.bus, c) }
	return m
}

// run works until ctx ends.
func (m *manager) run(ctx context.Context) {
	defer m.pool.wg.Wait()
	if m.registry.Wait(ctx, 0) != nil {
		return
	}
	registered, changed := m.registry.All()
	m.register(ctx, registered)
	for {
		select {
		case <-ctx.Done():
			for _, d := range m.all {
				d.attempt.stop()
			}
			return
		case <-changed:
			registered, changed = m.registry.All()
			m.register(ctx, registered)
		case n := <-m.phaseNews:
			m.takePhase(ctx, n)
		case n := <-m.endNews:
			m.takeEnd(ctx, n)
		case n := <-m.shardNews:
			m.takeShard(ctx, n)
		case c := <-m.pool.done:
			m.takeComparison(ctx, c)
		case <-m.due():
			m.lookAtDue(ctx)
		}
	}
}

func (m *manager) get(k event.DestinationKey) *destination {
	d := m.all[k]
	if d == nil {
		d = &destination{
			key: k, ends: map[epoch]map[subject.Side]stored{}, attempt: newAttempt(m.clock.Now()),
			backoff: fault.Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second},
		}
		m.all[k] = d
	}
	return d
}

// register takes in the registry.
func (m *manager) register(ctx context.Context, registered map[event.DestinationKey]bus.Registered) {
	for k, r := range registered {
		if d := m.get(k); d.registered.Revision != r.Revision {
			d.registered = r
			m.look(ctx, d)
		}
	}
	for k, d := range m.all {
		if _, ok := registered[k]; !ok && d.registered.Revision > 0 {
			d.registered = bus.Registered{}
			m.look(ctx, d)
		}
	}
}

// does reports whether a destination's runs are this replica's to do.
func (m *manager) does(d *destination) bool { return m.ours[subject.LiveShard(d.key)] }

// takeShard begins with the destinations of a shard, or leaves them to another replica: what
// was done about them and not finished is forgotten, and begun anew by that one.
func (m *manager) takeShard(ctx context.Context, n shardNews) {
	m.ours[n.shard] = n.ours
	for _, d := range m.all {
		if subject.LiveShard(d.key) != n.shard {
			continue
		}
		if d.record.Running() {
			m.runs(map[bool]int{true: 1, false: -1}[n.ours])
		}
		if n.ours {
			m.metrics.waits(d.key, d.record.Outcome)
			m.look(ctx, d)
			continue
		}
		d.attempt.stop()
		d.attempt, d.due = newAttempt(m.clock.Now()), time.Time{}
		m.troubles.set(d.key.String(), nil)
		m.metrics.waits(d.key, nil)
	}
	if n.done != nil {
		close(n.done)
	}
}

// runs counts runs under way.
func (m *manager) runs(n int) {
	m.running += n
	m.metrics.running.Set(float64(m.running))
}

// takePhase takes in what is in KS_PHASE. It is also how the manager hears of what
// others write there: requests, the destinations' streams, another reconciler.
func (m *manager) takePhase(ctx context.Context, n phaseNews) {
	if n.all == nil {
		m.takeEntry(ctx, n.entry)
		return
	}
	for _, e := range n.all {
		m.takeEntry(ctx, e)
	}
	for k, d := range m.all {
		if _, ok := n.all[subject.DestinationToken(k)]; !ok && d.exists && d.revision <= n.at { // removed while nobody watched
			m.takeEntry(ctx, bus.Entry[event.PhaseRecord]{Key: subject.DestinationToken(k), Revision: d.revision + 1, Gone: true})
		}
	}
	if !m.phasesRead {
		m.phasesRead = true
		m.lookAtAll(ctx)
	}
}

func (m *manager) takeEntry(ctx context.Context, e bus.Entry[event.PhaseRecord]) {
	k, err := subject.ParseDestinationToken(e.Key)
	if err != nil {
		m.log.Warn("a key of KS_PHASE names no destination", "key", e.Key, "err", err)
		return
	}
	if e.Gone && m.all[k] == nil {
		return // removed here
	}
	d := m.get(k)
	if e.Revision <= d.revision {
		return // written here
	}
	m.becomes(d, e.Record, !e.Gone, e.Revision)
	if e.Gone && !m.does(d) && d.registered.Revision == 0 { // another replica has removed what was left
		delete(m.all, k)
		return
	}
	m.look(ctx, d)
}

// becomes takes in an entry of KS_PHASE, and shows it.
func (m *manager) becomes(d *destination, rec event.PhaseRecord, exists bool, revision uint64) {
	was, won := d.record, d.attempt.won
	d.becomes(rec, exists, revision, m.clock.Now())
	if !m.does(d) {
		return
	}
	if rec.Running() != was.Running() {
		m.runs(map[bool]int{true: 1, false: -1}[rec.Running()])
	}
	m.metrics.waits(d.key, rec.Outcome)
	switch {
	case rec.Running() && rec.Run != was.Run && m.phasesRead:
		d.began = m.clock.Now()
	case was.Running() && !rec.Running() && rec.Run == was.Run:
		m.log.Info("run closed", "destination", d.key.String(), "run", rec.Run, "attempt", rec.Attempt)
		if won && !d.began.IsZero() {
			m.metrics.seconds.Observe(m.clock.Now().Sub(d.began).Seconds())
		}
	}
}

// takeEnd takes in the end of a series.
func (m *manager) takeEnd(ctx context.Context, n endNews) {
	if n.synced {
		m.endsRead = true
		m.lookAtAll(ctx)
		return
	}
	d := m.get(n.series.Destination)
	d.hear(n.series, stored{n.end, n.seq}, m.clock.Now())
	m.look(ctx, d)
}

// takeComparison takes in what became of a comparison.
func (m *manager) takeComparison(ctx context.Context, c compared) {
	m.pool.finished(ctx)
	d := m.all[c.key]
	if d == nil || !m.does(d) || epochOf(d.record) != c.epoch {
		return // of an attempt that is over, here at least
	}
	d.attempt.stop()
	d.attempt.progress = m.clock.Now()
	switch {
	case c.err == nil:
		d.attempt.comparison, d.attempt.found = plan.Compared, c.found
		m.report(d, c.found)
	case errors.Is(c.err, bus.ErrSeries), errors.Is(c.err, bus.ErrSnapFull), errors.Is(c.err, diff.ErrState), errors.Is(c.err, context.DeadlineExceeded):
		d.attempt.failed = c.err.Error()
	default: // the same attempt may be compared yet
		d.attempt.comparison = plan.NotCompared
		m.failed(d, c.err)
		return
	}
	m.look(ctx, d)
}

// due delivers when the first of those that wait for a moment has reached it.
func (m *manager) due() <-chan time.Time {
	var first time.Time
	for _, d := range m.all {
		if !d.due.IsZero() && (first.IsZero() || d.due.Before(first)) {
			first = d.due
		}
	}
	if first.IsZero() {
		return nil
	}
	return m.clock.At(first)
}

func (m *manager) lookAtDue(ctx context.Context) {
	now := m.clock.Now()
	for _, d := range m.all {
		if !d.due.IsZero() && !now.Before(d.due) {
			m.look(ctx, d)
		}
	}
}

func (m *manager) lookAtAll(ctx context.Context) {
	for _, d := range m.all {
		m.look(ctx, d)
	}
}

// look does what there is to do about a destination, until it has to wait.
func (m *manager) look(ctx context.Context, d *destination) {
	if !m.phasesRead || !m.endsRead || !m.does(d) {
		return
	}
	for ctx.Err() == nil && m.all[d.key] == d {
		a := plan.Next(d.situation(m.clock.Now(), m.room))
		if a.Kind == plan.Wait {
			d.due = a.Until
			m.troubles.set(d.key.String(), nil)
			return
		}
		err := m.do(ctx, d, a)
		switch {
		case err == nil:
			d.backoff.Reset()
		case errors.Is(err, bus.ErrConflict), errors.Is(err, bus.ErrFenced), errors.Is(err, errBehind):
			d.due = m.clock.Now().Add(behindWait) // the news of it come before
			return
		default:
			m.failed(d, err)
			return
		}
	}
}

// failed has a destination looked at again, later.
func (m *manager) failed(d *destination, err error) {
	wait := d.backoff.Next()
	d.due = m.clock.Now().Add(wait)
	m.troubles.set(d.key.String(), err)
	m.log.Warn("a destination's run does not go on, retrying", "destination", d.key.String(), "run", d.record.Run, "in", wait.Round(time.Millisecond).String(), "err", err)
}
