package repo

import (
	"context"
	"errors"
	"fmt"
)

// Obstacle is what stands in the way of an operation at the head, as Commit would find
// it: a *PathConflictError or ErrBadPath. What the operation replaces is not looked at.
func (b *Branch) Obstacle(op Op) error {
	if err := checkPath(op.Path); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil {
		return fmt.Errorf("looking up %q: %w", op.Path, ErrNotFetched)
	}
	return b.line.tree.obstacle(op.Path, op.Delete)
}

// obstacle is why path cannot be put, or removed.
func (c *treeCache) obstacle(path string, removing bool) error {
	if _, err := c.descend([]byte(path)); err != nil {
		blocked := (*PathConflictError)(nil)
		switch {
		case !errors.As(err, &blocked):
			return err
		case removing:
			return nil // no such file
		}
		return c.conflict(blocked, path)
	}
	at := c.stack[len(c.stack)-1]
	_, it, ok := at.dir.find(at.name, false)
	if !ok || it.isFile() || removing && it.isDir() {
		return nil
	}
	return &PathConflictError{Path: path, At: path, Mode: it.mode}
}

// MayPush asks the remote whether it takes pushes from who opens it, as git push --dry-run
// does: nothing is sent. What protects a branch, and what hooks say, is not asked for.
func (b *Branch) MayPush(ctx context.Context) error {
	if err := b.take(ctx); err != nil {
		return err
	}
	defer b.give()
	s, err := b.remote.begin(ctx, "asking to push to")
	if err != nil {
		return err
	}
	defer s.end()
	if s.overHTTP() {
		_, err = s.discover()
		return err
	}
	p, _, err := s.startReceivePack()
	if err != nil {
		return err
	}
	_ = p.in.Close()
	_ = p.end() // that it was sent nothing is no news
	return nil
}
