package integration

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// handClock is a clock that stands still until it is moved.
type handClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[chan time.Time]time.Time
}

func newHandClock() *handClock {
	return &handClock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), waiting: map[chan time.Time]time.Time{}}
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) At(moment time.Time) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	if c.now.Before(moment) {
		c.waiting[ch] = moment
	} else {
		ch <- c.now
	}
	return ch
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for ch, at := range c.waiting {
		if !c.now.Before(at) {
			delete(c.waiting, ch)
			ch <- c.now
		}
	}
}

// reconcilerAt runs a reconciler by a clock.
func (in *install) reconcilerAt(clock reconciler.Clock) role {
	in.Helper()
	return in.reconcilerWith(reconciler.Deps{Clock: clock})
}

// played is a destination of which the test is the watcher, the stream and the
// git-writer.
type played struct {
	*install
	name string
}

// The lanes of what play registers, and paths of theirs.
var (
	mapLane    = subject.Part("test", "", "configmaps")
	deployLane = subject.Part("test", "apps", "deployments")
	twoTypes   = []event.Rule{{Groups: []string{""}, Resources: []string{"configmaps"}}, {Groups: []string{"apps"}, Resources: []string{"deployments"}}}
)

func mapFile(name string) string {
	return manifest.Identity{Resource: "configmaps", Namespace: "shop", Name: name}.Path()
}

func deploymentFile(name string) string {
	return manifest.Identity{Group: "apps", Resource: "deployments", Namespace: "shop", Name: name}.Path()
}

// play registers a destination with rules for configmaps and deployments.
func (in *install) play(name string, change func(*event.Destination)) *played {
	in.Helper()
	p := &played{install: in, name: name}
	p.registerAs(change)
	return p
}

// registerAs registers the destination, anew if it is there.
func (p *played) registerAs(change func(*event.Destination)) uint64 {
	p.Helper()
	d := event.Destination{
		V: event.Version, Key: key(p.name), ClusterID: "cluster-uid", URL: "/srv/live.git", Branch: "main", BaseFolder: p.name,
		BranchKey: branch, Committer: event.Person{Name: "k", Email: "k@localhost"}, Rules: twoTypes,
		Prune: event.Prune{Mode: event.PruneAlways, MaxPercent: 100, MaxFiles: 100},
	}
	if change != nil {
		change(&d)
	}
	kv, err := bus.OpenBucket[event.Destination](p.Context(), p.bus, subject.BucketDestination)
	if err != nil {
		p.Fatal(err)
	}
	_, rev, err := kv.Newest(p.Context(), subject.DestinationToken(d.Key))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		p.Fatal(err)
	}
	if errors.Is(err, bus.ErrNoMessage) {
		rev = 0
	}
	if rev, err = kv.Put(p.Context(), subject.DestinationToken(d.Key), d, rev); err != nil {
		p.Fatal(err)
	}
	return rev
}

// begins waits for a run other than those before, and returns its record.
func (p *played) begins(reason string, before ...string) event.PhaseRecord {
	p.Helper()
	var rec event.PhaseRecord
	p.until("a run begins because of "+reason, func() bool {
		rec = p.phase(p.name)
		return rec.Run != "" && !slices.Contains(before, rec.Run)
	})
	if rec.Reason != reason || rec.Attempt != 1 || rec.Since.IsZero() || !rec.Running() {
		p.Fatalf("the run is %+v, want one because of %s", rec, reason)
	}
	return rec
}

// attempts waits for an attempt at the run that is under way.
func (p *played) attempts(n uint64) event.PhaseRecord {
	p.Helper()
	p.until("another attempt", func() bool { return p.phase(p.name).Attempt == n })
	return p.phase(p.name)
}

// takes waits for the requests of a kind to lanes, and takes them off the bus, as
// one does who has answered.
func (p *played) takes(kind func(string, int, string, uint64) string, rec event.PhaseRecord, parts ...int) {
	p.Helper()
	for _, part := range parts {
		subj := kind("test", part, rec.Run, rec.Attempt)
		var q event.Request
		p.until("lane is asked: "+subj, func() bool {
			m, err := p.bus.LastFor(p.Context(), subject.Ctl, subj)
			if err == nil {
				q, err = event.Decode[event.Request](m.Data)
			}
			return err == nil
		})
		if q.Destination != key(p.name) || q.Part != part || q.Run != rec.Run || q.Attempt != rec.Attempt || q.Registered != rec.Registered || q.Reason != rec.Reason {
			p.Fatalf("%s is %+v", subj, q)
		}
		if err := p.bus.Purge(p.Context(), subject.Ctl, subj, 0); err != nil {
			p.Fatal(err)
		}
	}
}

// says writes and closes one side of an attempt.
func (p *played) says(rec event.PhaseRecord, side subject.Side, end event.End, entries ...event.Entry) {
	p.Helper()
	slices.SortFunc(entries, func(a, b event.Entry) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	w := p.bus.WriteSeries(subject.Series{Destination: key(p.name), Run: rec.Run, Attempt: rec.Attempt, Side: side})
	for _, e := range entries {
		if err := w.Entry(p.Context(), e); err != nil {
			p.Fatal(err)
		}
	}
	if _, err := w.Close(p.Context(), end); err != nil {
		p.Fatal(err)
	}
}

// brings answers lanes, one after the other, as one does in which no object is what it
// was.
func (p *played) brings(rec event.PhaseRecord, parts ...int) {
	p.Helper()
	for _, part := range slices.Sorted(slices.Values(parts)) {
		p.takes(subject.CtlResources, rec, part)
		p.says(rec, subject.SideContent(part), event.End{})
	}
}

// end waits for the end of a side.
func (p *played) end(rec event.PhaseRecord, side subject.Side) event.End {
	p.Helper()
	var end event.End
	p.until(string(side)+" is closed", func() bool {
		var err error
		end, err = p.bus.SeriesEnd(p.Context(), subject.Series{Destination: key(p.name), Run: rec.Run, Attempt: rec.Attempt, Side: side})
		return err == nil
	})
	return end
}

// results reads the results of a lane.
func (p *played) results(rec event.PhaseRecord, part int) []event.Entry {
	p.Helper()
	var all []event.Entry
	side := subject.SideResult(part)
	series := subject.Series{Destination: key(p.name), Run: rec.Run, Attempt: rec.Attempt, Side: side}
	for e, err := range p.bus.Entries(p.Context(), series, p.end(rec, side)) {
		if err != nil {
			p.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// closes closes a run as the destination's stream does.
func (p *played) closes(rec event.PhaseRecord, at time.Time) event.Outcome {
	p.Helper()
	out := p.end(rec, subject.SideRun).Outcome
	if out == nil {
		p.Fatal("the run's end has no outcome")
	}
	p.change(func(r *event.PhaseRecord) {
		r.Phase, r.Closed, r.Settled, r.Outcome = event.LiveProcessing, at, at, out
	})
	return *out
}

// overtakes closes a run without its results, as the destination's stream does once
// more has changed than it remembers.
func (p *played) overtakes(rec event.PhaseRecord, at time.Time) {
	p.Helper()
	p.end(rec, subject.SideRun)
	p.change(func(r *event.PhaseRecord) { r.Closed = at })
}

// change changes the entry of KS_PHASE by compare-and-swap.
func (p *played) change(change func(*event.PhaseRecord)) {
	p.Helper()
	p.until("KS_PHASE is changed", func() bool {
		rec, rev, err := p.phases().Newest(p.Context(), subject.DestinationToken(key(p.name)))
		if err != nil {
			p.Fatal(err)
		}
		change(&rec)
		_, err = p.phases().Put(p.Context(), subject.DestinationToken(key(p.name)), rec, rev)
		return err == nil
	})
}

// goesThrough plays a run in which both sides are equal, and closes it.
func (p *played) goesThrough(rec event.PhaseRecord, at time.Time) {
	p.Helper()
	p.compares(rec)
	p.closes(rec, at)
}

// compares has both sides of a run be equal.
func (p *played) compares(rec event.PhaseRecord) {
	p.Helper()
	p.takes(subject.CtlClusterState, rec, rec.Parts...)
	for _, part := range rec.Parts {
		p.says(rec, subject.SideCluster(part), event.End{})
	}
	p.says(rec, subject.SideRepo, event.End{})
}

// live is a destination whose first run is over.
func (p *played) live(at time.Time) event.PhaseRecord {
	p.Helper()
	rec := p.begins(event.ReasonNewDestination)
	p.goesThrough(rec, at)
	p.tidied()
	return p.phase(p.name)
}

// asks asks for a run and waits until that is acknowledged.
func (p *played) asks(reason, approved string) {
	p.Helper()
	q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: key(p.name), Reason: reason, Approved: approved}
	if err := p.bus.Ask(p.Context(), subject.CtlRun(key(p.name)), q); err != nil {
		p.Fatal(err)
	}
	p.until("the request is acknowledged", func() bool { return len(p.subjects(subject.Ctl, subject.CtlRun(key(p.name)))) == 0 })
}

// subjects lists what a stream holds under a filter.
func (in *install) subjects(stream, filter string) []string {
	in.Helper()
	st, err := in.js.Stream(in.Context(), stream)
	if err != nil {
		in.Fatal(err)
	}
	info, err := st.Info(in.Context(), jetstream.WithSubjectFilter(filter))
	if err != nil {
		in.Fatal(err)
	}
	var all []string
	for s := range info.State.Subjects {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// tidied waits until nothing of the destination's runs is left.
func (p *played) tidied() {
	p.Helper()
	p.until("the run's series are removed", func() bool {
		return len(p.subjects(subject.Snap, subject.SnapDestination(key(p.name)))) == 0
	})
}

// settled waits until each reconciler that runs has looked at everything since: it
// has, once it has seen a destination come and go that registers now.
func (in *install) settled() {
	in.Helper()
	probe := &played{install: in, name: "probe"}
	probe.registerAs(nil)
	probe.begins(event.ReasonNewDestination)
	in.unregister("probe")
	in.until("the probe is gone", func() bool { return in.phase("probe").Run == "" })
}

// stays asserts that the newest run is still that one, and that nothing was asked
// beside what is waiting.
func (p *played) stays(run string) {
	p.Helper()
	p.settled()
	if rec := p.phase(p.name); rec.Run != run {
		p.Errorf("run %s begun because of %s, although %s stands", rec.Run, rec.Reason, run)
	}
}
