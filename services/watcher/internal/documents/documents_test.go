package documents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// document is a custom resource as the API server has it, made so many minutes after the first.
func document(kind, namespace, name string, minute int, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": v1alpha1.APIVersion, "kind": kind, "spec": spec}}
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetUID(types.UID(fmt.Sprintf("%s %s/%s", kind, namespace, name)))
	u.SetGeneration(1)
	u.SetCreationTimestamp(metav1.NewTime(time.Date(2026, 3, 14, 15, minute, 0, 0, time.UTC)))
	return u
}

func live() *unstructured.Unstructured {
	return document(v1alpha1.KindGitDestination, "shop", "live", 1, map[string]any{"remoteRef": map[string]any{"name": "git"}})
}

// server is an API server with documents. What is patched is kept, and nothing is changed by it:
// the real one merges, which TestResources of test/e2e is about.
type server struct {
	*fake.FakeDynamicClient
	mu      sync.Mutex
	patches []string
}

func newServer(objects ...runtime.Object) *server {
	lists := map[schema.GroupVersionResource]string{}
	for kind, resource := range kinds {
		lists[resource] = kind + "List"
	}
	s := &server{FakeDynamicClient: fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, objects...)}
	s.PrependReactor("patch", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		patch := a.(clienttesting.PatchAction)
		s.patches = append(s.patches, fmt.Sprintf("%s/%s %s %s", patch.GetNamespace(), patch.GetName(), a.GetSubresource(), patch.GetPatch()))
		return true, &unstructured.Unstructured{}, nil
	})
	return s
}

// patched are the patches since the last call.
func (s *server) patched() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.patches
	s.patches = nil
	return all
}

// follow reads documents until the test ends.
func follow(t *testing.T, s *server) *Source {
	t.Helper()
	source, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		source.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return source
}

const enough = 30 * time.Second

// TestSource: documents come with their defaults, oldest first, and a change is told of; that of
// a status is none.
func TestSource(t *testing.T) {
	rule := func(name string, minute int) *unstructured.Unstructured {
		return document(v1alpha1.KindWatchRule, "shop", name, minute, map[string]any{
			"destinationRef": map[string]any{"name": "live"}, "rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}}},
		})
	}
	s := newServer(live(), rule("young", 9), rule("old", 3), document(v1alpha1.KindGitRemote, "shop", "git", 0, map[string]any{"url": "/srv/git"}))
	source := follow(t, s)
	docs, changed, err := source.Get(t.Context(), enough)
	if err != nil {
		t.Fatal(err)
	}
	if len(docs.GitRemotes) != 1 || len(docs.GitDestinations) != 1 || docs.GitDestinations[0].Spec.Branch != "main" || len(docs.WatchRules) != 2 || docs.WatchRules[0].Name != "old" {
		t.Fatalf("%+v", docs)
	}
	verdict := Judge(docs)
	if !verdict.knows(live()) || (Verdict{}).knows(live()) {
		t.Error("it is not known what was judged")
	}
	destinations := s.Resource(kinds[v1alpha1.KindGitDestination]).Namespace("shop")
	update := func(change func(*unstructured.Unstructured)) {
		t.Helper()
		u := live()
		change(u)
		if _, err := destinations.Update(t.Context(), u, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	update(func(u *unstructured.Unstructured) { u.Object["status"] = map[string]any{"phase": "x"} })
	update(func(u *unstructured.Unstructured) {
		u.SetGeneration(2)
		u.Object["spec"].(map[string]any)["branch"] = "other"
	})
	if err := source.Settled(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if docs, _, err = source.Get(t.Context(), enough); err != nil || docs.GitDestinations[0].Spec.Branch != "other" {
		t.Errorf("%+v, %v", docs, err)
	}
	if changed := docs.GitDestinations[0]; verdict.knows(&changed) {
		t.Error("what has changed since counts as judged")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := source.Settled(ctx, make(chan struct{})); !errors.Is(err, context.Canceled) {
		t.Errorf("at the end: %v", err)
	}
}

// TestNotInstalled: where the kinds are not known it is said what to do, and they are found once
// they are.
func TestNotInstalled(t *testing.T) {
	s := newServer(live())
	var mu sync.Mutex
	answer := error(apierrors.NewNotFound(schema.GroupResource{Group: "kubescribe.dev"}, "x"))
	s.PrependReactor("list", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		return answer != nil, nil, answer
	})
	source := follow(t, s)
	for {
		_, _, err := source.Get(t.Context(), 50*time.Millisecond)
		if errors.Is(err, ErrNotInstalled) && strings.Contains(err.Error(), "kubectl apply -f deploy/crds") {
			break
		}
		if err == nil {
			t.Fatal("they are read")
		}
	}
	mu.Lock()
	answer = nil
	mu.Unlock()
	if docs, _, err := source.Get(t.Context(), enough); err != nil || len(docs.GitDestinations) != 1 {
		t.Errorf("%+v, %v", docs, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	empty, err := New(newServer())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := empty.Get(ctx, enough); !errors.Is(err, context.Canceled) {
		t.Errorf("at the end: %v", err)
	}
}

// records are what buckets hold.
type records[R any] struct {
	record R
	err    error
}

func (r *records[R]) Get(context.Context, string) (R, uint64, error) { return r.record, 1, r.err }

// TestReporter: each document that was judged says how it stands, once, and what comes anew is
// told of by an Event.
func TestReporter(t *testing.T) {
	s := newServer(live(), document(v1alpha1.KindWatchRule, "shop", "wrong", 2, map[string]any{}), document(v1alpha1.KindWatchRule, "shop", "new", 3, map[string]any{}))
	source := follow(t, s)
	docs, _, err := source.Get(t.Context(), enough)
	if err != nil {
		t.Fatal(err)
	}
	verdict := Judge(docs)
	delete(verdict.judged, "WatchRule shop/new") // came since
	verdict.Refused = []v1alpha1.Refused{{Ref: v1alpha1.Ref{Kind: v1alpha1.KindWatchRule, Namespace: "shop", Name: "wrong"}, Problems: v1alpha1.Problems{{Text: "is wrong"}}}}
	phases, statuses := &records[event.PhaseRecord]{err: bus.ErrNoMessage}, &records[event.Status]{err: bus.ErrNoMessage}
	events := record.NewFakeRecorder(10)
	r := Reporter{Source: source, Client: s, Cluster: "prod", Phases: phases, Statuses: statuses, Events: events, Log: slog.New(slog.DiscardHandler), told: map[types.UID]report{}}
	report := func(want ...string) {
		t.Helper()
		if err := r.all(t.Context(), verdict); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range s.patched() {
			where, patch, _ := strings.Cut(p, " status ")
			var says struct {
				Status v1alpha1.GitDestinationStatus `json:"status"`
			}
			if err := json.Unmarshal([]byte(patch), &says); err != nil {
				t.Fatal(err, p)
			}
			got = append(got, where+" "+says.Status.Conditions[0].Reason)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	told := func(want string) {
		t.Helper()
		select {
		case got := <-events.Events:
			if got != want {
				t.Errorf("it tells %q, want %q", got, want)
			}
		default:
			if want != "" {
				t.Errorf("it tells nothing, want %q", want)
			}
		}
	}
	report("shop/live Progressing", "shop/wrong Invalid")
	told("")
	phases.record, phases.err = event.PhaseRecord{Phase: event.LiveProcessing}, nil
	statuses.record, statuses.err = event.Status{Commit: "0123456789abcdef"}, nil
	report("shop/live Succeeded", "shop/wrong Invalid")
	told("Normal Pushed the branch is at 0123456789ab")
	statuses.record.Stalled = &event.Stalled{Reason: "PushRefused", Message: "no deploys on Friday"}
	report("shop/live PushRefused", "shop/wrong Invalid")
	told("Warning PushRefused no deploys on Friday")
	report("shop/live PushRefused", "shop/wrong Invalid")
	told("")

	phases.err = errors.New("no bus")
	if err := r.all(t.Context(), verdict); err == nil {
		t.Error("it is not said that the bus does not answer")
	}
	s.PrependReactor("patch", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{}, "live", errors.New("no"))
	})
	phases.err = nil
	if err := r.all(t.Context(), verdict); !apierrors.IsForbidden(errors.Unwrap(err)) && !strings.Contains(fmt.Sprint(err), "forbidden") {
		t.Errorf("that it may not write is not said: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), reportEvery+reportEvery/2)
	defer cancel()
	r.Run(ctx, func() Verdict { return verdict })
	if r.said == "" {
		t.Error("nor is it logged")
	}
}
