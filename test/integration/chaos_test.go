package integration

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// chaos is destinations whose runs and changes come in an order that is drawn, while
// their streams are stopped, killed, doubled and started, and the bus as well.
type chaos struct {
	*install
	rand         *rand.Rand
	destinations []*chaotic
	streams      []role
	disturbed    []span // when a stream may have forgotten what it had forwarded
}

// span is from one moment to another.
type span struct{ from, to time.Time }

// chaotic is a destination of a chaos.
type chaotic struct {
	live
	runs   int
	kind   runKind
	marked []int // lanes
	handed bool
	before uint64 // an attempt that was replaced, and never answered; 0: none
}

func (d *chaotic) run() string { return fmt.Sprintf("run-%d", d.runs) }

// runKind is what a run is for.
type runKind struct {
	phase  event.Phase
	reason string
}

var runKinds = []runKind{
	{event.StartupReconcile, event.ReasonRequested},
	{event.LiveProcessing, event.ReasonDriftCheck},
	{event.StartupReconcile, event.ReasonCompare},
}

func newChaos(t *testing.T, seed uint64, names ...string) *chaos {
	t.Helper()
	c := &chaos{install: newInstall(t), rand: rand.New(rand.NewPCG(seed, 0))}
	for _, bucket := range []string{subject.BucketPhase, subject.BucketDestination} {
		c.keepAll("KV_" + bucket)
	}
	for _, name := range names {
		d := &chaotic{live: live{install: c.install, name: name}}
		d.rev = d.register(name, everything)
		c.destinations = append(c.destinations, d)
	}
	return c
}

// keepAll has a bucket keep every revision.
func (c *chaos) keepAll(stream string) {
	c.Helper()
	s, err := c.js.Stream(c.Context(), stream)
	if err != nil {
		c.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.MaxMsgsPerSubject = 1 << 20
	if _, err := c.js.UpdateStream(c.Context(), cfg); err != nil {
		c.Fatal(err)
	}
}

// play has so many things happen, and then brings every destination to rest.
func (c *chaos) play(happenings int) {
	c.Helper()
	c.streams = []role{c.stream()}
	dies := happenings/4 + c.rand.IntN(happenings/2) // the bus
	for i := range happenings {
		if i == dies {
			c.busDies()
		}
		if c.rand.IntN(50) == 0 || (len(c.streams) == 0 && c.rand.IntN(10) == 0) {
			c.disturb()
		}
		c.happenings(1)
	}
	if len(c.streams) == 0 {
		c.replaceStreams(func() {})
	}
	for _, d := range c.destinations {
		d.begin()
		d.marks(d.run())
		d.results(d.run(), event.Outcome{})
		d.closed(d.run())
		d.route("last", "x")
		d.written("last")
	}
	c.replaceStreams(func() {}) // whose cursors are stored then
	c.streams[0].stop()
}

// happenings has so many things happen to destinations.
func (c *chaos) happenings(n int) {
	c.Helper()
	for range n {
		c.happen(c.destinations[c.rand.IntN(len(c.destinations))])
	}
}

// happen has one thing happen to a destination.
func (c *chaos) happen(d *chaotic) {
	c.Helper()
	running := d.runs > 0 && !d.handed
	switch n := c.rand.IntN(100); {
	case n < 60:
		d.route(fmt.Sprintf("o%04d", c.rand.IntN(12)), []string{"A", "B", "C", ""}[c.rand.IntN(4)])
	case n < 61:
		d.store(subject.LiveData(configMapsPart, key(d.name)), d.id(), event.NewHeader(event.KindFence), nil) // nobody can read it
	case n < 63:
		d.setPrune(c.rand.IntN(2) == 0)
	case n < 66 && running: // it takes too long
		d.before = d.attempt
		d.attempts(d.attempt + 1)
	case n < 69 && d.before > 0: // and then answers
		attempt := d.attempt
		d.attempt = d.before
		d.mark(configMapsPart, d.run())
		d.results(d.run(), event.Outcome{}, c.results(20)...)
		d.attempt, d.before = attempt, 0
	case !running && (n < 85 || d.runs == 0):
		d.runs, d.before, d.kind = d.runs+1, 0, runKinds[c.rand.IntN(len(runKinds))]
		d.attempts(1)
	case running && len(d.marked) < 2:
		lane := []int{configMapsPart, anotherPart}[c.rand.IntN(2)]
		d.mark(lane, d.run()) // again, maybe
		if !slices.Contains(d.marked, lane) {
			d.marked = append(d.marked, lane)
		}
	case running && n < 85:
		d.handed = true
		most := 20
		if c.rand.IntN(3) == 0 {
			most = 1500
		}
		outcome := event.Outcome{}
		if c.rand.IntN(4) == 0 {
			outcome.Pending = &event.Pending{Run: d.run(), Count: 1}
		}
		outcome.Continues = c.rand.IntN(6) == 0
		d.handIn(d.run(), event.End{Outcome: &outcome, Dry: d.kind.reason == event.ReasonCompare}, c.results(most)...)
		if len(c.streams) > 0 && c.rand.IntN(2) == 0 {
			d.closed(d.run())
		}
	}
}

// results are up to so many, of objects that change beside them too.
func (c *chaos) results(most int) []string {
	var all []string
	for i := range c.rand.IntN(most) {
		verb, content := []string{"CREATE", "UPDATE", "DELETE"}[c.rand.IntN(3)], ""
		if verb != "DELETE" {
			content = []string{"?", "A", "B", "D"}[c.rand.IntN(4)]
		}
		all = append(all, fmt.Sprintf("%s o%04d %s", verb, i, content))
	}
	return all
}

// begin begins a run that holds.
func (d *chaotic) begin() {
	d.Helper()
	d.runs, d.kind = d.runs+1, runKinds[0]
	d.attempts(1)
}

// attempts begins an attempt.
func (d *chaotic) attempts(n uint64) {
	d.Helper()
	d.attempt, d.marked, d.handed = n, nil, false
	d.setPhase(d.name, event.PhaseRecord{
		Phase: d.kind.phase, Run: d.run(), Attempt: n, Reason: d.kind.reason, Registered: d.rev,
		Parts: []int{min(configMapsPart, anotherPart), max(configMapsPart, anotherPart)},
	})
}

// setPrune changes the destination, as a watcher does, to one with or without pruning.
func (d *chaotic) setPrune(never bool) {
	d.Helper()
	kv, err := bus.OpenBucket[event.Destination](d.Context(), d.bus, subject.BucketDestination)
	if err != nil {
		d.Fatal(err)
	}
	dest, rev, err := kv.Newest(d.Context(), subject.DestinationToken(key(d.name)))
	if err != nil {
		d.Fatal(err)
	}
	dest.First, dest.Prune.Mode = cmp.Or(dest.First, rev), event.PruneAlways
	if never {
		dest.Prune.Mode = event.PruneNever
	}
	if d.rev, err = kv.Put(d.Context(), subject.DestinationToken(key(d.name)), dest, rev); err != nil {
		d.Fatal(err)
	}
}

// disturb stops the stream for a while, replaces it, or has another one beside it for
// a moment.
func (c *chaos) disturb() {
	c.Helper()
	stop := c.stopStreams
	if c.rand.IntN(2) == 0 {
		stop = c.killStreams
	}
	switch {
	case len(c.streams) == 0:
		c.replaceStreams(func() {})
	case c.rand.IntN(3) == 0:
		stop()
		c.streams = nil
	case c.rand.IntN(2) == 0:
		c.replaceStreams(stop)
	default:
		c.disturbedBy(func() {
			another := c.stream()
			c.happenings(20)
			stop()
			c.streams = []role{another}
		})
	}
}

// disturbedBy notes when something was done.
func (c *chaos) disturbedBy(do func()) {
	from := time.Now()
	do()
	c.disturbed = append(c.disturbed, span{from, time.Now()})
}

// replaceStreams starts a stream once those before have been stopped.
func (c *chaos) replaceStreams(stop func()) {
	c.Helper()
	c.disturbedBy(func() {
		stop()
		c.stopStreams()
		c.streams = []role{c.stream()}
	})
}

func (c *chaos) stopStreams() {
	c.Helper()
	for _, r := range c.streams {
		r.stop()
	}
}

// killStreams stops streams in the middle of whatever they do.
func (c *chaos) killStreams() {
	c.Helper()
	for _, r := range c.streams {
		r.bus.Close()
	}
	c.stopStreams()
}

// busDies stops the server and starts it again. The stream lives on for a while.
func (c *chaos) busDies() {
	c.Helper()
	c.disturbedBy(func() {
		c.restartNATS()
		c.happenings(20)
		c.stopStreams()
		c.streams = []role{c.stream()}
	})
}

// all is what a stream holds under a filter.
func (in *install) all(stream, filter string) []bus.Message {
	in.Helper()
	last, err := in.bus.LastSeq(in.Context(), stream)
	if err != nil {
		in.Fatal(err)
	}
	var all []bus.Message
	for m, err := range in.bus.Range(in.Context(), stream, filter, 1, last) {
		if err != nil {
			in.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}
