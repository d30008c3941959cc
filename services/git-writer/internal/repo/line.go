package repo

import (
	"errors"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// line is a base commit of the remote branch and the commits built on it that
// are not known to be there: first is the oldest. Its owner holds the lock.
type line struct {
	base    plumbing.Hash // zero: the branch does not exist
	tree    *treeCache    // of the last commit
	pending []*pending
	settled uint64 // highest Position that nothing pending is behind

	objects map[plumbing.Hash]placed // of pending commits
	batch   int                      // of what is being built: see seal
	bases   map[plumbing.Hash]int    // of deltas, outside of their batch: the newest that has one
}

// pending is a commit that is not known to be in the remote branch, with all
// that is needed to build it again.
type pending struct {
	commit   Commit
	ops      []pendingOp
	position uint64 // of the last Commit call this one stands for
	hash     plumbing.Hash
	objects  []*object
	size     int
}

// pendingOp is an operation that changed something when its commit was first
// built.
type pendingOp struct {
	Op
	blob plumbing.Hash
	was  item // what it replaced, in the commit before
	skip bool // by Skip: not to be built again
}

// placed is where an object of a pending commit is.
type placed struct {
	object *object
	batch  int
	depth  int // how many deltas lead to it within its batch
}

func newLine(base plumbing.Hash, tree *treeCache, settled uint64) *line {
	return &line{base: base, tree: tree, settled: settled, objects: make(map[plumbing.Hash]placed), bases: make(map[plumbing.Hash]int)}
}

// head is the commit that the next one is built on.
func (l *line) head() plumbing.Hash {
	if n := len(l.pending); n > 0 {
		return l.pending[n-1].hash
	}
	return l.base
}

// size is what the pending commits hold in memory.
func (l *line) size() (bytes int) {
	for _, p := range l.pending {
		bytes += p.size
	}
	return bytes
}

// add builds a commit on the head, of those ops that change something, and
// reports the paths where another change than was recorded got replaced. If
// nothing changes there is no commit, and the position is settled with what is
// before it. On an error nothing has happened.
func (l *line) add(c Commit, ops []pendingOp) (added bool, replaced []string, err error) {
	applied := make([]bool, len(ops))
	undo := func() {
		for i := len(ops) - 1; i >= 0; i-- {
			if applied[i] && !ops[i].Delete {
				err = firstError(err, l.tree.restore(ops[i].Path, ops[i].was))
			}
		}
		for i := len(ops) - 1; i >= 0; i-- {
			if applied[i] && ops[i].Delete {
				err = firstError(err, l.tree.restore(ops[i].Path, ops[i].was))
			}
		}
		l.tree.cut(func(*tree, plumbing.Hash) {}) // back to what it was: no object is new
	}
	var changes []Change
	// Deletions first: a directory may make room for a file of its name.
	for _, deleting := range []bool{true, false} {
		for i := range ops {
			op := &ops[i]
			if op.Delete != deleting || op.skip {
				continue
			}
			recorded := op.was
			if op.Delete {
				op.was, err = l.tree.remove(op.Path)
				applied[i] = op.was != item{}
			} else {
				op.was, err = l.tree.put(op.Path, op.blob)
				applied[i] = op.was.hash != op.blob
			}
			if err != nil {
				applied[i] = false
				undo()
				return false, nil, err
			}
			if applied[i] && op.New && op.was != (item{}) && op.was.hash != op.Replaces {
				blocked := &PathConflictError{Path: op.Path, At: op.Path, Mode: op.was.mode, Blob: op.was.hash}
				undo()
				return false, nil, firstError(err, blocked)
			}
			if applied[i] && op.was != recorded {
				replaced = append(replaced, op.Path)
			}
		}
	}
	for i := range ops {
		if applied[i] {
			changes = append(changes, ops[i].change())
		}
	}
	if len(changes) == 0 {
		l.cover(c.Position)
		return false, nil, nil
	}

	p := &pending{commit: c, ops: ops, position: c.Position}
	root := l.tree.cut(func(t *tree, hash plumbing.Hash) { l.emitTree(p, t, hash) })
	for i := range ops {
		if applied[i] && !ops[i].Delete {
			l.emit(p, &object{hash: ops[i].blob, kind: blobObject, data: ops[i].Content}, 0)
		}
	}
	content := appendCommit(make([]byte, 0, 512), root, l.head(), c.Author, c.Committer, c.Message(changes))
	if c.Sign != nil {
		if content, err = signed(content, c.Sign); err != nil {
			for _, o := range p.objects {
				delete(l.objects, o.hash)
			}
			undo()
			return false, nil, err
		}
	}
	p.hash = hashObject(commitObject, content)
	l.emit(p, &object{hash: p.hash, kind: commitObject, data: content}, 0)
	l.pending = append(l.pending, p)
	return true, replaced, nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (op *pendingOp) change() Change {
	switch {
	case op.Delete:
		return Change{op.Path, Deleted}
	case op.was == item{}:
		return Change{op.Path, Created}
	default:
		return Change{op.Path, Updated}
	}
}

// cover settles a position that changed nothing, together with what is before it.
func (l *line) cover(position uint64) {
	if n := len(l.pending); n > 0 {
		l.pending[n-1].position = max(l.pending[n-1].position, position)
		return
	}
	l.settled = max(l.settled, position)
}

// emit gives p an object, unless a pending commit has it already: then it is
// pushed before this one, or with it. What the remote has as the base of a delta needs not
// to be pushed either, and must not: a directory that becomes again what it was would be
// a delta of what is a delta of it, which git index-pack refuses.
func (l *line) emit(p *pending, o *object, depth int) {
	if _, ok := l.objects[o.hash]; ok {
		return
	}
	if _, ok := l.bases[o.hash]; ok {
		return
	}
	l.objects[o.hash] = placed{o, l.batch, depth}
	p.objects = append(p.objects, o)
	p.size += o.size()
}

// emitTree gives p the tree object that t has become. The tree it was before is
// on the remote or in a pending commit, so a delta can always be made. The
// content is kept beside the delta where the delta alone may not do: when the
// base is not in the same batch, or far from a whole object. Keeping it costs a
// copy at t's next edit.
func (l *line) emitTree(p *pending, t *tree, hash plumbing.Hash) {
	o := &object{hash: hash, kind: treeObject, delta: t.delta(), base: t.hash}
	base, ok := l.objects[t.hash]
	depth := 0
	if o.delta != nil && ok && base.batch == l.batch && base.depth < maxChain {
		depth = base.depth + 1
	} else {
		o.data = t.data
		t.shared = true
	}
	l.emit(p, o, depth)
	if o.delta != nil && (!ok || base.batch != l.batch) {
		l.bases[t.hash] = l.batch
	}
}

// seal ends a batch: what is pending now is pushed together, always. Objects of
// one batch may therefore rest on each other, and not on those of a later one.
func (l *line) seal() { l.batch++ }

// index is where the commit is among the pending ones, or -1.
func (l *line) index(hash plumbing.Hash) int {
	for i, p := range l.pending {
		if p.hash == hash {
			return i
		}
	}
	return -1
}

// land makes the first n pending commits the base: the remote branch has them.
func (l *line) land(n int) {
	if n == 0 {
		return
	}
	for _, p := range l.pending[:n] {
		for _, o := range p.objects {
			delete(l.objects, o.hash)
		}
	}
	last := l.pending[n-1]
	l.base = last.hash
	l.settled = max(l.settled, last.position)
	l.pending = append([]*pending(nil), l.pending[n:]...)
	oldest := l.batch
	if len(l.pending) > 0 {
		oldest = l.objects[l.pending[0].hash].batch
	}
	maps.DeleteFunc(l.bases, func(_ plumbing.Hash, batch int) bool { return batch < oldest })
}

// rebuild is the line with its pending commits built again on another base, and
// the paths where they replaced a change made there. The line itself stays as
// it is. Author, committer, their dates and the message stay the same, so a
// rebuild repeats its hashes; so do signed ones where a signature does not depend on
// chance.
func (l *line) rebuild(base plumbing.Hash, tree *treeCache) (next *line, replaced []string, err error) {
	next = newLine(base, tree, l.settled)
	for _, p := range l.pending {
		_, paths, err := next.add(p.commit, slices.Clone(p.ops))
		if err != nil {
			if blocked := (*PathConflictError)(nil); errors.As(err, &blocked) {
				blocked.Position = p.commit.Position
			}
			return nil, nil, err
		}
		next.cover(p.position)
		replaced = append(replaced, paths...)
	}
	return next, replaced, nil
}
