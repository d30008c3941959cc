package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// RateOptions says how fast changes come.
type RateOptions struct {
	Rate    int    // changes a second
	Seconds int    // for so long
	Files   int    // that stand in the folder
	JSON    string // file; "" prints it
	Logs    string // directory in which the git-writer's log is kept; "": it goes
}

// Rated is how a git-writer kept up with changes that came at a rate.
type Rated struct {
	Changes   int     `json:"changes"`
	Published float64 `json:"publishedSeconds"` // what storing them took
	Pushes    int     `json:"pushes"`           // as far as somebody who looks 50 times a second sees them
	Backlog   int     `json:"backlog"`          // how many were stored and not on the remote, at most
	Waited    float64 `json:"waitedSeconds"`    // how long one was, at most
	Behind    float64 `json:"behindSeconds"`    // from the last change until all were on the remote
	Peak      int64   `json:"peakBytes"`        // of the git-writer
	CPU       float64 `json:"cpuSeconds"`       // of the git-writer
}

// lagTarget is how many seconds' changes may wait for their commits.
const lagTarget = 1

// Rate has changes stored in KS_WRITE at a rate, as the service stream stores them, while
// a git-writer brings them to a remote. It writes to out how far that lags behind. That
// not every change is a commit of its own, in order, is an error.
func Rate(ctx context.Context, o RateOptions, out io.Writer) error {
	return inPlace(o.Logs, func(p place) error { return rateIn(ctx, p, o, out) })
}

func rateIn(ctx context.Context, p place, o RateOptions, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, caseLimit+time.Duration(o.Seconds)*time.Second)
	defer cancel()
	i, err := newInstall(ctx, p.bins, p.dir, p.logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	ctx, cancel = i.within(ctx, caseLimit+time.Duration(o.Seconds)*time.Second)
	defer cancel()
	rated, err := i.rate(ctx, o)
	if err != nil {
		return i.cause(err)
	}
	all := rated.verdicts(o.Rate)
	return report(out, all, struct {
		Targets []Verdict `json:"targets"`
		Rated
	}{all, rated}, o.JSON)
}

// verdicts judges what was measured.
func (r Rated) verdicts(rate int) []Verdict {
	stored := float64(r.Changes) / r.Published
	return []Verdict{
		{fmt.Sprintf("changes stored a second: %d", rate), fmt.Sprintf("%.0f (%d in %.1f s, %d pushes)", stored, r.Changes, r.Published, r.Pushes), stored >= 0.99*float64(rate)},
		{fmt.Sprintf("changes that waited for their commit: at most %d", lagTarget*rate), fmt.Sprintf("%d (%.2f s)", r.Backlog, r.Waited), r.Backlog <= lagTarget*rate},
		{fmt.Sprintf("from the last change until all were commits: at most %d s", lagTarget), fmt.Sprintf("%.2f s", r.Behind), r.Behind <= lagTarget},
	}
}

// rate measures on an install that has not started anything.
func (i *install) rate(ctx context.Context, o RateOptions) (r Rated, err error) {
	if err := populate(i.remote.Repository, o.Files); err != nil {
		return r, err
	}
	if _, err := gittest.Git(i.remote.Dir, "gc", "--quiet"); err != nil {
		return r, err
	}
	if err := i.hosted(); err != nil {
		return r, err
	}
	d, revision, err := i.register(ctx)
	if err != nil {
		return r, err
	}
	if err := i.startRoles(ctx, "", "git-writer"); err != nil {
		return r, err
	}
	changes, err := changesTo(d, revision, o.Files, o.Rate*o.Seconds)
	if err != nil {
		return r, err
	}
	u, err := beginUsage(i.processes())
	if err == nil {
		r, err = i.follow(ctx, d, changes, o.Rate)
	}
	if err != nil {
		return r, err
	}
	cpu, peak, err := u.used(i.processes())
	if err != nil {
		return r, err
	}
	r.CPU, r.Peak = cpu["git-writer"], peak["git-writer"]
	return r, errors.Join(i.eachCommitted(len(changes)), i.quiet())
}

// register puts the destination into the registry, as the watcher does.
func (i *install) register(ctx context.Context) (d event.Destination, revision uint64, err error) {
	d = event.Destination{
		V: event.Version, Key: destination, ClusterID: "cluster", URL: i.remote.URL, BranchKey: subject.BranchKey(i.remote.URL, harness.Branch),
		Branch: harness.Branch, BaseFolder: folder, Adopt: true, Committer: event.Person{Name: "kubescribe", Email: "kubescribe@localhost"},
	}
	registry, err := bus.OpenBucket[event.Destination](ctx, i.bus, subject.BucketDestination)
	if err != nil {
		return d, 0, err
	}
	revision, err = registry.Put(ctx, subject.DestinationToken(d.Key), d, 0)
	return d, revision, err
}

// changesTo are updates of a state's objects all over the folder. Their versions are
// numbers from 1 on.
func changesTo(d event.Destination, registry uint64, size, count int) ([]bus.Output, error) {
	var all []object
	for o := range objects(size) {
		all = append(all, o)
	}
	changes := make([]bus.Output, count)
	for n := range changes {
		o := all[n*7919%len(all)]
		_, content, err := o.rendered(version{revision: n + 2})
		if err != nil {
			return nil, err
		}
		c := event.Change{
			Object: event.Object{Group: o.group, APIVersion: "v1", Resource: o.resource, Kind: o.name, Namespace: o.namespace(), Name: o.objectName()},
			Op:     event.Update, Cluster: d.Key.Cluster, ClusterID: d.ClusterID, UID: "uid-" + o.objectName(), ResourceVersion: strconv.Itoa(n + 1),
			Origin: event.Live, Time: time.Now(), FieldManager: "deployer", Registry: registry, Manifest: content, Hash: manifest.Hash(content),
		}
		h, body := c.Message()
		changes[n] = bus.Output{Subject: subject.WriteData(d.BranchKey, d.Key), Header: event.Forward(h, fmt.Sprintf("change-%d", n)), Data: body}
	}
	return changes, nil
}

// together is how many changes are stored as one batch: one by one, a disk that syncs each
// of them is what would be measured.
const together = 10

// store stores changes at a rate, and tells when.
func (i *install) store(ctx context.Context, d event.Destination, changes []bus.Output, rate int, stored func(n int)) error {
	l, err := i.bus.OpenLedger(ctx, bus.LedgerConfig{
		Input: subject.Live, InputFilter: subject.LiveDestination(d.Key),
		Output: subject.Write, OwnerFilter: subject.WriteDestination(d.Key), Checkpoint: subject.WriteCheckpoint(d.Key),
	})
	if err != nil {
		return err
	}
	begun := time.Now()
	for n := 0; n < len(changes); n += together {
		due := begun.Add(time.Duration(n) * time.Second / time.Duration(rate))
		if err := fault.Wait(ctx, time.Until(due)); err != nil {
			return err
		}
		batch := changes[n:min(n+together, len(changes))]
		if err := l.Extend(ctx, "", batch); err != nil {
			return err
		}
		stored(len(batch))
	}
	return nil
}

// follow stores changes at a rate and watches the remote until it has all of them.
func (i *install) follow(ctx context.Context, d event.Destination, changes []bus.Output, rate int) (r Rated, err error) {
	tip, err := i.remote.Tip()
	if err != nil {
		return r, err
	}
	var mu sync.Mutex
	var when []time.Time // each change was stored; guarded by mu
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begun := time.Now()
	go func() {
		err := i.store(ctx, d, changes, rate, func(n int) {
			mu.Lock()
			defer mu.Unlock()
			for now := time.Now(); n > 0; n-- {
				when = append(when, now)
			}
		})
		if err != nil {
			cancel(fmt.Errorf("storing changes: %w", err))
		}
	}()
	landed := 0
	err = harness.Poll(ctx, 20*time.Millisecond, "each change to have its commit", func(context.Context) error {
		now, err := i.remote.Tip()
		if err != nil {
			return err
		}
		mu.Lock()
		stored := when
		mu.Unlock()
		if landed < len(stored) {
			r.Backlog = max(r.Backlog, len(stored)-landed)
			r.Waited = max(r.Waited, time.Since(stored[landed]).Seconds())
		}
		if now != tip {
			count, err := gittest.Git(i.remote.Dir, "rev-list", "--count", tip+".."+now)
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(count)
			if err != nil {
				return err
			}
			landed, tip = landed+n, now
			r.Pushes++
		}
		if landed < len(changes) {
			return fmt.Errorf("%d of %d", landed, len(changes))
		}
		return nil
	})
	if err != nil {
		return r, errors.Join(err, context.Cause(ctx))
	}
	mu.Lock()
	defer mu.Unlock()
	last := when[len(when)-1]
	r.Changes, r.Published, r.Behind = len(when), last.Sub(begun).Seconds(), time.Since(last).Seconds()
	return r, nil
}

// eachCommitted checks that the newest commits are one of each change, in order.
func (i *install) eachCommitted(changes int) error {
	out, err := gittest.Git(i.remote.Dir, "log", "--reverse", "--format=%(trailers:key=Kubescribe-Resource-Version,valueonly)", harness.Branch)
	if err != nil {
		return err
	}
	versions := strings.Fields(out)
	if len(versions) != changes {
		return fmt.Errorf("%d commits of %d changes", len(versions), changes)
	}
	for n, v := range versions {
		if v != strconv.Itoa(n+1) {
			return fmt.Errorf("commit %d is of change %s", n+1, v)
		}
	}
	return nil
}
