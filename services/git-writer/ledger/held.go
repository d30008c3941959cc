package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

// MaxHeld bounds how many objects of a branch have a version that is held: it is what a
// commit's message lists. A change of one more object is committed at once, as if there
// were no limit.
const MaxHeld = 100

// Version is a live change that is held: its object had its commits of the minute.
type Version struct {
	Seq uint64 // in KS_WRITE
	// What follows is not known, and Path "", of one that a branch lists, until it is read
	// again.
	Path        string
	Destination event.DestinationKey
	Due         time.Time // when its object may have a commit again, by the clock of KS_WRITE
}

// Held are the versions that a branch does not have yet although it is past them, one of
// an object at most, by sequence. It is never changed but replaced, so a commit keeps what
// was held when it was made.
type Held []Version

// Listed are versions of which nothing but the sequences is known.
func Listed(seqs []uint64) (h Held) {
	for _, seq := range seqs {
		h = append(h, Version{Seq: seq})
	}
	return h
}

// Seqs are the sequences.
func (h Held) Seqs() (seqs []uint64) {
	for _, v := range h {
		seqs = append(seqs, v.Seq)
	}
	return seqs
}

// Unread is one that was not read again.
func (h Held) Unread() (v Version, is bool) {
	if i := slices.IndexFunc(h, func(v Version) bool { return v.Path == "" }); i >= 0 {
		return h[i], true
	}
	return v, false
}

// of is the version that is held of an object.
func (h Held) of(path string) (v Version, is bool) {
	if i := slices.IndexFunc(h, func(v Version) bool { return v.Path == path }); i >= 0 {
		return h[i], true
	}
	return v, false
}

// with is what is held once a version takes the place of the one of its object.
func (h Held) with(v Version) Held {
	next := make(Held, 0, len(h)+1)
	for _, other := range h {
		if other.Path != v.Path {
			next = append(next, other)
		}
	}
	i, _ := slices.BinarySearchFunc(next, v, func(a, b Version) int { return cmp.Compare(a.Seq, b.Seq) })
	return slices.Insert(next, i, v)
}

// without is what is held once a version is not any more.
func (h Held) without(seq uint64) Held {
	if !slices.ContainsFunc(h, func(v Version) bool { return v.Seq == seq }) {
		return h
	}
	return slices.DeleteFunc(slices.Clone(h), func(v Version) bool { return v.Seq == seq })
}

// First is which held versions go into commits before a write is taken: those whose turn
// had come by then, and the one of its own object, unless that is replaced by the write. Each is to
// be given to Release or Drop; then the write may be taken.
func (b *Batch[W]) First(w Write) []Version {
	first := b.Due(w.Time)
	if v, is := b.Held.of(w.Path); is && !b.holds(w) && !slices.Contains(first, v) {
		first = append(first, v)
	}
	return first
}

// Due is whose turn has come. The commit of a run is not cut for it.
func (b *Batch[W]) Due(now time.Time) (due []Version) {
	if b.last.waits() {
		return nil
	}
	for _, v := range b.Held {
		if v.Path != "" && !v.Due.After(now) {
			due = append(due, v)
		}
	}
	return due
}

// NextDue is when the next turn comes of what is held.
func (b *Batch[W]) NextDue() (next time.Time, is bool) {
	if b.last.waits() {
		return next, false
	}
	for _, v := range b.Held {
		if v.Path != "" && (!is || v.Due.Before(next)) {
			next, is = v.Due, true
		}
	}
	return next, is
}

// Release takes a held version at some time, into a commit of its own.
func (b *Batch[W]) Release(w Write, as W, now time.Time) {
	if v, is := b.Held.of(w.Path); is && v.Due.Before(now) {
		now = v.Due // its turn came then: what came later is not to wait because this did
	}
	b.Held = b.Held.without(w.Seq)
	b.last = newest{}
	b.put(w, as, now)
	b.last.paths = nil
}

// Drop is for a held version that needs not to be on the branch any more.
func (b *Batch[W]) Drop(seq uint64) { b.Held = b.Held.without(seq) }

// holds is whether a write is to be held.
func (b *Batch[W]) holds(w Write) bool {
	if w.Limit == 0 || w.Origin != event.Live || !b.turn(w).After(w.Time) {
		return false
	}
	_, replaces := b.Held.of(w.Path)
	return replaces || len(b.Held) < MaxHeld
}

// turn is when the object of a write may have its next commit.
func (b *Batch[W]) turn(w Write) time.Time {
	return turn(append(b.Limiter.of(w.Path), b.made[w.Path]...), w.Limit)
}
