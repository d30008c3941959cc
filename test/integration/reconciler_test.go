package integration

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// twoStates are what the lanes and the repository say in most of these tests, and
// what there is to find.
func (p *played) twoStates(rec event.PhaseRecord) {
	p.Helper()
	p.says(rec, subject.SideCluster(mapLane), event.End{},
		event.Entry{Path: mapFile("new"), Hash: "1", Version: 11}, event.Entry{Path: mapFile("same"), Hash: "2", Version: 12})
	p.says(rec, subject.SideCluster(deployLane), event.End{}, event.Entry{Path: deploymentFile("other"), Hash: "3", Version: 13})
	p.says(rec, subject.SideRepo, event.End{},
		event.Entry{Path: mapFile("same"), Hash: "2"}, event.Entry{Path: deploymentFile("gone"), Hash: "4"},
		event.Entry{Path: deploymentFile("other"), Hash: "5"}, event.Entry{Path: "notes.yaml", What: event.Foreign})
}

func wantOutcome(run string) event.Outcome {
	return event.Outcome{Run: run, Created: 1, Updated: 1, Deleted: 1, Equal: 1, Foreign: []string{"notes.yaml"}, ForeignCount: 1}
}

func (p *played) checkResults(rec event.PhaseRecord) {
	p.Helper()
	for part, want := range map[int][]event.Entry{
		mapLane: {{Path: mapFile("new"), Hash: "1", Version: 11, What: event.ResultCreate}},
		deployLane: {
			{Path: deploymentFile("gone"), Hash: "4", What: event.ResultDelete},
			{Path: deploymentFile("other"), Hash: "3", Version: 13, What: event.ResultReconcile},
		},
	} {
		if got := p.results(rec, part); !reflect.DeepEqual(got, want) {
			p.Errorf("lane %d has the results %+v, want %+v", part, got, want)
		}
		if end := p.end(rec, subject.SideResult(part)); end.Wanted != 1 {
			p.Errorf("lane %d: contents of %d results are wanted", part, end.Wanted)
		}
	}
}

// TestReconcilerRun: the whole of one run, and what is left of it.
func TestReconcilerRun(t *testing.T) {
	in := newInstall(t)
	p := in.play("d", nil)
	r := in.reconciler()
	rec := p.begins(event.ReasonNewDestination)
	parts := []int{mapLane, deployLane}
	slices.Sort(parts)
	if rec.Phase != event.StartupReconcile || !reflect.DeepEqual(rec.Parts, parts) || rec.Registered == 0 {
		t.Fatalf("the run is %+v", rec)
	}
	p.takes(subject.CtlClusterState, rec, parts...)
	p.twoStates(rec)
	p.brings(rec, parts...)
	p.checkResults(rec)
	end := p.end(rec, subject.SideRun)
	if want := wantOutcome(rec.Run); !reflect.DeepEqual(*end.Outcome, want) || !reflect.DeepEqual(end.Parts, parts) {
		t.Errorf("the run's end has parts %v and %+v, want %v and %+v", end.Parts, *end.Outcome, parts, want)
	}
	p.closes(rec, time.Now())
	p.tidied()
	p.stays(rec.Run)
	if got := in.subjects(subject.Ctl, "ks.ctl.*.test.*."+rec.Run+".*"); len(got) != 0 {
		t.Errorf("a second request was sent: %q", got)
	}
	for _, result := range []string{"create", "reconcile", "delete", "equal", "foreign"} {
		if n := in.counted(r, "kubescribe_reconciler_results_total", result); n != 1 {
			t.Errorf("%d results are counted as %s", n, result)
		}
	}
	if n := in.counted(r, "kubescribe_reconciler_runs_total", event.ReasonNewDestination); n != 2 { // with the probe
		t.Errorf("%d runs are counted", n)
	}
	r.stop()
	in.noneLeft()
}

// TestReconcilerRulesSelectNothing: one lane is asked all the same, and what the
// folder holds is orphans.
func TestReconcilerRulesSelectNothing(t *testing.T) {
	in := newInstall(t)
	p := in.play("d", func(d *event.Destination) { d.Rules = nil })
	in.reconciler()
	rec := p.begins(event.ReasonNewDestination)
	if !reflect.DeepEqual(rec.Parts, []int{0}) {
		t.Fatalf("lanes %v are asked", rec.Parts)
	}
	p.takes(subject.CtlClusterState, rec, 0)
	p.says(rec, subject.SideCluster(0), event.End{})
	p.says(rec, subject.SideRepo, event.End{}, event.Entry{Path: mapFile("a"), Hash: "1"})
	if end := p.end(rec, subject.SideRun); !reflect.DeepEqual(end.Parts, []int{mapLane}) || end.Outcome.Deleted != 1 {
		t.Errorf("the run's end is %+v, %+v", end, end.Outcome)
	}
}

// TestReconcilerTriggers: each begins one run, in its phase, and keeps what is
// known of the one before.
func TestReconcilerTriggers(t *testing.T) {
	in := newInstall(t)
	in.reconciler()
	for reason, phase := range map[string]event.Phase{
		event.ReasonAdmitted: event.StartupReconcile, event.ReasonHistoryRewritten: event.StartupReconcile, event.ReasonWatchGap: event.StartupReconcile,
		event.ReasonCheckpointLost: event.StartupReconcile, event.ReasonHistoryGap: event.StartupReconcile, event.ReasonContentsSkipped: event.LiveProcessing, event.ReasonMayHaveLeft: event.LiveProcessing,
		event.ReasonSchemaChanged: event.LiveProcessing,
		event.ReasonTypeAppeared:  event.LiveProcessing, event.ReasonOvertaken: event.LiveProcessing, event.ReasonRequested: event.LiveProcessing,
		event.ReasonSpecChanged: event.StartupReconcile,
	} {
		p := in.play(strings.ToLower(reason), nil)
		before := p.live(time.Now())
		if reason == event.ReasonSpecChanged {
			p.registerAs(func(d *event.Destination) { d.Rules = []event.Rule{everything} })
		} else {
			p.asks(reason, "")
		}
		rec := p.begins(reason, before.Run)
		if rec.Phase != phase || !reflect.DeepEqual(rec.Outcome, before.Outcome) {
			t.Errorf("%s begins %+v", reason, rec)
		}
		p.goesThrough(rec, time.Now())
		p.tidied()
		p.stays(rec.Run)
	}
	// One for a destination that is not there begins nothing.
	left := &played{install: in, name: "left"}
	left.asks(event.ReasonAdmitted, "")
	left.stays("")
	// One that is none, or nobody's to ask for, goes to the dead letters, and holds up
	// nothing behind it.
	p := in.play("behind", nil)
	before := p.live(time.Now())
	for n, reason := range []string{"Whim", event.ReasonSpecChanged, event.ReasonNewDestination, event.ReasonDriftCheck} {
		p.asks(reason, "")
		if got := in.subjects(subject.DLQ, subject.AllDLQ); len(got) != n+1 {
			t.Errorf("after one because of %s dead letters are %q", reason, got)
		}
	}
	p.stays(before.Run)
	p.asks(event.ReasonRequested, "")
	p.begins(event.ReasonRequested, before.Run)
}

// TestReconcilerRequestsUnderWay: those that can wait become one run behind the one
// under way; those that cannot replace it.
func TestReconcilerRequestsUnderWay(t *testing.T) {
	in := newInstall(t)
	p := in.play("d", nil)
	in.reconciler()
	first := p.begins(event.ReasonNewDestination)
	p.asks(event.ReasonTypeAppeared, "")
	if rec := p.phase("d"); rec.Next != event.ReasonTypeAppeared || rec.Run != first.Run {
		t.Fatalf("a request was acknowledged that is nowhere: %+v", rec)
	}
	p.asks(event.ReasonWatchGap, "")
	p.asks(event.ReasonRequested, "")
	p.goesThrough(first, time.Now())
	second := p.begins(event.ReasonWatchGap, first.Run)
	if second.Next != "" || second.Phase != event.StartupReconcile {
		t.Errorf("the run that was queued is %+v", second)
	}
	p.takes(subject.CtlClusterState, second, second.Parts...)
	p.asks(event.ReasonHistoryRewritten, "")
	third := p.begins(event.ReasonHistoryRewritten, first.Run, second.Run)
	p.twoStates(second) // too late
	p.goesThrough(third, time.Now())
	p.tidied()
	p.stays(third.Run)
}

// TestReconcilerDriftCheck: an interval after a run has closed the next one begins,
// whatever restarts in between.
func TestReconcilerDriftCheck(t *testing.T) {
	in := newInstall(t)
	clock := newHandClock()
	hourly := func(d *event.Destination) { d.Interval = time.Hour }
	p, never := in.play("d", hourly), in.play("never", nil)
	r := in.reconcilerAt(clock)
	first, other := p.live(clock.Now()), never.live(clock.Now())
	r.stop()
	clock.advance(53 * time.Minute)
	in.reconcilerAt(clock)
	p.stays(first.Run)
	clock.advance(14 * time.Minute)
	second := p.begins(event.ReasonDriftCheck, first.Run)
	if second.Phase != event.LiveProcessing {
		t.Errorf("a drift check begins as %+v", second)
	}
	p.goesThrough(second, clock.Now())
	p.tidied()
	p.stays(second.Run)
	never.stays(other.Run)
}

// TestReconcilerRestarts: killed in whatever stage, the run goes on, in the same
// attempt, to the same results.
func TestReconcilerRestarts(t *testing.T) {
	in := newInstall(t)
	r := in.reconciler()
	restart := func() {
		t.Helper()
		r.stop()
		r = in.reconciler()
	}
	const stages = 9
	for at := range stages {
		p := in.play(fmt.Sprintf("stage-%d", at), nil)
		rec := p.begins(event.ReasonNewDestination)
		for stage, step := range []func(){
			func() { p.takes(subject.CtlClusterState, rec, mapLane) },
			func() {
				p.says(rec, subject.SideCluster(mapLane), event.End{},
					event.Entry{Path: mapFile("new"), Hash: "1", Version: 11}, event.Entry{Path: mapFile("same"), Hash: "2", Version: 12})
			},
			func() { p.takes(subject.CtlClusterState, rec, deployLane) },
			func() {
				p.says(rec, subject.SideCluster(deployLane), event.End{}, event.Entry{Path: deploymentFile("other"), Hash: "3", Version: 13})
			},
			func() {
				p.says(rec, subject.SideRepo, event.End{},
					event.Entry{Path: mapFile("same"), Hash: "2"}, event.Entry{Path: deploymentFile("gone"), Hash: "4"},
					event.Entry{Path: deploymentFile("other"), Hash: "5"}, event.Entry{Path: "notes.yaml", What: event.Foreign})
			},
			func() { p.end(rec, subject.SideResult(mapLane)) },
			func() {
				p.takes(subject.CtlResources, rec, deployLane)
				p.checkResults(rec)
				p.says(rec, subject.SideContent(deployLane), event.End{})
			},
			func() { p.brings(rec, mapLane) },
			func() {
				if out := p.closes(rec, time.Now()); !reflect.DeepEqual(out, wantOutcome(rec.Run)) {
					t.Errorf("killed in stage %d, the outcome is %+v", at, out)
				}
			},
		} {
			if stage == at {
				restart()
			}
			step()
		}
		p.tidied()
		if got := p.phase(p.name); got.Run != rec.Run || got.Attempt != 1 {
			t.Errorf("killed in stage %d, the run is %+v", at, got)
		}
	}
	r.stop()
	in.noneLeft()
}

// TestReconcilerFindsWhatCrashed: what a reconciler leaves that dies between two
// writes, as it stands on the bus.
func TestReconcilerFindsWhatCrashed(t *testing.T) {
	in := newInstall(t)
	begun, half, shut := in.play("begun", nil), in.play("half", nil), in.play("shut", nil)
	parts := []int{mapLane, deployLane}
	slices.Sort(parts)
	for _, p := range []*played{begun, half, shut} {
		_, rev, err := mustBucket[event.Destination](in, subject.BucketDestination).Newest(t.Context(), subject.DestinationToken(key(p.name)))
		if err != nil {
			t.Fatal(err)
		}
		in.setPhase(p.name, event.PhaseRecord{Phase: event.StartupReconcile, Run: "run-of-" + p.name, Attempt: 1, Reason: event.ReasonNewDestination, Registered: rev, Parts: parts, Since: time.Now()})
	}
	// half: both states, and the results of one lane, under the nonce of one who died.
	rec := half.phase("half")
	half.twoStates(rec)
	half.says(rec, subject.SideResult(mapLane), event.End{Wanted: 1}, event.Entry{Path: mapFile("new"), Hash: "1", Version: 11, What: event.ResultCreate})
	first := half.end(rec, subject.SideResult(mapLane))
	// shut: closed, and not removed.
	shut.twoStates(shut.phase("shut"))
	shut.change(func(r *event.PhaseRecord) { r.Phase, r.Closed = event.LiveProcessing, time.Now() })

	in.reconciler()
	begun.takes(subject.CtlClusterState, begun.phase("begun"), parts...)
	half.brings(rec, parts...)
	half.checkResults(rec)
	if again := half.end(rec, subject.SideResult(mapLane)); again.Nonce != first.Nonce {
		t.Error("results were stored over those that stood")
	}
	shut.tidied()
	if got := in.subjects(subject.Ctl, "ks.ctl."+event.RequestClusterState+".>"); len(got) != 0 {
		t.Errorf("lanes were asked that had answered: %q", got)
	}
}

func mustBucket[R event.Record](in *install, name string) *bus.Bucket[R] {
	in.Helper()
	kv, err := bus.OpenBucket[R](in.Context(), in.bus, name)
	if err != nil {
		in.Fatal(err)
	}
	return kv
}

// TestReconcilerFailedAttempt: another one is made, and what belongs to the first
// counts no more.
func TestReconcilerFailedAttempt(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fails func(p *played, rec event.PhaseRecord)
	}{
		{"a lane says so", func(p *played, rec event.PhaseRecord) {
			p.says(rec, subject.SideCluster(mapLane), event.End{Failed: "its owner died"})
		}},
		{"the git-writer says so", func(p *played, rec event.PhaseRecord) { p.says(rec, subject.SideRepo, event.End{Failed: "no"}) }},
		{"a chunk is missing", func(p *played, rec event.PhaseRecord) {
			p.says(rec, subject.SideCluster(deployLane), event.End{})
			p.says(rec, subject.SideCluster(mapLane), event.End{}, event.Entry{Path: mapFile("a"), Hash: "1"})
			of := subject.Series{Destination: key(p.name), Run: rec.Run, Attempt: rec.Attempt, Side: subject.SideCluster(mapLane)}
			if err := p.bus.Purge(p.Context(), subject.Snap, of.Chunk(p.end(rec, of.Side).Nonce, 0), 0); err != nil {
				p.Fatal(err)
			}
			p.says(rec, subject.SideRepo, event.End{}, event.Entry{Path: mapFile("a"), Hash: "1"})
		}},
		{"a path is in two lanes", func(p *played, rec event.PhaseRecord) {
			p.says(rec, subject.SideCluster(deployLane), event.End{}, event.Entry{Path: mapFile("a"), Hash: "1"})
			p.says(rec, subject.SideCluster(mapLane), event.End{}, event.Entry{Path: mapFile("a"), Hash: "1"})
			p.says(rec, subject.SideRepo, event.End{})
		}},
		{"contents cannot be given", func(p *played, rec event.PhaseRecord) {
			p.twoStates(rec)
			p.takes(subject.CtlResources, rec, deployLane)
			p.says(rec, subject.SideContent(deployLane), event.End{Failed: "no"})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := newInstall(t)
			clock := newHandClock()
			p := in.play("d", nil)
			in.reconcilerAt(clock)
			first := p.begins(event.ReasonNewDestination)
			p.takes(subject.CtlClusterState, first, mapLane, deployLane)
			tt.fails(p, first)
			p.settled()
			if rec := p.phase("d"); rec.Attempt != 1 {
				t.Fatal("an attempt that fails at once is made again at once")
			}
			clock.advance(time.Second)
			second := p.attempts(2)
			if second.Run != first.Run || second.Phase != first.Phase || !second.Since.After(first.Since) {
				t.Errorf("the second attempt is %+v", second)
			}
			p.takes(subject.CtlClusterState, second, mapLane, deployLane)
			p.twoStates(first) // of the first attempt, late
			p.says(second, subject.SideCluster(mapLane), event.End{})
			p.says(second, subject.SideCluster(deployLane), event.End{})
			p.says(second, subject.SideRepo, event.End{}, event.Entry{Path: mapFile("a"), Hash: "1"})
			if out := p.closes(second, clock.Now()); !reflect.DeepEqual(out, event.Outcome{Run: first.Run, Deleted: 1}) {
				t.Errorf("the outcome is %+v", out)
			}
			p.tidied()
			p.stays(first.Run)
		})
	}
}

// TestReconcilerStuck: who says nothing for too long is asked again, but for a
// repository that waits for a person.
func TestReconcilerStuck(t *testing.T) {
	in := newInstall(t)
	clock := newHandClock()
	p := in.play("d", nil)
	in.reconcilerAt(clock)
	rec := p.begins(event.ReasonNewDestination)
	p.takes(subject.CtlClusterState, rec, mapLane) // and it dies; the other one never takes its request
	p.settled()
	clock.advance(9 * time.Minute)
	p.settled()
	if got := p.phase("d"); got.Attempt != 1 {
		t.Fatalf("after 9 minutes: %+v", got)
	}
	clock.advance(time.Minute)
	rec = p.attempts(2)
	p.takes(subject.CtlClusterState, rec, mapLane, deployLane)
	p.until("the first attempt's request is removed", func() bool {
		return len(in.subjects(subject.Ctl, subject.CtlOfAttempt("test", rec.Run, 1))) == 0
	})

	p.says(rec, subject.SideCluster(mapLane), event.End{})
	p.says(rec, subject.SideCluster(deployLane), event.End{})
	statuses := mustBucket[event.Status](in, subject.BucketStatus)
	rev, err := statuses.Put(t.Context(), subject.DestinationToken(key("d")), event.Status{V: 1, Stalled: &event.Stalled{Reason: "Unreachable"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p.settled()
		clock.advance(31 * time.Minute)
	}
	p.settled()
	if got := p.phase("d"); got.Attempt != 2 {
		t.Fatalf("a destination that waits for a person got another attempt: %+v", got)
	}
	if _, err := statuses.Put(t.Context(), subject.DestinationToken(key("d")), event.Status{V: 1}, rev); err != nil {
		t.Fatal(err)
	}
	for p.phase("d").Attempt == 2 {
		clock.advance(time.Minute) // not so far that the next attempt is stuck, too
		p.settled()
	}
	rec = p.attempts(3)
	p.goesThrough(rec, clock.Now())
	p.tidied()
}

// TestReconcilerRemoved: of a destination that has left nothing is left, whether
// the reconciler sees it go or not; one that is back keeps what is its own.
func TestReconcilerRemoved(t *testing.T) {
	for _, seen := range []bool{true, false} {
		t.Run(fmt.Sprintf("seen %v", seen), func(t *testing.T) {
			in := newInstall(t)
			p, stays := in.play("d", nil), in.play("stays", nil)
			r := in.reconciler()
			rec, other := p.begins(event.ReasonNewDestination), stays.begins(event.ReasonNewDestination)
			for _, x := range []struct {
				p   *played
				rec event.PhaseRecord
			}{{p, rec}, {stays, other}} {
				x.p.says(x.rec, subject.SideCluster(mapLane), event.End{}, event.Entry{Path: mapFile("a"), Hash: "1"})
				h, _ := event.Mark{Cluster: "test", Destination: key(x.p.name).String(), Run: "r"}.Message()
				for _, part := range []int{mapLane, deployLane} {
					in.store(subject.EventMark(part, "test", key(x.p.name)), "mark", h, nil)
				}
				in.store(subject.LiveData(3, key(x.p.name)), "live", h, nil)
				in.store(subject.WriteData(branch, key(x.p.name)), "write", h, nil)
				in.store(subject.WriteCheckpoint(key(x.p.name)), "checkpoint", event.NewHeader(event.KindCheckpoint), nil)
				if _, err := mustBucket[event.Status](in, subject.BucketStatus).Put(t.Context(), subject.DestinationToken(key(x.p.name)), event.Status{V: 1}, 0); err != nil {
					t.Fatal(err)
				}
				x.p.until("lanes are asked", func() bool { return len(in.subjects(subject.Ctl, subject.CtlOfRun("test", x.rec.Run))) == 2 })
			}
			if !seen {
				r.stop()
			}
			in.unregister("d")
			if !seen {
				r = in.reconciler()
			}
			phases, statuses := mustBucket[event.PhaseRecord](in, subject.BucketPhase), mustBucket[event.Status](in, subject.BucketStatus)
			gone := func(name, run string) bool {
				_, _, err1 := phases.Newest(t.Context(), subject.DestinationToken(key(name)))
				_, _, err2 := statuses.Newest(t.Context(), subject.DestinationToken(key(name)))
				left := len(in.subjects(subject.Snap, subject.SnapDestination(key(name)))) + len(in.subjects(subject.Ctl, subject.CtlOfRun("test", run))) +
					len(in.subjects(subject.Events, subject.EventMarks(key(name)))) +
					len(in.subjects(subject.Live, subject.LiveDestination(key(name)))) + len(in.subjects(subject.Write, subject.WriteDestination(key(name))))
				return errors.Is(err1, bus.ErrNoMessage) && errors.Is(err2, bus.ErrNoMessage) && left == 0
			}
			in.until("nothing is left", func() bool { return gone("d", rec.Run) })
			if got := len(in.subjects(subject.Live, subject.LiveDestination(key("stays")))) + len(in.subjects(subject.Write, subject.WriteDestination(key("stays")))) +
				len(in.subjects(subject.Events, subject.EventMarks(key("stays")))) +
				len(in.subjects(subject.Snap, subject.SnapDestination(key("stays")))) + len(in.subjects(subject.Ctl, subject.CtlOfRun("test", other.Run))); got != 9 {
				t.Errorf("%d subjects of another destination are left, of 9", got)
			}
			// What comes late, of one who has not heard, goes too.
			p.says(rec, subject.SideRepo, event.End{})
			in.until("nothing is left of what comes late", func() bool { return gone("d", rec.Run) })
			// And a destination of the same name begins anew.
			p.registerAs(nil)
			p.begins(event.ReasonNewDestination, rec.Run)
			stays.stays(other.Run)
			r.stop()
			in.noneLeft()
		})
	}
}

// TestReconcilerReplacedDestination: one that leaves and is back before anybody
// looks gets a run, and nothing of it is removed.
func TestReconcilerReplacedDestination(t *testing.T) {
	in := newInstall(t)
	p := in.play("d", nil)
	r := in.reconciler()
	first := p.live(time.Now())
	r.stop()
	in.unregister("d")
	p.registerAs(nil)
	h, _ := event.Mark{Cluster: "test", Destination: key("d").String(), Run: "r"}.Message()
	in.store(subject.LiveData(3, key("d")), "live", h, nil)
	in.reconciler()
	p.begins(event.ReasonSpecChanged, first.Run)
	p.settled()
	if got := in.subjects(subject.Live, subject.LiveDestination(key("d"))); len(got) != 1 {
		t.Error("what is the new one's was removed")
	}
}

// TestReconcilerGuard: too many deletions wait, all else goes on, and exactly those
// that a person has approved are carried out.
func TestReconcilerGuard(t *testing.T) {
	in := newInstall(t)
	careful := func(d *event.Destination) {
		d.Prune = event.Prune{Mode: event.PruneAlways, MaxPercent: 30, MaxFiles: 1}
	}
	p := in.play("d", careful)
	in.reconciler()
	plays := func(rec event.PhaseRecord, orphans ...string) event.Outcome {
		t.Helper()
		p.takes(subject.CtlClusterState, rec, rec.Parts...)
		p.says(rec, subject.SideCluster(mapLane), event.End{}, event.Entry{Path: mapFile("new"), Hash: "1"})
		p.says(rec, subject.SideCluster(deployLane), event.End{})
		var files []event.Entry
		for _, o := range orphans {
			files = append(files, event.Entry{Path: deploymentFile(o), Hash: "2"})
		}
		p.says(rec, subject.SideRepo, event.End{}, files...)
		p.brings(rec, mapLane)
		if got := p.results(rec, deployLane); len(got) != len(orphans) {
			t.Errorf("the results are %+v", got)
		}
		out := p.closes(rec, time.Now())
		p.tidied()
		return out
	}
	first := p.begins(event.ReasonNewDestination)
	out := plays(first, "a", "b")
	if out.Pending == nil || out.Pending.Run != first.Run || out.Pending.Count != 2 || out.Deleted != 0 || out.Created != 1 ||
		!slices.Equal(out.Pending.Paths, []string{deploymentFile("a"), deploymentFile("b")}) {
		t.Fatalf("the outcome is %+v, pending %+v", out, out.Pending)
	}

	// Found again, they are the same.
	p.asks(event.ReasonRequested, "")
	second := p.begins(event.ReasonRequested, first.Run)
	if out = plays(second, "a", "b"); out.Pending == nil || out.Pending.Run != first.Run {
		t.Errorf("found again, they are %+v", out.Pending)
	}

	// Approving those of another run begins nothing.
	p.asks(event.ReasonApproved, second.Run)
	p.stays(second.Run)

	// Approved, but now there is one more: it has not been approved.
	p.asks(event.ReasonApproved, first.Run)
	third := p.begins(event.ReasonApproved, second.Run)
	if third.Phase != event.LiveProcessing || third.Approved != out.Pending.Digest {
		t.Errorf("the approved run is %+v", third)
	}
	if out = plays(third, "a", "b", "c"); out.Pending == nil || out.Pending.Run != third.Run || out.Deleted != 0 {
		t.Errorf("three are %+v, pending %+v", out, out.Pending)
	}

	// Approved while a run is under way, which carries them out.
	p.asks(event.ReasonRequested, "")
	fourth := p.begins(event.ReasonRequested, third.Run)
	p.asks(event.ReasonApproved, third.Run)
	if out = plays(fourth, "a", "b", "c"); out.Pending != nil || out.Deleted != 3 {
		t.Errorf("approved, the outcome is %+v, pending %+v", out, out.Pending)
	}
	fifth := p.begins(event.ReasonApproved, fourth.Run)
	if fifth.Approved != "" {
		t.Error("an approval that was used is still there")
	}
}

// TestReconcilerIncomplete: nothing of a type is removed that a lane does not know
// wholly, or does not mirror.
func TestReconcilerIncomplete(t *testing.T) {
	in := newInstall(t)
	p := in.play("d", nil)
	in.reconciler()
	rec := p.begins(event.ReasonNewDestination)
	p.says(rec, subject.SideCluster(mapLane), event.End{Incomplete: []string{"configmaps"}, Unmirrored: []string{"secrets"}})
	p.says(rec, subject.SideCluster(deployLane), event.End{Incomplete: []string{"*.metrics.k8s.io"}})
	p.says(rec, subject.SideRepo, event.End{}, event.Entry{Path: mapFile("a"), Hash: "1"}, event.Entry{Path: deploymentFile("b"), Hash: "2"}, event.Entry{Path: "shop/secrets/s.yaml", Hash: "3"})
	out := p.closes(rec, time.Now())
	want := event.Outcome{Run: rec.Run, Deleted: 1, Kept: 2, Incomplete: []string{"*.metrics.k8s.io", "configmaps"}}
	if !reflect.DeepEqual(out, want) {
		t.Errorf("the outcome is %+v, want %+v", out, want)
	}
}

// TestReconcilerTwo: two at once begin one run each time, and hand in one result.
func TestReconcilerTwo(t *testing.T) {
	in := newInstall(t)
	a, b := in.reconciler(), in.reconciler()
	var all []*played
	for i := range 5 {
		all = append(all, in.play(fmt.Sprintf("d%d", i), nil))
	}
	for round, reason := range []string{event.ReasonNewDestination, event.ReasonRequested, event.ReasonSpecChanged} {
		for _, p := range all {
			before := ""
			if reason != event.ReasonNewDestination {
				before = p.phase(p.name).Run
			}
			switch reason {
			case event.ReasonRequested:
				p.asks(reason, "")
			case event.ReasonSpecChanged:
				p.registerAs(func(d *event.Destination) { d.Interval = time.Hour })
			}
			rec := p.begins(reason, before)
			p.twoStates(rec)
			p.checkResults(rec)
			p.brings(rec, mapLane, deployLane)
			if out := p.closes(rec, time.Now()); !reflect.DeepEqual(out, wantOutcome(rec.Run)) {
				t.Errorf("round %d: the outcome is %+v", round, out)
			}
			p.tidied()
			if got := p.phase(p.name); got.Run != rec.Run || got.Attempt != 1 {
				t.Errorf("round %d: the run is %+v", round, got)
			}
		}
		for _, p := range all {
			p.stays(p.phase(p.name).Run)
		}
		begun := in.counted(a, "kubescribe_reconciler_runs_total", reason) + in.counted(b, "kubescribe_reconciler_runs_total", reason)
		if probes := len(all); reason != event.ReasonNewDestination && begun != len(all) {
			t.Errorf("%d runs were begun because of %s for %d destinations", begun, reason, probes)
		}
	}
	for _, p := range all {
		in.unregister(p.name)
	}
	in.until("all are gone", func() bool {
		left, err := in.phases().All(t.Context())
		return err == nil && len(left) == 0
	})
	a.stop()
	b.stop()
	in.noneLeft()
}

// TestReconcilerServerRestarts: a run goes on behind a restart of the server.
func TestReconcilerServerRestarts(t *testing.T) {
	in := newInstall(t)
	p := in.play("d", nil)
	in.reconciler()
	rec := p.begins(event.ReasonNewDestination)
	p.takes(subject.CtlClusterState, rec, rec.Parts...)
	in.restartNATS()
	p.twoStates(rec)
	p.brings(rec, rec.Parts...)
	p.closes(rec, time.Now())
	p.tidied()
}
