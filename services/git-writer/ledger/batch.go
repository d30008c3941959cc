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
	// So many messages are looked at for a push, however few of them it takes.
	batchTaken = 10 * batchWrites
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
	Limit  int           // how many commits the live changes of its object may have within a minute; 0: any
}

// Batch is what one push takes of KS_WRITE, in its order. W is a write as it will be
// committed.
type Batch[W any] struct {
	// Through is the position that the batch brings the branch to: everything in KS_WRITE
	// up to here is on the branch, in Commits or in Held, or needs not to be.
	Through uint64
	Stored  time.Time // when the message there was; zero: not known
	Held    Held
	Commits []Commit[W]
	// Limiter knows of commits that are on the remote. Nil: no write has a limit.
	Limiter *Limiter

	barrier uint64    // came behind them; 0: none
	asked   time.Time // when it was stored
	writes  int
	taken   int // messages
	size    int
	first   Write
	mixed   bool // not all are live changes of its destination
	last    newest
	made    map[string][]time.Time // the commits of objects that have a limit
}

// Commit is writes that go together. With it the branch has everything in KS_WRITE up to
// Through that it needs, but for what is Held.
type Commit[W any] struct {
	Writes  []W
	Through uint64
	Stored  time.Time
	Held    Held
}

// newest is the newest commit, to which more writes may belong.
type newest struct {
	Write       // the newest of it
	begun       time.Time
	files, size int
	paths       map[string]bool // nil: it takes no more
}

// takes is whether a write belongs to the commit: a live change is one of its own, unless
// its destination has a window, and came while that was open; what a run found goes
// together. All is of one destination and one attempt, no path comes twice and the bounds
// hold, so that no version is lost and positions stay contiguous.
func (c *newest) takes(w Write) bool {
	return c.paths != nil && !c.full() && !c.paths[w.Path] && w.Origin == c.Origin && w.Destination == c.Destination &&
		w.Run == c.Run && w.Attempt == c.Attempt && (w.Origin == event.Reconcile || w.Time.Sub(c.begun) <= w.Window)
}

func (c *newest) full() bool { return c.files >= runFiles || c.size >= runBytes }

// waits is whether more of the run is to be had for the commit.
func (c *newest) waits() bool { return c.paths != nil && c.More && !c.full() }

// Add takes a write: into the newest commit, as the first of the next one or, where its
// object had its commits of the minute, among what is held. replaces is whether an older
// version of the object was held, which goes for it. What First names has to go before.
//
// A version that was held before, of which only the sequence is known, is taken the same
// way, as if it came now.
func (b *Batch[W]) Add(w Write, as W) (replaces bool) {
	if b.Held = b.Held.without(w.Seq); w.Seq > b.Through {
		b.Through, b.Stored = w.Seq, w.Time
	}
	b.taken++
	if b.holds(w) {
		_, replaces = b.Held.of(w.Path)
		b.Held = b.Held.with(Version{w.Seq, w.Path, w.Destination, b.turn(w)})
		return replaces
	}
	b.put(w, as, w.Time)
	return false
}

// put takes a write into a commit, which counts from some time on.
func (b *Batch[W]) put(w Write, as W, at time.Time) {
	if !b.last.takes(w) {
		b.last = newest{begun: w.Time}
		if w.Origin == event.Reconcile || w.Window > 0 {
			b.last.paths = map[string]bool{}
		}
		b.Commits = append(b.Commits, Commit[W]{})
	}
	if b.writes == 0 {
		b.first = w
	}
	b.mixed = b.mixed || w.Origin != event.Live || w.Destination != b.first.Destination
	if w.Limit > 0 && w.Origin == event.Live {
		if b.made == nil {
			b.made = map[string][]time.Time{}
		}
		b.made[w.Path] = append(b.made[w.Path], at)
	}
	c := &b.last
	if c.paths != nil {
		c.paths[w.Path] = true
	}
	c.Write, c.files, c.size = w, c.files+1, c.size+w.Size
	built := &b.Commits[len(b.Commits)-1]
	built.Writes, built.Through, built.Stored, built.Held = append(built.Writes, as), b.Through, b.Stored, b.Held
	b.writes, b.size = b.writes+1, b.size+w.Size
}

// Writes are those of all commits.
func (b *Batch[W]) Writes() (all []W) {
	for _, c := range b.Commits {
		all = append(all, c.Writes...)
	}
	return all
}

// Pass goes past a message that needs not to be on the branch.
func (b *Batch[W]) Pass(seq uint64, stored time.Time) {
	b.Through, b.Stored, b.taken = seq, stored, b.taken+1
}

// End ends the batch with a BARRIER: it is passed once it is answered. Nothing is held by then:
// who asks is told what the branch has.
func (b *Batch[W]) End(barrier uint64, stored time.Time) { b.barrier, b.asked = barrier, stored }

// Full is whether nothing more is to be taken: behind a BARRIER, once so much was held or
// passed that the rest should wait no longer, and at the bounds of a push, but for what completes a run's commit that was begun before.
func (b *Batch[W]) Full() bool {
	switch {
	case b.barrier > 0, b.taken >= batchTaken && !b.last.waits():
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

// Pushed says that the remote has the commits: from here on they count, and those of a
// batch that never gets there do not.
func (b *Batch[W]) Pushed() {
	b.Commits = nil
	for path, times := range b.made {
		for _, at := range times {
			b.Limiter.count(path, at)
		}
	}
	b.made = nil
}

// Answered says that the BARRIER has its answer.
func (b *Batch[W]) Answered() { b.Through, b.Stored, b.barrier = b.barrier, b.asked, 0 }
