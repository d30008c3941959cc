package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/services/kubescribe"
	"github.com/kubescribe/kubescribe/services/kubescribe/internal/screen"
	"github.com/kubescribe/kubescribe/shared/event"
)

// redrawEvery is how often the status line is drawn.
const redrawEvery = 250 * time.Millisecond

// errRefused ends a run whose only destination may not be written to.
var errRefused = errors.New("nothing can be written")

// follow shows how things stand until ctx ends. With only one destination, given
// by flags, it stops the process when that is refused: nobody is there to
// change it but who typed the command.
func follow(ctx context.Context, stop context.CancelCauseFunc, p *kubescribe.Process, shown *phases, only bool, scr *screen.Screen, log *slog.Logger) {
	var all sync.WaitGroup
	all.Go(func() { shown.run(ctx, p.Bus, log) })
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			snapshots := p.Writer.Snapshots()
			for _, s := range snapshots {
				for _, r := range s.Refused {
					// One of an older revision was configured by the command
					// before this one, and may be what this one changes.
					if now := p.Watcher.Registered(); only && now != 0 && r.Revision >= now {
						stop(fmt.Errorf("%w: %w", errRefused, r.Why))
					}
				}
			}
			line := statusLine(now, shown.worst(), snapshots)
			if err := p.Watcher.Ready(); err != nil {
				line = err.Error() + "  " + line
			}
			scr.Draw(line)
		}
	}
	scr.Draw("")
	all.Wait()
}

// statusLine is one line on how things stand: first what keeps them, if anything
// does, since a terminal cuts off what comes last.
func statusLine(now time.Time, phase event.Phase, branches []gitwriter.Snapshot) string {
	line := string(phase)
	for _, s := range branches {
		if s.Why != nil {
			line += "  " + waiting(now, s)
		}
		line += fmt.Sprintf("  pending %d", s.Pending)
		if s.Commit != "" {
			line += fmt.Sprintf("  last commit %.8s", s.Commit)
		} else {
			line += "  no commit yet"
		}
		if !s.Pushed.IsZero() {
			line += fmt.Sprintf(" %q %s ago", s.Subject, now.Sub(s.Pushed).Round(time.Second))
		}
		switch {
		case s.DryRun:
			line += "  nothing is pushed (DryRun)"
		case !s.Pushing.IsZero() && now.Sub(s.Pushing) >= time.Second:
			line += fmt.Sprintf("  pushing for %s", now.Sub(s.Pushing).Round(time.Second))
		case s.Why == nil && s.Next.After(now):
			line += fmt.Sprintf("  next push in %s", s.Next.Sub(now).Round(time.Second))
		case s.Why == nil:
			line += "  next push with the next change"
		}
	}
	return line
}

// waiting says what a branch waits for, and until when.
func waiting(now time.Time, s gitwriter.Snapshot) string {
	if s.Next.After(now) {
		return fmt.Sprintf("next push in %s: %v", s.Next.Sub(now).Round(time.Second), s.Why)
	}
	return fmt.Sprintf("waiting: %v", s.Why)
}
