package plan

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

var (
	t0  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	key = event.DestinationKey{Cluster: "test", Namespace: "default", Name: "d"}
)

// under is a run under way, which asks lanes 1 and 4.
func under(change func(*Situation)) Situation {
	s := Situation{
		Now: t0, Key: key, Registered: true, Revision: 5, Interval: time.Hour, Exists: true,
		Record:      event.PhaseRecord{Phase: event.StartupReconcile, Run: "run-1", Attempt: 1, Registered: 5, Parts: []int{1, 4}, Since: t0.Add(-time.Hour)},
		Ends:        map[subject.Side]event.End{},
		AskedStates: map[int]bool{1: true, 4: true}, AskedContents: map[int]bool{1: true, 4: true}, Room: 100, Progress: t0,
	}
	change(&s)
	return s
}

func ended(s *Situation, sides ...subject.Side) {
	for _, side := range sides {
		s.Ends[side] = event.End{}
	}
}

// compared is under, up to its comparison.
func compared(change func(*Situation)) Situation {
	return under(func(s *Situation) {
		ended(s, subject.SideCluster(1), subject.SideCluster(4), subject.SideRepo)
		s.Comparison, s.Wanted = Compared, []int{1, 4}
		change(s)
	})
}

// closed is a run that closed now.
func closed(change func(*Situation)) Situation {
	return under(func(s *Situation) {
		s.Record.Closed, s.Record.Phase = t0, event.LiveProcessing
		change(s)
	})
}

func TestNext(t *testing.T) {
	still := func(*Situation) {}
	drift := driftCheck(key, closed(still).Record, time.Hour)
	for _, tt := range []struct {
		name string
		s    Situation
		want Action
	}{
		{"not registered", under(func(s *Situation) { s.Registered = false }), Action{Kind: Remove}},
		{"nothing of it is left", Situation{}, Action{Kind: Remove}},
		{"new", under(func(s *Situation) { s.Exists, s.Record = false, event.PhaseRecord{} }), Action{Kind: Begin, Reason: event.ReasonNewDestination}},
		{"changed while it runs", under(func(s *Situation) { s.Revision = 6 }), Action{Kind: Begin, Reason: event.ReasonSpecChanged}},
		{"changed since", closed(func(s *Situation) { s.Revision = 6 }), Action{Kind: Begin, Reason: event.ReasonSpecChanged}},
		{"of a version without lanes", under(func(s *Situation) { s.Record.Parts = nil }), Action{Kind: Begin, Reason: event.ReasonSpecChanged}},

		{"closed", closed(still), Action{Until: drift}},
		{"closed, no interval", closed(func(s *Situation) { s.Interval = 0 }), Action{}},
		{"the interval is over", closed(func(s *Situation) { s.Now = drift }), Action{Kind: Begin, Reason: event.ReasonDriftCheck}},
		{"closed, and left series", closed(func(s *Situation) { s.Series, s.Record.Next = true, event.ReasonRequested }), Action{Kind: Purge}},
		{"a comparison has closed, its series are read", closed(func(s *Situation) {
			s.Series, s.Interval, s.Record.Reason = true, 0, event.ReasonCompare
		}), Action{}},
		{"a comparison has closed, another one is queued", closed(func(s *Situation) {
			s.Series, s.Record.Reason, s.Record.Next = true, event.ReasonCompare, event.ReasonRequested
		}), Action{Kind: Begin, Reason: event.ReasonRequested}},
		{"comparisons do not put the drift check off", closed(func(s *Situation) {
			s.Now, s.Record.Reason, s.Record.Closed, s.Record.Settled = drift, event.ReasonCompare, drift.Add(-time.Second), t0
		}), Action{Kind: Begin, Reason: event.ReasonDriftCheck}},
		{"closed, another one is queued", closed(func(s *Situation) { s.Record.Next = event.ReasonRequested }), Action{Kind: Begin, Reason: event.ReasonRequested}},
		{"closed, and left contents", closed(func(s *Situation) { s.Record.Outcome = &event.Outcome{Continues: true} }), Action{Kind: Begin, Reason: event.ReasonContinued}},
		{"closed, and left contents and series", closed(func(s *Situation) {
			s.Series, s.Record.Outcome = true, &event.Outcome{Continues: true}
		}), Action{Kind: Purge}},
		{"closed, and left contents in vain", closed(func(s *Situation) { s.Record.Outcome = &event.Outcome{Left: event.Wanted{Created: 1}} }), Action{Until: drift}},
		{"left contents, another one is queued", closed(func(s *Situation) {
			s.Record.Next, s.Record.Outcome = event.ReasonRequested, &event.Outcome{Continues: true}
		}), Action{Kind: Begin, Reason: event.ReasonRequested}},
		{"left contents, and a comparison has come between", closed(func(s *Situation) {
			s.Series, s.Record.Reason, s.Record.Outcome = true, event.ReasonCompare, &event.Outcome{Continues: true}
		}), Action{Kind: Begin, Reason: event.ReasonContinued}},
		{"left contents, and the spec has changed", closed(func(s *Situation) {
			s.Revision, s.Record.Outcome = 6, &event.Outcome{Continues: true}
		}), Action{Kind: Begin, Reason: event.ReasonSpecChanged}},
		{"left contents, and is continued", under(func(s *Situation) {
			s.Record.Reason, s.Record.Outcome = event.ReasonContinued, &event.Outcome{Continues: true}
		}), Action{Until: t0.Add(stuckAfter)}},
		{"another one is queued while it runs", under(func(s *Situation) { s.Record.Next = event.ReasonRequested }), Action{Until: t0.Add(stuckAfter)}},

		{"begun", under(func(s *Situation) { s.AskedStates = nil }), Action{Kind: AskStates, Parts: []int{1, 4}}},
		{"one lane was asked", under(func(s *Situation) { s.AskedStates = map[int]bool{1: true} }), Action{Kind: AskStates, Parts: []int{4}}},
		{"one lane has answered", under(func(s *Situation) { s.AskedStates = nil; ended(s, subject.SideCluster(1)) }), Action{Kind: AskStates, Parts: []int{4}}},
		{"lanes say nothing", under(func(s *Situation) { s.Progress = t0.Add(-stuckAfter) }), Action{Kind: Retry, Reason: "no state of a lane has come for 10m0s"}},
		{"a lane fails", under(func(s *Situation) { s.Ends[subject.SideCluster(4)] = event.End{Failed: "why"} }), Action{Kind: Retry, Reason: "cluster-4: why"}},
		{"a lane fails at once", under(func(s *Situation) {
			s.Ends[subject.SideCluster(4)] = event.End{Failed: "why"}
			s.Record.Since, s.Record.Attempt = t0, 3
		}), Action{Until: t0.Add(4 * time.Second)}},

		{"the repository is waited for", under(func(s *Situation) { ended(s, subject.SideCluster(1), subject.SideCluster(4)) }), Action{Until: t0.Add(writerStuckAfter)}},
		{"the repository says nothing", under(func(s *Situation) {
			ended(s, subject.SideCluster(1), subject.SideCluster(4))
			s.Progress = t0.Add(-writerStuckAfter)
		}), Action{Kind: Retry, Reason: "the repository's state has not come for 30m0s", UnlessStalled: true}},
		{"the repository fails", under(func(s *Situation) { s.Ends[subject.SideRepo] = event.End{Failed: "why"} }), Action{Kind: Retry, Reason: "repo: why"}},

		{"both states are there", compared(func(s *Situation) { s.Comparison = NotCompared }), Action{Kind: Compare}},
		{"being compared", compared(func(s *Situation) { s.Comparison = Comparing; s.Progress = t0.Add(-time.Hour) }), Action{}},
		{"not comparable", compared(func(s *Situation) { s.Comparison, s.Failed = Comparing, "why" }), Action{Kind: Retry, Reason: "why"}},

		{"contents are wanted", compared(func(s *Situation) { s.AskedContents = nil }), Action{Kind: AskContents, Parts: []int{1}, Room: 100}},
		{"contents of one lane are wanted", compared(func(s *Situation) { s.AskedContents, s.Wanted = nil, []int{4} }), Action{Kind: AskContents, Parts: []int{4}, Room: 100}},
		{"contents are waited for", compared(func(*Situation) {}), Action{Until: t0.Add(stuckAfter)}},
		{"contents of one lane are there", compared(func(s *Situation) {
			s.AskedContents = map[int]bool{1: true}
			s.Ends[subject.SideContent(1)] = event.End{Bytes: 60}
		}), Action{Kind: AskContents, Parts: []int{4}, Room: 40}},
		{"contents of one lane take all the room", compared(func(s *Situation) {
			s.AskedContents = map[int]bool{1: true}
			s.Ends[subject.SideContent(1)] = event.End{Bytes: 100}
		}), Action{Kind: Leave, Parts: []int{4}}},
		{"contents of one lane take more", compared(func(s *Situation) {
			s.AskedContents, s.Wanted = nil, []int{1, 4, 6}
			s.Ends[subject.SideContent(1)] = event.End{Bytes: 130}
		}), Action{Kind: Leave, Parts: []int{4, 6}}},
		{"leaving contents goes on failing", compared(func(s *Situation) {
			s.Ends[subject.SideContent(1)] = event.End{Bytes: 100}
			s.Progress = t0.Add(-stuckAfter)
		}), Action{Kind: Retry, Reason: "the results could not be handed in for 10m0s"}},
		{"contents do not come", compared(func(s *Situation) { s.Progress = t0.Add(-stuckAfter) }), Action{Kind: Retry, Reason: "no contents of a lane have come for 10m0s"}},
		{"contents fail", compared(func(s *Situation) { s.Ends[subject.SideContent(1)] = event.End{Failed: "why"} }), Action{Kind: Retry, Reason: "content-1: why"}},
		{"contents are there", compared(func(s *Situation) { ended(s, subject.SideContent(1), subject.SideContent(4)) }), Action{Kind: HandIn}},
		{"no contents are wanted", compared(func(s *Situation) { s.Wanted = nil }), Action{Kind: HandIn}},
		{"handing in fails", compared(func(s *Situation) {
			ended(s, subject.SideContent(1), subject.SideContent(4))
			s.Progress = t0.Add(-stuckAfter + time.Second)
		}), Action{Kind: HandIn}},
		{"handing in goes on failing", compared(func(s *Situation) {
			ended(s, subject.SideContent(1), subject.SideContent(4))
			s.Progress = t0.Add(-stuckAfter)
		}), Action{Kind: Retry, Reason: "the results could not be handed in for 10m0s"}},

		{"handed in", compared(func(s *Situation) { ended(s, subject.SideRun) }), Action{Until: t0.Add(writerStuckAfter)}},
		{"handed in before a restart", under(func(s *Situation) { s.AskedStates = nil; ended(s, subject.SideRun) }), Action{Until: t0.Add(writerStuckAfter)}},
		{"handed in, and not taken", compared(func(s *Situation) {
			ended(s, subject.SideRun)
			s.Progress = t0.Add(-writerStuckAfter)
		}), Action{Kind: Retry, Reason: "the results have not been taken for 30m0s", UnlessStalled: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Next(tt.s); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestPatience: attempts that fail at once come at growing distances.
func TestPatience(t *testing.T) {
	for attempt, want := range map[uint64]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1 << 40: 5 * time.Minute} {
		if got := patience(attempt); got != want {
			t.Errorf("attempt %d has %v, want %v", attempt, got, want)
		}
	}
}

// TestDriftCheck: the moments follow from the run, within a tenth, and spread.
func TestDriftCheck(t *testing.T) {
	seen := map[time.Time]bool{}
	for i := range 100 {
		rec := event.PhaseRecord{Run: fmt.Sprintf("run-%d", i), Closed: t0}
		due := driftCheck(key, rec, 10*time.Hour)
		if due.Before(t0.Add(9*time.Hour)) || due.After(t0.Add(11*time.Hour)) || due != driftCheck(key, rec, 10*time.Hour) {
			t.Errorf("run %d is due at %v", i, due)
		}
		seen[due.Truncate(6*time.Minute)] = true
	}
	if len(seen) < 10 {
		t.Errorf("100 runs are due at %d moments", len(seen))
	}
}

func pendingBy(run, digest string) *event.Outcome {
	return &event.Outcome{Run: run, Pending: &event.Pending{Run: run, Digest: digest}}
}

func TestRequested(t *testing.T) {
	live := closed(func(*Situation) {}).Record
	run := under(func(*Situation) {}).Record
	with := func(rec event.PhaseRecord, change func(*event.PhaseRecord)) event.PhaseRecord {
		change(&rec)
		return rec
	}
	queued := func(next string) func(*event.PhaseRecord) { return func(r *event.PhaseRecord) { r.Next = next } }
	pending := func(r *event.PhaseRecord) { r.Outcome = pendingBy("run-0", "digest") }
	for _, tt := range []struct {
		name   string
		rec    event.PhaseRecord
		reason string
		want   Answer
	}{
		{"none was yet", event.PhaseRecord{}, event.ReasonRequested, Answer{Verdict: Start, Reason: event.ReasonNewDestination}},
		{"the spec has changed", with(live, func(r *event.PhaseRecord) { r.Registered = 4 }), event.ReasonRequested, Answer{Verdict: Start, Reason: event.ReasonSpecChanged}},
		{"none is under way", live, event.ReasonRequested, Answer{Verdict: Start, Reason: event.ReasonRequested}},
		{"one is about to begin", with(live, queued(event.ReasonWatchGap)), event.ReasonRequested, Answer{Verdict: Start, Reason: event.ReasonWatchGap}},

		{"replaced: history", run, event.ReasonHistoryRewritten, Answer{Verdict: Start, Reason: event.ReasonHistoryRewritten}},
		{"replaced: admitted", run, event.ReasonAdmitted, Answer{Verdict: Start, Reason: event.ReasonAdmitted}},

		{"queued", run, event.ReasonRequested, Answer{Verdict: Queue, Reason: event.ReasonRequested, Record: with(run, queued(event.ReasonRequested))}},
		{"queued: gap", run, event.ReasonWatchGap, Answer{Verdict: Queue, Reason: event.ReasonWatchGap, Record: with(run, queued(event.ReasonWatchGap))}},
		{"queued: type", run, event.ReasonTypeAppeared, Answer{Verdict: Queue, Reason: event.ReasonTypeAppeared, Record: with(run, queued(event.ReasonTypeAppeared))}},
		{"queued: overtaken", run, event.ReasonOvertaken, Answer{Verdict: Queue, Reason: event.ReasonOvertaken, Record: with(run, queued(event.ReasonOvertaken))}},
		{"two coalesce", with(run, queued(event.ReasonRequested)), event.ReasonTypeAppeared, Answer{Verdict: Queue, Reason: event.ReasonRequested, Record: with(run, queued(event.ReasonRequested))}},
		{"what holds wins", with(run, queued(event.ReasonRequested)), event.ReasonWatchGap, Answer{Verdict: Queue, Reason: event.ReasonWatchGap, Record: with(run, queued(event.ReasonWatchGap))}},
		{"and stays", with(run, queued(event.ReasonWatchGap)), event.ReasonRequested, Answer{Verdict: Queue, Reason: event.ReasonWatchGap, Record: with(run, queued(event.ReasonWatchGap))}},
		{"queued: comparison", run, event.ReasonCompare, Answer{Verdict: Queue, Reason: event.ReasonCompare, Record: with(run, queued(event.ReasonCompare))}},
		{"a comparison gives way", with(run, queued(event.ReasonCompare)), event.ReasonRequested, Answer{Verdict: Queue, Reason: event.ReasonRequested, Record: with(run, queued(event.ReasonRequested))}},
		{"a comparison stays behind", with(run, queued(event.ReasonRequested)), event.ReasonCompare, Answer{Verdict: Queue, Reason: event.ReasonRequested, Record: with(run, queued(event.ReasonRequested))}},
		{"a comparison is about to begin", with(live, queued(event.ReasonCompare)), event.ReasonRequested, Answer{Verdict: Start, Reason: event.ReasonRequested}},

		{"approved", with(live, pending), event.ReasonApproved, Answer{Verdict: Start, Reason: event.ReasonApproved, Approved: "digest"}},
		{"approved, nothing is pending", live, event.ReasonApproved, Answer{Reason: "no deletions of that run are pending"}},
		{"approved, nothing is pending any more", with(live, func(r *event.PhaseRecord) { r.Outcome = &event.Outcome{Run: "run-0"} }), event.ReasonApproved, Answer{Reason: "no deletions of that run are pending"}},
		{"approved, of another run", with(live, func(r *event.PhaseRecord) { r.Outcome = pendingBy("run-9", "digest") }), event.ReasonApproved, Answer{Reason: "no deletions of that run are pending"}},
		{"approved while one is under way", with(run, pending), event.ReasonApproved, Answer{Verdict: Queue, Reason: event.ReasonApproved, Record: with(run, func(r *event.PhaseRecord) {
			pending(r)
			r.Next, r.Approved = event.ReasonApproved, "digest"
		})}},
		{"approved, and the spec has changed", with(live, func(r *event.PhaseRecord) { pending(r); r.Registered = 4 }), event.ReasonApproved, Answer{Verdict: Start, Reason: event.ReasonSpecChanged, Approved: "digest"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Requested(tt.rec, tt.rec.Run != "", 5, event.Request{Reason: tt.reason, Approved: "run-0"})
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestHolds is the table of what is held back.
func TestHolds(t *testing.T) {
	d := event.Destination{Key: key, Rules: []event.Rule{{Groups: []string{"*"}, Resources: []string{"*"}}}}
	for reason, holds := range map[string]bool{
		event.ReasonNewDestination: true, event.ReasonSpecChanged: true, event.ReasonAdmitted: true, event.ReasonHistoryRewritten: true, event.ReasonWatchGap: true, event.ReasonCheckpointLost: true, event.ReasonHistoryGap: true,
		event.ReasonTypeAppeared: false, event.ReasonContentsSkipped: false, event.ReasonMayHaveLeft: false, event.ReasonSchemaChanged: false, event.ReasonOvertaken: false, event.ReasonContinued: false, event.ReasonDriftCheck: false, event.ReasonRequested: false, event.ReasonApproved: false, event.ReasonCompare: false,
	} {
		for was, want := range map[event.Phase]event.Phase{
			"": event.StartupReconcile, event.StartupReconcile: event.StartupReconcile, event.LiveProcessing: event.LiveProcessing, event.Parked: event.Parked,
		} {
			if holds {
				want = event.StartupReconcile
			}
			if rec := (Run{ID: "r", Reason: reason, Now: t0}).Record(event.PhaseRecord{Phase: was}, d, 5); rec.Phase != want {
				t.Errorf("%s after %q begins as %s", reason, was, rec.Phase)
			}
		}
	}
	if len(traits) != 17 {
		t.Errorf("there are %d reasons", len(traits))
	}
}

// TestAskable: what the plan begins a run for by itself, nobody else asks for.
func TestAskable(t *testing.T) {
	for reason, want := range map[string]bool{
		event.ReasonNewDestination: false, event.ReasonSpecChanged: false, event.ReasonDriftCheck: false, event.ReasonContinued: false, "Whim": false, "": false,
		event.ReasonAdmitted: true, event.ReasonHistoryRewritten: true, event.ReasonWatchGap: true, event.ReasonTypeAppeared: true, event.ReasonContentsSkipped: true, event.ReasonMayHaveLeft: true, event.ReasonSchemaChanged: true,
		event.ReasonCheckpointLost: true, event.ReasonHistoryGap: true,
		event.ReasonOvertaken: true, event.ReasonRequested: true, event.ReasonApproved: true, event.ReasonCompare: true,
	} {
		if err := Askable(reason); (err == nil) != want {
			t.Errorf("a run is asked for because of %q: %v", reason, err)
		}
	}
}

func TestRecord(t *testing.T) {
	d := event.Destination{Key: key, Rules: []event.Rule{{Groups: []string{"apps"}, Resources: []string{"deployments"}}}}
	was := event.PhaseRecord{
		V: 1, Phase: event.LiveProcessing, Run: "run-1", Attempt: 3, Reason: event.ReasonNewDestination, Registered: 4, Parts: []int{1}, Since: t0, Closed: t0,
		Next: event.ReasonRequested, Cursor: 9, Counts: event.Counts{Forwarded: 3}, Owner: "o", Outcome: pendingBy("run-0", "digest"), Overrun: 2, Settled: t0.Add(-time.Hour),
	}
	want := event.PhaseRecord{
		V: 1, Phase: event.LiveProcessing, Run: "run-2", Attempt: 1, Reason: event.ReasonRequested, Registered: 5, Parts: []int{subject.Part("test", "apps", "deployments")},
		Since: t0.Add(time.Hour), Cursor: 9, Counts: event.Counts{Forwarded: 3}, Owner: "o", Outcome: was.Outcome, Settled: was.Settled,
	}
	begin := Run{ID: "run-2", Reason: event.ReasonRequested, Now: t0.Add(time.Hour)}
	if got := begin.Record(was, d, 5); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := begin.Record(event.PhaseRecord{}, event.Destination{Key: key}, 5).Parts; !reflect.DeepEqual(got, []int{0}) {
		t.Errorf("rules that select nothing ask lanes %v", got)
	}
	parts := want.Parts
	for _, tt := range []struct {
		name string
		was  func(*event.PhaseRecord)
		want []int
	}{
		{"the same rules", func(was *event.PhaseRecord) { was.Registered = 5 }, parts},
		{"of other rules", func(*event.PhaseRecord) {}, append([]int{1}, parts...)},
		{"of other rules, which had none", func(was *event.PhaseRecord) { was.Parts = nil }, parts},
		{"a run of these rules that was to ask those of others", func(was *event.PhaseRecord) { was.Registered, was.Closed = 5, time.Time{} }, append([]int{1}, parts...)},
	} {
		was := was
		was.Parts = []int{1}
		tt.was(&was)
		got := begin.Record(was, d, 5).Parts
		slices.Sort(tt.want)
		if !reflect.DeepEqual(got, slices.Compact(tt.want)) {
			t.Errorf("behind a run of %s lanes %v are asked, want %v", tt.name, got, tt.want)
		}
	}
	again := Again(want, t0.Add(2*time.Hour))
	want.Attempt, want.Since = 2, t0.Add(2*time.Hour)
	if !reflect.DeepEqual(again, want) {
		t.Errorf("another attempt is %+v, want %+v", again, want)
	}
}

// TestApprovalCounts: an approval holds for exactly the deletions it was given for,
// until they are carried out.
func TestApprovalCounts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		given   string // to the run that begins
		before  string // to the run before
		pending string // what waits since the newest run that closed
		want    string
	}{
		{"none", "", "", "digest", ""},
		{"of this run", "digest", "", "digest", "digest"},
		{"of a run that was replaced, or had compared before", "", "digest", "digest", "digest"},
		{"carried out", "", "digest", "", ""},
		{"others are pending now", "", "digest", "other", ""},
	} {
		was := event.PhaseRecord{Approved: tt.before, Outcome: &event.Outcome{}}
		if tt.pending != "" {
			was.Outcome = pendingBy("run-0", tt.pending)
		}
		rec := Run{ID: "r", Reason: event.ReasonRequested, Approved: tt.given}.Record(was, event.Destination{Key: key}, 5)
		if rec.Approved != tt.want {
			t.Errorf("%s: the run begins with the approval of %q, want %q", tt.name, rec.Approved, tt.want)
		}
	}
}
