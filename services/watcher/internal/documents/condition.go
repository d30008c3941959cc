package documents

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// The conditions, as kstatus reads them: Ready says that all is as the document asks for,
// Reconciling and Stalled are there only while they are true.
const (
	ready       = "Ready"
	reconciling = "Reconciling"
	stalled     = "Stalled"
)

// The reasons that are not another record's.
const (
	reasonInvalid     = "Invalid"
	reasonAccepted    = "Accepted"
	reasonProgressing = "Progressing"
	reasonSucceeded   = "Succeeded"
	reasonPending     = "PrunePending"
)

// report is what a document's status says.
type report struct {
	conditions []metav1.Condition // without times and generations
	phase      event.Phase
	commit     string
	pushed     time.Time
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
		condition(ready, metav1.ConditionFalse, reasonInvalid, text),
		condition(stalled, metav1.ConditionTrue, reasonInvalid, text),
	}}
}

// acceptance is the report of a document by which the cluster is mirrored.
func acceptance() report {
	return report{conditions: []metav1.Condition{condition(ready, metav1.ConditionTrue, reasonAccepted, "it is taken")}}
}

// progress is the report of a destination: of its phase and of what the git-writer says.
func progress(rec event.PhaseRecord, st event.Status) report {
	r := report{phase: rec.Phase, commit: st.Commit, pushed: st.Pushed}
	add := func(c metav1.Condition) { r.conditions = append(r.conditions, c) }
	pending := rec.Outcome != nil && rec.Outcome.Pending != nil
	switch {
	case st.Stalled != nil:
		add(condition(ready, metav1.ConditionFalse, st.Stalled.Reason, st.Stalled.Message))
		add(condition(stalled, metav1.ConditionTrue, st.Stalled.Reason, st.Stalled.Message))
	case rec.Phase != event.LiveProcessing:
		text := "cluster and folder are compared"
		add(condition(ready, metav1.ConditionUnknown, reasonProgressing, text))
		add(condition(reconciling, metav1.ConditionTrue, reasonProgressing, text))
	case pending:
		p := rec.Outcome.Pending
		add(condition(ready, metav1.ConditionTrue, reasonPending, fmt.Sprintf("each change is written; %d deletions that run %s found wait for a person: kubescribe approve", p.Count, p.Run)))
	default:
		add(condition(ready, metav1.ConditionTrue, reasonSucceeded, "each change is written"))
	}
	return r
}
