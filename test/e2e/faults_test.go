package e2e_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/faults"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

const (
	// envFaultsSeconds is for how long faults are played.
	envFaultsSeconds = "KUBESCRIBE_FAULTS_SECONDS"
	// envFaultsSeed draws them; else chance does.
	envFaultsSeed = "KUBESCRIBE_FAULTS_SEED"
)

// TestFaults is the chaos run: while 100 changes a second flow, parties are killed, stand
// still, are cut off from each other, slowed and unplugged, and have no room or the wrong time,
// several at once, on NATS servers that forget the ID of a message after a second. Once all is
// mended, everything that a test's own watch was delivered is held against Git's history, version
// by version, for each of two destinations, and the replay of one of them makes its commits again.
func TestFaults(t *testing.T) {
	if os.Getenv(envFaultsSeconds) == "" {
		t.Skip("it takes minutes, and kills the API server of all tests: make faults does it, for make verify too")
	}
	seconds, err := strconv.Atoi(os.Getenv(envFaultsSeconds))
	must(t, err)
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv(envFaultsSeed), fmt.Sprint(rand.Uint32())), 10, 64)
	must(t, err)
	length := time.Duration(seconds) * time.Second
	plan := faults.Schedule(seed, length, faults.Groups())
	t.Logf("SECONDS=%d SEED=%d", seconds, seed)

	c := newChaos(t, length)
	since := c.tip(t)
	c.begin(t)
	c.play(t, plan)
	if t.Failed() {
		t.FailNow()
	}
	writes := c.load.halt(t)
	mended := time.Now()
	c.landed(t)
	t.Logf("%d changes of %d objects, %.0f a second; all landed %s after the last", len(writes), c.load.Objects,
		float64(len(writes))/mended.Sub(c.load.begun).Seconds(), time.Since(mended).Round(time.Millisecond))
	c.check(t, since, writes)
	c.told(t, seed, length, plan)
	for _, p := range c.parties {
		must(t, p.AwaitReady(within(t, stepLimit)))
	}

	for _, p := range c.parties {
		stop(t, p.Daemon)
	}
	c.replays(t, "shared", func(stream string) bool { return strings.HasPrefix(stream, "KV_") })
}

// play plays the faults of a plan, group by group, each in its time.
func (c *chaos) play(t *testing.T, plan [][]faults.Fault) {
	t.Helper()
	begun := time.Now()
	until := func(at time.Duration) {
		select {
		case <-time.After(at - time.Since(begun)):
		case <-c.ctx.Done():
		}
	}
	var groups sync.WaitGroup
	for _, group := range plan {
		groups.Go(func() {
			for _, f := range group {
				until(f.At)
				now := time.Since(begun)
				t.Logf("%5.1fs %s: %s for %s (%d)", now.Seconds(), f.Target, f.Kind, f.For.Round(time.Millisecond), f.Lot)
				mend, err := players[f.Kind](c, f)
				if err == nil {
					until(now + f.For)
					err = mend()
				}
				if err != nil {
					t.Errorf("%5.1fs %s: %s: %v", time.Since(begun).Seconds(), f.Target, f.Kind, err)
					return
				}
				t.Logf("%5.1fs %s: mended: %s", time.Since(begun).Seconds(), f.Target, f.Kind)
			}
		})
	}
	groups.Wait()
}

// halt ends the traffic, at whatever rate it came.
func (f *flow) halt(t *testing.T) []harness.Written {
	t.Helper()
	close(f.end)
	<-f.done
	must(t, f.err)
	return f.writes
}

// check holds what was delivered against the history, for each destination.
func (c *chaos) check(t *testing.T, since string, writes []harness.Written) {
	t.Helper()
	last, err := c.watch.Until(within(t, stepLimit), c.own[len(c.own)-2:])
	must(t, err)
	delivered := append(c.delivered, last...)
	must(t, harness.Undelivered(delivered, append(writes, c.own...)))
	history, err := c.remote.History(since + "..HEAD")
	must(t, err)
	committed := map[string]bool{}
	for _, commit := range history {
		committed[commit.Resource] = true
	}
	delivered = slices.DeleteFunc(delivered, func(d harness.Delivery) bool {
		return strings.HasPrefix(nameOf(d), probe) && !committed[d.Resource] // it came by a run
	})
	files, err := c.remote.Files("")
	must(t, err)
	shared := slices.DeleteFunc(slices.Clone(delivered), func(d harness.Delivery) bool {
		return !inShared(nameOf(d))
	})
	for _, e := range []harness.Evidence{
		{Placement: "live", Delivered: delivered, End: c.settle(t, scope(c.ns))},
		{Placement: "shared", Delivered: shared, End: c.settle(t, sharedScope(c.ns))},
	} {
		name := e.Placement
		e.Placement, e.Namespace, e.History, e.Files = keyOf(name).String(), c.ns, history, files
		e.Foreign, e.Theirs = c.others.commits, c.others.files
		e.Contents, err = c.remote.Contents(history, name+"/"+c.ns)
		must(t, err)
		figures, broken := harness.CheckInvariants(e)
		report(t, broken)
		t.Logf("%s: %+v", name, figures)
		if figures.Returned == 0 || figures.Repeated == 0 || figures.Deleted == 0 || figures.Foreign == 0 {
			t.Errorf("%s had not all that it is to have", name)
		}
	}
}

func nameOf(d harness.Delivery) string { return d.Resource[strings.LastIndex(d.Resource, "/")+1:] }

// phrase is what processes say when a fault is met.
type phrase struct {
	words string
	sure  bool // a minute of faults has it said
}

var phrases = []phrase{
	{"a shard was lost to another replica", true},        // who stands still past its leases
	{"bus connection lost, reconnecting", true},          // to a NATS node that is killed
	{"hop interrupted, opening its ledgers again", true}, // by another owner, or a store without an answer
	{"branch does not move, retrying", false},            // while the remote refuses, or is down, there has to be something to push
	{"the API server forgot our version, listing", true}, // each time that it is killed
	{"JetStream out of", true},                           // of a NATS node whose disk is full
	{"no space left on device", true},                    // of that one, too
	{"publish unanswered or refused, retrying", false},   // there has to be one under way in the moment
	{"types are not being watched, retrying", false},     // a watch that is cut off need not notice before it is mended
}

// told says what was played, and what came of it by the phrases of the processes. It fails
// the test where a run that has each kind of fault has not met what it is about.
func (c *chaos) told(t *testing.T, seed uint64, length time.Duration, plan [][]faults.Fault) {
	t.Helper()
	played, said := map[string]int{}, map[string]int{}
	for _, group := range plan {
		for _, f := range group {
			played[f.Kind]++
		}
	}
	logs := []string{}
	for name := range c.parties {
		logs = append(logs, c.log(name))
	}
	for _, n := range c.nodes {
		logs = append(logs, n.Log)
	}
	for _, log := range logs {
		b, err := os.ReadFile(log)
		must(t, err)
		for _, p := range phrases {
			said[p.words] += strings.Count(string(b), p.words)
		}
	}
	var lines strings.Builder
	for _, of := range []struct {
		title  string
		counts map[string]int
	}{{"played", played}, {"said by the processes", said}} {
		fmt.Fprintf(&lines, "%s:\n", of.title)
		for _, name := range slices.Sorted(maps.Keys(of.counts)) {
			fmt.Fprintf(&lines, "  %4d  %s\n", of.counts[name], name)
		}
	}
	t.Logf("SEED=%d\n%s", seed, &lines)
	for _, p := range phrases {
		if p.sure && length >= faults.Cycle && said[p.words] == 0 {
			t.Errorf("in %s of faults nobody said %q", length, p.words)
		}
	}
}
