package janitor

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func key(name string) event.DestinationKey {
	return event.DestinationKey{Cluster: "c", Namespace: "default", Name: name}
}

// stored is a stream as a test knows it.
type stored map[uint64]string

func (s stored) subjects() Subjects {
	n := Subjects{}
	for _, subj := range s {
		n[subj]++
	}
	return n
}

func matches(filter, subj string) bool {
	f, t := strings.Split(filter, "."), strings.Split(subj, ".")
	for i, token := range f {
		switch {
		case token == ">":
			return len(t) > i
		case i >= len(t), token != "*" && token != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

func (s stored) newest(filter string) (newest uint64) {
	for seq, subj := range s {
		if matches(filter, subj) {
			newest = max(newest, seq)
		}
	}
	return newest
}

// trimmed is the stream after what may go is gone.
func (s stored) trimmed(trims []Trim) stored {
	left := maps.Clone(s)
	for _, t := range trims {
		before := t.Before
		if t.Newest {
			before = min(before, s.newest(t.Filter))
		}
		maps.DeleteFunc(left, func(seq uint64, subj string) bool { return seq < before && matches(t.Filter, subj) })
	}
	return left
}

func (s stored) wants(t *testing.T, want ...uint64) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(s)); !slices.Equal(got, want) {
		t.Errorf("%v stay, want %v", got, want)
	}
}

func TestEvents(t *testing.T) {
	part := subject.Part("c", "", "configmaps")
	cm := func(ns string) string { return subject.EventChange(part, "c", "", "configmaps", ns) }
	mark := subject.EventMark(part, "c", key("d"))
	fence := subject.EventFence(part, "c")
	all := stored{1: fence, 2: cm("a"), 3: mark, 4: cm("b"), 5: fence, 6: mark, 7: cm("a"), 8: cm("a"), 9: cm("b")}
	routed := func(seq uint64) (r [subject.Parts]uint64) { r[part] = seq; return r }
	for name, c := range map[string]struct {
		Events
		want []uint64
	}{
		"nothing is old":            {Events{Routed: routed(9), Before: 1}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		"nothing was routed":        {Events{Before: 10}, []uint64{2, 3, 4, 5, 6, 7, 8, 9}},
		"all was":                   {Events{Routed: routed(9), Before: 10}, []uint64{5, 6, 9}},
		"the message at the cursor": {Events{Routed: routed(7), Before: 10}, []uint64{5, 6, 7, 8, 9}},
		"what is old alone":         {Events{Routed: routed(9), Before: 4}, []uint64{4, 5, 6, 7, 8, 9}},
		"a destination that left":   {Events{Routed: routed(9), Before: 10, Gone: map[event.DestinationKey]bool{key("d"): true}}, []uint64{5, 9}},
		"a type that is followed in a namespace": {
			Events{Routed: routed(9), Before: 10, Bookmarks: map[string]bool{subject.BookmarkKey("c", "", "configmaps", "a"): true}},
			[]uint64{5, 6, 8, 9},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.Subjects = all.subjects()
			all.trimmed(c.Trims()).wants(t, c.want...)
		})
	}
}

func TestLive(t *testing.T) {
	data, other := subject.LiveData(0, key("d")), subject.LiveData(0, key("e"))
	ckpt := subject.LiveCheckpoint(0)
	all := stored{1: data, 2: ckpt, 3: other, 4: data, 5: data, 6: ckpt, 7: data}
	newest := func(seq uint64) (r [subject.Parts]uint64) { r[0] = seq; return r }
	takers := func(d, e Taker) map[event.DestinationKey]Taker {
		return map[event.DestinationKey]Taker{key("d"): d, key("e"): e}
	}
	for name, c := range map[string]struct {
		Live
		want []uint64
	}{
		"nothing was taken":         {Live{Newest: newest(7), Before: 8}, []uint64{1, 3, 4, 5, 7}},
		"all was":                   {Live{Newest: newest(7), Takers: takers(Taker{Cursor: 7}, Taker{Cursor: 3}), Before: 8}, []uint64{3, 7}},
		"the message at the cursor": {Live{Newest: newest(7), Takers: takers(Taker{Cursor: 5}, Taker{}), Before: 8}, []uint64{3, 5, 7}},
		"what is old alone":         {Live{Newest: newest(7), Takers: takers(Taker{Cursor: 7}, Taker{}), Before: 5}, []uint64{3, 5, 6, 7}},
		"the run's first MARK":      {Live{Newest: newest(7), Takers: takers(Taker{Cursor: 7, Run: 4}, Taker{}), Before: 8}, []uint64{3, 4, 5, 7}},
		"room has to be made":       {Live{Newest: newest(7), Takers: takers(Taker{Cursor: 7, Run: 4}, Taker{}), Before: 8, Pressed: true}, []uint64{3, 7}},
		"the router's checkpoint":   {Live{Newest: newest(5), Takers: takers(Taker{Cursor: 7}, Taker{}), Before: 8}, []uint64{3, 5, 6, 7}},
		"a destination that left":   {Live{Newest: newest(7), Gone: map[event.DestinationKey]bool{key("d"): true, key("e"): true}, Before: 8}, []uint64{7}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Subjects = all.subjects()
			all.trimmed(c.Trims()).wants(t, c.want...)
		})
	}
}

func TestWrite(t *testing.T) {
	data, other := subject.WriteData("0123", key("d")), subject.WriteData("4567", key("d"))
	ckpt := subject.WriteCheckpoint(key("d"))
	all := stored{1: data, 2: ckpt, 3: other, 4: data, 5: data, 6: ckpt, 7: data}
	points := map[event.DestinationKey]string{key("d"): "0123"}
	newest := map[event.DestinationKey]uint64{key("d"): 7}
	at := func(b Branch) map[string]Branch { return map[string]Branch{"0123": b} }
	for name, c := range map[string]struct {
		Write
		want []uint64
	}{
		"nothing is on the remote": {Write{Newest: newest, Points: points, Branches: at(Branch{}), Before: 8}, []uint64{1, 4, 5, 7}},
		"all is":                   {Write{Newest: newest, Points: points, Branches: at(Branch{Position: 7}), Before: 8}, []uint64{7}},
		"up to the position":       {Write{Newest: newest, Points: points, Branches: at(Branch{Position: 5}), Before: 8}, []uint64{5, 7}},
		"what is held":             {Write{Newest: newest, Points: points, Branches: at(Branch{Position: 7, Held: []uint64{5, 4}}), Before: 8}, []uint64{4, 5, 7}},
		"what is old alone":        {Write{Newest: newest, Points: points, Branches: at(Branch{Position: 7}), Before: 3}, []uint64{3, 4, 5, 6, 7}},
		"the stream's checkpoint":  {Write{Newest: map[event.DestinationKey]uint64{key("d"): 4}, Points: points, Branches: at(Branch{Position: 7}), Before: 8}, []uint64{4, 5, 6, 7}},
		"a destination that left":  {Write{Gone: map[event.DestinationKey]bool{key("d"): true}, Before: 8}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.Subjects = all.subjects()
			all.trimmed(c.Trims()).wants(t, c.want...)
		})
	}
}

// TestNeeds: whatever stands where, nothing goes that anybody reads again.
func TestNeeds(t *testing.T) {
	const destinations, branches = 4, 2
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
		below := func(n uint64) uint64 { return r.Uint64N(n + 1) }
		branchOf := func(k event.DestinationKey) string { return fmt.Sprintf("%04d", int(k.Name[0])%branches) }
		var keys []event.DestinationKey
		gone := map[event.DestinationKey]bool{}
		for i := range destinations {
			k := key(string(rune('a' + i)))
			keys = append(keys, k)
			gone[k] = r.IntN(4) == 0
		}
		anyOf := func() event.DestinationKey { return keys[r.IntN(destinations)] }
		events, live, write := stored{}, stored{}, stored{}
		const n = 60
		types := []string{"configmaps", "secrets", "pods"}
		for seq := uint64(1); seq <= n; seq++ {
			typ := types[r.IntN(len(types))]
			part := subject.Part("c", "", typ)
			events[seq] = []string{
				subject.EventChange(part, "c", "", typ, string(rune('x'+r.IntN(3)))),
				subject.EventMark(part, "c", anyOf()), subject.EventFence(part, "c"),
			}[min(r.IntN(6), 2)%3]
			live[seq] = cmp.Or(map[int]string{0: subject.LiveCheckpoint(r.IntN(2))}[r.IntN(5)], subject.LiveData(r.IntN(2), anyOf()))
			k := anyOf()
			write[seq] = cmp.Or(map[int]string{0: subject.WriteCheckpoint(k)}[r.IntN(5)], subject.WriteData(branchOf(k), k))
		}

		e := Events{Subjects: events.subjects(), Gone: gone, Before: below(n) + 1, Bookmarks: map[string]bool{}}
		if r.IntN(2) == 0 {
			e.Bookmarks[subject.BookmarkKey("c", "", "pods", "x")] = true
		}
		l := Live{Subjects: live.subjects(), Gone: gone, Before: below(n) + 1, Takers: map[event.DestinationKey]Taker{}, Pressed: r.IntN(3) == 0}
		w := Write{Subjects: write.subjects(), Gone: gone, Before: below(n) + 1, Newest: map[event.DestinationKey]uint64{}, Points: map[event.DestinationKey]string{}, Branches: map[string]Branch{}}
		for part := range subject.Parts {
			e.Routed[part] = below(events.newest(subject.EventPart(part)))
			l.Newest[part] = live.newest(subject.LivePart(part))
		}
		for _, k := range keys {
			c := below(live.newest(subject.LiveDestination(k)))
			l.Takers[k] = Taker{Cursor: c, Run: below(c)}
			w.Newest[k], w.Points[k] = write.newest(subject.WriteDestination(k)), branchOf(k)
			p := below(n)
			w.Branches[branchOf(k)] = Branch{Position: p, Held: []uint64{max(below(p), 1)}}
		}
		needs := func(what string, before, after stored, need func(seq uint64, subj string) bool) {
			for seq, subj := range before {
				if _, stays := after[seq]; !stays && need(seq, subj) {
					t.Fatalf("seed %d: of %s, %d (%s) went", seed, what, seq, subj)
				}
			}
		}
		needs("KS_EVENTS", events, events.trimmed(e.Trims()), func(seq uint64, subj string) bool {
			ev, err := subject.ParseEvent(subj)
			switch {
			case seq >= e.Before:
				return true
			case err != nil:
				return seq == events.newest(subj)
			case seq >= e.Routed[ev.Part]:
				return true
			case ev.Mark != nil:
				return !gone[*ev.Mark] && seq == events.newest(subj)
			case e.Bookmarks[subject.BookmarkKey("c", ev.Group, ev.Resource, ev.Namespace)]:
				return seq == events.newest(subj)
			}
			return seq == events.newest(subject.EventType(ev.Part, "c", ev.Group, ev.Resource, ""))
		})
		needs("KS_LIVE", live, live.trimmed(l.Trims()), func(seq uint64, subj string) bool {
			if seq >= l.Before || seq == live.newest(subject.LivePart(0)) || seq == live.newest(subject.LivePart(1)) {
				return true
			}
			_, k, err := subject.ParseLiveData(subj)
			return err == nil && !gone[k] && (seq >= l.Takers[k].Cursor || !l.Pressed && l.Takers[k].Run > 0 && seq >= l.Takers[k].Run)
		})
		needs("KS_WRITE", write, write.trimmed(w.Trims()), func(seq uint64, subj string) bool {
			key, k, err := subject.ParseWriteData(subj)
			if err != nil {
				k, _ = subject.ParseWriteCheckpoint(subj)
			}
			if seq >= w.Before || !gone[k] && seq == write.newest(subject.WriteDestination(k)) {
				return true
			}
			b := w.Branches[key]
			return err == nil && !gone[k] && (seq >= b.Position || slices.Contains(b.Held, seq))
		})
	}
}
