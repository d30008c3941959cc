package branch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestGroup reads and writes groups as words: l for a live change, r for one of a
// run, then a destination's and an object's letter.
func TestGroup(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"lAx":                     "lAx",
		"lAx lAx lAy":             "lAx | lAx | lAy",
		"rAx rAy rAz":             "rAx rAy rAz",
		"rAx rAy rAx":             "rAx rAy | rAx",
		"rAx lAy rAz":             "rAx | lAy | rAz",
		"rAx rBx rAy":             "rAx | rBx | rAy",
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
				words = append(words, map[event.Origin]string{event.Live: "l", event.Reconcile: "r"}[w.Origin]+w.destination.Key.Name+w.Name)
			}
			got = append(got, strings.Join(words, " "))
		}
		if s := strings.Join(got, " | "); s != want {
			t.Errorf("%q: %q, want %q", in, s, want)
		}
	}
}

func writeOf(word string, i int) write {
	w := write{msg: bus.Message{Seq: uint64(i)}}
	w.Origin = map[byte]event.Origin{'l': event.Live, 'r': event.Reconcile}[word[0]]
	w.destination.Key = event.DestinationKey{Cluster: "c", Namespace: "n", Name: word[1:2]}
	w.destination.BaseFolder = word[1:2]
	w.Resource, w.Name = "configmaps", word[2:]
	return w
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
