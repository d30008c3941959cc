package e2e_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/faults"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// player plays a fault, and returns what mends it.
type player func(*chaos, faults.Fault) (mend func() error, err error)

// players are those of each kind.
var players = map[string]player{
	faults.ServiceKilled: func(c *chaos, f faults.Fault) (func() error, error) {
		p := c.parties[f.Target]
		p.Kill()
		return func() error { return p.start(c.ctx) }, nil
	},
	faults.ServiceStands: func(c *chaos, f faults.Fault) (func() error, error) {
		p := c.parties[f.Target]
		return p.Resume, p.Pause()
	},
	faults.ServiceClock: func(c *chaos, f faults.Fault) (func() error, error) {
		return step(c.parties[f.Target].Process, f.Lot)
	},
	faults.ServiceCutNode: func(c *chaos, f faults.Fault) (func() error, error) {
		to := c.parties[f.Target].toNodes
		return harm(cut(f.Lot/16), to[f.Lot%uint64(len(to))])
	},
	faults.ServiceCutNATS: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(cut(f.Lot), c.parties[f.Target].toNodes...)
	},
	faults.ServiceSlow: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(slow(f.Lot), c.parties[f.Target].toNodes...)
	},
	faults.ServiceUnplugged: unplug,
	faults.WatcherCut: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(cut(f.Lot), c.parties[f.Target].toAPI)
	},
	faults.WatcherSlow: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(slow(f.Lot), c.parties[f.Target].toAPI)
	},
	faults.WriterCut: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(cut(f.Lot), c.parties[f.Target].toRemote)
	},
	faults.WriterSlow: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(slow(f.Lot), c.parties[f.Target].toRemote)
	},
	faults.WriterFull: func(c *chaos, f faults.Fault) (func() error, error) {
		return c.disks[f.Target].MakeRoom, c.disks[f.Target].Fill()
	},
	faults.NodeKilled: func(c *chaos, f faults.Fault) (func() error, error) {
		c.nodes[f.Target].Kill()
		return func() error { return c.restart(f.Target) }, nil
	},
	faults.NodeStands: func(c *chaos, f faults.Fault) (func() error, error) {
		return c.nodes[f.Target].Resume, c.nodes[f.Target].Pause()
	},
	faults.NodeClock: func(c *chaos, f faults.Fault) (func() error, error) {
		return step(c.nodes[f.Target].Process, f.Lot)
	},
	faults.NodesCut: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(cut(f.Lot/16), c.both(f)...)
	},
	faults.NodesSlow: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(slow(f.Lot/16), c.both(f)...)
	},
	faults.NodeUnplugged: unplug,
	// A server that finds no room to store shuts its JetStream, until it is started again.
	faults.NodeFull: func(c *chaos, f faults.Fault) (func() error, error) {
		mend := func() error { return errors.Join(c.disks[f.Target].MakeRoom(), c.restart(f.Target)) }
		return mend, c.disks[f.Target].Fill()
	},
	faults.RemoteDown: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(cut(f.Lot), c.toRemote()...)
	},
	faults.RemoteSlow: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(slow(f.Lot), c.toRemote()...)
	},
	faults.RemoteRefuses: func(c *chaos, _ faults.Fault) (func() error, error) {
		hook := func(script string) error { return gittest.InstallHook(c.remote.Dir, "pre-receive", script) }
		return func() error { return hook("") }, hook(gittest.RefuseWith("this branch is frozen for a moment"))
	},
	// What is pushed lands, and who has pushed it is cut off before that is answered.
	faults.RemoteLate: func(c *chaos, _ faults.Fault) (func() error, error) {
		open := c.gate.close(afterLanding)
		return func() error {
			defer open()
			mend, err := harm(harness.Harm{Cut: true}, c.toRemote()...)
			if err != nil {
				return err
			}
			return mend()
		}, nil
	},
	// What is pushed meanwhile comes too late: it is built again on top.
	faults.RemoteTaken: func(c *chaos, _ faults.Fault) (func() error, error) {
		defer c.gate.close(beforeLanding)()
		ctx, cancel := context.WithTimeout(c.ctx, stepLimit)
		defer cancel()
		return nothing, c.others.intrude(ctx, c.ns)
	},
	faults.APIServerDown: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(cut(f.Lot), c.toAPI()...)
	},
	faults.APIServerSlow: func(c *chaos, f faults.Fault) (func() error, error) {
		return harm(slow(f.Lot), c.toAPI()...)
	},
	faults.APIServerKill: func(c *chaos, _ faults.Fault) (func() error, error) {
		return nothing, c.killAPIServer()
	},
}

func nothing() error { return nil }

// TestFaultKinds: each kind of fault that a run has can be played.
func TestFaultKinds(t *testing.T) {
	t.Parallel()
	kinds := map[string]bool{}
	for _, g := range faults.Groups() {
		for _, k := range g.Kinds {
			kinds[k.Name] = true
			if players[k.Name] == nil {
				t.Errorf("nobody plays %q", k.Name)
			}
		}
	}
	for kind := range players {
		if !kinds[kind] {
			t.Errorf("no run has %q", kind)
		}
	}
	if !slices.Equal(faults.Services, services) {
		t.Errorf("the services are %v, and faults know %v", services, faults.Services)
	}
}

// cut is one of the ways in which a link can be cut.
func cut(lot uint64) harness.Harm {
	return []harness.Harm{{Cut: true}, {Cut: true, Only: "upstream"}, {Cut: true, Only: "downstream"}, {Reset: true}}[lot%4]
}

// slow is a delay of a link.
func slow(lot uint64) harness.Harm {
	return harness.Harm{Delay: 20*time.Millisecond + time.Duration(lot%280)*time.Millisecond}
}

// harm does harm to links.
func harm(h harness.Harm, links ...*harness.Link) (mend func() error, err error) {
	var mends []func() error
	mend = func() (err error) {
		for _, m := range mends {
			err = errors.Join(err, m())
		}
		return err
	}
	for _, l := range links {
		m, err := l.Do(h)
		if err != nil {
			return nil, errors.Join(err, mend())
		}
		mends = append(mends, m)
	}
	return mend, nil
}

// unplug pulls out the cable of a party, at one of its ends.
func unplug(c *chaos, f faults.Fault) (mend func() error, err error) {
	p := c.places[f.Target]
	return p.Plug, p.Unplug(f.Lot%2 == 0)
}

// steps are how far clocks step.
var steps = []time.Duration{-time.Hour, -10 * time.Minute, -30 * time.Second, -5 * time.Second, 5 * time.Second, 30 * time.Second, 10 * time.Minute, time.Hour}

// step steps the clock of a process, and back.
func step(p *harness.Process, lot uint64) (mend func() error, err error) {
	return func() error { return p.StepClock(0) }, p.StepClock(steps[lot%uint64(len(steps))])
}

// restart starts a NATS server again.
func (c *chaos) restart(node string) error {
	ctx, cancel := context.WithTimeout(c.ctx, startLimit)
	defer cancel()
	return c.nodes[node].Restart(ctx)
}

// both are the links between a NATS server and another one, either way.
func (c *chaos) both(f faults.Fault) []*harness.Link {
	at := slices.Index(faults.Nodes, f.Target)
	other := faults.Nodes[(at+1+int(f.Lot%2))%len(faults.Nodes)]
	return []*harness.Link{c.between[[2]string{f.Target, other}], c.between[[2]string{other, f.Target}]}
}

// toAPI are the links of all watchers.
func (c *chaos) toAPI() (links []*harness.Link) {
	for _, name := range faults.Replicas("watcher") {
		links = append(links, c.parties[name].toAPI)
	}
	return links
}

// toRemote are the links of all git-writers.
func (c *chaos) toRemote() (links []*harness.Link) {
	for _, name := range faults.Replicas("git-writer") {
		links = append(links, c.parties[name].toRemote)
	}
	return links
}
