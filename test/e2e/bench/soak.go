package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// SoakOptions says for how long it soaks.
type SoakOptions struct {
	Minutes int
	JSON    string // file; "" prints it
	Logs    string // directory in which the logs are kept; "": they go
}

const (
	soakReplicas = 2        // of each role
	soakRate     = 20       // changes a second
	soakLimit    = 16 << 20 // bytes of each stream, so that all are trimmed again and again
	soakEvery    = 10 * time.Second
	soakDisturb  = 3 * time.Minute
	soakPatience = 10 * time.Minute // for what has to come about, on a busy machine too
)

// soak is one call of Soak.
type soak struct {
	SoakOptions
	*e2e
	install *install
	load    *load
	begun   time.Time // of the changes
	SoakFigures
}

// SoakFigures is all that was seen.
type SoakFigures struct {
	Minutes  int      `json:"minutes"`
	Changes  int      `json:"changes"` // all of which have their commit, in order
	Restarts int      `json:"restarts"`
	Commits  int      `json:"commits"`
	Samples  []Sample `json:"samples"`
}

// Soak has the objects of a real control plane change for long while two replicas of each
// role bring that to a remote over smart HTTP. Every few minutes one of them, whichever it
// is, is stopped and started again, and a run compares all. What each process holds is
// looked at all the time, and it writes to out whether that grows: which is no error. A
// version without its commit is one, and so is a history that is not in order.
func Soak(ctx context.Context, o SoakOptions, out io.Writer) error {
	return inPlace(o.Logs, func(p place) error {
		return (&soak{SoakOptions: o, e2e: &e2e{place: p, out: out}}).run(ctx)
	})
}

func (s *soak) run(ctx context.Context) (err error) {
	lasts := time.Duration(s.SoakOptions.Minutes) * time.Minute
	ctx, cancel := context.WithTimeout(ctx, lasts+e2eLimit)
	defer cancel()
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.control.Kill()
	if s.install, err = newRemote(s.bins, filepath.Join(s.dir, "soak"), filepath.Join(s.logs, "soak")); err != nil {
		return err
	}
	defer func() { err = errors.Join(s.install.cause(err), s.install.close()) }()
	s.install.limit = soakLimit
	if err := s.bring(ctx, s.install, s.control.Kubeconfig(), separate, soakReplicas, []mirror{mirrorOf(destination.Name, "", 0, changing)}); err != nil {
		return err
	}
	if s.load, err = newLoad(s.cfg, changingObjects(0, changing), soakRate, &s.revision); err != nil {
		return err
	}
	ctx, stop := s.install.within(ctx, lasts+e2eLimit)
	defer stop()
	s.begun, s.SoakFigures.Minutes = time.Now(), s.SoakOptions.Minutes
	while, stop := context.WithTimeout(ctx, lasts)
	defer stop()
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error { return s.load.during(workCtx, while) })
	work.Go(func() error { return s.sampled(workCtx, while) })
	work.Go(func() error { return s.disturbed(workCtx, while) })
	if err := work.Wait(); err != nil {
		return err
	}
	if err := s.complete(ctx); err != nil {
		return err
	}
	all, besides := soakVerdicts(s.Samples, lasts)
	return report(s.out, all, struct {
		Targets []Verdict `json:"targets"`
		SoakFigures
	}{all, s.SoakFigures}, s.JSON, besides...)
}

// sampled takes a sample now and then, until one context ends.
func (s *soak) sampled(ctx, while context.Context) error {
	for n := 1; ; n++ {
		if fault.Wait(while, time.Until(s.begun.Add(time.Duration(n)*soakEvery))) != nil {
			return ctx.Err()
		}
		next, err := s.install.sample(ctx)
		if err != nil {
			return err
		}
		next.At = time.Since(s.begun).Seconds()
		s.Samples = append(s.Samples, next)
	}
}

// disturbed stops a replica in order now and then, whichever it is, starts it again, asks
// for a run and has the remote pack what has come, until one context ends.
func (s *soak) disturbed(ctx, while context.Context) error {
	var names []string
	for _, role := range roles {
		names = append(names, replicasOf(role, soakReplicas)...)
	}
	for n := 1; ; n++ {
		if fault.Wait(while, time.Until(s.begun.Add(time.Duration(n)*soakDisturb))) != nil {
			return ctx.Err()
		}
		name := names[rand.IntN(len(names))] //nolint:gosec // whichever it is
		if err := s.disturb(ctx, name); err != nil {
			return fmt.Errorf("restarting %s: %w", name, err)
		}
		s.Restarts++
		say(s.out, "%s: %s was restarted and a run has closed, behind %d changes", time.Since(s.begun).Round(time.Second), name, len(s.load.answered()))
	}
}

func (s *soak) disturb(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, soakPatience)
	defer cancel()
	if _, err := s.install.dismiss(name).Terminate(ctx); err != nil {
		return err
	}
	if err := s.install.startRoles(ctx, s.control.Kubeconfig(), name); err != nil {
		return err
	}
	before, err := s.install.ask(ctx, event.ReasonRequested)
	if err != nil {
		return err
	}
	if _, err := s.install.closed(ctx, before); err != nil {
		return err
	}
	_, err = gittest.Git(s.install.remote.Dir, "gc", "--quiet")
	return err
}

// complete waits until the newest version is on the remote, which is behind all others, and
// checks that every one has its commit, once and in order.
func (s *soak) complete(ctx context.Context) error {
	written := s.load.answered()
	newest, err := newestOf(written)
	if err != nil {
		return err
	}
	repository := s.install.remote.Repository
	limited, cancel := context.WithTimeout(ctx, soakPatience)
	defer cancel()
	err = harness.Poll(limited, time.Second, "the newest version to come to the remote", func(context.Context) error {
		history, err := repository.History("-1000", repository.Branch)
		if err == nil && !slices.ContainsFunc(history, func(c harness.Commit) bool { return c.Version == newest }) {
			err = fmt.Errorf("version %s has no commit", newest)
		}
		return err
	})
	if err != nil {
		return err
	}
	history, err := repository.History()
	if err != nil {
		return err
	}
	s.Changes, s.Commits = len(written), len(history)
	if wrong := harness.Versions(history, written); len(wrong) > 0 {
		return fmt.Errorf("of %d versions %d are wrong, first: %s", len(written), len(wrong), wrong[0])
	}
	say(s.out, "%d versions have a commit each, in order; %d restarts", s.Changes, s.Restarts)
	return nil
}

// newestOf is the highest version.
func newestOf(written []harness.Written) (string, error) {
	var newest uint64
	for _, w := range written {
		v, err := strconv.ParseUint(w.Version, 10, 64)
		if err != nil {
			return "", fmt.Errorf("the API server has answered with the version %q", w.Version)
		}
		newest = max(newest, v)
	}
	return strconv.FormatUint(newest, 10), nil
}
