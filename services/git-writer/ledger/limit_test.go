package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// at is so many seconds behind the beginning.
func at(seconds int) time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(seconds) * time.Second)
}

// limited is a write of a word as in writeOf at a second, of an object that may have so many
// commits within a minute.
func limited(word string, seq, second, limit int) Write {
	w := writeOf(word, seq)
	w.Time, w.Limit = at(second), limit
	return w
}

// run has batches take writes of words such as lAx@30, each pushed before the next one is taken,
// and tells the commits as word@when(held). The word of a version that is released is what it was;
// B is a BARRIER.
func run(limit int, words ...string) (commits []string, coalesced int, held Held) {
	var limiter Limiter
	taken := map[uint64]string{}
	b := Batch[string]{Limiter: &limiter}
	for i, word := range words {
		b = Batch[string]{Through: b.Through, Held: b.Held, Limiter: &limiter}
		what, when, _ := strings.Cut(word, "@")
		var second int
		if _, err := fmt.Sscan(when, &second); err != nil {
			panic(err)
		}
		seq := i + 1
		release := func(all []Version) {
			for _, v := range all {
				b.Release(limited(taken[v.Seq], int(v.Seq), 0, limit), "released "+taken[v.Seq], at(second))
			}
		}
		switch what {
		case "B":
			release(b.Held)
			b.End(uint64(seq), time.Time{})
		case "-": // time passes
			release(b.Due(at(second)))
			b.Pass(uint64(seq), time.Time{})
		default:
			w := limited(what, seq, second, limit)
			taken[w.Seq] = what
			release(b.First(w))
			if b.Add(w, what) {
				coalesced++
			}
		}
		for _, c := range b.Commits {
			s := strings.Join(c.Writes, " ")
			if seqs := c.Held.Seqs(); len(seqs) > 0 {
				s += fmt.Sprint(seqs)
			}
			commits = append(commits, s)
		}
		b.Pushed()
		if b.barrier > 0 {
			b.Answered()
		}
	}
	return commits, coalesced, b.Held
}

// TestLimit: of an object that had its commits of the minute the newest version alone is
// committed once the minute is over. Other objects, runs and BARRIERs do not wait for it.
func TestLimit(t *testing.T) {
	for in, want := range map[string]struct {
		commits   string
		coalesced int
		held      int
	}{
		"lAx@0 lAx@1 lAx@2":                         {"lAx | lAx", 0, 1},
		"lAx@0 lAx@1 lAx@2 lAx@3 lAx@4":             {"lAx | lAx", 2, 1},
		"lAx@0 lAx@30 lAx@60 lAx@90":                {"lAx | lAx | lAx | lAx", 0, 0},
		"lAx@0 lAx@1 lAx@2 -@59":                    {"lAx | lAx", 0, 1},
		"lAx@0 lAx@1 lAx@2 -@60":                    {"lAx | lAx | released lAx", 0, 0},
		"lAx@0 lAx@1 lAx@2 lAy@60":                  {"lAx | lAx | released lAx | lAy", 0, 0},
		"lAx@0 lAx@1 lAx@2 lAy@3 lBz@4":             {"lAx | lAx | lAy[3] | lBz[3]", 0, 1},
		"lAx@0 lAx@1 lAx@2 lAx@60 lAx@60 lAx@61":    {"lAx | lAx | released lAx | released lAx", 1, 0 + 1},
		"lAx@0 lAx@1 lAx@2 lAx@3 rAx@4":             {"lAx | lAx | released lAx | rAx", 1, 0},
		"lAx@0 lAx@1 lAx@2 lAy@2 lAy@2 lAy@3 rAx@4": {"lAx | lAx | lAy[3] | lAy[3] | released lAx[6] | rAx[6]", 0, 1},
		"lAx@0 lAx@1 lAx@2 rAy@3 rAz@4":             {"lAx | lAx | rAy[3] | rAz[3]", 0, 1},
		"rAx@0 rAx@1 rAx@2 rAx@3":                   {"rAx | rAx | rAx | rAx", 0, 0},
		"lAx@0 lAx@1 lAx@2 B@3":                     {"lAx | lAx | released lAx", 0, 0},
		"lAx@0 lAx@1 lAx@2 B@3 lAx@4 -@60":          {"lAx | lAx | released lAx", 0, 1},
		"lAx@0 lAx@1 lAx@2 B@3 lAx@4 -@61":          {"lAx | lAx | released lAx | released lAx", 0, 0},
	} {
		commits, coalesced, held := run(2, strings.Fields(in)...)
		if got := strings.Join(commits, " | "); got != want.commits || coalesced != want.coalesced || len(held) != want.held {
			t.Errorf("%q: %q, %d coalesced, %d held; want %+v", in, got, coalesced, len(held), want)
		}
	}
	if commits, coalesced, held := run(0, "lAx@0", "lAx@0", "lAx@0"); len(commits) != 3 || coalesced+len(held) > 0 {
		t.Errorf("without a limit: %q", commits)
	}
}

// TestLimitOfWindow: a commit of a window counts once for each object in it, what is held
// does not keep others from joining it, and what is released joins nothing.
func TestLimitOfWindow(t *testing.T) {
	b := Batch[string]{Limiter: &Limiter{}}
	write := func(word string, seq, second int) Write {
		w := limited(word, seq, second, 1)
		w.Window = time.Hour
		return w
	}
	add := func(word string, seq, second int) { b.Add(write(word, seq, second), word) }
	add("lAx", 1, 0)
	add("lAx", 2, 1)
	add("lAy", 3, 2)
	add("lBx", 4, 3)
	add("lAq", 5, 4)
	b.Release(write("lAx", 2, 1), "released", at(60))
	add("lAz", 6, 61)
	var got []string
	for _, c := range b.Commits {
		got = append(got, fmt.Sprint(c.Writes, " through ", c.Through, ", held ", c.Held.Seqs()))
	}
	want := []string{
		"[lAx lAy] through 3, held [2]", "[lBx] through 4, held [2]", "[lAq] through 5, held [2]",
		"[released] through 5, held []", "[lAz] through 6, held []",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLimitOfRun: what a run writes together is not cut because a turn comes.
func TestLimitOfRun(t *testing.T) {
	b := Batch[string]{Limiter: &Limiter{}}
	b.Add(limited("lAx", 1, 0, 1), "")
	b.Add(limited("lAx", 2, 1, 1), "")
	b.Add(limited("rAy+", 3, 59, 1), "")
	if first := b.First(limited("rAz", 4, 61, 1)); len(first) > 0 {
		t.Errorf("%v go into the middle of a run", first)
	}
	if _, is := b.NextDue(); is {
		t.Error("a turn is waited for in the middle of a run")
	}
	b.Add(limited("rAz", 4, 61, 1), "")
	if due := b.Due(at(61)); len(due) != 1 {
		t.Errorf("behind the run %v are due", due)
	}
}

// TestLimitNotPushed: commits that never get to the remote do not count.
func TestLimitNotPushed(t *testing.T) {
	var limiter Limiter
	for range 3 {
		b := Batch[string]{Limiter: &limiter}
		b.Add(limited("lAx", 1, 0, 1), "")
		if len(b.Commits) != 1 {
			t.Fatal("it is held for a commit that nobody has")
		}
	}
}

// TestMaxHeld: there is a bound to what is held; beyond it there is no limit.
func TestMaxHeld(t *testing.T) {
	b := Batch[string]{Limiter: &Limiter{}}
	for i := range MaxHeld + 1 {
		for range 2 {
			b.Add(limited(fmt.Sprintf("lA%d", i), int(b.Through)+1, 0, 1), "")
		}
	}
	if len(b.Held) != MaxHeld || len(b.Commits) != MaxHeld+2 {
		t.Errorf("%d are held, and there are %d commits", len(b.Held), len(b.Commits))
	}
	b.Add(limited("lA0", int(b.Through)+1, 0, 1), "")
	if len(b.Held) != MaxHeld || len(b.Commits) != MaxHeld+2 {
		t.Errorf("of what is held a newer version takes no place: %d are held, and there are %d commits", len(b.Held), len(b.Commits))
	}
	if seqs := b.Held.Seqs(); !slices.IsSorted(seqs) {
		t.Errorf("they are %v", seqs)
	}
}

// TestListed: what a branch lists is taken again: held if its object had its commits of the
// minute, and otherwise committed, at the position that the branch has.
func TestListed(t *testing.T) {
	var limiter Limiter
	limiter.count("Ax", at(0))
	b := Batch[string]{Through: 9, Held: Listed([]uint64{4, 7}), Limiter: &limiter}
	for word, seq := range map[string]int{"lAx": 4, "lAy": 7} {
		b.Add(limited(word, seq, 30, 1), word)
	}
	if _, is := b.Held.Unread(); is || fmt.Sprint(b.Held.Seqs()) != "[4]" || len(b.Commits) != 1 || b.Commits[0].Through != 9 {
		t.Errorf("held %v, commits %+v", b.Held, b.Commits)
	}
}

// TestLimiterForgets: what is remembered of objects is bounded in time and number.
func TestLimiterForgets(t *testing.T) {
	var l Limiter
	l.count("x", at(0))
	l.count("y", at(61))
	if len(l.of("x")) != 1 {
		t.Error("it is forgotten within two minutes")
	}
	l.count("y", at(122))
	if len(l.of("x")) != 0 || len(l.of("y")) != 2 {
		t.Errorf("x is remembered: %v, and y: %v", l.of("x"), l.of("y"))
	}
	for i := range 3 * limitedObjects {
		l.count(fmt.Sprint(i), at(122))
	}
	if n := len(l.young) + len(l.old); n > 2*limitedObjects {
		t.Errorf("%d objects are remembered", n)
	}
}

func TestClock(t *testing.T) {
	var c Clock
	if c.Now(at(0)).After(at(0)) {
		t.Error("it is ahead of everything")
	}
	c.See(at(100), at(0))
	c.See(at(103), at(5)) // it waited: the server is further by now
	if got := c.Now(at(6)); !got.Equal(at(106)) {
		t.Errorf("it is %v", got)
	}
	c.See(at(200), at(7))
	if got := c.Now(at(6)); !got.Equal(at(200)) {
		t.Errorf("it is %v, and was later", got)
	}
}

// TestBatchOfHeld: what is taken for a push waits for no end of versions that are held.
func TestBatchOfHeld(t *testing.T) {
	b := Batch[string]{Limiter: &Limiter{}}
	seq := 1
	for ; !b.Full(); seq++ {
		if seq > 2*batchTaken {
			t.Fatalf("after %d versions more are taken", seq)
		}
		if seq%2 == 0 {
			b.Pass(uint64(seq), time.Time{})
			continue
		}
		b.Add(limited("lAx", seq, 1, 1), "")
	}
	if len(b.Commits) != 1 || len(b.Held) != 1 || b.Through != uint64(seq-1) || b.Next() != Push {
		t.Errorf("%d commits, %d held, through %d of %d", len(b.Commits), len(b.Held), b.Through, seq-1)
	}
}
