// Package demo is what `make demo` runs: a control plane, a Git server and
// kubescribe between them, some work done in the cluster, and each commit as it
// lands.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// Options says how the demonstration runs.
type Options struct {
	Keep bool // leave everything running until ctx ends
}

// The bounds of waiting, far above what is usual.
const (
	startLimit = 2 * time.Minute
	stepLimit  = time.Minute
	landLimit  = 30 * time.Second
)

// target is what the median is held against: a commit is on the remote branch so
// soon after the API server's answer, on an idle machine.
const target = 250 * time.Millisecond

// pace is the time between two changes.
const pace = 200 * time.Millisecond

// Run shows all of it and writes to out. It returns nil only if Git ends equal to
// the cluster and every change has its commit. Whatever happens, it leaves
// nothing behind: no process, no file.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	s := &stage{printer: printer{out: out}}
	defer func() { err = errors.Join(err, s.clear()) }()
	if err := play(ctx, o, s); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return err
	}
	return nil
}

func play(ctx context.Context, o Options, s *stage) error {
	if err := s.set(ctx); err != nil {
		return err
	}
	imported, err := s.equal(ctx)
	if err != nil {
		return err
	}
	first, err := s.reconciled()
	if err != nil {
		return err
	}
	s.say("  one commit: %.7s  %s; the others' files stand", first.Hash, first.Subject)
	s.say("Git equals the cluster: %d objects, %d files.", imported.Objects, imported.Files)

	s.say("")
	s.say("Working in the cluster. Each commit as it lands, with the time from the API server's answer to the remote branch:")
	s.say("")
	lander := newLander(&s.printer)
	lctx, cancel := context.WithCancel(ctx)
	defer cancel()
	followed := make(chan error, 1)
	go func() { followed <- lander.follow(lctx, s.remote.Repository) }()
	if err := work(ctx, s.objects, lander); err != nil {
		return err
	}
	if err := lander.await(ctx); err != nil {
		return err
	}
	final, err := s.equal(ctx)
	if err != nil {
		return err
	}
	cancel()
	if err := <-followed; err != nil {
		return err
	}
	history, err := s.remote.History()
	if err != nil {
		return err
	}
	s.say("")
	summary(&s.printer, lander.times(), len(history), final)
	if err := s.showSecret(o.Keep); err != nil {
		return err
	}
	if wrong := harness.Doubles(history); len(wrong) > 0 {
		return fmt.Errorf("the history is wrong:\n  %s", strings.Join(wrong, "\n  "))
	}
	if o.Keep {
		s.keep(ctx)
	}
	return nil
}
