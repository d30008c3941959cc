package repo

import (
	"container/heap"
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// Walk visits what git log since..base lists: every commit of the base's
// history, over all parents, that is not in the history of since, newest first by
// committer date, until visit wants no more. A zero since is in no history. met says
// whether since was come upon, the base itself included; a walk that visit ended
// may not have got there. Dates that lie make it visit more, never less.
//
// History that is not there is fetched on the way, 16 commits deep, 256, 4096,
// all of it, and never where nothing is left to visit.
func (b *Branch) Walk(ctx context.Context, since plumbing.Hash, visit func(CommitInfo) (more bool)) (met bool, err error) {
	b.mu.Lock()
	if b.line == nil {
		b.mu.Unlock()
		return false, fmt.Errorf("reading history of %s: %w", b.remote.url, ErrNotFetched)
	}
	h := history{b.remote, b.store.retain(), b.line.base}
	b.mu.Unlock()
	defer h.store.release()
	if h.from.IsZero() {
		return false, nil
	}
	_, ok, err := h.commit(ctx, h.from)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, &RemoteError{Kind: ErrHistoryRewritten, Doing: "reading history of", URL: b.remote.url, Detail: h.from.String() + " is not in the branch any more"}
	}
	err = h.above(ctx, func(hash plumbing.Hash) bool {
		met = met || hash == since
		return hash == since
	}, visit)
	return met, err
}

// above visits the commits from h.from down that are not in the history of one
// for which stop holds. Like git, it follows both sides, newest first, until all
// that is left is below a stop: a branch that forked off below and was merged
// above is followed down to where it forked, no further.
func (h *history) above(ctx context.Context, stop func(plumbing.Hash) bool, visit func(CommitInfo) (more bool)) error {
	steps := make(map[plumbing.Hash]*passed)
	var next []*passed // to be queued, if it comes to that
	open := 0          // steps that wait to be visited
	reach := func(hash plumbing.Hash, below bool) {
		below = below || stop(hash)
		s := steps[hash]
		switch {
		case s == nil:
			s = &passed{hash: hash, below: below, waits: true}
			steps[hash] = s
			next = append(next, s)
			if !below {
				open++
			}
		case below && !s.below:
			s.below = true
			if s.waits {
				open--
			} else { // it was visited too early; its parents have to be told
				s.waits = true
				next = append(next, s)
			}
		}
	}
	reach(h.from, false)
	var queue newest
	for open > 0 {
		for _, s := range next {
			c, ok, err := h.commit(ctx, s.hash)
			switch {
			case err != nil:
				return err
			case ok:
				s.CommitInfo = c
				heap.Push(&queue, s)
			case !s.below: // the remote's own history ends here
				open--
			}
			s.waits = ok
		}
		next = next[:0]
		if open == 0 {
			break
		}
		s := heap.Pop(&queue).(*passed)
		s.waits = false
		if !s.below {
			open--
			if !visit(s.CommitInfo) {
				return nil
			}
		}
		for _, parent := range s.Parents {
			reach(parent, s.below)
		}
	}
	return nil
}

// passed is a commit on the way.
type passed struct {
	hash plumbing.Hash
	CommitInfo
	below bool // it is in the history of a stop
	waits bool // it is queued, or will be
}

// newest is a heap of commits by date.
type newest []*passed

func (n newest) Len() int           { return len(n) }
func (n newest) Less(i, j int) bool { return n[i].When.After(n[j].When) }
func (n newest) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }

// Push is heap.Interface.
func (n *newest) Push(s any) { *n = append(*n, s.(*passed)) }

// Pop is heap.Interface.
func (n *newest) Pop() any {
	last := len(*n) - 1
	s := (*n)[last]
	*n = (*n)[:last]
	return s
}
