package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
)

// Fair is how long a destination's few changes took, while no other one had any and while
// another one had many.
type Fair struct {
	State string    `json:"state"` // of the cluster: real or generated
	Where string    `json:"where"` // it is written to, beside the other one
	Idle  Committed `json:"idle"`
	Burst Committed `json:"burst"`
	beside
}

// beside is what happened while a destination had its few changes beside a burst.
type beside struct {
	Rate   float64            `json:"burstPerSecond"` // changes of the other one that the API server took
	Stages []Stage            `json:"stages"`         // of the few
	CPU    map[string]float64 `json:"cpuSeconds"`     // of each process
}

// burstRates are those of the destination that bursts, in changes a second: the last is the one
// that there is a target for. A real control plane has that one alone, and takes fewer.
var burstRates = []int{100, 200, 500}

// quietRate is that of those that do not.
const quietRate = 10

// The namespaces up to which the one that bursts has them, and the one on its branch; the
// rest are of the one elsewhere.
const (
	loudTo = 30
	nearTo = 40
)

const fairnessName = "fairness/"

// madeSize is the size of a generated state that has all objects that change.
const madeSize = 1334

// fairness is measured beside the real control plane, and beside an API server that only
// stores what it is told: it leaves the machine to what is measured.
func fairness() scenario {
	return scenario{names: []string{fairnessName + stateReal, fairnessName + stateMade}, run: func(ctx context.Context, b *e2e, chosen []string) error {
		for _, name := range chosen {
			if err := b.fairnessOn(ctx, strings.TrimPrefix(name, fairnessName)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}}
}

// fairnessOn measures it on one of both.
func (b *e2e) fairnessOn(ctx context.Context, state string) error {
	if state == stateReal {
		return b.fairness(ctx, state, b.control.Kubeconfig(), b.cfg, burstRates[len(burstRates)-1:])
	}
	api, err := serveState(madeSize)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "generated.kubeconfig")
	err = api.kubeconfig(file)
	if err == nil {
		err = b.fairness(ctx, state, file, &rest.Config{Host: api.url, QPS: -1}, burstRates)
	}
	return errors.Join(err, api.close())
}

// quiet is a destination with few changes.
type quiet struct {
	mirror
	where   string
	objects []object
}

// fairness measures one destination on the branch of one that bursts, and one elsewhere.
func (b *e2e) fairness(ctx context.Context, state, kubeconfig string, cfg *rest.Config, rates []int) (err error) {
	quiets := []quiet{
		{mirrorOf("near", "", loudTo, nearTo), "the same branch", changingObjects(loudTo, nearTo)},
		{mirrorOf("far", "elsewhere", nearTo, changing), "another branch", changingObjects(nearTo, changing)},
	}
	i, err := b.deploy(ctx, "fairness-"+state, kubeconfig, separate, 1, mirrorOf("loud", "", 0, loudTo), quiets[0].mirror, quiets[1].mirror)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	idle, err := b.few(ctx, i, cfg, quiets, nil)
	if err != nil {
		return i.cause(err)
	}
	for _, rate := range rates {
		loud, err := newLoad(cfg, changingObjects(0, loudTo), rate, &b.revision)
		if err != nil {
			return err
		}
		burst, err := b.few(ctx, i, cfg, quiets, loud)
		if err != nil {
			return i.cause(err)
		}
		for n, q := range quiets {
			fair := Fair{State: state, Where: q.where, Idle: idle[n].Committed, Burst: burst[n].Committed, beside: burst[n].beside}
			b.Fair = append(b.Fair, fair)
			say(b.out, "%s", fair)
		}
	}
	for _, q := range quiets {
		if err := right(i.branch(q.mirror)); err != nil {
			return err
		}
	}
	return i.quiet()
}

// few is what was measured of a destination's few changes.
type few struct {
	Committed
	beside
}

// few measures the quiet ones' changes beside another load, if there is one.
func (b *e2e) few(ctx context.Context, i *install, cfg *rest.Config, quiets []quiet, other *load) (all []few, err error) {
	ctx, cancel := i.within(ctx, caseLimit)
	defer cancel()
	if err := i.packed(); err != nil {
		return nil, err
	}
	followers := make([]*follower, len(quiets))
	loads := make([]*load, len(quiets))
	for n, q := range quiets {
		if followers[n], err = follow(ctx, i.branch(q.mirror)); err != nil {
			return nil, err
		}
		defer followers[n].end()
		if loads[n], err = newLoad(cfg, q.objects, quietRate, &b.revision); err != nil {
			return nil, err
		}
	}
	before, err := streamsOf(ctx, i.watching)
	if err != nil {
		return nil, err
	}
	processes := i.processes()
	processes[apiServerProcess] = b.control.PID()
	u, err := beginUsage(processes)
	if err != nil {
		return nil, err
	}
	work, workCtx := errgroup.WithContext(ctx)
	while, stop := context.WithTimeout(workCtx, time.Duration(b.Seconds)*time.Second)
	defer stop()
	for _, l := range loads {
		work.Go(func() error { return l.during(workCtx, while) })
	}
	if other != nil {
		work.Go(func() error { return other.during(workCtx, while) })
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	var meanwhile beside
	if other != nil {
		meanwhile.Rate = float64(len(other.answered())) / u.seconds()
	}
	if meanwhile.CPU, _, err = u.used(processes); err != nil {
		return nil, err
	}
	for n, q := range quiets {
		written := loads[n].answered()
		landed, err := followers[n].arrivals(ctx, written)
		if err != nil {
			return nil, err
		}
		took, missing := latencies(written, landed)
		if len(missing) > 0 {
			return nil, fmt.Errorf("%s: %d changes have not come, such as %s", q.where, len(missing), missing[0])
		}
		if meanwhile.Stages, err = i.stages(ctx, before, written, landed); err != nil {
			return nil, err
		}
		all = append(all, few{committed(took), meanwhile})
	}
	return all, nil
}
