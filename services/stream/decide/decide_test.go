package decide

import (
	"slices"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestPassed: what is remembered of what passed is what a restart reads again, whatever
// became of it.
func TestPassed(t *testing.T) {
	k := event.DestinationKey{Cluster: "c", Namespace: "n", Name: "d"}
	at := func(seq uint64, h event.Header, body []byte) bus.Message {
		return bus.Message{Subject: subject.LiveData(1, k), Seq: seq, Header: h, Data: body}
	}
	mark, _ := event.Mark{Cluster: "c", Part: 1, Destination: k.String(), Run: "run-1"}.Message()
	change := func(seq uint64, name string, op event.Op) bus.Message {
		c := event.Change{Object: event.Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: name}, Op: op, ClusterID: "id", UID: "uid", ResourceVersion: "1", Origin: event.Live}
		if op != event.Delete {
			c.Hash, c.Manifest = "hash", []byte("data: x\n")
		}
		h, body := c.Message()
		return at(seq, h, body)
	}
	log := []bus.Message{
		change(1, "before", event.Update), at(2, mark, nil), change(3, "changed", event.Update), change(4, "gone", event.Delete),
		at(5, event.NewHeader(event.KindFence), nil), // dead-lettered
	}
	rec := event.PhaseRecord{Run: "run-1", Phase: event.StartupReconcile, Parts: []int{1, 2}}
	for _, mode := range []event.PruneMode{event.PruneAlways, event.PruneNever} {
		dest := Destination{Registered: bus.Registered{Destination: event.Destination{Key: k, Prune: event.Prune{Mode: mode}}}}
		var st phase.State
		var remembered phase.Passed
		for _, m := range log[:4] {
			in, err := Parse(m)
			if err != nil {
				t.Fatal(err)
			}
			var d Decision
			if in.IsMark() {
				d = Mark(dest, st, in, rec)
			} else if d, err = Change(dest, st, in, phase.Last{}); err != nil {
				t.Fatal(err)
			}
			d.Remember(&remembered)
			st = d.State
		}
		again, err := Passed(st, func(yield func(bus.Message, error) bool) {
			for _, m := range log[st.From-1:] {
				if !yield(m, nil) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"before", "changed", "gone"} {
			path := "shop/configmaps/" + name + ".yaml"
			want := name != "before"
			if got := []bool{remembered.Has(path), again.Has(path)}; !slices.Equal(got, []bool{want, want}) {
				t.Errorf("%s, prune.mode %s: remembered, and after a restart: %v, want %t", name, mode, got, want)
			}
		}
	}
}

func TestCheckpointLost(t *testing.T) {
	closed := event.PhaseRecord{Run: "run-1", Closed: time.Unix(1, 0), Settled: time.Unix(1, 0)}
	again := event.PhaseRecord{Run: "run-2", Settled: time.Unix(1, 0)}
	continues := event.PhaseRecord{Run: "run-2", Outcome: &event.Outcome{Run: "run-1", Continues: true}}
	for name, tt := range map[string]struct {
		st   phase.State
		rec  event.PhaseRecord
		want bool
	}{
		"new":                                 {phase.State{}, event.PhaseRecord{}, false},
		"in its first run":                    {phase.State{}, event.PhaseRecord{Run: "run-1"}, false},
		"a run has closed":                    {phase.State{}, closed, true},
		"one has closed, another one is made": {phase.State{}, again, true},
		"a first run is being continued":      {phase.State{}, continues, true},
		"it knows":                            {phase.State{Live: true}, closed, false},
		"it knows that it has lost it":        {Lost(closed).State, closed, false},
	} {
		if got := CheckpointLost(tt.st, tt.rec); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestMended: of the fences that a router puts into all lanes, one asks for a run.
func TestMended(t *testing.T) {
	const lost, gap = event.ReasonCheckpointLost, event.ReasonHistoryGap
	before := event.PhaseRecord{Run: "run-1", Parts: []int{0, 2}, Closed: time.Unix(1, 0)}
	begun := func(reason string) event.PhaseRecord {
		return event.PhaseRecord{Run: "run-2", Attempt: 1, Parts: []int{0, 2}, Reason: reason, Phase: event.StartupReconcile}
	}
	marked := func(st phase.State, rec event.PhaseRecord, parts ...int) phase.State {
		for _, p := range parts {
			st, _ = phase.Next(st, phase.Mark{Part: p, Of: phase.RunOf(rec).Epoch, Current: phase.RunOf(rec)})
		}
		return st
	}
	live, isLost, isCut := phase.State{Live: true}, Lost(before).State, Cut(phase.State{Live: true}).State
	for name, tt := range map[string]struct {
		st     phase.State
		rec    event.PhaseRecord
		part   int
		reason string
		want   bool
	}{
		"lost":                                {live, before, 0, lost, false},
		"lost, and asked for":                 {isLost, before, 2, lost, true},
		"lost, and the run has begun":         {isLost, begun(lost), 2, lost, true},
		"lost, before the lane's MARK":        {marked(isLost, begun(lost), 0), begun(lost), 2, lost, true},
		"lost, behind the lane's MARK":        {marked(isLost, begun(lost), 0), begun(lost), 0, lost, false},
		"lost, behind all MARKs":              {marked(isLost, begun(lost), 0, 2), begun(lost), 2, lost, false},
		"lost in a run":                       {marked(live, begun(lost), 0), begun(lost), 2, lost, false}, // its MARK may be old
		"lost where nothing of it is":         {live, before, 1, lost, true},
		"lost before the first run":           {phase.State{}, event.PhaseRecord{}, 1, lost, false},
		"lost behind a gap":                   {isCut, before, 2, lost, false},
		"a gap":                               {live, before, 0, gap, false},
		"a gap, and asked for":                {isCut, before, 2, gap, true},
		"a gap, and the run has begun":        {isCut, begun(gap), 2, gap, true},
		"a gap, before the lane's MARK":       {marked(isCut, begun(gap), 0), begun(gap), 2, gap, true},
		"a gap, behind the lane's MARK":       {marked(isCut, begun(gap), 0), begun(gap), 0, gap, false},
		"a gap, behind all MARKs":             {marked(isCut, begun(gap), 0, 2), begun(gap), 2, gap, false},
		"a gap in a run for something else":   {marked(live, begun(event.ReasonCompare), 0), begun(event.ReasonCompare), 2, gap, false},
		"a gap in a comparison, asked for":    {marked(isCut, begun(event.ReasonCompare), 0), begun(event.ReasonCompare), 2, gap, true},
		"a gap behind a comparison's MARK":    {marked(isCut, begun(event.ReasonCompare), 0), begun(event.ReasonCompare), 0, gap, false},
		"a gap where nothing of it is":        {live, before, 1, gap, true},
		"a gap behind a loss":                 {isLost, before, 2, gap, false},
		"a gap once that run is closed again": {live, begun(gap), 2, gap, false},
	} {
		if got := Mended(tt.st, tt.rec, tt.part, tt.reason); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestFence: what may be old is dropped, and what a gap has left is not.
func TestFence(t *testing.T) {
	for reason, st := range map[string]phase.State{event.ReasonHistoryGap: Cut(phase.State{}).State, event.ReasonCheckpointLost: Lost(event.PhaseRecord{}).State} {
		want := event.Fence{Reason: reason, After: 3, Until: 7}
		h, _ := want.Message()
		if got, is := Fence(bus.Message{Header: h}); got != want || !is {
			t.Errorf("%+v is read as %+v, %t", want, got, is)
		}
		c := event.Change{Object: event.Object{Resource: "configmaps", Name: "x"}, Op: event.Update, Hash: "hash"}
		d, err := Change(Destination{}, st, Input{change: c}, phase.Last{})
		if wrote := len(d.Outputs) == 1; err != nil || wrote != (reason == event.ReasonHistoryGap) {
			t.Errorf("behind a fence because of %s a change is written: %t, %v", reason, wrote, err)
		}
	}
	for _, kind := range []event.Kind{event.KindMark, event.KindFence} {
		if _, is := Fence(bus.Message{Header: event.NewHeader(kind)}); is {
			t.Errorf("a %s without a reason is read as a router's fence", kind)
		}
	}
}

// TestBeforeItWasRegistered: a change that was published for a former destination of the
// name is not forwarded for the one that is registered now.
func TestBeforeItWasRegistered(t *testing.T) {
	k := event.DestinationKey{Cluster: "c", Namespace: "n", Name: "d"}
	dest := Destination{Registered: bus.Registered{Destination: event.Destination{Key: k, First: 8}, Revision: 9}}
	for registry, want := range map[uint64]outcome.Outcome{7: outcome.Covered, 8: outcome.Forwarded, 9: outcome.Forwarded} {
		c := event.Change{
			Object: event.Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: "web"}, Op: event.Update, Registry: registry,
			ClusterID: "id", UID: "uid", ResourceVersion: "1", Origin: event.Live, Hash: "hash", Manifest: []byte("data: x\n"),
		}
		h, body := c.Message()
		in, err := Parse(bus.Message{Subject: subject.LiveData(1, k), Seq: 1, Header: h, Data: body})
		if err != nil {
			t.Fatal(err)
		}
		d, err := Change(dest, phase.State{}, in, phase.Last{})
		if err != nil || d.Items[0].Outcome != want || len(d.Outputs) > 0 != (want == outcome.Forwarded) {
			t.Errorf("published at %d: %+v, %v", registry, d, err)
		}
	}
}
