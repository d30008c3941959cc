package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// CaptureOptions says what is captured.
type CaptureOptions struct {
	Runs    int    // how often: the quickest counts, and the most memory
	Types   int    // how many types are selected
	Each    int    // how many objects of each there are
	Changes int    // that are made afterwards
	JSON    string // file; "" prints it
	Logs    string // directory in which the services' logs are kept; "": they go
}

// Captured is what one start took, into a repository that was empty.
type Captured struct {
	Measure                  // Closed and Landed are of the destination that was last
	Files     map[string]int `json:"files"`   // of each destination
	Watches   map[string]int `json:"watches"` // how often kubescribe asked to watch each type
	Committed Committed      `json:"committed"`
}

// noMoreFor is for how long no request must come to the audit log for it to be complete:
// the API server has seen that the connection is gone long before.
const noMoreFor = time.Second

// mirrors have different rules over the same types: one has all namespaces, and one a fifth
// of them.
var mirrors = func() []mirror {
	part := mirror{name: "part"}
	for n := range namespaces / 5 {
		part.namespaces = append(part.namespaces, namespaceName(n))
	}
	return []mirror{{name: destination.Name}, part}
}()

// capture is one call of Capture.
type capture struct {
	CaptureOptions
	place
	out     io.Writer
	types   []kind
	control *harness.ControlPlane
	cfg     *rest.Config
	objects *harness.Objects
	starts  []Captured
}

// Capture starts the five services beside a cluster that has many objects of many types,
// and writes to out what that took: also what misses its target, which is no error. What is
// not right in the end, in Git, is one, and so is an error that a service has logged.
func Capture(ctx context.Context, o CaptureOptions, out io.Writer) error {
	return inPlace(o.Logs, func(p place) error {
		return (&capture{CaptureOptions: o, place: p, out: out}).run(ctx)
	})
}

func (c *capture) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, totalLimit)
	defer cancel()
	if c.control, err = c.cluster(ctx, harness.ControlPlaneOptions{Dir: filepath.Join(c.dir, "cluster"), Audit: true}); err != nil {
		return err
	}
	defer c.control.Kill()
	if err := c.fill(ctx); err != nil {
		return err
	}
	for n := range c.Runs {
		s, err := c.once(ctx, n)
		if err != nil {
			return fmt.Errorf("start %d: %w", n+1, err)
		}
		c.starts = append(c.starts, s)
		say(c.out, "%s", s)
	}
	all := c.verdicts()
	return report(c.out, all, struct {
		Targets []Verdict  `json:"targets"`
		Starts  []Captured `json:"starts"`
	}{all, c.starts}, c.JSON, c.figures()...)
}

// fill makes the types and their objects.
func (c *capture) fill(ctx context.Context) (err error) {
	if c.cfg, err = c.control.REST(); err != nil {
		return err
	}
	if c.objects, err = harness.NewObjects(c.cfg); err != nil {
		return err
	}
	begun := time.Now()
	var definitions []string
	c.types, definitions = typesOf(c.Types)
	if err := apply(ctx, c.objects, slices.Values(definitions)); err != nil {
		return fmt.Errorf("defining %d types: %w", len(definitions), err)
	}
	if err := fill(ctx, c.objects, objectsOfEach(c.types, c.Each)); err != nil {
		return err
	}
	say(c.out, "%d objects of %d types, %d of them custom ones, made in %.1f s", c.Types*c.Each, c.Types, len(definitions), time.Since(begun).Seconds())
	return nil
}

// once starts an install of its own, and measures.
func (c *capture) once(ctx context.Context, n int) (s Captured, err error) {
	name := fmt.Sprintf("start-%d", n+1)
	i, err := newInstall(ctx, c.bins, filepath.Join(c.dir, name), filepath.Join(c.logs, name))
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	if err := errors.Join(i.hosted(), i.configure(c.types, mirrors...)); err != nil {
		return s, err
	}
	asked, err := c.control.AuditLength()
	if err != nil {
		return s, err
	}
	if s, err = c.live(ctx, i); err != nil {
		return s, i.cause(err)
	}
	if s.Committed, err = c.change(ctx, i, version{revision: n + 2}); err != nil {
		return s, i.cause(err)
	}
	if err := c.right(ctx, i); err != nil {
		return s, i.cause(err)
	}
	s.Watches, err = c.watches(ctx, i, asked)
	return s, errors.Join(err, i.quiet())
}

// live starts the services, the watcher last, and measures what that one takes until all
// that stands in the cluster is in Git.
func (c *capture) live(ctx context.Context, i *install) (s Captured, err error) {
	ctx, cancel := i.within(ctx, caseLimit)
	defer cancel()
	s.Measure = Measure{State: stateReal, Objects: c.Types * c.Each, Case: caseStart}
	if s.Files, err = c.stands(ctx, i); err != nil {
		return s, err
	}
	const last = "watcher"
	others := slices.DeleteFunc(slices.Clone(roles), func(name string) bool { return name == last })
	if err := i.startRoles(ctx, c.control.Kubeconfig(), others...); err != nil {
		return s, err
	}
	u, err := i.meter()
	if err != nil {
		return s, err
	}
	if err := i.startRoles(ctx, c.control.Kubeconfig(), last); err != nil {
		return s, err
	}
	for _, m := range mirrors {
		rec, err := i.awaitPhase(ctx, m.key(), "LIVE_PROCESSING of "+m.name, isLive)
		if err != nil {
			return s, err
		}
		if m.name == destination.Name && rec.Outcome != nil {
			s.Outcome = *rec.Outcome
		}
	}
	s.Closed = u.seconds()
	for _, m := range mirrors {
		if err := i.landedCount(ctx, m, s.Files[m.name]); err != nil {
			return s, err
		}
	}
	s.Landed = u.seconds()
	if err := u.read(&s.Measure); err != nil {
		return s, err
	}
	return s, c.equal(ctx, i)
}

// stands is how many objects the cluster has for each destination.
func (c *capture) stands(ctx context.Context, i *install) (map[string]int, error) {
	count := map[string]int{}
	for _, m := range mirrors {
		found, err := harness.Compare(ctx, c.cfg, i.remote.Repository, c.scope(m))
		if err != nil {
			return nil, err
		}
		count[m.name] = found.Objects
	}
	return count, nil
}

// isLive reports whether a destination has all that there was when it began.
func isLive(rec event.PhaseRecord) bool {
	return rec.Phase == event.LiveProcessing && rec.Run != "" && !rec.Running() && !rec.Continues()
}

// scope is what a destination has to agree with.
func (c *capture) scope(m mirror) harness.Scope {
	selected := map[[2]string]bool{}
	for _, k := range c.types {
		selected[[2]string{k.group, k.resource}] = true
	}
	return harness.Scope{Folder: m.name, Namespaces: m.namespaces, Selects: func(id harness.Identity) bool {
		return selected[[2]string{id.Group, id.Resource}]
	}}
}

// equal checks that Git says what the cluster does, in all that was pushed so far.
func (c *capture) equal(ctx context.Context, i *install) error {
	for _, m := range mirrors {
		found, err := harness.Compare(ctx, c.cfg, i.remote.Repository, c.scope(m))
		if err == nil {
			err = found.Err()
		}
		if err != nil {
			return fmt.Errorf("folder %s: %w", m.name, err)
		}
	}
	return nil
}

// right checks that Git comes to be equal to the cluster, and that its history is in order.
func (c *capture) right(ctx context.Context, i *install) error {
	ctx, cancel := i.within(ctx, startLimit)
	defer cancel()
	for _, m := range mirrors {
		if _, err := harness.AwaitEqual(ctx, c.cfg, i.remote.Repository, c.scope(m)); err != nil {
			return fmt.Errorf("folder %s: %w", m.name, err)
		}
	}
	history, err := i.remote.History()
	if err != nil {
		return err
	}
	if wrong := harness.Doubles(history); len(wrong) > 0 {
		return fmt.Errorf("the history is wrong in %d places, first: %s", len(wrong), wrong[0])
	}
	return nil
}

// watches stops the watcher, since the audit log has a watch once it has ended, and counts
// what kubescribe has asked to watch since that log had a length.
func (c *capture) watches(ctx context.Context, i *install, since int64) (count map[string]int, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if _, err := i.running["watcher"].Terminate(ctx); err != nil {
		return nil, err
	}
	requests, changed := 0, time.Now()
	err = harness.Poll(ctx, 100*time.Millisecond, "the last watch in the audit log", func(context.Context) error {
		all, err := c.control.Audited(since)
		if err != nil {
			return err
		}
		count = map[string]int{}
		now := 0
		for _, r := range all {
			if !r.OfKubescribe() {
				continue
			}
			now++
			if r.Verb == "watch" {
				count[typeName(r.ObjectRef.APIGroup, r.ObjectRef.Resource)]++
			}
		}
		if now != requests {
			requests, changed = now, time.Now()
		}
		if len(count) == 0 || time.Since(changed) < noMoreFor {
			return fmt.Errorf("%d requests so far", now)
		}
		return nil
	})
	return count, err
}

// typeName is a type as its definition is named.
func typeName(group, resource string) string {
	if group == "" {
		return resource
	}
	return resource + "." + group
}
