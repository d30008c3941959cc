package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/faultpoint"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// crashes is a fleet whose services have fault points, and what all cells of the table
// have come to.
type crashes struct {
	*races
	nodes  []*harness.NATS
	spaces []string                    // the namespaces of the cells so far
	sums   map[string]*harness.Figures // by destination
}

// sharedLabel is that of the objects which have two destinations.
const sharedLabel = "crashes/shared"

// newCrashes starts the fleet on one NATS server, or on three. It has two destinations
// on one branch: of everything, and of what has the label.
func newCrashes(t *testing.T, three bool) *crashes {
	t.Helper()
	w, c := newWorld(t, cluster), &crashes{sums: map[string]*harness.Figures{"live": {}, "shared": {}}}
	var f *fleet
	if three {
		servers, err := harness.StartNATSCluster(within(t, startLimit), harness.NATSClusterOptions{Bins: bins, Dir: t.TempDir(), MaxPayload: maxPayload})
		must(t, err)
		t.Cleanup(servers.Kill)
		c.nodes = servers.Nodes
		f = newFleetOn(t, w, c.nodes[0], servers.URL, len(c.nodes))
	} else {
		f = newFleet(t, w)
		c.nodes = []*harness.NATS{f.server}
	}
	f.forgets(t)
	f.bins, f.labels = faulty(), map[string]string{"shared": sharedLabel}
	f.env = func(name string) []string { return []string{faultpoint.Env + "=" + f.order(name)} }
	f.mirror(t, c.mirrors()...)
	c.races = racesOf(t, f)
	return c
}

func (c *crashes) mirrors(more ...mirror) []mirror {
	return append([]mirror{{"live", nil}, {"shared", nil}}, more...)
}

// order is the file that holds a service's order.
func (f *fleet) order(name string) string { return filepath.Join(f.dir, name+".order") }

// cell is one that is being played.
type cell struct {
	crash
	*crashes
	ns      string
	since   string // the branch's tip before it, empty if there was none
	foreign int    // commits of others before it
	first   int    // of the writes that are the cell's
}

// play plays a cell.
func (c *crashes) play(t *testing.T, of crash) {
	t.Helper()
	c.mend(t)
	p := &cell{crash: of, crashes: c, ns: c.namespace(t, "crash"), since: c.tip(t), foreign: len(c.others.commits), first: len(c.writes)}
	c.spaces = append(c.spaces, p.ns)
	watch, err := harness.WatchConfigMaps(t.Context(), c.cfg, p.ns)
	must(t, err)
	t.Cleanup(watch.Stop)
	after := of.at(t, p)
	load := p.load(t)
	await(t, "changes to flow", func() bool { return load.Answered() > 5 })

	p.strike(t, load, after.provoke)
	c.paused(t, "git-writer", func() { // which else would be first each time
		c.others.pull(t)
		c.others.commit(t, map[string]string{"apps/note.txt": p.ns})
		c.others.push(t)
	})
	c.flowOn(t, load, time.Second)
	writes := load.stop(t)
	if after.done != nil {
		after.done()
	}
	c.landed(t, p.ns)
	c.landedShared(t, p.ns)
	p.check(t, watch, writes)
}

// landedShared is [races.landed] for the destination of what has the label.
func (c *crashes) landedShared(t *testing.T, namespace string) {
	t.Helper()
	since := c.tip(t)
	c.apply(t, labelled(configMap(namespace, sharedSentinel, "1")))
	last := c.writes[len(c.writes)-1]
	must(t, harness.Poll(within(t, stepLimit), 25*time.Millisecond, "a commit of "+last.Resource+" for shared", func(context.Context) error {
		news, err := c.remote.History(since + "..HEAD")
		for _, commit := range news {
			if commit.Placement == keyOf("shared").String() && commit.Version == last.Version {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("it is not among %d", len(news)))
	}))
}

// load is 40 changes a second of ten objects, some of them with two destinations.
func (p *cell) load(t *testing.T) *flow {
	t.Helper()
	f := &flow{
		Traffic: harness.Traffic{Namespace: p.ns, Objects: 10, Rate: 40, Returns: true, Label: sharedLabel},
		begun:   time.Now(), end: make(chan struct{}), done: make(chan struct{}),
	}
	ctx := within(t, 4*stepLimit)
	go func() {
		defer close(f.done)
		f.writes, f.err = f.Run(ctx, f.end, p.cfg)
	}()
	t.Cleanup(func() { <-f.done }) // its context ends with the test
	return f
}

// stallFor is longer than a request to NATS waits for its answer.
const stallFor = 7 * time.Second

// flowOn waits for as many changes as come in some time.
func (c *crashes) flowOn(t *testing.T, load *flow, of time.Duration) {
	t.Helper()
	more := load.Answered() + int(of.Seconds())*load.Rate
	await(t, "changes to flow on", func() bool { return load.Answered() >= more })
}

// strike has happen what the cell is about, once the point is provoked, and starts again
// what was killed. What the load reaches again and again is struck at one of the first times.
func (p *cell) strike(t *testing.T, load *flow, provoke func()) {
	t.Helper()
	order := faultpoint.Order{Point: p.Point.Name(), Do: p.act, Hit: 1, Until: p.order(p.Role) + ".until"}
	if provoke == nil {
		order.Hit += p.chance(4)
	}
	must(t, os.RemoveAll(order.Until))
	defer func() { must(t, os.WriteFile(order.Until, nil, 0o600)) }()
	node := p.nodes[int(p.lot())%len(p.nodes)]
	if p.with {
		order.With = []int{node.PID()}
	}
	must(t, order.Give(p.order(p.Role)))
	back := p.revive(within(t, 2*stepLimit), node)
	if provoke == nil {
		provoke = func() {}
	}
	provoke()
	must(t, harness.Poll(within(t, stepLimit), time.Millisecond, p.Role+" to reach "+p.Point.Name(), func(context.Context) error {
		if !p.reached() {
			return errors.New("its order stands")
		}
		return nil
	}))
	must(t, <-back)
	if p.act == faultpoint.Stall {
		p.flowOn(t, load, stallFor)
	}
	if !p.kills() {
		return
	}
	select {
	case <-p.running[p.Role].Exited():
	case <-within(t, stepLimit).Done():
		t.Fatalf("%s goes on", p.Role)
	}
	p.start(p.whole, p.Role)
}

// reached reports whether the service has come to the point: its order is gone then.
func (p *cell) reached() bool {
	_, err := os.Stat(p.order(p.Role))
	return err != nil
}

// revive starts a NATS server again as soon as the cell has killed it, if it does: what is
// provoked may wait for its answer.
func (p *cell) revive(ctx context.Context, node *harness.NATS) <-chan error {
	back := make(chan error, 1)
	if !p.with {
		back <- nil
		return back
	}
	exited := node.Exited()
	go func() {
		select {
		case <-exited:
			back <- node.Restart(ctx)
		case <-ctx.Done():
			back <- fmt.Errorf("waiting for %s to kill the NATS server: %w", p.Role, ctx.Err())
		}
	}()
	return back
}

// check holds what was seen against the invariants, for each destination.
func (p *cell) check(t *testing.T, watch *harness.Watch, writes []harness.Written) {
	t.Helper()
	delivered, err := watch.Until(within(t, stepLimit), append(writes, p.own()...))
	must(t, err)
	shared := slices.DeleteFunc(slices.Clone(delivered), func(d harness.Delivery) bool { return !inShared(nameOf(d)) })
	ends := map[string]harness.Comparison{"live": p.settle(t, scope()), "shared": p.settle(t, sharedScope(p.spaces...))}
	var since []string
	if p.since != "" {
		since = append(since, p.since+"..HEAD")
	}
	history, err := p.remote.History(since...)
	must(t, err)
	files, err := p.remote.Files("")
	must(t, err)
	for name, of := range map[string][]harness.Delivery{"live": delivered, "shared": shared} {
		e := harness.Evidence{
			Placement: keyOf(name).String(), Namespace: p.ns, Delivered: of, History: history,
			Foreign: p.others.commits[p.foreign:], Theirs: p.others.files, Files: files, End: ends[name],
		}
		e.Contents, err = p.remote.Contents(history, name+"/"+p.ns)
		must(t, err)
		figures, broken := harness.CheckInvariants(e)
		for _, problem := range broken {
			t.Errorf("%s: %s", name, problem)
		}
		p.sums[name].Add(figures)
		t.Logf("%s: %+v", name, figures)
	}
}

// own are the writes of ConfigMaps in the namespace that were not the load's.
func (p *cell) own() (own []harness.Written) {
	for _, w := range p.writes[p.first:] {
		if w.OfNamespace(p.ns) {
			own = append(own, w)
		}
	}
	return own
}

// mend has all run that a cell before may have left otherwise, by having failed.
func (c *crashes) mend(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		if exited(n.Process) {
			must(t, n.Restart(within(t, startLimit)))
		}
	}
	for _, name := range services {
		_ = os.Remove(c.order(name))
		if exited(c.running[name].Process) {
			c.start(c.whole, name)
		}
	}
	c.key = keyOf("live")
}

func exited(p *harness.Process) bool {
	select {
	case <-p.Exited():
		return true
	default:
		return false
	}
}
