package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// follower sees a branch grow.
type follower struct {
	branch harness.Repository
	from   string // what it was before
	cancel context.CancelFunc
	done   chan struct{} // closed once it follows no more

	mu   sync.Mutex
	tips []harness.Tip // guarded by mu; the first is what it was before
}

// follow begins to follow a branch that is there.
func follow(ctx context.Context, branch harness.Repository) (*follower, error) {
	from, err := branch.Tip()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{branch: branch, from: from, cancel: cancel, done: make(chan struct{}), tips: []harness.Tip{{Commit: from, Seen: time.Now()}}}
	tips := make(chan harness.Tip)
	go branch.FollowTips(ctx, tips)
	go func() {
		defer close(f.done)
		for tip := range tips {
			f.mu.Lock()
			f.tips = append(f.tips, tip)
			f.mu.Unlock()
		}
	}()
	return f, nil
}

// last is what the branch was last seen to be.
func (f *follower) last() harness.Tip {
	tips := f.seen()
	return tips[len(tips)-1]
}

// seen is all that the branch was seen to be so far, oldest first.
func (f *follower) seen() []harness.Tip {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tips
}

// stillFor is for how long a branch stands before its history is read: that takes of the
// machine what kubescribe is being measured with.
const stillFor = 500 * time.Millisecond

// await waits until each write is among the commits that count, and returns all that
// came; also with an error, which says what is missing.
func (f *follower) await(ctx context.Context, written []harness.Written, counts func(harness.Commit) bool) (history []harness.Commit, err error) {
	missing := map[string]bool{}
	for _, w := range written {
		missing[versionOf(w.Resource, w.Version)] = true
	}
	read := f.from
	err = harness.Poll(ctx, 50*time.Millisecond, "a commit of each change", func(context.Context) error {
		tip := f.last()
		if time.Since(tip.Seen) < stillFor {
			return errors.New("the branch still moves")
		}
		if tip.Commit != read {
			news, err := f.branch.History(read + ".." + tip.Commit)
			if err != nil {
				return err
			}
			history, read = append(history, news...), tip.Commit
			for _, c := range news {
				if counts(c) {
					delete(missing, versionOf(c.Resource, c.Version))
				}
			}
		}
		for version := range missing {
			return fmt.Errorf("%d of %d are missing, such as %s", len(missing), len(written), version)
		}
		return nil
	})
	return history, err
}

// drainLimit is how long after the last change commits are waited for.
const drainLimit = time.Minute

// arrivals waits until all that was written has come to a branch, though not for ever, and
// says when each version did.
func (f *follower) arrivals(ctx context.Context, written []harness.Written) (map[string]time.Time, error) {
	limited, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	history, err := f.await(limited, written, anyCommit)
	if err != nil && (limited.Err() == nil || ctx.Err() != nil) {
		return nil, err
	}
	return landings(history, f.end(), anyCommit), nil
}

// end ends it, and returns all that was seen.
func (f *follower) end() []harness.Tip {
	f.cancel()
	<-f.done
	return f.seen()
}

// versionOf names a version of an object.
func versionOf(resource, version string) string { return resource + " at " + version }

// anyCommit has every commit count.
func anyCommit(harness.Commit) bool { return true }
