package ledger

import (
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

const (
	// A push carries at most so many writes and bytes, and what completes the commit of
	// a run: what one worker holds in memory.
	batchWrites = 2000
	batchBytes  = 16 << 20
	// A commit of a run, or of a window, is cut once it has so many files or bytes.
	runFiles = 5000
	runBytes = 50 << 20
)

// Write is what decides where a write belongs.
type Write struct {
	Seq         uint64 // in KS_WRITE
	Destination event.DestinationKey
	Origin      event.Origin
	Run         string
	Attempt     uint64
	Path        string // in the repository
	Size        int
	More        bool // of the same run follow

	Time   time.Time     // when it came to KS_WRITE
	Window time.Duration // for how long live changes of its destination join one commit; 0: each is its own
}

// Batch is what one push takes of KS_WRITE, in its order. W is a write as it will be
// committed.
type Batch[W any] struct {
	// Through is the position that the batch brings the branch to: everything in KS_WRITE
	// up to here is on the branch, in Commits, or needs not to be.
	Through uint64
	Commits [][]W

	barrier uint64 // came behind them; 0: none
	writes  int
	size    int
	first   Write
	mixed   bool // not all are live changes of its destination
	last    commit
}

// commit is the newest one, to which more writes may belong.
type commit struct {
	Write       // the newest of it
	begun       time.Time
	files, size int
	paths       map[string]bool // nil: it takes no more
}

// takes is whether a write belongs to the commit: a live change is one of its own, unless
// its destination has a window, and came while that was open; what a run found goes
// together. All is of one destination and one attempt, no path comes twice and the bounds
// hold, so that no version is lost and positions stay contiguous.
func (c *commit) takes(w Write) bool {
	return c.paths != nil && !c.full() && !c.paths[w.Path] && w.Origin == c.Origin && w.Destination == c.Destination &&
		w.Run == c.Run && w.Attempt == c.Attempt && (w.Origin == event.Reconcile || w.Time.Sub(c.begun) <= w.Window)
}

func (c *commit) full() bool { return c.files >= runFiles || c.size >= runBytes }

// waits is whether more of the run is to be had for the commit.
func (c *commit) waits() bool { return c.paths != nil && c.More && !c.full() }

// Add takes a write, into the newest commit or as the first of the next one.
func (b *Batch[W]) Add(w Write, as W) {
	if !b.last.takes(w) {
		b.last = commit{begun: w.Time}
		if w.Origin == event.Reconcile || w.Window > 0 {
			b.last.paths = map[string]bool{}
		}
		b.Commits = append(b.Commits, nil)
	}
	if b.writes == 0 {
		b.first = w
	}
	b.mixed = b.mixed || w.Origin != event.Live || w.Destination != b.first.Destination
	c := &b.last
	if c.paths != nil {
		c.paths[w.Path] = true
	}
	c.Write, c.files, c.size = w, c.files+1, c.size+w.Size
	newest := len(b.Commits) - 1
	b.Commits[newest] = append(b.Commits[newest], as)
	b.writes, b.size, b.Through = b.writes+1, b.size+w.Size, w.Seq
}

// Pass goes past a message that needs not to be on the branch.
func (b *Batch[W]) Pass(seq uint64) { b.Through = seq }

// End ends the batch with a BARRIER: it is passed once it is answered.
func (b *Batch[W]) End(barrier uint64) { b.barrier = barrier }

// Full is whether nothing more is to be taken: behind a BARRIER, and at the bounds of a
// push, but for what completes a run's commit that was begun before.
func (b *Batch[W]) Full() bool {
	switch {
	case b.barrier > 0:
		return true
	case b.writes < batchWrites && b.size < batchBytes:
		return false
	}
	return !b.last.waits() || b.writes-b.last.files >= batchWrites || b.size-b.last.size >= batchBytes
}

// Waits is whether the rest of a run's commit is worth waiting for.
func (b *Batch[W]) Waits() bool { return b.last.waits() }

// Of is whose live changes all of the batch is, and since when the first one waits. Only
// they may wait for more of a window: nothing else waits for one.
func (b *Batch[W]) Of() (d event.DestinationKey, since time.Time, live bool) {
	return b.first.Destination, b.first.Time, b.writes > 0 && !b.mixed
}

// Step is what comes next of a batch to which nothing more is taken.
type Step int

// The steps.
const (
	Done   Step = iota
	Push        // the commits
	Answer      // the BARRIER
)

// Next is the next step. A BARRIER is answered when everything before it is on the
// remote, and before anything behind it is taken.
func (b *Batch[W]) Next() Step {
	switch {
	case len(b.Commits) > 0:
		return Push
	case b.barrier > 0:
		return Answer
	}
	return Done
}

// Pushed says that the remote has the commits.
func (b *Batch[W]) Pushed() { b.Commits = nil }

// Answered says that the BARRIER has its answer.
func (b *Batch[W]) Answered() { b.Through, b.barrier = b.barrier, 0 }
