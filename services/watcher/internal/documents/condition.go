package documents

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubescribe/kubescribe/services/watcher/internal/unmatched"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// The reasons that are not another record's.
const (
	reasonInvalid     = "Invalid"
	reasonAccepted    = "Accepted"
	reasonProgressing = "Progressing"
	reasonSucceeded   = "Succeeded"
	reasonDryRun      = "DryRun"
	reasonPending     = "MaxDeletions"
	reasonNotListed   = "NotListed"
)

// report is what a document's status says: its conditions, without times and generations,
// and what else it is of a destination.
type report struct {
	conditions []metav1.Condition
	of         v1alpha1.GitDestinationStatus
}

// maxMessage bounds a condition's message; the API takes 32 KiB.
const maxMessage = 2 << 10

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

// refusal is the report of a document that is not taken.
func refusal(problems v1alpha1.Problems) report {
	var lines []string
	for _, p := range problems {
		p.Object = "" // it stands there
		lines = append(lines, p.Error())
	}
	text := strings.Join(lines, "\n")
	return report{conditions: []metav1.Condition{
		condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonInvalid, text),
		condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, reasonInvalid, text),
	}}
}

// acceptance is the report of a document by which the cluster is mirrored, whatever a part of it
// does not select: that may come to be.
func acceptance(remarks []unmatched.Remark) report {
	if len(remarks) == 0 {
		return report{conditions: []metav1.Condition{condition(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonAccepted, "it is taken")}}
	}
	var lines []string
	for _, r := range remarks {
		lines = append(lines, r.Path+": "+r.Text)
	}
	text := strings.Join(lines, "\n")
	return report{conditions: []metav1.Condition{
		condition(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonAccepted, "it is taken; "+text),
		condition(v1alpha1.ConditionUnmatched, metav1.ConditionTrue, remarks[0].Reason, text),
	}}
}

// slowAfter is how long something waits before a status says so: what is on its way for a
// moment is none of a status, which would be written each time.
const slowAfter = time.Minute

// waits adds what waits for a destination to its report.
func (r report) waits(l event.Lag, now time.Time) report {
	if all := l.Waiting(); all.Messages > 0 && now.Sub(all.Since) > slowAfter {
		r.of.Waiting, r.of.WaitingSince = int64(all.Messages), timeOf(all.Since) //nolint:gosec // a stream's messages
	}
	return r
}

// progress is the report of a destination: of its phase, of what the git-writer says, and why
// nothing sensitive is mirrored to it.
func progress(rec event.PhaseRecord, st event.Status, withheld event.Withheld) report {
	r := report{of: v1alpha1.GitDestinationStatus{Phase: v1alpha1.Phase(rec.Phase), LastCommit: st.Commit, LastPushTime: timeOf(st.Pushed)}}
	if o := rec.Outcome; o != nil {
		r.of.LastRun = &v1alpha1.RunStatus{
			Name: o.Run, CompletionTime: timeOf(rec.Settled),
			Created: int64(o.Created), Updated: int64(o.Updated), Deleted: int64(o.Deleted), Equal: int64(o.Equal),
		}
	}
	r.of.DryRun = dryRun(st.DryRun)
	parked := gap(rec)
	add := func(c metav1.Condition) { r.conditions = append(r.conditions, c) }
	switch {
	case st.Stalled != nil:
		add(condition(v1alpha1.ConditionReady, metav1.ConditionFalse, st.Stalled.Reason, st.Stalled.Message))
		add(condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, st.Stalled.Reason, st.Stalled.Message))
	case parked != "":
		add(condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, event.ReasonHistoryGap, parked))
		add(condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, event.ReasonHistoryGap, parked))
	case rec.Phase != event.LiveProcessing:
		text := "cluster and folder are compared"
		add(condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, reasonProgressing, text))
		add(condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, reasonProgressing, text))
	case st.DryRun != nil:
		add(condition(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonDryRun, "each change is taken, and nothing is pushed: status.dryRun has what would have been, and spec.mode Write begins to"))
	default:
		add(condition(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonSucceeded, "each change is written"))
	}
	if rec.Outcome != nil && rec.Outcome.Pending != nil {
		p := rec.Outcome.Pending
		add(condition(v1alpha1.ConditionPrunePending, metav1.ConditionTrue, reasonPending, fmt.Sprintf("%d deletions wait for a person: kubescribe approve %s", p.Count, p.Run)))
	}
	if parked != "" {
		add(condition(v1alpha1.ConditionHistoryGap, metav1.ConditionTrue, event.ReasonHistoryGap, parked))
	}
	if rec.Outcome != nil && len(rec.Outcome.Incomplete) > 0 {
		text := "the newest comparison could not see all of these types, and took nothing of theirs for absent: " + strings.Join(rec.Outcome.Incomplete, ", ") +
			"; allow the watcher to list and watch them, see that their group answers, or leave them out of the rules"
		add(condition(v1alpha1.ConditionIncomplete, metav1.ConditionTrue, reasonNotListed, text))
	}
	if withheld != "" {
		add(condition(v1alpha1.ConditionSecretsWithheld, metav1.ConditionTrue, string(withheld), withheld.Message()))
	}
	return r
}

// gap says what a destination that is PARKED has lost, "" of one that is not.
func gap(rec event.PhaseRecord) string {
	if rec.Phase != event.Parked {
		return ""
	}
	lost := "changes were lost before they were taken"
	if rec.Gap != nil && rec.Gap.Missing > 0 {
		lost = fmt.Sprintf("changes were lost before they were taken (%d)", rec.Gap.Missing)
	}
	return lost + ": Git lacks them until the next comparison of cluster and folder, which is asked for, mends that"
}

// dryRun is what a destination in this mode would have pushed, nil of any other.
func dryRun(d *event.DryRun) *v1alpha1.DryRunStatus {
	if d == nil {
		return nil
	}
	st := &v1alpha1.DryRunStatus{Since: seconds(d.Since), Commits: int64(d.Commits), Files: int64(d.Files)}
	for _, c := range d.Newest {
		st.Newest = append(st.Newest, v1alpha1.DryRunCommit{Time: seconds(c.Time), Subject: c.Subject, Files: int64(c.Files), Changes: c.Changes})
	}
	return st
}

// timeOf is a time as the API writes it, nil of none.
func timeOf(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	s := seconds(t)
	return &s
}

func seconds(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
