// Package ledger decides, as pure functions, how a branch is the ledger of what
// stands in KS_WRITE: up to where the branch holds it, what goes into a push and into a
// commit, and when a BARRIER is answered.
package ledger

// Position finds what a branch holds of KS_WRITE.
type Position struct {
	Hint    uint64 // the position that was kept last, which may lag behind the branch
	Other   bool   // what stands there in KS_WRITE is another message than the one that was kept
	Newest  uint64 // message of KS_WRITE
	highest uint64
}

// WentBack reports whether KS_WRITE is not the log any more that the position is of: it
// was made anew, or restored from a backup, and ends before it or holds another message
// there.
func (p *Position) WentBack() bool { return p.Other || p.Hint > p.Newest }

// See takes in the number that a commit carries for this branch. Commits that were
// merged in, cherry-picked or reverted carry lower numbers than the branch holds; one
// that KS_WRITE has not reached was not written by us.
func (p *Position) See(seq uint64) {
	if seq <= p.Newest {
		p.highest = max(p.highest, seq)
	}
}

// Holds is the position: everything in KS_WRITE up to it is in the branch, or needs not
// to be. It is past the highest commit where nothing but no-ops came since.
func (p *Position) Holds() uint64 { return max(p.highest, p.Hint) }
