package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// lander brings together the API server's answers and the commits that land, and
// prints each commit as soon as both are known.
type lander struct {
	out *printer

	mu      sync.Mutex
	answers map[string]time.Time // of writes whose commit is not known yet; guarded by mu
	landed  map[string]landing   // of ours whose answer is not known yet; guarded by mu
	took    []time.Duration      // guarded by mu
	writes  int                  // guarded by mu
	change  chan struct{}        // closed and replaced when a pair is found; guarded by mu
}

// landing is a commit and when the branch was first seen to have it.
type landing struct {
	harness.Commit
	at time.Time
}

func newLander(out *printer) *lander {
	return &lander{out: out, answers: map[string]time.Time{}, landed: map[string]landing{}, change: make(chan struct{})}
}

// keyOf is what a write and its commit have in common. A deletion's answer names
// no version.
func keyOf(resource, version string, deleted bool) string {
	if deleted {
		version = "deleted"
	}
	return resource + " " + version
}

// answered tells of a write that the API server has answered.
func (l *lander) answered(w harness.Written) {
	key := keyOf(w.Resource, w.Version, w.Deleted)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes++
	if c, ok := l.landed[key]; ok {
		delete(l.landed, key)
		l.pair(c, w.At)
		return
	}
	l.answers[key] = w.At
}

// land tells of a commit that is on the branch.
func (l *lander) land(c landing) {
	key := keyOf(c.Resource, c.Version, strings.HasPrefix(c.Subject, "Delete "))
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.answers[key]; ok {
		delete(l.answers, key)
		l.pair(c, at)
		return
	}
	if c.Origin == "live" {
		l.landed[key] = c // its answer may be on its way to us still
		return
	}
	l.print(c, "       ")
}

// pair knows both ends of a change. mu is held.
func (l *lander) pair(c landing, answer time.Time) {
	took := max(0, c.at.Sub(answer))
	l.took = append(l.took, took)
	l.print(c, fmt.Sprintf("%4d ms", took.Milliseconds()))
	close(l.change)
	l.change = make(chan struct{})
}

func (l *lander) print(c landing, took string) {
	paths := make([]string, 0, len(c.Files))
	for _, f := range c.Files {
		paths = append(paths, f.Path)
	}
	const shown = 2
	files := strings.Join(paths[:min(shown, len(paths))], " ")
	if n := len(paths) - shown; n > 0 {
		files += fmt.Sprintf(" and %d more", n)
	}
	l.out.say("  %s  %.7s  %-58s  %s", took, c.Hash, c.Subject, files)
}

// follow tells of every commit that lands until ctx ends.
func (l *lander) follow(ctx context.Context, repo harness.Repository) error {
	last, err := repo.Tip()
	if err != nil {
		return err
	}
	tips := make(chan harness.Tip, 1024) // looking at the branch must not wait for git log
	go repo.FollowTips(ctx, tips)
	for tip := range tips {
		if tip.Commit == last {
			continue
		}
		news, err := repo.History(last + ".." + tip.Commit)
		if err != nil {
			return err
		}
		for _, c := range news {
			l.land(landing{c, tip.Seen})
		}
		last = tip.Commit
	}
	return nil
}

// await waits until every answered write has its commit.
func (l *lander) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, landLimit)
	defer cancel()
	for {
		l.mu.Lock()
		var missing []string
		for key := range l.answers {
			missing = append(missing, key)
		}
		change := l.change
		l.mu.Unlock()
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return errors.New("no commit within " + landLimit.String() + " for " + strings.Join(missing, ", "))
		}
	}
}

// times is how long each change took.
func (l *lander) times() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]time.Duration(nil), l.took...)
}
