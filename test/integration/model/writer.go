package model

import (
	"fmt"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func (w *world) writerSteps(put func(what, int, int)) {
	if w.writer.looked != nil {
		put(tell, 0, 0)
		return
	}
	if w.broken == noBarrier {
		for i := w.writer.consumed; i < len(w.write); i++ {
			if m := w.write[i]; m.kind == barrier && w.end(m.epoch, subject.SideRepo) == nil {
				put(look, i, 0)
			}
		}
	}
	if i := w.writer.consumed; i < len(w.write) {
		if m := w.write[i]; m.kind != barrier || w.end(m.epoch, subject.SideRepo) != nil {
			put(writes, 0, 0)
		} else if w.broken != noBarrier {
			put(look, i, 0)
		}
	}
}

// writes consumes one message: of a change that makes a difference it pushes a commit.
func (w *world) writes() error {
	m := w.write[w.writer.consumed]
	w.writer.consumed++
	if m.kind != change || w.files[m.object] == m.content {
		return nil
	}
	c := commit{file: m.object, content: m.content, version: m.version, result: m.result, position: w.writer.consumed}
	if err := w.admits(c); err != nil {
		return err
	}
	w.files = with(w.files, m.object, m.content)
	w.commits = add(w.commits, c)
	return nil
}

// look reads the folder, on the remote, for a barrier.
func (w *world) look(i int) {
	s := series{epoch: w.write[i].epoch, side: subject.SideRepo}
	for _, f := range w.order {
		switch {
		case w.files[f] == 0:
		case f == len(w.objects):
			s.entries = append(s.entries, event.Entry{Path: w.paths[f], Hash: w.files[f].hash(), What: event.Foreign})
		default:
			s.entries = append(s.entries, event.Entry{Path: w.paths[f], Hash: w.files[f].hash()})
		}
	}
	w.writer.looked = &s
}

func (w *world) answerBarrier() {
	w.store(*w.writer.looked)
	w.writer.looked = nil
}

// writerDies leaves the branch: the next one goes on behind its newest position.
func (w *world) writerDies(paused bool) {
	if s := w.writer.looked; s != nil && paused {
		w.late = add(w.late, *s)
	}
	w.writer = writer{}
	for _, c := range w.commits {
		w.writer.consumed = max(w.writer.consumed, c.position)
	}
}

// admits checks a commit against what the branch holds: I2, I3, I4 and I6.
func (w *world) admits(c commit) error {
	path := w.paths[c.file]
	deletes := c.content == 0 && c.result
	if deletes && c.version == none { // of a type that the rules do not touch any more
		return nil
	}
	was, foreign := w.newest(c.file)
	switch {
	case was.version == none:
	case deletes && was.version > c.version:
		return fmt.Errorf("I6: %s is removed by a run whose MARK was at version %d, and was written at version %d", path, c.version, was.version)
	case was.version > c.version:
		return fmt.Errorf("I3: version %d of %s comes behind version %d", c.version, path, was.version)
	case was.version == c.version && !foreign && !deletes:
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
