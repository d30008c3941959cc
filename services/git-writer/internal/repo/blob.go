package repo

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxWants bounds how many objects one session asks for: half a megabyte of names.
const maxWants = 10_000

// ReadBlob reads the content of a file, by the hash that Entry gave: see ReadBlobs.
func (b *Branch) ReadBlob(ctx context.Context, hash plumbing.Hash) (content []byte, err error) {
	err = b.ReadBlobs(ctx, []plumbing.Hash{hash}, func(_ plumbing.Hash, data []byte) { content = data })
	return content, err
}

// ReadBlobs reads the contents of files, by the hashes that Entry and List gave,
// and hands each to take, in no order. Of those that are neither pending nor in
// the cache it asks the remote for all together, and where that is refused for all
// files of its tip. Contents are in memory one at a time.
func (b *Branch) ReadBlobs(ctx context.Context, hashes []plumbing.Hash, take func(plumbing.Hash, []byte)) error {
	b.mu.Lock()
	if b.line == nil {
		b.mu.Unlock()
		return fmt.Errorf("reading %d blobs: %w", len(hashes), ErrNotFetched)
	}
	var stored []plumbing.Hash
	pending := make(map[plumbing.Hash][]byte)
	for _, hash := range hashes {
		if p, ok := b.line.objects[hash]; ok && p.object.kind == blobObject {
			pending[hash] = p.object.data
		} else {
			stored = append(stored, hash)
		}
	}
	st := b.store.retain()
	b.mu.Unlock()
	defer st.release()

	for hash, data := range pending {
		take(hash, data)
	}
	missing, err := st.blobs(stored, take)
	for err == nil && len(missing) > 0 {
		asked := missing[:min(len(missing), maxWants)]
		if err = b.fetchBlobs(ctx, st, asked); err != nil {
			break
		}
		var absent []plumbing.Hash
		if absent, err = st.blobs(missing, take); err == nil && slices.Contains(absent, asked[0]) {
			err = fmt.Errorf("reading blob %s: %w", asked[0], plumbing.ErrObjectNotFound)
		}
		missing = absent
	}
	return err
}

// blobs hands over those that are there and returns the others.
func (s *store) blobs(hashes []plumbing.Hash, take func(plumbing.Hash, []byte)) (missing []plumbing.Hash, err error) {
	for _, hash := range hashes {
		data, ok, err := s.read(hash, plumbing.BlobObject)
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading blob %s: %w: %w", hash, ErrCache, err)
		case ok:
			take(hash, data)
		default:
			missing = append(missing, hash)
		}
	}
	return missing, nil
}

func (b *Branch) fetchBlobs(ctx context.Context, st *store, hashes []plumbing.Hash) error {
	up, err := b.remote.upload(ctx)
	if err != nil {
		return err
	}
	defer up.close()
	if up.tip.IsZero() {
		return fmt.Errorf("reading blob %s: %w", hashes[0], plumbing.ErrObjectNotFound)
	}
	// Protocol version 0 gives what was advertised, or, over HTTP or when it is
	// configured so, what can be reached from there.
	return b.remote.fetchFirst(ctx, up, []want{
		{objects: hashes},
		{objects: []plumbing.Hash{up.tip}, depth: 1},
	}, st.receiveBlobs)
}
