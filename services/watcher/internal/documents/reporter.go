package documents

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/record"

	"github.com/kubescribe/kubescribe/services/watcher/internal/unmatched"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// reportEvery is how often statuses are looked at: a document's is written no more often.
	reportEvery = 2 * time.Second
	// reportMost is how many are written at a time.
	reportMost = 20
	// writeWait bounds one write.
	writeWait = 10 * time.Second
	// manager is whose the fields of a status are.
	manager = "kubescribe"
)

// Reporter writes what becomes of documents into their statuses, and tells of pushes and of
// what fails in Events. What it says decides nothing: a status that cannot be written is
// written later, an Event that cannot be is lost.
type Reporter struct {
	Source   *Source
	Client   dynamic.Interface
	Cluster  string
	Phases   Bucket[event.PhaseRecord]
	Statuses Bucket[event.Status]
	Lags     Bucket[event.Lag]
	Events   record.EventRecorder
	Log      *slog.Logger

	phases   records[event.PhaseRecord]
	statuses records[event.Status]
	lags     records[event.Lag]
	told     map[types.UID]told // what Events have told of each document
	said     string             // what was last logged as wrong
}

// told is what Events have told of a document: its report, and every line on what rules select
// nothing by. That comes and goes with what the cluster serves, and one time is enough.
type told struct {
	report
	unmatched map[string]bool
}

// Run reports until ctx ends: of each document that the verdict, as of now, is on.
func (r *Reporter) Run(ctx context.Context, verdict func() Verdict) {
	r.told = map[types.UID]told{}
	var follows sync.WaitGroup
	defer follows.Wait()
	follows.Go(func() { r.phases.follow(ctx, r.Phases) })
	follows.Go(func() { r.statuses.follow(ctx, r.Statuses) })
	follows.Go(func() { r.lags.follow(ctx, r.Lags) })
	for fault.Wait(ctx, reportEvery) == nil {
		err := r.all(ctx, verdict())
		if err == nil || ctx.Err() != nil {
			r.said = ""
			continue
		}
		if said := fault.Gist(err); said != r.said {
			r.said = said
			r.Log.Warn("the status of a custom resource is not written, retrying", "err", err)
		}
	}
}

func (r *Reporter) all(ctx context.Context, verdict Verdict) (err error) {
	wrong := map[v1alpha1.Ref]v1alpha1.Problems{}
	for _, d := range verdict.Refused {
		wrong[d.Ref] = d.Problems
	}
	written, there := 0, map[types.UID]bool{}
	for kind := range kinds {
		for _, u := range r.Source.all(kind) {
			there[u.GetUID()] = true
			if !verdict.knows(u) {
				continue
			}
			ref := v1alpha1.Ref{Kind: kind, Namespace: u.GetNamespace(), Name: u.GetName()}
			says, e := r.of(ref, wrong[ref], verdict.Unmatched[ref.String()], verdict.Withheld[ref.String()])
			if e != nil {
				err = errors.Join(err, e)
				continue
			}
			r.tell(kind, u, says)
			status, changed, e := says.status(u)
			if e != nil || !changed || written == reportMost {
				err = errors.Join(err, e)
				continue
			}
			written++
			err = errors.Join(err, r.write(ctx, kind, u, status))
		}
	}
	maps.DeleteFunc(r.told, func(uid types.UID, _ told) bool { return !there[uid] })
	return err
}

// of is what a document's status is to say.
func (r *Reporter) of(ref v1alpha1.Ref, problems v1alpha1.Problems, remarks []unmatched.Remark, withheld event.Withheld) (report, error) {
	if problems != nil {
		return refusal(problems), nil
	}
	if ref.Kind != v1alpha1.KindGitDestination {
		return acceptance(remarks), nil
	}
	key := subject.DestinationToken(event.DestinationKey{Cluster: r.Cluster, Namespace: ref.Namespace, Name: ref.Name})
	rec, err := r.phases.get(key)
	if err != nil {
		return report{}, err
	}
	st, err := r.statuses.get(key)
	if err != nil {
		return report{}, err
	}
	lag, err := r.lags.get(key)
	if err != nil {
		return report{}, err
	}
	return progress(rec, st, withheld).waits(lag, time.Now()), nil
}

// tell tells of what is new in a report by an Event. What stands in the status was told by a
// process before.
func (r *Reporter) tell(kind string, u *unstructured.Unstructured, says report) {
	was, known := r.told[u.GetUID()]
	if !known {
		was = toldBefore(u)
	}
	r.told[u.GetUID()] = told{says, was.unmatched}
	if c := meta.FindStatusCondition(says.conditions, v1alpha1.ConditionUnmatched); c != nil {
		anew := false
		for line := range strings.SplitSeq(c.Message, "\n") {
			anew = anew || !was.unmatched[line]
			was.unmatched[line] = true
		}
		if anew {
			r.Events.Event(u, "Warning", c.Reason, c.Message)
		}
	}
	for _, kind := range []string{v1alpha1.ConditionStalled, v1alpha1.ConditionSecretsWithheld, v1alpha1.ConditionHistoryGap} {
		c, before := meta.FindStatusCondition(says.conditions, kind), meta.FindStatusCondition(was.conditions, kind)
		if c != nil && (before == nil || before.Reason != c.Reason || before.Message != c.Message) {
			r.Events.Event(u, "Warning", c.Reason, c.Message)
		}
	}
	if commit := says.of.LastCommit; kind == v1alpha1.KindGitDestination && commit != was.of.LastCommit && commit != "" {
		r.Events.Eventf(u, "Normal", "Pushed", "the branch is at %.12s", commit)
	}
}

// toldBefore is what the status of a document says.
func toldBefore(u *unstructured.Unstructured) told {
	var stands struct {
		Status v1alpha1.GitDestinationStatus `json:"status"` // others have no more
	}
	was := told{unmatched: map[string]bool{}}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &stands) != nil {
		return was // of a wrong shape: it is written anew
	}
	was.report = report{conditions: stands.Status.Conditions, of: stands.Status}
	if c := meta.FindStatusCondition(was.conditions, v1alpha1.ConditionUnmatched); c != nil {
		for line := range strings.SplitSeq(c.Message, "\n") {
			was.unmatched[line] = true
		}
	}
	return was
}

// status is a document's status as it is to be, and whether that is not what it is.
func (r report) status(u *unstructured.Unstructured) (status map[string]any, changed bool, err error) {
	var was struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &was) != nil {
		was.Status.Conditions = nil // of a wrong shape: it is written anew
	}
	var conditions []metav1.Condition
	for _, c := range r.conditions {
		if before := meta.FindStatusCondition(was.Status.Conditions, c.Type); before != nil {
			conditions = append(conditions, *before)
		}
		c.ObservedGeneration = u.GetGeneration()
		meta.SetStatusCondition(&conditions, c)
	}
	next := r.of
	next.ObservedGeneration, next.Conditions = u.GetGeneration(), conditions
	if status, err = runtime.DefaultUnstructuredConverter.ToUnstructured(&next); err != nil {
		return nil, false, err
	}
	stands, _, _ := unstructured.NestedMap(u.Object, "status") // none, or of a wrong shape: it is written
	return status, !reflect.DeepEqual(ours(stands), status), nil
}

// conditionTypes are those of the conditions that a status may have of kubescribe.
var conditionTypes = []any{
	v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionPrunePending,
	v1alpha1.ConditionUnmatched, v1alpha1.ConditionSecretsWithheld, v1alpha1.ConditionIncomplete, v1alpha1.ConditionHistoryGap,
}

// ours is what of a status is kubescribe's: others may have put more beside it.
func ours(status map[string]any) map[string]any {
	conditions, ok := status["conditions"].([]any)
	if !ok {
		return status
	}
	status["conditions"] = slices.DeleteFunc(conditions, func(c any) bool {
		fields, _ := c.(map[string]any)
		return !slices.Contains(conditionTypes, fields["type"])
	})
	return status
}

// write applies a status (server-side apply): what others have put beside it stays.
func (r *Reporter) write(ctx context.Context, kind string, u *unstructured.Unstructured, status map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	patch, err := json.Marshal(map[string]any{
		"apiVersion": u.GetAPIVersion(), "kind": u.GetKind(),
		"metadata": map[string]any{"name": u.GetName(), "namespace": u.GetNamespace(), "uid": u.GetUID()},
		"status":   status,
	})
	if err != nil {
		return err
	}
	force := true
	var client dynamic.ResourceInterface = r.Client.Resource(kinds[kind])
	if ns := u.GetNamespace(); ns != "" {
		client = r.Client.Resource(kinds[kind]).Namespace(ns)
	}
	_, err = client.Patch(ctx, u.GetName(), types.ApplyPatchType, patch, metav1.PatchOptions{FieldManager: manager, Force: &force}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is gone, or another one by its name
		return nil
	}
	return err
}
