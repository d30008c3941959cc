package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// E2EOptions says what is measured of the whole way.
type E2EOptions struct {
	Only    *regexp.Regexp // matches the names of the scenarios that run
	Runs    int            // how often each rate is measured: the quickest counts, by p99, or by changes at full speed
	Seconds int            // for how long changes come
	Kills   int            // of each role
	JSON    string         // file; "" prints it
	Logs    string         // directory in which the logs are kept; "": they go
}

// The whole way in two forms.
const (
	allInOne = "all-in-one" // kubescribe run, with a bus of its own
	separate = "separate"   // each role a process, as is the NATS server
)

// e2eLimit bounds it all.
const e2eLimit = time.Hour

// The cluster that changes: so many namespaces, with so many ConfigMaps each.
const (
	changing     = 50
	changingEach = 8
)

// changingObjects are those of some of these namespaces.
func changingObjects(from, to int) []object {
	var all []object
	for n := from * changingEach; n < to*changingEach; n++ {
		all = append(all, object{kinds[0], n, changingEach})
	}
	return all
}

// mirrorOf is a destination of some of these namespaces.
func mirrorOf(name, branch string, from, to int) mirror {
	m := mirror{name: name, branch: branch}
	for n := from; n < to; n++ {
		m.namespaces = append(m.namespaces, namespaceName(n))
	}
	return m
}

// e2e is one call of E2E.
type e2e struct {
	E2EOptions
	place
	out      io.Writer
	control  *harness.ControlPlane
	cfg      *rest.Config
	revision atomic.Int64 // of what the loads write
	E2EFigures
}

// E2EFigures is all that was measured; what was not is not there.
type E2EFigures struct {
	Paced    []Paced    `json:"paced,omitempty"`
	Fair     []Fair     `json:"fair,omitempty"`
	Failover []Failover `json:"failover,omitempty"`
	Rolling  []Restart  `json:"rolling,omitempty"`
}

// scenario is something that is measured on installs of its own.
type scenario struct {
	names []string
	run   func(ctx context.Context, b *e2e, names []string) error // those that were chosen
}

// scenarios are all there are.
func scenarios() []scenario {
	var all []scenario
	for _, form := range []string{allInOne, separate} {
		for _, destinations := range []int{1, changing} {
			all = append(all, atRates(form, destinations))
		}
	}
	return append(all, fairness(), failover(), rolling)
}

// E2EScenarios are the names of all there are.
func E2EScenarios() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.names...)
	}
	return names
}

// E2E has the objects of a real control plane change while kubescribe brings them to a
// remote over smart HTTP, and writes to out how long that takes and what it needs: also
// what misses its target, which is no error. A history that is not in order is one, and so
// is an error that a service has logged where nothing was stopped.
func E2E(ctx context.Context, o E2EOptions, out io.Writer) error {
	return inPlace(o.Logs, func(p place) error {
		return (&e2e{E2EOptions: o, place: p, out: out}).run(ctx)
	})
}

// begin starts the control plane, with the objects that are to change.
func (b *e2e) begin(ctx context.Context) (err error) {
	if b.control, err = b.cluster(ctx, harness.ControlPlaneOptions{Dir: filepath.Join(b.dir, "cluster")}); err != nil {
		return err
	}
	b.cfg, err = b.control.REST()
	if err == nil {
		var objs *harness.Objects
		if objs, err = harness.NewObjects(b.cfg); err == nil {
			err = fill(ctx, objs, slices.Values(changingObjects(0, changing)))
		}
	}
	if err != nil {
		b.control.Kill()
		return err
	}
	b.revision.Store(1) // theirs: who writes that once more changes nothing
	return nil
}

func (b *e2e) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e2eLimit)
	defer cancel()
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer b.control.Kill()
	for _, s := range scenarios() {
		chosen := slices.DeleteFunc(s.names, func(name string) bool { return !b.Only.MatchString(name) })
		if len(chosen) == 0 {
			continue
		}
		if err := s.run(ctx, b, chosen); err != nil {
			return fmt.Errorf("%s: %w", chosen[0], err)
		}
	}
	all := b.verdicts()
	return report(b.out, all, struct {
		Targets []Verdict `json:"targets"`
		E2EFigures
	}{all, b.E2EFigures}, b.JSON)
}

// deploy starts kubescribe in one of its forms beside a cluster, with so many replicas of each
// role, and returns once each destination has all its files.
func (b *e2e) deploy(ctx context.Context, name, kubeconfig, form string, replicas int, mirrors ...mirror) (*install, error) {
	i, err := newRemote(b.bins, filepath.Join(b.dir, name), filepath.Join(b.logs, name))
	if err != nil {
		return nil, err
	}
	if err := b.bring(ctx, i, kubeconfig, form, replicas, mirrors); err != nil {
		return nil, errors.Join(i.cause(err), i.close())
	}
	return i, nil
}

// bring brings up kubescribe for a remote that is empty.
func (b *e2e) bring(ctx context.Context, i *install, kubeconfig, form string, replicas int, mirrors []mirror) error {
	ctx, cancel := i.within(ctx, 2*startLimit)
	defer cancel()
	err := errors.Join(i.hosted(), i.configure(kinds[:1], mirrors...))
	switch {
	case err != nil:
	case form == allInOne:
		err = i.startWhole(ctx, kubeconfig)
	default:
		err = i.startApart(ctx, kubeconfig, replicas)
	}
	if err != nil {
		return err
	}
	for _, m := range mirrors {
		if _, err := i.awaitPhase(ctx, m.key(), "LIVE_PROCESSING of "+m.name, isLive); err != nil {
			return err
		}
	}
	for _, m := range mirrors {
		if err := i.landedCount(ctx, m, len(m.namespaces)*changingEach); err != nil {
			return err
		}
	}
	return nil
}

// right checks that a branch's history is in order.
func right(r harness.Repository) error {
	history, err := r.History()
	if err != nil {
		return err
	}
	if wrong := harness.Doubles(history); len(wrong) > 0 {
		return fmt.Errorf("the history of %s is wrong in %d places, first: %s", r.Branch, len(wrong), wrong[0])
	}
	return nil
}
