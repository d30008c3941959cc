package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// writer is a git-writer. What it knows of the branch and of the hint is from when it
// last read or wrote them: others may have done so since.
type writer struct {
	base     int // commits of the branch
	hint     int
	consumed int
	unkept   bool    // consumed is to be kept in the hint
	asked    int     // the BARRIER that looked answers
	looked   *series // for it
}

// taken is a message with its place in KS_WRITE.
type taken struct {
	message
	seq int
}

// batch is what a git-writer has taken when nothing came behind so many writes, and
// the sequence of the BARRIER that has ended it, or 0.
func (w *world) batch(i, writes int) (b ledger.Batch[taken], ended int) {
	b.Through = uint64(w.writers[i].consumed)
	for at := w.writers[i].consumed; at < len(w.write) && !b.Full(); at++ {
		m, seq := w.write[at], at+1
		switch {
		case m.kind == barrier:
			ended = seq
			b.End(uint64(seq), time.Time{})
		case m.kind != change:
			b.Pass(uint64(seq), time.Time{})
		case writes == 0:
			return b, 0
		default:
			writes--
			b.Add(ledger.Write{
				Seq: uint64(seq), Destination: key, Origin: origins[m.result], Run: m.epoch.Run, Attempt: m.epoch.Attempt, Path: w.paths[m.object], Size: 1,
				Window: w.window,
			}, taken{m, seq})
		}
	}
	return b, ended
}

var origins = map[bool]event.Origin{false: event.Live, true: event.Reconcile}

// all is as many writes as there are.
const all = 1 << 30

func (w *world) writerSteps(put func(what, int, int)) {
	for i := range w.writers {
		w.stepsOf(i, put)
	}
}

func (w *world) stepsOf(i int, put func(what, int, int)) {
	switch {
	case w.writers[i].looked != nil:
		put(tell, i, 0)
		return
	case w.writers[i].unkept:
		put(keep, i, 0)
		return
	}
	for writes, more := 0, true; more; writes++ {
		b, ended := w.batch(i, writes)
		next := b.Next()
		if next == ledger.Push {
			put(writesTo, i, writes)
		}
		if next == ledger.Answer || ended > 0 && w.broken == noBarrier && w.end(w.write[ended-1].epoch, subject.SideRepo) == nil {
			put(look, i, ended)
		}
		more = ended == 0 && w.writes(b) == writes
	}
}

// writes is how many there are in a batch.
func (w *world) writes(b ledger.Batch[taken]) (n int) {
	for _, c := range b.Commits {
		n += len(c.Writes)
	}
	return n
}

// push brings the commits of a batch to the remote by compare-and-swap on what they were
// built on; where something stands already it looks anew before. Who is behind other people's
// commits builds on those and pushes again, who is behind another git-writer's opens the
// branch anew. Nothing to push is no push.
func (w *world) push(i, writes int) error {
	b, _ := w.batch(i, writes)
	wr := &w.writers[i]
	if w.anyStands(b, wr.base) && w.broken != noLook && !w.refresh(i) {
		return nil
	}
	built := w.build(b, wr.base)
	if len(built) > 0 {
		switch {
		case w.broken == noCAS:
			w.commits = w.commits[:wr.base]
		case w.rival(i) && w.broken != noRival:
			*wr = w.openBranch()
			return nil
		case wr.base < len(w.commits):
			built = w.build(b, len(w.commits))
		}
		w.files = w.filesAt(len(w.commits))
		for _, c := range built {
			if err := w.admits(c); err != nil {
				return err
			}
			w.files = with(w.files, c.file, c.content)
			w.commits = add(w.commits, c)
		}
		wr.base = len(w.commits)
	}
	b.Pushed()
	w.consume(i, b)
	return nil
}

// anyStands is whether what a write brings stands already in the branch after its first so
// many commits.
func (w *world) anyStands(b ledger.Batch[taken], base int) bool {
	files := w.filesAt(base)
	return slices.ContainsFunc(b.Writes(), func(m taken) bool { return files[m.object] == m.content })
}

// build makes commits of a batch on the first so many of the branch: those that make a
// difference.
func (w *world) build(b ledger.Batch[taken], base int) (built []commit) {
	files := w.filesAt(base)
	for _, together := range b.Commits {
		for _, m := range together.Writes {
			if files[m.object] != m.content {
				files[m.object] = m.content
				built = append(built, commit{file: m.object, content: m.content, version: m.version, result: m.result, position: int(together.Through)})
			}
		}
	}
	return built
}

// filesAt are those of the branch after its first so many commits.
func (w *world) filesAt(base int) (files []content) {
	for _, o := range w.objects {
		files = append(files, o.file)
	}
	files = append(files, theirs)
	for _, c := range w.commits[:base] {
		files[c.file] = c.content
	}
	return files
}

// rival reports whether another git-writer has pushed since one last looked.
func (w *world) rival(i int) bool {
	for _, c := range w.commits[w.writers[i].base:] {
		if !c.foreign {
			return true
		}
	}
	return false
}

// consume is behind a batch, or the answer to its BARRIER.
func (w *world) consume(i int, b ledger.Batch[taken]) {
	wr := &w.writers[i]
	wr.consumed = int(b.Through)
	if wr.unkept = w.readAgain(); !wr.unkept {
		w.keep(i)
	}
}

// readAgain reports whether anybody may yet read where the branch stands.
func (w *world) readAgain() bool { return w.left.writer > 0 || len(w.writers) > 1 }

// keep writes the hint by compare-and-swap. Who is behind opens the branch anew.
func (w *world) keep(i int) {
	wr := &w.writers[i]
	if wr.hint != w.hint {
		*wr = w.openBranch()
		return
	}
	w.hint, wr.hint, wr.unkept = wr.consumed, wr.consumed, false
}

// refresh looks where the branch stands. Who finds what another git-writer has pushed
// opens it anew.
func (w *world) refresh(i int) (same bool) {
	if w.rival(i) {
		w.writers[i] = w.openBranch()
		return false
	}
	w.writers[i].base = len(w.commits)
	return true
}

// look reads the folder, on the remote, for a BARRIER that has no answer. Where there is
// one its run has seen what is there by now.
func (w *world) look(i, asked int) {
	s := series{epoch: w.write[asked-1].epoch, side: subject.SideRepo}
	switch {
	case !w.refresh(i):
		return
	case w.end(s.epoch, s.side) != nil:
		w.answered(i, asked)
		return
	}
	for _, f := range w.order {
		switch {
		case w.files[f] == 0:
		case f == len(w.objects):
			s.entries = append(s.entries, event.Entry{Path: w.paths[f], Hash: w.files[f].hash(), What: event.Foreign})
		default:
			s.entries = append(s.entries, event.Entry{Path: w.paths[f], Hash: w.files[f].hash()})
		}
	}
	w.writers[i].looked, w.writers[i].asked = &s, asked
}

func (w *world) tell(i int) {
	wr := &w.writers[i]
	w.store(*wr.looked)
	asked := wr.asked
	wr.looked, wr.asked = nil, 0
	w.answered(i, asked)
}

// answered goes past a BARRIER that has its answer.
func (w *world) answered(i, asked int) {
	b, ended := w.batch(i, 0)
	if ended != asked {
		return // noBarrier: what comes before it is to be pushed yet
	}
	b.Answered()
	w.consume(i, b)
}

// writerDies leaves the branch, and the hint: the next one goes on from there.
func (w *world) writerDies(i int, paused bool) {
	if s := w.writers[i].looked; s != nil && paused {
		w.late = add(w.late, late{answer: *s})
	}
	w.writers[i] = w.openBranch()
}

// openBranch is a git-writer that has read the hint and the branch.
func (w *world) openBranch() writer {
	at := ledger.Position{Hint: uint64(w.hint), Newest: uint64(len(w.write))}
	for _, c := range w.commits {
		if !c.foreign && w.broken != noPosition {
			at.See(uint64(c.position), time.Time{})
		}
	}
	position, _ := at.Holds()
	return writer{base: len(w.commits), hint: w.hint, consumed: int(position)}
}

// holds checks that everything is in the branch that was there before: no push replaces
// what another git-writer has pushed (I7), or other people (I8).
func (w *world) holds(before []commit) error {
	for i, c := range before {
		switch {
		case i < len(w.commits) && w.commits[i] == c:
		case c.foreign:
			return fmt.Errorf("I8: somebody else's commit of %s = %s is gone", w.paths[c.file], c.content)
		default:
			return fmt.Errorf("I7: the commit of %s = %s, version %d, is gone: who is behind has replaced what its successor pushed", w.paths[c.file], c.content, c.version)
		}
	}
	return nil
}

// admits checks a commit against what the branch holds: I2, I3, I4 and I6.
func (w *world) admits(c commit) error {
	path := w.paths[c.file]
	deletes := c.content == 0 && c.result
	if deletes && c.version == none { // of a type that the rules do not touch any more
		return nil
	}
	was, foreign := w.newest(c.file)
	leftOut := was.content == 0 && was.result // it may have been there, and rules have left it out
	switch {
	case was.version == none:
	case deletes && was.version > c.version:
		return fmt.Errorf("I6: %s is removed by a run whose MARK was at version %d, and was written at version %d", path, c.version, was.version)
	case was.version > c.version:
		return fmt.Errorf("I3: version %d of %s comes behind version %d", c.version, path, was.version)
	case was.version == c.version && !foreign && !deletes && !leftOut:
		return fmt.Errorf("I2: version %d of %s comes twice", c.version, path)
	}
	switch v, _ := w.stands(c.file, c.version); {
	case !deletes && v.content != c.content:
		return fmt.Errorf("I4: %s becomes %s, which it was not at version %d", path, c.content, c.version)
	case deletes && v.content != 0 && w.selects(c.file):
		return fmt.Errorf("I6: %s is removed by a run, and was there at its MARK", path)
	}
	return nil
}

// newest is the newest commit of ours to a file, and whether others have changed it
// since.
func (w *world) newest(file int) (c commit, foreign bool) {
	for i := len(w.commits) - 1; i >= 0; i-- {
		if c = w.commits[i]; c.file == file && !c.foreign {
			return c, foreign
		}
		foreign = foreign || c.file == file
	}
	return commit{version: none}, foreign
}
