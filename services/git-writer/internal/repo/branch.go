package repo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Config says which branch of which remote.
type Config struct {
	// URL of the remote: http(s)://, ssh://, scp-like, file:// or a bare path.
	// Credentials in an http(s) URL are used where Auth gives none.
	URL string
	// Branch is its short name, as in main.
	Branch string
	// Dir is the branch's cache directory, for one Branch at a time. It may be
	// deleted whenever one likes: that costs one fetch.
	Dir string
	// Auth gives the credentials of one session, so that rotated ones are taken
	// up; its context ends with the session. Nil: none.
	Auth func(ctx context.Context) (Access, error)
	// Rival recognises, by its message, a commit that another writer made of the
	// same changes as those that are pending here. Nil: there are none.
	Rival func(message string) bool
	// Timeout is how long a session may go without any progress; with progress it may last 30
	// times as long. 0: a minute.
	Timeout time.Duration
}

// Branch is one branch of one remote repository, written by this process. Its
// methods may be called from any goroutine: those that talk to the remote
// take turns, the others go on meanwhile.
type Branch struct {
	remote *remote
	dir    string
	rival  func(message string) bool // may be nil
	turn   chan struct{}             // held by Fetch and Push

	mu     sync.Mutex // guards what is below; never held over network I/O
	line   *line      // nil before the first Fetch
	store  *store     // what was fetched last
	noThin bool       // packs have to be complete: the remote failed on a thin one
}

// Result is what Fetch and Push came to. It is filled in with an error, too.
type Result struct {
	// Tip is what the remote branch was last known to contain; zero: it does not exist.
	Tip plumbing.Hash
	// Position is the highest one settled: every Commit up to it is in the
	// remote branch or changed nothing there. It never goes back.
	Position uint64
	// Landed is how many pending commits were found to be in the remote branch.
	Landed int
	// Rebuilt is how often pending commits were built again on commits of others.
	Rebuilt int
	// Replaced lists paths where such a commit changed a file and a
	// pending commit then replaced that change.
	Replaced []string
	// Branches are others that the remote has, a few of them, where ours does
	// not exist.
	Branches []string
}

// New is a Branch about which nothing is known yet. It does no I/O; what is wrong
// with cfg is the error of everything else.
func New(cfg Config) *Branch {
	return &Branch{remote: newRemote(cfg), dir: cfg.Dir, rival: cfg.Rival, turn: make(chan struct{}, 1)}
}

// Base is the commit that the remote branch is known to contain; zero if the
// branch does not exist or was not fetched yet.
func (b *Branch) Base() plumbing.Hash {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil {
		return plumbing.ZeroHash
	}
	return b.line.base
}

// Pending is how many commits wait to be pushed, and about how much memory they hold.
func (b *Branch) Pending() (commits, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil {
		return 0, 0
	}
	return len(b.line.pending), b.line.size()
}

// Commit builds a commit on all that was built before. Ops that change nothing
// are left out; if none is left there is no commit and changed is false. On an
// error nothing has happened; a *PathConflictError or ErrBadPath concerns the
// one operation it names. It does no network I/O.
func (b *Branch) Commit(c Commit) (changed bool, err error) {
	ops := make([]pendingOp, 0, len(c.Ops))
	last := make(map[string]int, len(c.Ops))
	for i, op := range c.Ops {
		if err := checkPath(op.Path); err != nil {
			return false, err
		}
		last[op.Path] = i
	}
	for i, op := range c.Ops {
		if last[op.Path] != i {
			continue
		}
		p := pendingOp{Op: op}
		if !op.Delete {
			p.blob = hashObject(blobObject, op.Content)
		}
		ops = append(ops, p)
	}
	c.Ops = nil // ops has them

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil {
		return false, fmt.Errorf("committing to %s: %w", b.remote.url, ErrNotFetched)
	}
	changed, _, err = b.line.add(c, ops)
	if blocked := (*PathConflictError)(nil); errors.As(err, &blocked) {
		blocked.Position = c.Position
	}
	return changed, err
}

// Skip leaves the operation on path out of the pending commits of that position
// when they are built again: the way out of a PathConflictError of Push, to be
// taken once the operation is safe elsewhere. It reports whether there is one.
func (b *Branch) Skip(position uint64, path string) (found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil {
		return false
	}
	for _, p := range b.line.pending {
		if p.commit.Position != position {
			continue
		}
		for i := range p.ops {
			if p.ops[i].Path == path {
				p.ops[i].skip, found = true, true
			}
		}
	}
	return found
}

// Close gives up the cache's files and the branch's own connections, after the session
// under way. What is pending is gone with the Branch.
func (b *Branch) Close() {
	b.turn <- struct{}{}
	defer b.give()
	b.remote.carriers.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.store != nil {
		b.store.release()
		b.store, b.line = nil, nil
	}
}

// take waits for the turn to talk to the remote.
func (b *Branch) take(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for another session with %s: %w", b.remote.url, ctx.Err())
	}
}

func (b *Branch) give() { <-b.turn }

// finish completes a result.
func (b *Branch) finish(r *Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line != nil {
		r.Tip, r.Position = b.line.base, b.line.settled
	}
}
