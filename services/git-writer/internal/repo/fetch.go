package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// Fetch reads the remote branch and makes its tip the base: one commit deep,
// without blobs where the server can leave them out. If the branch moved,
// pending commits that are in it have landed and the others are built again on its
// tip. A missing branch, or an empty repository, is a base of nothing.
//
// ErrHistoryRewritten comes after all of that was done. A *PathConflictError and
// ErrRival leave the base where it was.
func (b *Branch) Fetch(ctx context.Context) (r Result, err error) {
	if err := b.take(ctx); err != nil {
		return r, err
	}
	defer b.give()
	defer b.finish(&r)
	err = b.sync(ctx, &r)
	return r, err
}

// sync is Fetch, with the turn taken.
func (b *Branch) sync(ctx context.Context, r *Result) error {
	up, err := b.remote.upload(ctx)
	if err != nil {
		return err
	}
	defer up.close()
	r.Branches = up.others

	b.mu.Lock()
	first := b.line == nil
	base := plumbing.ZeroHash
	if !first {
		if n := b.line.index(up.tip) + 1; n > 0 {
			// The answer to an earlier push was lost, or it came after we gave up.
			b.line.land(n)
			r.Landed += n
		}
		base = b.line.base
	}
	current := !first && up.tip == base
	healthy := current && b.store.healthy()
	b.mu.Unlock()
	if healthy {
		return nil
	}

	st, err := b.obtain(ctx, up)
	if err != nil {
		return err
	}
	defer st.release() // a Branch that adopts it holds it too
	root, err := st.root()
	if err != nil {
		return err
	}
	tree, err := newTreeCache(st, root)
	if err != nil {
		return err
	}
	if current {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.swap(st)
		return nil
	}
	rel := relation{descends: first || !up.tip.IsZero()}
	related := first || up.tip.IsZero() // there is nothing to look for
	b.mu.Lock()
	defer b.mu.Unlock()
	for ; !related && (!base.IsZero() || len(b.line.pending) > 0 || b.rival != nil); related = true {
		mine := make(map[plumbing.Hash]int)
		for i, p := range b.line.pending {
			mine[p.hash] = i
		}
		b.mu.Unlock()
		rel, err = b.relate(ctx, st, up.tip, base, mine)
		b.mu.Lock()
		if err != nil {
			return err
		}
	}
	return b.adopt(st, tree, rel, r)
}

// adopt makes the tip of st the base and builds pending commits again on it,
// unless a rival's are new there: what they were made of is about to be committed
// here too, even if nothing is pending now. b.mu is held; commits may have been added since
// the branch was related to its tip, and are not in it.
func (b *Branch) adopt(st *store, tree *treeCache, rel relation, r *Result) error {
	if b.line == nil {
		b.line = newLine(st.tip, tree, 0)
		b.swap(st)
		return nil
	}
	if !rel.rival.IsZero() {
		return &RemoteError{Kind: ErrRival, Doing: "fetching from", URL: b.remote.url, Detail: "commit " + rel.rival.String()}
	}
	b.line.land(rel.landed)
	r.Landed += rel.landed
	next, replaced, err := b.line.rebuild(st.tip, tree)
	if err != nil {
		return err
	}
	if len(b.line.pending) > 0 {
		r.Rebuilt++
		r.Replaced = append(r.Replaced, replaced...)
	}
	b.line = next
	b.swap(st)
	if !rel.descends {
		return &RemoteError{Kind: ErrHistoryRewritten, Doing: "fetching from", URL: b.remote.url, Detail: "the branch is now at " + describe(st.tip)}
	}
	return nil
}

func describe(tip plumbing.Hash) string {
	if tip.IsZero() {
		return "nothing: it was deleted"
	}
	return tip.String()
}

// swap makes st the store that directories are loaded from. b.mu is held.
func (b *Branch) swap(st *store) {
	if b.store != nil {
		b.store.release()
	}
	b.store = st.retain()
	b.line.tree.store = b.store
}

// obtain is a store with the remote's tip: what an earlier process left, or what
// is fetched now.
func (b *Branch) obtain(ctx context.Context, up *upload) (*store, error) {
	st := newStore(b.dir, up.tip)
	if up.tip.IsZero() {
		return st, sweep(b.dir, up.tip)
	}
	if err := sweep(b.dir, up.tip); err != nil {
		return nil, err
	}
	err := st.openTip()
	if err == nil {
		return st, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		// Torn by a power failure, or damaged: what is wrong with a cache is not
		// worth knowing.
		st.release()
		st = newStore(b.dir, up.tip)
		if err := os.Remove(st.tipPack()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("removing damaged pack: %w", err)
		}
	}
	err = b.remote.fetchFirst(ctx, up, []want{
		{objects: []plumbing.Hash{up.tip}, depth: 1, filter: packp.FilterBlobNone()},
		{objects: []plumbing.Hash{up.tip}, depth: 1},
	}, st.receiveTip)
	if err != nil {
		st.release()
		return nil, err
	}
	return st, nil
}

// fetchFirst tries wants in turn: a server may offer filters and refuse this
// one, or refuse to give what it did not advertise. The first uses the session
// at hand, for which the caller answers; a failure of the network ends it.
func (r *remote) fetchFirst(ctx context.Context, up *upload, wants []want, store func(io.Reader) error) error {
	err := up.fetch(wants[0], store)
	again := up.refused(err)
	for _, w := range wants[1:] {
		if !again {
			break
		}
		next, openErr := r.upload(ctx)
		if openErr != nil {
			return openErr
		}
		err = next.fetch(w, store)
		again = next.refused(err)
		next.close()
	}
	return err
}
