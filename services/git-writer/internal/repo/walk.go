package repo

import (
	"container/heap"
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// Walk visits the history of the base, over all parents, newest first by
// committer date, until visit wants no more. History that is not there is
// fetched on the way: 16 commits deep, 256, 4096, all of it.
func (b *Branch) Walk(ctx context.Context, visit func(CommitInfo) (more bool)) error {
	b.mu.Lock()
	if b.line == nil {
		b.mu.Unlock()
		return fmt.Errorf("reading history of %s: %w", b.remote.url, ErrNotFetched)
	}
	h := history{b.remote, b.store.retain(), b.line.base}
	b.mu.Unlock()
	defer h.store.release()
	if h.from.IsZero() {
		return nil
	}

	tip, ok, err := h.commit(ctx, h.from)
	if err != nil {
		return err
	}
	if !ok {
		return &RemoteError{Kind: ErrHistoryRewritten, Doing: "reading history of", URL: b.remote.url, Detail: h.from.String() + " is not in the branch any more"}
	}
	seen := map[plumbing.Hash]bool{h.from: true}
	for queue := (newest{tip}); len(queue) > 0; {
		c := heap.Pop(&queue).(CommitInfo)
		if !visit(c) {
			return nil
		}
		for _, parent := range c.Parents {
			if seen[parent] {
				continue
			}
			seen[parent] = true
			p, ok, err := h.commit(ctx, parent)
			if err != nil {
				return err
			}
			if ok {
				heap.Push(&queue, p)
			}
		}
	}
	return nil
}

// newest is a heap of commits by date.
type newest []CommitInfo

func (n newest) Len() int           { return len(n) }
func (n newest) Less(i, j int) bool { return n[i].When.After(n[j].When) }
func (n newest) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }

// Push is heap.Interface.
func (n *newest) Push(c any) { *n = append(*n, c.(CommitInfo)) }

// Pop is heap.Interface.
func (n *newest) Pop() any {
	last := len(*n) - 1
	c := (*n)[last]
	*n = (*n)[:last]
	return c
}
