package repo

import (
	"bytes"
	"errors"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// treeCache is the directory tree that commits are built on: directories that
// were touched as a tree each, all others as the hash their parent has of them.
// It grows with the directories touched and never forgets one, so what was
// pushed stays readable without being fetched back.
type treeCache struct {
	root  *tree
	store *store // holds every directory that is not loaded
	stack []step // of the operation under way
}

// step is one directory on the way down to a path.
type step struct {
	dir  *tree
	name []byte // of the entry taken in dir
}

// newTreeCache is the cache of the tree object root, or of nothing at all if root
// is zero.
func newTreeCache(st *store, root plumbing.Hash) (*treeCache, error) {
	c := &treeCache{store: st, root: &tree{}}
	if root.IsZero() {
		return c, nil
	}
	var err error
	c.root, err = c.load(root)
	return c, err
}

func (c *treeCache) load(hash plumbing.Hash) (*tree, error) {
	data, err := c.store.tree(hash)
	if err != nil {
		return nil, err
	}
	return parseTree(hash, data)
}

// kid is the loaded subdirectory of dir under that entry.
func (c *treeCache) kid(dir *tree, name []byte, it item) (*tree, error) {
	if kid := dir.kids[string(name)]; kid != nil {
		return kid, nil
	}
	kid, err := c.load(it.hash)
	if err != nil {
		return nil, err
	}
	dir.adopt(name, kid)
	return kid, nil
}

func (t *tree) adopt(name []byte, kid *tree) {
	if t.kids == nil {
		t.kids = make(map[string]*tree)
	}
	t.kids[string(name)] = kid
}

// descend goes down path as far as there are directories and leaves the way in
// stack. rest is what is left: the last component when all directories are
// there.
func (c *treeCache) descend(path []byte) (rest []byte, err error) {
	c.stack = c.stack[:0]
	dir := c.root
	for {
		name, below, more := bytes.Cut(path, []byte{'/'})
		if !more {
			c.stack = append(c.stack, step{dir, name})
			return name, nil
		}
		_, it, ok := dir.find(name, true)
		if !ok {
			c.stack = append(c.stack, step{dir, name})
			return path, nil
		}
		if !it.isDir() {
			return nil, &PathConflictError{At: string(name), Mode: it.mode}
		}
		c.stack = append(c.stack, step{dir, name})
		if dir, err = c.kid(dir, name, it); err != nil {
			return nil, err
		}
		path = below
	}
}

// conflict completes a conflict that descend found below the directories in stack.
func (c *treeCache) conflict(err *PathConflictError, path string) error {
	err.Path = path
	at := make([]byte, 0, len(path))
	for _, s := range c.stack {
		at = append(append(at, s.name...), '/')
	}
	err.At = string(at) + err.At
	return err
}

// put makes path a regular file that holds blob. was is what stood there;
// nothing was done if that is the same. A file keeps its mode.
func (c *treeCache) put(path string, blob plumbing.Hash) (was item, err error) {
	rest, err := c.descend([]byte(path))
	if err != nil {
		if blocked := (*PathConflictError)(nil); errors.As(err, &blocked) {
			return item{}, c.conflict(blocked, path)
		}
		return item{}, err
	}
	at := c.stack[len(c.stack)-1]
	if i, it, ok := at.dir.find(at.name, false); ok {
		if !it.isFile() {
			return item{}, &PathConflictError{Path: path, At: path, Mode: it.mode}
		}
		if it.hash != blob {
			at.dir.setHash(i, blob)
			c.markDirty()
		}
		return it, nil
	}
	c.create(at.dir, rest, item{filemode.Regular, blob})
	return item{}, nil
}

// create adds the file rest below dir, the last directory in stack, with the
// directories it needs.
func (c *treeCache) create(dir *tree, rest []byte, it item) {
	for {
		name, below, more := bytes.Cut(rest, []byte{'/'})
		c.stack[len(c.stack)-1] = step{dir, name}
		if !more {
			dir.insert(name, it)
			c.markDirty()
			return
		}
		kid := &tree{}
		dir.insert(name, item{mode: filemode.Dir}) // its hash is set by cut
		dir.adopt(name, kid)
		c.stack = append(c.stack, step{})
		dir, rest = kid, below
	}
}

// remove makes path no regular file. was is what stood there, and zero if there
// was no file: then nothing was done. Directories that become empty go.
func (c *treeCache) remove(path string) (was item, err error) {
	if _, err = c.descend([]byte(path)); err != nil {
		if errors.Is(err, ErrPathConflict) {
			return item{}, nil // something that is no directory is on the way: no such file
		}
		return item{}, err
	}
	at := c.stack[len(c.stack)-1]
	i, it, ok := at.dir.find(at.name, false)
	switch {
	case !ok || it.isDir():
		return item{}, nil
	case !it.isFile():
		return item{}, &PathConflictError{Path: path, At: path, Mode: it.mode}
	}
	at.dir.remove(i)
	for n := len(c.stack) - 1; n > 0 && len(c.stack[n].dir.starts) == 0; n-- {
		parent := c.stack[n-1]
		i, _ := parent.dir.place(parent.name, true)
		parent.dir.remove(i)
		delete(parent.dir.kids, string(parent.name))
		c.stack = c.stack[:n]
	}
	c.markDirty()
	return it, nil
}

// stands is what is at path, zero if nothing is.
func (c *treeCache) stands(path string) (item, error) {
	if _, err := c.descend([]byte(path)); err != nil {
		if errors.Is(err, ErrPathConflict) {
			return item{}, nil // something that is no directory is on the way
		}
		return item{}, err
	}
	at := c.stack[len(c.stack)-1]
	_, it, _ := at.dir.find(at.name, false)
	return it, nil
}

// restore undoes a put or a remove of path that reported was. Operations are
// undone in reverse order, which cannot fail: every directory on the way is
// loaded.
func (c *treeCache) restore(path string, was item) error {
	if was == (item{}) {
		_, err := c.remove(path)
		return err
	}
	rest, err := c.descend([]byte(path))
	if err != nil {
		return err
	}
	at := c.stack[len(c.stack)-1]
	if i, _, ok := at.dir.find(at.name, false); ok {
		at.dir.setHash(i, was.hash)
		c.markDirty()
		return nil
	}
	c.create(at.dir, rest, was)
	return nil
}

// markDirty marks the directories in stack as in need of a cut.
func (c *treeCache) markDirty() {
	for n := len(c.stack) - 1; n > 0; n-- {
		dir, parent := c.stack[n].dir, c.stack[n-1]
		if dir.dirty {
			continue
		}
		dir.dirty = true
		parent.dir.changed = append(parent.dir.changed, string(parent.name))
	}
	c.root.dirty = true
}

// lookup finds path without loading anything into the cache.
func (c *treeCache) lookup(path string) (it item, ok bool, err error) {
	it = item{filemode.Dir, c.root.hash}
	dir := c.root
	for rest, more := []byte(path), path != ""; more; {
		var name []byte
		name, rest, more = bytes.Cut(rest, []byte{'/'})
		if !it.isDir() {
			return item{}, false, nil
		}
		if dir == nil {
			if dir, err = c.load(it.hash); err != nil {
				return item{}, false, err
			}
		}
		if _, it, ok = dir.find(name, len(rest) > 0); !ok {
			return item{}, false, nil
		}
		dir = dir.kids[string(name)]
	}
	return it, true, nil
}

// cut computes the hash of every directory that changed and passes each that is
// new to emit. It returns the root's.
func (c *treeCache) cut(emit func(t *tree, hash plumbing.Hash)) plumbing.Hash {
	return c.root.cut(emit)
}

func (t *tree) cut(emit func(t *tree, hash plumbing.Hash)) plumbing.Hash {
	for _, name := range t.changed {
		kid := t.kids[name]
		if kid == nil || !kid.dirty {
			continue // removed again, or cut already
		}
		was := kid.hash
		if hash := kid.cut(emit); hash != was {
			i, _ := t.place([]byte(name), true)
			t.setHash(i, hash)
		}
	}
	t.changed, t.dirty = t.changed[:0], false
	if t.edited || t.hash.IsZero() {
		hash := hashObject(treeObject, t.data)
		if hash != t.hash {
			emit(t, hash)
		}
		t.hash, t.edited = hash, false
	}
	return t.hash
}
