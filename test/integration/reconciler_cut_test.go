package integration

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// fills answers a lane with as many contents as there are bytes of room for, and says
// what it has left.
func (p *played) fills(rec event.PhaseRecord, part int, names []string, left event.Wanted) (bytes int) {
	p.Helper()
	w := p.bus.WriteSeries(subject.Series{Destination: key(p.name), Run: rec.Run, Attempt: rec.Attempt, Side: subject.SideContent(part)})
	for _, name := range names {
		c := configMap(event.Create, name, "x", 1)
		c.Path = mapFile(name)
		if err := w.Content(p.Context(), c); err != nil {
			p.Fatal(err)
		}
	}
	if _, err := w.Close(p.Context(), event.End{Left: left}); err != nil {
		p.Fatal(err)
	}
	return p.end(rec, subject.SideContent(part)).Bytes
}

// room is how many bytes of contents a lane was asked for.
func (p *played) room(rec event.PhaseRecord, part int) int {
	p.Helper()
	subj := subject.CtlResources("test", part, rec.Run, rec.Attempt)
	var q event.Request
	p.until("lane is asked: "+subj, func() bool {
		m, err := p.bus.LastFor(p.Context(), subject.Ctl, subj)
		if err == nil {
			q, err = event.Decode[event.Request](m.Data)
		}
		return err == nil
	})
	p.takes(subject.CtlResources, rec, part)
	return q.Room
}

// TestReconcilerContinues: lanes are asked one after the other, each for what is left of
// the room, and none once there is none. What is left has another run follow, begun by
// whoever manages the destination by then, until nothing is; what waits for a person waits
// on, the same, and an approval that comes in the middle counts.
func TestReconcilerContinues(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	p := in.play("d", func(d *event.Destination) { d.Prune = event.Prune{Mode: event.PruneAlways} })
	const room = 1000
	deps := reconciler.Deps{Room: room}
	r := in.reconcilerWith(deps)
	restart := func() {
		t.Helper()
		r.stop()
		r = in.reconcilerWith(deps)
	}
	names := []string{"a", "b", "c"}
	// states says what there is: two deployments and three configmaps, some of which have
	// a file.
	states := func(rec event.PhaseRecord, files ...event.Entry) {
		t.Helper()
		p.takes(subject.CtlClusterState, rec, rec.Parts...)
		var maps []event.Entry
		for _, n := range names {
			maps = append(maps, event.Entry{Path: mapFile(n), Hash: "1"})
		}
		p.says(rec, subject.SideCluster(mapLane), event.End{}, maps...)
		p.says(rec, subject.SideCluster(deployLane), event.End{}, event.Entry{Path: deploymentFile("x"), Hash: "1"}, event.Entry{Path: deploymentFile("y"), Hash: "1"})
		p.says(rec, subject.SideRepo, event.End{}, files...)
	}
	outcome := func(rec event.PhaseRecord, change func(*event.Outcome)) event.Outcome {
		t.Helper()
		out := *p.end(rec, subject.SideRun).Outcome
		pending := out.Pending
		if pending != nil {
			out.Pending = &event.Pending{Run: pending.Run}
		}
		want := event.Outcome{Run: rec.Run}
		change(&want)
		if !reflect.DeepEqual(out, want) {
			t.Errorf("run %s, because of %s, has come to %+v, want %+v", rec.Run, rec.Reason, out, want)
		}
		out.Pending = pending
		return out
	}
	closes := func(phase event.Phase, out event.Outcome) {
		t.Helper()
		p.change(func(r *event.PhaseRecord) { r.Phase, r.Closed, r.Outcome = phase, time.Now(), &out })
	}

	// The lane of deployments takes more than all: that of configmaps is not asked.
	first := p.begins(event.ReasonNewDestination)
	orphan := event.Entry{Path: mapFile("z"), Hash: "9"}
	states(first, orphan, event.Entry{Path: mapFile("a"), Hash: "0"})
	if got := p.room(first, deployLane); got != room {
		t.Errorf("the first lane is asked for %d bytes", got)
	}
	restart() // it does not ask again for what was asked for
	if took := p.fills(first, deployLane, []string{"x", "x1", "x2", "x3"}, event.Wanted{Created: 1}); took < room {
		t.Fatalf("%d bytes are no more than the room", took)
	}
	out := outcome(first, func(o *event.Outcome) {
		o.Created, o.Left, o.Continues = 1, event.Wanted{Created: 3, Updated: 1}, true
		o.Pending = &event.Pending{Run: first.Run}
	})
	if got := p.end(first, subject.SideContent(mapLane)); got.Left != (event.Wanted{Created: 2, Updated: 1}) || got.Count != 0 {
		t.Errorf("the lane that is not asked ends with %+v", got)
	}
	r.stop()
	closes(event.StartupReconcile, out)
	r = in.reconcilerWith(deps)

	// The next run is begun by another process, and holds like the first one.
	second := p.begins(event.ReasonContinued, first.Run)
	if second.Phase != event.StartupReconcile || !slices.Equal(second.Parts, first.Parts) {
		t.Errorf("it is continued by %+v", second)
	}
	if got := in.subjects(subject.Snap, subject.SnapRun(key("d"), first.Run)); len(got) != 0 {
		t.Errorf("a run began while that before has %q", got)
	}
	p.asks(event.ReasonApproved, first.Run)
	states(second, orphan, event.Entry{Path: mapFile("a"), Hash: "0"}, event.Entry{Path: deploymentFile("x"), Hash: "1"})
	p.room(second, deployLane)
	took := p.fills(second, deployLane, []string{"y"}, event.Wanted{})
	if got := p.room(second, mapLane); got != room-took {
		t.Errorf("behind %d bytes, the second lane is asked for %d of %d", took, got, room)
	}
	restart()
	p.fills(second, mapLane, []string{"a"}, event.Wanted{Created: 2})
	out = outcome(second, func(o *event.Outcome) {
		o.Created, o.Updated, o.Equal, o.Deleted, o.Left, o.Continues = 1, 1, 1, 1, event.Wanted{Created: 2}, true
		o.Before = event.Brought{Runs: 1, Created: 1}
	})
	closes(event.StartupReconcile, out)

	// The approval asked for a run: that one continues what is left as well.
	third := p.begins(event.ReasonApproved, first.Run, second.Run)
	if third.Phase != event.StartupReconcile {
		t.Errorf("it is continued by %+v", third)
	}
	rest := []event.Entry{{Path: mapFile("a"), Hash: "1"}, {Path: deploymentFile("x"), Hash: "1"}, {Path: deploymentFile("y"), Hash: "1"}}
	states(third, rest...)
	p.room(third, mapLane)
	p.fills(third, mapLane, []string{"b", "c"}, event.Wanted{})
	out = outcome(third, func(o *event.Outcome) {
		o.Created, o.Equal = 2, 3
	})
	closes(event.LiveProcessing, out)
	p.tidied()
	p.stays(third.Run)
}
