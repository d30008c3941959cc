// Package ledger decides, as pure functions, how a branch is the ledger of what
// stands in KS_WRITE: up to where the branch holds it, what goes into a push and into a
// commit, which versions of an object that changes too often wait, and when a BARRIER is
// answered.
package ledger

import "slices"

// Position finds what a branch holds of KS_WRITE.
type Position struct {
	Hint   uint64   // the position that was kept last, which may lag behind the branch
	Held   []uint64 // what was held there
	Other  bool     // what stands there in KS_WRITE is another message than the one that was kept
	Newest uint64   // message of KS_WRITE
	seen   statement
}

// statement says that a branch has everything in KS_WRITE up to a sequence that it needs,
// but for what is held. That stays true whatever comes behind it.
type statement struct {
	through uint64
	held    []uint64
}

// and is what two statements say together, in whatever order they were made: it is held
// what neither says to be there.
func (a statement) and(b statement) statement {
	if a.through < b.through {
		a, b = b, a
	}
	both := statement{through: a.through}
	for _, seq := range a.held {
		if seq > b.through || slices.Contains(b.held, seq) {
			both.held = append(both.held, seq)
		}
	}
	return both
}

// WentBack reports whether KS_WRITE is not the log any more that the position is of: it
// was made anew, or restored from a backup, and ends before it or holds another message
// there.
func (p *Position) WentBack() bool { return p.Other || p.Hint > p.Newest }

// See takes in the number that a commit carries for this branch, and what it says was held.
// Commits that were merged in, cherry-picked or reverted carry lower numbers than the
// branch holds; one that KS_WRITE has not reached was not written by us.
func (p *Position) See(seq uint64, held ...uint64) {
	if seq <= p.Newest {
		p.seen = p.seen.and(statement{seq, held})
	}
}

// Holds is the position: everything in KS_WRITE up to it is in the branch, or needs not
// to be, or is held. It is past the highest commit where nothing but no-ops came since.
func (p *Position) Holds() (seq uint64, held []uint64) {
	all := p.seen.and(statement{p.Hint, p.Held})
	return all.through, all.held
}
