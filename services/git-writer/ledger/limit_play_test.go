package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

// play is a git-writer, the log that it reads and the branch that it writes. Time passes
// between messages; the writer may die at any step.
type limitPlay struct {
	*rand.Rand
	crashes, runs bool

	now time.Time
	log []Write // that is stored; a BARRIER has no path

	branch []Commit[uint64]
	last   map[string]uint64 // sequence of the newest commit of each path
	landed map[uint64]bool
	hint   statement
	hinted int // commits that the hint's contains

	limiter   Limiter
	through   uint64
	held      Held
	coalesced int
}

// limits are how many commits a minute the objects of destinations may have.
var limits = map[string]int{"A": 1, "B": 3, "C": 0}

// store adds a message to the log, some time after the one before.
func (p *limitPlay) store() {
	p.now = p.now.Add(time.Duration(p.IntN(15)) * time.Second)
	destination := string("ABC"[p.IntN(3)])
	w := Write{
		Seq: uint64(len(p.log) + 1), Destination: event.DestinationKey{Name: destination}, Path: destination + string("xy"[p.IntN(2)]),
		Origin: event.Live, Size: 1, Time: p.now, Limit: limits[destination],
	}
	if p.runs && p.IntN(10) == 0 {
		w.Origin, w.Run, w.Attempt, w.More = event.Reconcile, fmt.Sprint(p.IntN(3)), 1, p.IntN(2) == 0
	}
	if p.runs && p.IntN(25) == 0 {
		w = Write{Seq: w.Seq, Time: p.now}
	}
	p.log = append(p.log, w)
}

// open begins a session: by what the branch says, in whatever order that is come upon.
func (p *limitPlay) open() {
	at := Position{Hint: p.hint.through, Held: p.hint.held, Newest: uint64(len(p.log))}
	above := slices.Clone(p.branch[p.hinted:])
	p.Shuffle(len(above), func(i, j int) { above[i], above[j] = above[j], above[i] })
	for _, c := range above {
		at.See(c.Through, c.Stored, c.Held.Seqs()...)
	}
	if at.Contradicted(p.stored(at.Marked())) {
		panic("a commit is taken for one of another log")
	}
	through, held := at.Holds()
	p.through, p.held = through, Listed(held)
}

// stored is when a message was.
func (p *limitPlay) stored(seq uint64) time.Time {
	if seq == 0 {
		return time.Time{}
	}
	return p.log[seq-1].Time
}

// dies is whether the writer dies here. Another session, or another process, goes on.
func (p *limitPlay) dies() bool {
	if !p.crashes || p.IntN(12) > 0 {
		return false
	}
	if p.IntN(2) == 0 {
		p.limiter = Limiter{}
	}
	p.open()
	return true
}

func (p *limitPlay) release(b *Batch[uint64], versions []Version, now time.Time) {
	for _, v := range versions {
		if p.IntN(20) > 0 {
			b.Release(p.log[v.Seq-1], v.Seq, now)
		} // else there was no room: it is released the next time
	}
}

// turn is one of the loop: some messages are taken, what comes of them is pushed, and noted.
func (p *limitPlay) turn() error {
	b := Batch[uint64]{Through: p.through, Stored: p.stored(p.through), Held: p.held, Limiter: &p.limiter}
	for n := p.IntN(10); !b.Full(); n-- {
		var w Write
		if v, is := b.Held.Unread(); is {
			w = p.log[v.Seq-1]
		} else if n < 0 || b.Through == uint64(len(p.log)) {
			break
		} else {
			w = p.log[b.Through]
		}
		first := b.Held
		if w.Path != "" {
			first = b.First(w)
		}
		for len(first) > 0 {
			p.release(&b, first, w.Time)
			if first = b.Held; w.Path != "" {
				first = b.First(w)
			}
		}
		switch {
		case w.Path == "":
			b.End(w.Seq, w.Time)
		case b.Add(w, w.Seq):
			p.coalesced++
		}
	}
	if b.Through == uint64(len(p.log)) {
		p.release(&b, b.Due(p.now), p.now)
	}
	if p.dies() { // before the push: nothing has happened
		return nil
	}
	if err := p.push(b.Commits); err != nil {
		return err
	}
	if p.dies() { // behind it, before the hint
		return nil
	}
	b.Pushed()
	if b.Next() == Answer {
		if err := p.told(p.log[b.barrier-1].Seq); err != nil {
			return err
		}
		b.Answered()
	}
	p.through, p.held = b.Through, b.Held
	p.hint, p.hinted = statement{b.Through, b.Held.Seqs()}, len(p.branch)
	p.dies() // behind it
	return nil
}

// push checks what comes to the branch: nothing twice, in order, and that of what has no
// limit nothing is left out.
func (p *limitPlay) push(commits []Commit[uint64]) error {
	for _, c := range commits {
		for _, seq := range c.Writes {
			w := p.log[seq-1]
			if seq <= p.last[w.Path] {
				return fmt.Errorf("%d of %s comes behind %d", seq, w.Path, p.last[w.Path])
			}
			p.last[w.Path], p.landed[seq] = seq, true
		}
		if want := p.stored(c.Through); !c.Stored.Equal(want) {
			return fmt.Errorf("a commit says that %d was stored at %s, it was at %s", c.Through, c.Stored, want)
		}
		p.branch = append(p.branch, c)
		for _, w := range p.log[:c.Through] {
			if w.Path != "" && (w.Limit == 0 || w.Origin == event.Reconcile) && !p.landed[w.Seq] {
				return fmt.Errorf("%d of %s waits, and the branch is at %d", w.Seq, w.Path, c.Through)
			}
		}
	}
	return nil
}

// told checks that a BARRIER is answered by the newest versions before it.
func (p *limitPlay) told(barrier uint64) error {
	newest := map[string]uint64{}
	for _, w := range p.log[:barrier-1] {
		newest[w.Path] = w.Seq
	}
	delete(newest, "")
	for path, seq := range newest {
		if p.last[path] != seq {
			return fmt.Errorf("the BARRIER %d is told of %d of %s, and %d was before it", barrier, p.last[path], path, seq)
		}
	}
	return nil
}

// settles lets the log end, and a minute pass: the newest versions are there by then.
func (p *limitPlay) settles() error {
	crashes := p.crashes
	for range 2 {
		p.crashes = false
		for tries := 0; p.through < uint64(len(p.log)) || len(p.held) > 0 && p.held[0].Path == ""; tries++ {
			if err := p.turn(); err != nil || tries > 10*len(p.log)+100 {
				return fmt.Errorf("it does not come to an end: %w", err)
			}
		}
		p.now = p.now.Add(minute)
	}
	for range 20 { // one may have no room
		if err := p.turn(); err != nil {
			return err
		}
	}
	p.crashes = crashes
	if len(p.held) > 0 {
		return fmt.Errorf("%v is held a minute later", p.held)
	}
	return p.told(uint64(len(p.log)) + 1)
}

func newPlay(seed uint64, crashes, runs bool) *limitPlay {
	return &limitPlay{
		Rand: rand.New(rand.NewPCG(seed, 7)), crashes: crashes, runs: runs, now: at(0), last: map[string]uint64{}, landed: map[uint64]bool{},
	}
}

const plays = 3000

// TestLimitPlays: whatever is written and whoever dies when, nothing is committed twice or out
// of order, nothing waits that has no limit, a BARRIER finds the newest versions, and so
// does who looks a minute after the last one.
func TestLimitPlays(t *testing.T) {
	held := 0
	for seed := range uint64(plays) {
		p := newPlay(seed, seed%3 > 0, seed%2 > 0)
		for range 60 {
			if p.IntN(3) > 0 {
				p.store()
			}
			if err := p.turn(); err != nil {
				t.Fatalf("play %d: %v", seed, err)
			}
			held += len(p.held)
		}
		if err := p.settles(); err != nil {
			t.Fatalf("play %d: %v", seed, err)
		}
		if !p.crashes && p.coalesced+len(p.landed) != len(p.log)-p.barriers() {
			t.Fatalf("play %d: of %d versions %d landed and %d coalesced", seed, len(p.log)-p.barriers(), len(p.landed), p.coalesced)
		}
	}
	if held < plays {
		t.Errorf("only %d were held", held)
	}
}

func (p *limitPlay) barriers() (n int) {
	for _, w := range p.log {
		if w.Path == "" {
			n++
		}
	}
	return n
}

// TestLimitIsExact: while nobody dies, and there are no runs, exactly those versions are
// committed that come within the limit by their own times, however late and in whatever
// portions they are read.
func TestLimitIsExact(t *testing.T) {
	for seed := range uint64(plays) {
		p := newPlay(seed, false, false)
		for range 60 {
			p.store()
			if p.IntN(4) == 0 {
				if err := p.turn(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := p.settles(); err != nil {
			t.Fatal(err)
		}
		var landed []uint64
		for _, w := range p.log {
			if p.landed[w.Seq] {
				landed = append(landed, w.Seq)
			}
		}
		if want := within(p.log); !slices.Equal(landed, want) {
			t.Fatalf("play %d: %v landed, want %v", seed, landed, want)
		}
	}
}

// within is what of a log is committed, by the words of the limit.
func within(log []Write) (seqs []uint64) {
	byPath := map[string][]Write{}
	for _, w := range log {
		byPath[w.Path] = append(byPath[w.Path], w)
	}
	for _, all := range byPath {
		var had []time.Time
		waits := -1
		due := time.Time{}
		commit := func(i int, at time.Time) {
			had, seqs = append(had, at), append(seqs, all[i].Seq)
		}
		for i, w := range all {
			if waits >= 0 && !due.After(w.Time) {
				commit(waits, due)
				waits = -1
			}
			var recent []time.Time
			for _, h := range had {
				if h.After(w.Time.Add(-time.Minute)) {
					recent = append(recent, h)
				}
			}
			if w.Limit == 0 || len(recent) < w.Limit {
				commit(i, w.Time)
				continue
			}
			waits, due = i, recent[len(recent)-w.Limit].Add(time.Minute)
		}
		if waits >= 0 {
			commit(waits, due)
		}
	}
	slices.Sort(seqs)
	return seqs
}
