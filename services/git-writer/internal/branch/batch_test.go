package branch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestGroup reads and writes groups as words: l for a live change, r for one of a
// run, s for one of another run, then a destination's and an object's letter.
func TestGroup(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"lAx":                     "lAx",
		"lAx lAx lAy":             "lAx | lAx | lAy",
		"rAx rAy rAz":             "rAx rAy rAz",
		"rAx rAy rAx":             "rAx rAy | rAx",
		"rAx lAy rAz":             "rAx | lAy | rAz",
		"rAx rBx rAy":             "rAx | rBx | rAy",
		"rAx sAy sAz":             "rAx | sAy sAz",
		"lAx rAx rAy lAx lBx rBx": "lAx | rAx rAy | lAx | lBx | rBx",
	} {
		var all []write
		for i, word := range strings.Fields(in) {
			all = append(all, writeOf(word, i))
		}
		var got []string
		seq := uint64(0)
		for _, g := range group(all) {
			var words []string
			for _, w := range g {
				if w.msg.Seq != seq {
					t.Errorf("%s: sequence %d where %d was due: positions must stay contiguous", in, w.msg.Seq, seq)
				}
				seq++
				words = append(words, w.Run+w.destination.Key.Name+w.Name)
			}
			got = append(got, strings.Join(words, " "))
		}
		if s := strings.Join(got, " | "); s != want {
			t.Errorf("%q: %q, want %q", in, s, want)
		}
	}
}

func writeOf(word string, i int) write {
	c := event.Change{Object: event.Object{Resource: "configmaps", Name: word[2:]}, Origin: event.Reconcile, Run: word[:1]}
	if c.Run == "l" {
		c.Origin = event.Live
	}
	d := event.Destination{Key: event.DestinationKey{Cluster: "c", Namespace: "n", Name: word[1:2]}, BaseFolder: word[1:2]}
	return newWrite(c, bus.Message{Seq: uint64(i)}, d)
}

func TestGroupBounds(t *testing.T) {
	var all []write
	for i := range runFiles + 1 {
		all = append(all, writeOf(fmt.Sprintf("rA%d", i), i))
	}
	if g := group(all); len(g) != 2 || len(g[0]) != runFiles {
		t.Errorf("%d commits", len(g))
	}
	all = all[:3]
	for i := range all {
		all[i].Manifest = make([]byte, runBytes/2)
	}
	if g := group(all); len(g) != 2 || len(g[0]) != 2 {
		t.Errorf("%d commits by size", len(g))
	}
}

// TestBatchBounds: a batch is full at its bounds, but for the rest of the commit of
// a run that was begun before.
func TestBatchBounds(t *testing.T) {
	for name, c := range map[string]struct {
		live, run int  // so many writes come, in this order
		mixed     bool // the run's are of two destinations by turns
		want      int  // so many are taken
	}{
		"live":                                {batchChanges + 9, 0, false, batchChanges},
		"a run that fits":                     {5, batchChanges, false, 5 + batchChanges},
		"a long run":                          {0, runFiles + 9, false, runFiles},
		"a long run behind others":            {batchChanges - 1, runFiles + 9, false, batchChanges - 1 + runFiles},
		"a run behind a full batch":           {batchChanges, 9, false, batchChanges},
		"runs by turns: nothing is completed": {0, runFiles, true, batchChanges + 1},
	} {
		var b batch
		for i := 0; i < c.live+c.run && !b.full(); i++ {
			word := fmt.Sprintf("lA%d", i)
			if i >= c.live {
				word = fmt.Sprintf("rA%d", i)
			}
			if c.mixed && i%2 == 1 {
				word = fmt.Sprintf("rB%d", i)
			}
			w := writeOf(word, i)
			w.More = w.Origin == event.Reconcile && i < c.live+c.run-1
			b.add(w)
		}
		if len(b.writes) != c.want {
			t.Errorf("%s: %d writes, want %d", name, len(b.writes), c.want)
		}
	}
}

func TestBatchWait(t *testing.T) {
	var b batch
	b.add(writeOf("lAx", 0))
	if b.wait() != bufferWait {
		t.Error("a live change is waited for")
	}
	w := writeOf("rAy", 1)
	w.More = true
	b.add(w)
	if b.wait() != moreWait {
		t.Error("the next result is not waited for")
	}
	b.add(writeOf("rAz", 2))
	if b.pending = 1; b.wait() != gatherWait {
		t.Error("what is on its way is not waited for")
	}
}
