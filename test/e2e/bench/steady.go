package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// steady is an install with two replicas of each role, to which changes come all the time.
type steady struct {
	*install
	kubeconfig string
	load       *load
	follower   *follower
}

// steadyRate is how many changes come a second.
const steadyRate = 50

// steadily does something to an install while changes come. Each of them has to have its
// commit in the end, in order.
func (b *e2e) steadily(ctx context.Context, name string, do func(context.Context, *steady) error) (err error) {
	i, err := b.deploy(ctx, name, b.control.Kubeconfig(), separate, 2, mirrorOf(destination.Name, "", 0, changing))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(i.cause(err), i.close()) }()
	ctx, cancel := i.within(ctx, e2eLimit)
	defer cancel()
	s := &steady{install: i, kubeconfig: b.control.Kubeconfig()}
	if s.load, err = newLoad(b.cfg, changingObjects(0, changing), steadyRate, &b.revision); err != nil {
		return err
	}
	if s.follower, err = follow(ctx, i.remote.Repository); err != nil {
		return err
	}
	defer s.follower.end()
	while, stop := context.WithCancel(ctx)
	defer stop()
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error { return s.load.during(workCtx, while) })
	work.Go(func() error { defer stop(); return do(workCtx, s) })
	if err := work.Wait(); err != nil {
		return err
	}
	landed, err := s.follower.arrivals(ctx, s.load.answered())
	if err != nil {
		return err
	}
	if _, missing := latencies(s.load.answered(), landed); len(missing) > 0 {
		return fmt.Errorf("%d of %d changes have not come, such as %s", len(missing), len(s.load.answered()), missing[0])
	}
	return right(i.remote.Repository)
}

// flows waits until a change that comes from now on has its commit.
func (s *steady) flows(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	before := len(s.load.answered())
	return harness.Poll(ctx, 20*time.Millisecond, "a change to come to the remote", func(context.Context) error {
		answered := s.load.answered()
		if len(answered) == before {
			return errors.New("the API server has answered none")
		}
		history, err := s.follower.branch.History("-1", s.follower.last().Commit)
		if err != nil {
			return err
		}
		want, err := strconv.ParseUint(answered[before].Version, 10, 64)
		if err != nil {
			return err
		}
		have, err := strconv.ParseUint(history[0].Version, 10, 64)
		if err != nil || have < want { // a commit of a run has none
			return fmt.Errorf("the newest commit is of version %q, and %d is awaited", history[0].Version, want)
		}
		return nil
	})
}
