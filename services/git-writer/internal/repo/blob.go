package repo

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// ReadBlob reads the content of a file, by the hash that Entry gave. For
// one that is neither pending nor in the cache it asks the remote for the blob
// alone, and where that is refused for all files of its tip; so it is for the odd file
// only.
func (b *Branch) ReadBlob(ctx context.Context, hash plumbing.Hash) ([]byte, error) {
	b.mu.Lock()
	if b.line == nil {
		b.mu.Unlock()
		return nil, fmt.Errorf("reading blob %s: %w", hash, ErrNotFetched)
	}
	if p, ok := b.line.objects[hash]; ok && p.object.kind == blobObject {
		b.mu.Unlock()
		return p.object.data, nil
	}
	st := b.store.retain()
	b.mu.Unlock()
	defer st.release()

	read := func() ([]byte, bool, error) {
		data, ok, err := st.read(hash, plumbing.BlobObject)
		if err != nil {
			err = fmt.Errorf("reading blob %s: %w: %w", hash, ErrCache, err)
		}
		return data, ok, err
	}
	if data, ok, err := read(); ok || err != nil {
		return data, err
	}
	up, err := b.remote.upload(ctx)
	if err != nil {
		return nil, err
	}
	defer up.close()
	if up.tip.IsZero() {
		return nil, fmt.Errorf("reading blob %s: %w", hash, plumbing.ErrObjectNotFound)
	}
	// Protocol version 0 gives what was advertised, or, over HTTP or when it is
	// configured so, what can be reached from there.
	err = b.remote.fetchFirst(ctx, up, []want{
		{object: hash},
		{object: up.tip, depth: 1},
	}, st.receive)
	if err != nil {
		return nil, err
	}
	data, ok, err := read()
	if err == nil && !ok {
		err = fmt.Errorf("reading blob %s: %w", hash, plumbing.ErrObjectNotFound)
	}
	return data, err
}
