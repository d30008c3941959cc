package repo

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Entry is a file or a directory at the head: the base and all pending commits.
type Entry struct {
	Path string
	Mode filemode.FileMode
	Hash plumbing.Hash // of the blob, or of the tree
}

// IsDir says whether it is a directory.
func (e Entry) IsDir() bool { return item{mode: e.Mode}.isDir() }

// IsFile says whether it is a regular file, executable or not.
func (e Entry) IsFile() bool { return item{mode: e.Mode}.isFile() }

// Entry looks up a path. The empty one is the root, whose Hash is zero if there is nothing at all.
func (b *Branch) Entry(path string) (e Entry, ok bool, err error) {
	if path != "" {
		if err := checkPath(path); err != nil {
			return Entry{}, false, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entry(path)
}

// entry is Entry with b.mu held and a path that was checked.
func (b *Branch) entry(path string) (e Entry, ok bool, err error) {
	if b.line == nil {
		return Entry{}, false, fmt.Errorf("looking up %q: %w", path, ErrNotFetched)
	}
	it, ok, err := b.line.tree.lookup(path)
	if err != nil || !ok {
		return Entry{}, false, err
	}
	return Entry{path, it.mode, it.hash}, true, nil
}

// Files is the blobs of those of paths at which a regular file stands at the head.
// The directories on the way are kept in memory, as Commit keeps them.
func (b *Branch) Files(paths []string) (map[string]plumbing.Hash, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil {
		return nil, fmt.Errorf("looking up %d files: %w", len(paths), ErrNotFetched)
	}
	found := make(map[string]plumbing.Hash)
	for _, path := range paths {
		it, err := b.line.tree.stands(path)
		if err != nil {
			return nil, err
		}
		if it.isFile() {
			found[path] = it.hash
		}
	}
	return found, nil
}

// List yields every file below folder (everything, if it is empty) as it is when the
// iteration begins, sorted by path as bytes; symbolic links and submodules too.
// No blob is read. An error is the last thing it yields.
func (b *Branch) List(ctx context.Context, folder string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		v, st, err := b.view(folder)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		if v == nil {
			return
		}
		defer st.release()
		prefix := []byte(folder)
		if folder != "" {
			prefix = append(prefix, '/')
		}
		if _, err := v.list(ctx, st, prefix, yield); err != nil {
			yield(Entry{}, fmt.Errorf("listing %s: %w", folder, err))
		}
	}
}

// view is a directory at one moment. Its bytes are never edited: a tree copies
// shared ones first.
type view struct {
	hash plumbing.Hash
	data []byte // nil: to be loaded by hash
	kids map[string]*view
}

// view freezes a folder. It is nil if there is none.
func (b *Branch) view(folder string) (*view, *store, error) {
	if folder != "" {
		if err := checkPath(folder); err != nil {
			return nil, nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok, err := b.entry(folder)
	if err != nil || !ok {
		return nil, nil, err
	}
	if it := (item{mode: e.Mode}); !it.isDir() {
		return nil, nil, &PathConflictError{Path: folder, At: folder, Mode: e.Mode}
	}
	v := &view{hash: e.Hash}
	dir := b.line.tree.root
	for rest, more := []byte(folder), folder != ""; more && dir != nil; {
		var name []byte
		name, rest, more = bytes.Cut(rest, []byte{'/'})
		dir = dir.kids[string(name)]
	}
	if dir != nil {
		v = dir.freeze()
	}
	return v, b.store.retain(), nil
}

func (t *tree) freeze() *view {
	t.shared = true
	v := &view{hash: t.hash, data: t.data, kids: make(map[string]*view, len(t.kids))}
	if v.data == nil {
		v.data = []byte{}
	}
	for name, kid := range t.kids {
		v.kids[name] = kid.freeze()
	}
	return v
}

// list yields the files of v; false if no more are wanted.
func (v *view) list(ctx context.Context, st *store, prefix []byte, yield func(Entry, error) bool) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	data := v.data
	if data == nil {
		var err error
		if data, err = st.tree(v.hash); err != nil {
			return false, err
		}
	}
	for len(data) > 0 {
		n := entryLength(data)
		if n < 0 {
			return false, fmt.Errorf("reading tree %s: malformed", v.hash)
		}
		name, it := splitEntry(data[:n])
		data = data[n:]
		path := append(prefix, name...)
		if !it.isDir() {
			if !yield(Entry{string(path), it.mode, it.hash}, nil) {
				return false, nil
			}
			continue
		}
		kid := v.kids[string(name)]
		if kid == nil {
			kid = &view{hash: it.hash}
		}
		if more, err := kid.list(ctx, st, append(path, '/'), yield); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}
