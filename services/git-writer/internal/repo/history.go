package repo

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// CommitInfo is what there is to know of a commit, of anybody's.
type CommitInfo struct {
	Hash    plumbing.Hash
	Tree    plumbing.Hash
	Parents []plumbing.Hash
	When    time.Time // of the committer
	Message string
}

// parseCommit reads the headers that matter and takes commits as they come:
// old histories hold odd ones.
func parseCommit(hash plumbing.Hash, data []byte) CommitInfo {
	c := CommitInfo{Hash: hash}
	for {
		line, rest, more := bytes.Cut(data, []byte{'\n'})
		if len(line) == 0 {
			c.Message = string(rest)
			return c
		}
		key, value, _ := bytes.Cut(line, []byte{' '})
		switch string(key) {
		case "tree":
			c.Tree = plumbing.NewHash(string(value))
		case "parent":
			c.Parents = append(c.Parents, plumbing.NewHash(string(value)))
		case "committer":
			// name <email> seconds zone
			fields := bytes.Fields(value[bytes.LastIndexByte(value, '>')+1:])
			if len(fields) > 0 {
				if seconds, err := strconv.ParseInt(string(fields[0]), 10, 64); err == nil {
					c.When = time.Unix(seconds, 0).UTC()
				}
			}
		}
		if !more {
			return c
		}
		data = rest
	}
}

// history reads commits from one on down, fetching more of them as needed.
type history struct {
	remote *remote
	store  *store
	from   plumbing.Hash
}

// deeper is how many commits to fetch where depth were not enough; 0: all.
func deeper(depth int) int {
	switch {
	case depth < 16:
		return 16
	case depth < 256:
		return 256
	case depth < 4096:
		return 4096
	default:
		return 0
	}
}

// commit reads a commit. ok is false if all of history does not have it: the
// remote itself is shallow there, or from is not in its branch any more.
func (h *history) commit(ctx context.Context, hash plumbing.Hash) (c CommitInfo, ok bool, err error) {
	for {
		c, err = h.store.commit(hash)
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return c, err == nil, err
		}
		if more, err := h.deepen(ctx); err != nil || !more {
			return CommitInfo{}, false, err
		}
	}
}

// deepen fetches the next so many commits: from the tip again, not from where the
// last fetch ended, so that nothing depends on what earlier ones left. Where the
// server can, without trees: ten thousand commits are two megabytes.
func (h *history) deepen(ctx context.Context) (more bool, err error) {
	depth, done := h.store.depthOf(h.from)
	if done {
		return false, nil
	}
	depth = deeper(depth)
	up, err := h.remote.upload(ctx)
	if err != nil {
		return false, err
	}
	defer up.close()
	if up.tip.IsZero() {
		return false, up.fail(ErrMoved, "the branch was deleted while its history was read")
	}
	err = h.remote.fetchFirst(ctx, up, []want{
		{objects: []plumbing.Hash{up.tip}, depth: depth, filter: packp.FilterTreeDepth(0)},
		{objects: []plumbing.Hash{up.tip}, depth: depth, filter: packp.FilterBlobNone()},
		{objects: []plumbing.Hash{up.tip}, depth: depth},
	}, h.store.receive)
	if err != nil {
		return false, err
	}
	h.store.setDepth(h.from, depth)
	return true, nil
}

// depthOf is how many commits are there from that one on; done: all there are.
func (s *store) depthOf(from plumbing.Hash) (depth int, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.deep != from || from.IsZero():
		return 1, false
	default:
		return s.depth, s.depth == 0
	}
}

func (s *store) setDepth(from plumbing.Hash, depth int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deep, s.depth = from, depth
}

// relation is how a new tip relates to what was known.
type relation struct {
	descends bool          // the old base is in its history
	landed   int           // so many of the pending commits are
	rival    plumbing.Hash // a commit of a rival among the new ones; zero: none
}

// relate looks for the base and for pending commits (mine, by position in the
// line) in the history of tip, and for a rival's among those that are new. What
// is pending is above the base.
func (b *Branch) relate(ctx context.Context, st *store, tip, base plumbing.Hash, mine map[plumbing.Hash]int) (relation, error) {
	h := history{b.remote, st, tip}
	rel := relation{descends: base.IsZero()}
	err := h.above(ctx, func(hash plumbing.Hash) bool {
		n, ok := mine[hash]
		if ok {
			rel.landed = max(rel.landed, n+1)
		}
		ok = ok || hash == base
		rel.descends = rel.descends || ok
		return ok
	}, func(c CommitInfo) bool {
		if b.rival != nil && rel.rival.IsZero() && b.rival(c.Message) {
			rel.rival = c.Hash
		}
		return true
	})
	return rel, err
}
