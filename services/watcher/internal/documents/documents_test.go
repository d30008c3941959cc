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
	"testing/synctest"
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

	"github.com/kubescribe/kubescribe/services/watcher/internal/unmatched"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// object is a custom resource as the API server has it, made so many minutes after the first.
func object(kind, namespace, name string, minute int, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": v1alpha1.APIVersion, "kind": kind, "spec": spec}}
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetUID(types.UID(fmt.Sprintf("%s %s/%s", kind, namespace, name)))
	u.SetGeneration(1)
	u.SetCreationTimestamp(metav1.NewTime(time.Date(2026, 3, 14, 15, minute, 0, 0, time.UTC)))
	return u
}

func live() *unstructured.Unstructured {
	return object(v1alpha1.KindGitDestination, "shop", "live", 1, map[string]any{"remoteRef": map[string]any{"name": "git"}})
}

// namespace is the documents', made so many minutes after the first.
func namespace(minute int) *unstructured.Unstructured {
	u := object("Namespace", "", "shop", minute, nil)
	u.SetAPIVersion("v1")
	return u
}

// server is an API server with documents in a namespace. What is patched is kept, and nothing is changed by it:
// the real one merges, which TestResources of test/e2e is about.
type server struct {
	*fake.FakeDynamicClient
	mu      sync.Mutex
	patches []string
}

func newServer(objects ...runtime.Object) *server {
	lists := map[schema.GroupVersionResource]string{namespaces: "NamespaceList"}
	objects = append(objects, namespace(0))
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

// follow reads documents until the test ends. Those that are gone have a grace.
func follow(t *testing.T, s *server, grace time.Duration) *Source {
	t.Helper()
	source, err := New(s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	source.grace = grace
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

// TestSource: documents come with their defaults, by their names whatever their age, and a change
// is told of; that of a status is none.
func TestSource(t *testing.T) {
	rule := func(name string, minute int) *unstructured.Unstructured {
		return object(v1alpha1.KindWatchRule, "shop", name, minute, map[string]any{
			"destinationRef": map[string]any{"name": "live"}, "rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}}},
		})
	}
	s := newServer(live(), rule("a", 9), rule("b", 3), object(v1alpha1.KindGitRemote, "shop", "git", 0, map[string]any{"url": "/srv/git"}))
	source := follow(t, s, Grace)
	read, err := source.Get(t.Context(), enough)
	if err != nil {
		t.Fatal(err)
	}
	docs := read.Documents
	if len(read.Unread) > 0 || len(docs.GitRemotes) != 1 || len(docs.GitDestinations) != 1 || docs.GitDestinations[0].Spec.Branch != "main" || len(docs.WatchRules) != 2 || docs.WatchRules[0].Name != "a" {
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
	if err := source.Settled(t.Context(), read.Changed); err != nil {
		t.Fatal(err)
	}
	if read, err = source.Get(t.Context(), enough); err != nil {
		t.Fatal(err)
	}
	if docs = read.Documents; docs.GitDestinations[0].Spec.Branch != "other" {
		t.Errorf("%+v", docs)
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
	source := follow(t, s, Grace)
	for {
		_, err := source.Get(t.Context(), 50*time.Millisecond)
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
	if read, err := source.Get(t.Context(), enough); err != nil || len(read.Documents.GitDestinations) != 1 {
		t.Errorf("%+v, %v", read, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	empty, err := New(newServer(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := empty.Get(ctx, enough); !errors.Is(err, context.Canceled) {
		t.Errorf("at the end: %v", err)
	}
}

// bucket is one whose watches are given, one after the other; the last lasts.
type bucket[R event.Record] struct {
	watches []watched[R]
	begun   *int
}

// watched are the entries of a watch before it has come to what is new, and behind that, until
// it breaks.
type watched[R event.Record] struct{ before, after []bus.Entry[R] }

func (b bucket[R]) Watch(ctx context.Context, entry func(bus.Entry[R]) error, synced func() error) error {
	last := b.begun == nil || *b.begun >= len(b.watches)-1
	var w watched[R]
	if b.begun != nil {
		w = b.watches[min(*b.begun, len(b.watches)-1)]
		*b.begun++
	}
	for _, e := range w.before {
		_ = entry(e)
	}
	_ = synced()
	for _, e := range w.after {
		_ = entry(e)
	}
	if last {
		<-ctx.Done()
		return ctx.Err()
	}
	return errors.New("the connection was lost")
}

// TestRecords: what a bucket holds is known once all of it is read, and read anew after its
// watch has broken: what was removed meanwhile is gone.
func TestRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := func(key, commit string) bus.Entry[event.Status] {
			return bus.Entry[event.Status]{Key: key, Record: event.Status{Commit: commit}, Gone: commit == ""}
		}
		var r records[event.Status]
		if _, err := r.get("a"); !errors.Is(err, errUnread) {
			t.Errorf("before it is read: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go r.follow(ctx, bucket[event.Status]{begun: new(int), watches: []watched[event.Status]{
			{before: []bus.Entry[event.Status]{status("a", "1"), status("b", "1"), status("c", "1")}, after: []bus.Entry[event.Status]{status("a", "2"), status("c", "")}},
			{before: []bus.Entry[event.Status]{status("a", "3")}},
		}})
		check := func(broken bool, want map[string]string) {
			t.Helper()
			synctest.Wait()
			for key, commit := range want {
				if got, err := r.get(key); got.Commit != commit || (err != nil) != broken {
					t.Errorf("%s is at %q, %v; want %q", key, got.Commit, err, commit)
				}
			}
		}
		check(true, map[string]string{"a": "2", "b": "1", "c": ""})
		_ = fault.Wait(ctx, followAtMost) // by the bubble's clock
		check(false, map[string]string{"a": "3", "b": "", "c": ""})
		cancel()
		synctest.Wait()
	})
}

// TestReporter: each document that was judged says how it stands, once, and what comes anew is
// told of by an Event.
func TestReporter(t *testing.T) {
	s := newServer(live(), object(v1alpha1.KindWatchRule, "shop", "wrong", 2, map[string]any{}), object(v1alpha1.KindWatchRule, "shop", "new", 3, map[string]any{}))
	source := follow(t, s, Grace)
	read, err := source.Get(t.Context(), enough)
	if err != nil {
		t.Fatal(err)
	}
	verdict := Judge(read.Documents)
	delete(verdict.judged, "WatchRule shop/new") // came since
	verdict.Refused = []v1alpha1.Refused{{Ref: v1alpha1.Ref{Kind: v1alpha1.KindWatchRule, Namespace: "shop", Name: "wrong"}, Problems: v1alpha1.Problems{{Text: "is wrong"}}}}
	events := record.NewFakeRecorder(10)
	phases, statuses := map[string]event.PhaseRecord{}, map[string]event.Status{}
	r := Reporter{
		Source: source, Client: s, Cluster: "prod", Events: events, Log: slog.New(slog.DiscardHandler), told: map[types.UID]told{},
		phases: records[event.PhaseRecord]{of: phases}, statuses: records[event.Status]{of: statuses}, lags: records[event.Lag]{of: map[string]event.Lag{}},
	}
	key := subject.DestinationToken(event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: "live"})
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
	told("Warning Invalid is wrong")
	phases[key] = event.PhaseRecord{Phase: event.LiveProcessing}
	statuses[key] = event.Status{Commit: "0123456789abcdef"}
	report("shop/live Succeeded", "shop/wrong Invalid")
	told("Normal Pushed the branch is at 0123456789ab")
	statuses[key] = event.Status{Commit: "0123456789abcdef", Stalled: &event.Stalled{Reason: "PushRefused", Message: "no deploys on Friday"}}
	report("shop/live PushRefused", "shop/wrong Invalid")
	told("Warning PushRefused no deploys on Friday")
	report("shop/live PushRefused", "shop/wrong Invalid")
	told("")

	r.phases.err = errors.New("no bus")
	if err := r.all(t.Context(), verdict); err == nil {
		t.Error("it is not said that the bus does not answer")
	}
	s.PrependReactor("patch", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{}, "live", errors.New("no"))
	})
	r.phases.err = nil
	if err := r.all(t.Context(), verdict); !apierrors.IsForbidden(errors.Unwrap(err)) && !strings.Contains(fmt.Sprint(err), "forbidden") {
		t.Errorf("that it may not write is not said: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), reportEvery+reportEvery/2)
	defer cancel()
	r.Phases, r.Statuses, r.Lags = bucket[event.PhaseRecord]{}, bucket[event.Status]{}, bucket[event.Lag]{}
	r.Run(ctx, func() Verdict { return verdict })
	if r.said == "" {
		t.Error("nor is it logged")
	}
}

// TestToldOnce: what a rule selects nothing by is told once by an Event, however often it comes and
// goes; what comes anew beside it is told.
func TestToldOnce(t *testing.T) {
	events := record.NewFakeRecorder(10)
	r := Reporter{Events: events, told: map[types.UID]told{}}
	u := object(v1alpha1.KindWatchRule, "shop", "apps", 1, nil)
	a := unmatched.Remark{Path: "spec.rules[0]", Reason: unmatched.NotServed, Text: "a"}
	b := unmatched.Remark{Path: "spec.rules[1]", Reason: unmatched.NothingMatches, Text: "b"}
	for _, tt := range []struct {
		name    string
		remarks []unmatched.Remark
		want    string
	}{
		{"at first", []unmatched.Remark{a}, "Warning NotServed spec.rules[0]: a"},
		{"gone", nil, ""},
		{"what stood at first", []unmatched.Remark{a}, ""},
		{"another one beside it", []unmatched.Remark{a, b}, "Warning NotServed spec.rules[0]: a\nspec.rules[1]: b"},
		{"one alone", []unmatched.Remark{b}, ""},
		{"gone again", nil, ""},
		{"both are back", []unmatched.Remark{a, b}, ""},
	} {
		r.tell(v1alpha1.KindWatchRule, u, acceptance(tt.remarks))
		got := ""
		select {
		case got = <-events.Events:
		default:
		}
		if got != tt.want {
			t.Errorf("%s: it tells %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestToldBefore: what stands in a status is not told by the next process.
func TestToldBefore(t *testing.T) {
	events := record.NewFakeRecorder(10)
	u := object(v1alpha1.KindWatchRule, "shop", "apps", 1, nil)
	for _, says := range []report{
		refusal(v1alpha1.Problems{{Text: "is wrong"}}),
		acceptance([]unmatched.Remark{{Path: "spec.rules[0]", Reason: unmatched.NotServed, Text: "a"}, {Path: "spec.rules[1]", Reason: unmatched.NotServed, Text: "b"}}),
		progress(event.PhaseRecord{Phase: event.LiveProcessing}, event.Status{Commit: "0123456789abcdef"}, event.WithheldNoRecipient),
	} {
		status, _, err := says.status(u)
		if err != nil {
			t.Fatal(err)
		}
		u.Object["status"] = status
		next := Reporter{Events: events, told: map[types.UID]told{}}
		next.tell(v1alpha1.KindGitDestination, u, says)
		select {
		case got := <-events.Events:
			t.Errorf("it tells again: %q", got)
		default:
		}
	}
}
