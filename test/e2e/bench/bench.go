package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// Options says what is measured.
type Options struct {
	Runs      int    // how often each case is measured: the quickest counts
	Real      []int  // numbers of objects on a real control plane
	Generated []int  // numbers of objects on a generated state
	Held      int    // how many changes are held back; 0: that is left out
	JSON      string // file; "" prints it
	Logs      string // directory in which the services' logs are kept; "": they go
}

// The cases of an install, beside its start.
const (
	caseStart  = "start"
	caseEqual  = "0 % differ"
	caseSome   = "1 % differ"
	caseAll    = "100 % differ"
	stateReal  = "real"
	stateMade  = "generated"
	totalLimit = 20 * time.Minute
)

// bench is one call of Run.
type bench struct {
	Options
	place
	out      io.Writer
	measures []Measure
	held     *HeldBack
}

// Run measures, and writes to out what came of it: also what misses its target, which
// is no error. What is not right in the end, in Git, is one. It leaves nothing behind
// but what the options name.
func Run(ctx context.Context, o Options, out io.Writer) error {
	return inPlace(o.Logs, func(p place) error {
		return (&bench{Options: o, place: p, out: out}).run(ctx)
	})
}

func (b *bench) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, totalLimit)
	defer cancel()
	for _, size := range b.Real {
		if err := b.onReal(ctx, size); err != nil {
			return fmt.Errorf("%d real objects: %w", size, err)
		}
	}
	for _, size := range b.Generated {
		if err := b.onGenerated(ctx, size); err != nil {
			return fmt.Errorf("%d generated objects: %w", size, err)
		}
	}
	if b.Held > 0 {
		if err := b.holdBack(ctx); err != nil {
			return fmt.Errorf("%d changes held back: %w", b.Held, err)
		}
	}
	all := verdicts(b.measures, b.held)
	return report(b.out, all, struct {
		Targets  []Verdict `json:"targets"`
		Measures []Measure `json:"measures"`
		Held     *HeldBack `json:"heldBack,omitempty"`
	}{all, b.measures, b.held}, b.JSON)
}

func (b *bench) say(format string, args ...any) { say(b.out, format, args...) }

// onReal measures on a real control plane, with a folder that is empty at first.
func (b *bench) onReal(ctx context.Context, size int) (err error) {
	cp, err := b.cluster(ctx, harness.ControlPlaneOptions{Dir: filepath.Join(b.dir, fmt.Sprintf("cluster-%d", size))})
	if err != nil {
		return err
	}
	defer cp.Kill()
	cfg, err := cp.REST()
	if err != nil {
		return err
	}
	objs, err := harness.NewObjects(cfg)
	if err != nil {
		return err
	}
	if err := fill(ctx, objs, objects(size)); err != nil {
		return err
	}
	i, err := b.install(ctx, stateReal, size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	m, err := i.measure(ctx, Measure{State: stateReal, Objects: size, Case: caseStart}, nil, func(ctx context.Context) (string, error) {
		return "", i.start(ctx, cp.Kubeconfig())
	})
	if err != nil {
		return err
	}
	b.add(m)
	tip, err := i.remote.Tip()
	if err != nil {
		return err
	}
	want, err := listing(i.remote.Repository, folder, tip)
	if err != nil {
		return err
	}
	if err := holds(want, size); err != nil {
		return err
	}
	return b.cases(ctx, i, m, want)
}

// holds checks that a folder has the file of each object.
func holds(folderListing string, size int) error {
	has := map[string]bool{}
	for line := range strings.SplitSeq(folderListing, "\n") {
		path, _, _ := strings.Cut(line, " ")
		has[path] = true
	}
	for o := range objects(size) {
		if !has[folder+"/"+o.path()] {
			return fmt.Errorf("the base folder has no %s", o.path())
		}
	}
	return nil
}

// onGenerated measures an install on a generated state, whose folder is equal to it at
// first.
func (b *bench) onGenerated(ctx context.Context, size int) (err error) {
	i, api, err := b.generated(ctx, stateMade, size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close(), api.close()) }()
	want, err := folderOf(size, api.version)
	if err != nil {
		return err
	}
	m, err := i.measure(ctx, Measure{State: stateMade, Objects: size, Case: caseStart}, &want, func(ctx context.Context) (string, error) {
		return "", i.start(ctx, filepath.Join(i.dir, "kubeconfig"))
	})
	if err != nil {
		return err
	}
	b.add(m)
	return b.cases(ctx, i, m, want)
}

// generated makes an install, not started yet, beside a state that is generated, whose
// files are in the folder already.
func (b *bench) generated(ctx context.Context, name string, size int) (*install, *apiServer, error) {
	i, err := b.install(ctx, name, size)
	if err != nil {
		return nil, nil, err
	}
	api, err := serveState(size)
	if err == nil {
		err = api.kubeconfig(filepath.Join(i.dir, "kubeconfig"))
	}
	if err == nil {
		err = populate(i.remote.Repository, size)
	}
	if err != nil {
		return nil, nil, errors.Join(err, i.close())
	}
	return i, api, nil
}

func (b *bench) install(ctx context.Context, name string, size int) (*install, error) {
	name = fmt.Sprintf("%s-%d", name, size)
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return newInstall(ctx, b.bins, filepath.Join(b.dir, name), filepath.Join(b.logs, name))
}

// cases measures an install that has started and has what is wanted in its folder.
func (b *bench) cases(ctx context.Context, i *install, m Measure, want string) error {
	for _, c := range []struct {
		name    string
		percent int
	}{{caseEqual, 0}, {caseSome, 1}, {caseAll, 100}} {
		for range b.Runs {
			if c.percent > 0 {
				if err := damage(i.remote.Repository, c.percent); err != nil {
					return err
				}
			}
			next := Measure{State: m.State, Objects: m.Objects, Case: c.name}
			next, err := i.measure(ctx, next, &want, func(ctx context.Context) (string, error) { return i.ask(ctx, event.ReasonRequested) })
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if o := next.Outcome; c.percent == 0 && o.Created+o.Updated+o.Deleted > 0 {
				return fmt.Errorf("%s: a run found %+v", c.name, o)
			}
			b.add(next)
		}
	}
	return i.quiet()
}

func (b *bench) add(m Measure) {
	b.measures = append(b.measures, m)
	b.say("%s", m)
}
