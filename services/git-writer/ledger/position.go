// Package ledger decides, as pure functions, how a branch is the ledger of what
// stands in KS_WRITE: up to where the branch holds it, what goes into a push and into a
// commit, which versions of an object that changes too often wait, and when a BARRIER is
// answered.
package ledger

import (
	"slices"
	"time"
)

// Position finds what a branch holds of KS_WRITE.
type Position struct {
	Hint   uint64   // the position that was kept last, which may lag behind the branch
	Held   []uint64 // what was held there
	Other  bool     // what stands there in KS_WRITE is another message than the one that was kept
	Newest uint64   // message of KS_WRITE
	seen   statement
	marked mark
}

// mark is the highest position of commits that say when its message was stored: no other
// log has one of that sequence that was stored just then.
type mark struct {
	seq    uint64
	stored time.Time
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

// See takes in the number that a commit carries for this branch, when the message there
// was stored (zero: it does not say), and what it says was held.
// Commits that were merged in, cherry-picked or reverted carry lower numbers than the
// branch holds; one that KS_WRITE has not reached, and that does not say when, was not written by us.
func (p *Position) See(seq uint64, stored time.Time, held ...uint64) {
	if !stored.IsZero() && seq > p.marked.seq {
		p.marked = mark{seq, stored}
	}
	if seq <= p.Newest {
		p.seen = p.seen.and(statement{seq, held})
	}
}

// Marked is the sequence at which KS_WRITE is to be compared with the branch; 0 where no
// commit says when its message was stored.
func (p *Position) Marked() uint64 { return p.marked.seq }

// Contradicted reports whether the commits are of another log than KS_WRITE is now: that
// was restored from a copy older than they are, with the hint, and may have been written on
// since. At is when the message was stored that is at Marked now; zero where it was removed,
// which tells nothing.
func (p *Position) Contradicted(at time.Time) bool {
	return p.marked.seq > p.Newest || !at.IsZero() && !at.Equal(p.marked.stored)
}

// Holds is the position: everything in KS_WRITE up to it is in the branch, or needs not
// to be, or is held. It is past the highest commit where nothing but no-ops came since.
func (p *Position) Holds() (seq uint64, held []uint64) {
	all := p.seen.and(statement{p.Hint, p.Held})
	return all.through, all.held
}

// Cut reports whether KS_WRITE, which begins with a message, may lack some behind a position.
// The janitor leaves the message at a position where it is: if nothing else was to remove that, it was somebody
// who has removed both.
func Cut(position, first uint64) bool { return position > 0 && first > position+1 }
