package documents

import (
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/services/watcher/internal/unmatched"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestReports: Ready says how it is, and what is beside it is there only while it is true.
func TestReports(t *testing.T) {
	live := event.PhaseRecord{Phase: event.LiveProcessing}
	pending := event.PhaseRecord{Phase: event.LiveProcessing, Outcome: &event.Outcome{Pending: &event.Pending{Run: "r1", Count: 40}}}
	parked := event.PhaseRecord{Phase: event.Parked, Gap: &event.Gap{Missing: 3}}
	incomplete := event.PhaseRecord{Phase: event.LiveProcessing, Outcome: &event.Outcome{Incomplete: []string{"widgets.example.com", "*.metrics.k8s.io"}}}
	down := event.Status{Commit: "c1", Stalled: &event.Stalled{Reason: "RemoteUnreachable", Message: "no route"}}
	for _, tt := range []struct {
		name string
		says report
		want string
	}{
		{"accepted", acceptance(nil), "Ready=True Accepted"},
		{"accepted, and selects nothing", acceptance([]unmatched.Remark{{Path: "spec.rules[0]", Reason: unmatched.NothingMatches, Text: "no object"}}), "Ready=True Accepted, Unmatched=True NothingMatches"},
		{"wrong", refusal(v1alpha1.Problems{{Object: "WatchRule shop/a", Path: "spec.rules", Text: "is required"}}), "Ready=False Invalid, Stalled=True Invalid"},
		{"nothing known yet", progress(event.PhaseRecord{}, event.Status{}, ""), "Ready=Unknown Progressing, Reconciling=True Progressing"},
		{"compared", progress(event.PhaseRecord{Phase: event.StartupReconcile}, event.Status{}, ""), "Ready=Unknown Progressing, Reconciling=True Progressing"},
		{"live", progress(live, event.Status{Commit: "c1"}, ""), "Ready=True Succeeded"},
		{"changes were lost", progress(parked, event.Status{}, ""), "Ready=Unknown HistoryGap, Reconciling=True HistoryGap, HistoryGap=True HistoryGap"},
		{"changes were lost, and it is down", progress(parked, down, ""), "Ready=False RemoteUnreachable, Stalled=True RemoteUnreachable, HistoryGap=True HistoryGap"},
		{"types are not listed", progress(incomplete, event.Status{}, ""), "Ready=True Succeeded, Incomplete=True NotListed"},
		{"deletions wait", progress(pending, event.Status{}, ""), "Ready=True Succeeded, PrunePending=True MaxDeletions"},
		{"Secrets are withheld", progress(live, event.Status{}, event.WithheldNoRecipient), "Ready=True Succeeded, SecretsWithheld=True NoRecipient"},
		{"in DryRun", progress(live, event.Status{DryRun: &event.DryRun{}}, ""), "Ready=True DryRun"},
		{"in DryRun, and compared", progress(event.PhaseRecord{Phase: event.StartupReconcile}, event.Status{DryRun: &event.DryRun{}}, ""), "Ready=Unknown Progressing, Reconciling=True Progressing"},
		{"in DryRun, and down", progress(live, event.Status{Stalled: down.Stalled, DryRun: &event.DryRun{}}, ""), "Ready=False RemoteUnreachable, Stalled=True RemoteUnreachable"},
		{"down", progress(live, down, ""), "Ready=False RemoteUnreachable, Stalled=True RemoteUnreachable"},
	} {
		var got []string
		for _, c := range tt.says.conditions {
			got = append(got, c.Type+"="+string(c.Status)+" "+c.Reason)
			if c.Message == "" {
				t.Errorf("%s: %s says nothing", tt.name, c.Type)
			}
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
}

// TestReportOfDryRun: what would have been pushed stands in the status, and goes with the mode.
func TestReportOfDryRun(t *testing.T) {
	at := time.Date(2026, 3, 14, 15, 9, 26, 5, time.UTC)
	got := progress(event.PhaseRecord{}, event.Status{DryRun: &event.DryRun{
		Since: at, Commits: 3, Files: 12, Newest: []event.WouldBe{{Time: at, Subject: "Create a", Files: 2, Changes: []string{"Create live/a.yaml"}}},
	}}, "").of.DryRun
	whole := metav1.NewTime(at.Truncate(time.Second))
	want := &v1alpha1.DryRunStatus{
		Since: whole, Commits: 3, Files: 12, Newest: []v1alpha1.DryRunCommit{{Time: whole, Subject: "Create a", Files: 2, Changes: []string{"Create live/a.yaml"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it says %+v, want %+v", got, want)
	}
	if got := progress(event.PhaseRecord{}, event.Status{}, "").of.DryRun; got != nil {
		t.Errorf("of one that is written to it says %+v", got)
	}
}

// TestReportTexts: what is lost or not seen is named.
func TestReportTexts(t *testing.T) {
	parked := event.PhaseRecord{Phase: event.Parked, Gap: &event.Gap{Missing: 3}, Outcome: &event.Outcome{Incomplete: []string{"widgets.example.com", "*.metrics.k8s.io"}}}
	says := map[string]string{}
	for _, c := range progress(parked, event.Status{}, "").conditions {
		says[c.Type] = c.Message
	}
	for kind, text := range map[string]string{
		v1alpha1.ConditionReady:      "changes were lost before they were taken (3)",
		v1alpha1.ConditionHistoryGap: "the next comparison of cluster and folder",
		v1alpha1.ConditionIncomplete: "widgets.example.com, *.metrics.k8s.io",
	} {
		if !strings.Contains(says[kind], text) {
			t.Errorf("%s: %q, want %q", kind, says[kind], text)
		}
	}
}

// TestStatus: what has not changed is not written again, and when a condition began stays.
func TestStatus(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "live", "generation": int64(3)}}}
	says := progress(event.PhaseRecord{Phase: event.LiveProcessing}, event.Status{Commit: "c1", Pushed: time.Unix(1_770_000_000, 5)}, "")
	first, changed, err := says.status(u)
	if err != nil || !changed || first["observedGeneration"] != int64(3) || first["lastCommit"] != "c1" || first["phase"] != "LIVE_PROCESSING" {
		t.Fatalf("%v, %t, %v", first, changed, err)
	}
	u.Object["status"] = first
	if again, changed, err := says.status(u); changed || err != nil {
		t.Errorf("again: %v, %v", again, err)
	}
	theirs := map[string]any{"type": "Audited", "status": "True"}
	u.Object["status"].(map[string]any)["conditions"] = append(first["conditions"].([]any), theirs)
	if again, changed, err := says.status(u); changed || err != nil {
		t.Errorf("beside a condition of somebody else's: %v, %v", again, err)
	}
	u.Object["status"] = first
	const began = "2026-03-14T15:09:26Z"
	conditions := first["conditions"].([]any)
	conditions[0].(map[string]any)["lastTransitionTime"] = began
	next, changed, err := progress(event.PhaseRecord{Phase: event.LiveProcessing}, event.Status{Commit: "c2"}, "").status(u)
	if err != nil || !changed || next["conditions"].([]any)[0].(map[string]any)["lastTransitionTime"] != began {
		t.Errorf("with another commit: %v, %t, %v", next, changed, err)
	}
	down := progress(event.PhaseRecord{Phase: event.LiveProcessing}, event.Status{Stalled: &event.Stalled{Reason: "PushRefused", Message: "no"}}, "")
	next, _, err = down.status(u)
	if c := next["conditions"].([]any); err != nil || len(c) != 2 || c[0].(map[string]any)["lastTransitionTime"] == began {
		t.Errorf("stalled: %v, %v", next, err)
	}
}

// TestConditionsEnd: a condition that holds no more leaves the status.
func TestConditionsEnd(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "live", "generation": int64(3)}}}
	rec := event.PhaseRecord{Phase: event.Parked, Outcome: &event.Outcome{Incomplete: []string{"widgets.example.com"}}}
	first, _, err := progress(rec, event.Status{}, "").status(u)
	if c := first["conditions"].([]any); err != nil || len(c) != 4 {
		t.Fatalf("%v, %v", first, err)
	}
	u.Object["status"] = first
	rec.Phase, rec.Outcome = event.LiveProcessing, nil
	next, changed, err := progress(rec, event.Status{}, "").status(u)
	if c := next["conditions"].([]any); err != nil || !changed || len(c) != 1 {
		t.Errorf("%v, %t, %v", next, changed, err)
	}
}

// TestLongMessage: a message stays within what the API takes.
func TestLongMessage(t *testing.T) {
	c := condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonInvalid, strings.Repeat("é", maxMessage))
	if len(c.Message) > maxMessage+len("…") || !strings.HasSuffix(c.Message, "…") {
		t.Errorf("%d bytes", len(c.Message))
	}
}

// TestReportWaiting: what has waited for longer than a minute is told, and nothing else.
func TestReportWaiting(t *testing.T) {
	now := time.Now()
	ago := func(n uint64, d time.Duration) event.Waiting { return event.Waiting{Messages: n, Since: now.Add(-d)} }
	for name, tt := range map[string]struct {
		lag   event.Lag
		want  int64
		since time.Duration
	}{
		"nothing":              {},
		"a moment ago":         {lag: event.Lag{Stream: ago(5, time.Second), Writer: ago(4, 50*time.Second)}},
		"for long":             {lag: event.Lag{Writer: ago(4, time.Hour)}, want: 4, since: time.Hour},
		"some of it, for long": {lag: event.Lag{Stream: ago(5, time.Second), Writer: ago(4, time.Hour)}, want: 9, since: time.Hour},
		"before the stream":    {lag: event.Lag{Stream: ago(5, 2*time.Hour), Writer: ago(4, time.Hour)}, want: 9, since: 2 * time.Hour},
	} {
		of := progress(event.PhaseRecord{}, event.Status{}, "").waits(tt.lag, now).of
		if of.Waiting != tt.want || (of.WaitingSince == nil) != (tt.want == 0) || tt.want > 0 && !of.WaitingSince.Time.Equal(now.Add(-tt.since).Truncate(time.Second)) {
			t.Errorf("%s: %d since %v", name, of.Waiting, of.WaitingSince)
		}
	}
}
