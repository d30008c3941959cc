package owing

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func TestReasons(t *testing.T) {
	for _, tt := range []struct{ name, got, want string }{
		{"a type that nobody selects anything of", Listed(false, false), ""},
		{"a type appeared", Listed(false, true), event.ReasonTypeAppeared},
		{"its past is lost", Listed(true, true), event.ReasonWatchGap},
		{"its past is lost, and all of it", Listed(true, false), event.ReasonWatchGap},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

// TestWhole: a type is named once, and others that have its name in theirs are left alone.
func TestWhole(t *testing.T) {
	got := Whole([]string{"*.example.org", "configmaps in shop", "secrets in shop", "configmaps.example.org in shop", "configmaps in billing"}, schema.GroupResource{Resource: "configmaps"})
	want := []string{"*.example.org", "secrets in shop", "configmaps.example.org in shop", "configmaps"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRecalled(t *testing.T) {
	a, b, c := event.End{Incomplete: []string{"a"}}, event.End{Incomplete: []string{"b"}}, &event.Outcome{Incomplete: []string{"c"}}
	for _, tt := range []struct {
		name            string
		rec             event.PhaseRecord
		state, contents *event.End
		want            []string
	}{
		{"nothing yet", event.PhaseRecord{}, nil, nil, nil},
		{"not answered", event.PhaseRecord{Reason: event.ReasonRequested, Outcome: c}, nil, nil, []string{"c"}},
		{"answered", event.PhaseRecord{Reason: event.ReasonRequested, Outcome: c}, &a, nil, []string{"a"}},
		{"with contents", event.PhaseRecord{Reason: event.ReasonRequested, Outcome: c}, &a, &b, []string{"a", "b"}},
		{"to a comparison for a person", event.PhaseRecord{Reason: event.ReasonCompare, Outcome: c}, &a, &b, []string{"c"}},
		{"failed", event.PhaseRecord{Reason: event.ReasonRequested, Outcome: c}, &event.End{Failed: "why"}, nil, []string{"c"}},
		{"to a comparison that was the first", event.PhaseRecord{Reason: event.ReasonCompare}, &a, &b, nil},
	} {
		answer := subject.Series{Run: "r"}
		got := Recalled[follower](answer, tt.rec, tt.state, tt.contents)
		if !slices.Equal(got.missing, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got.missing, tt.want)
		}
		// What is missing in another answer says nothing of this one.
		if known := got.Of == answer; known != slices.Contains(tt.want, "a") {
			t.Errorf("%s: the answer is known: %t", tt.name, known)
		}
	}
}

type follower struct {
	of        schema.GroupResource
	namespace string
}

func (f follower) GroupResource() schema.GroupResource { return f.of }

func (follower) Version() string { return "v1" }

func (f follower) Follows() string { return f.namespace }

// TestLacks: an answer lacked what is missing and was not exact, until a run was
// asked for, or what it had is not to be had any more.
func TestLacks(t *testing.T) {
	of := func(group, resource, namespace string) follower {
		return follower{schema.GroupResource{Group: group, Resource: resource}, namespace}
	}
	inA, inB, other := of("", "configmaps", "a"), of("", "configmaps", "b"), of("apps", "deployments", "")
	had, late := of("example.org", "gadgets", ""), of("example.org", "gizmos", "")
	d := Of(subject.Series{}, []string{"*.example.org", "configmaps"}, inA, had)
	check := func(when string, want ...follower) {
		t.Helper()
		lacking := map[follower]bool{}
		for _, f := range want {
			lacking[f] = true
		}
		for _, f := range []follower{inA, inB, other, had, late} {
			if got := d.Lacks(f); got != lacking[f] {
				t.Errorf("%s: %v is lacking: %v", when, f, got)
			}
		}
	}
	check("answered", inB, late)
	d = d.Paid(late)
	check("asked for one", inB)
	d = d.Lost([]string{"gadgets.example.org", "deployments.apps"})
	check("two are lost", inB, had, other)
}

// TestLacksInNamespace: what was missing in one namespace is lacking to who follows that,
// or all.
func TestLacksInNamespace(t *testing.T) {
	of := schema.GroupResource{Group: "apps", Resource: "deployments"}
	in := func(namespace string) follower { return follower{of, namespace} }
	d := Of[follower](subject.Series{}, []string{Name(of, "b")})
	for f, want := range map[follower]bool{in("a"): false, in("b"): true, in(""): true, {schema.GroupResource{Group: "apps", Resource: "daemonsets"}, "b"}: false} {
		if got := d.Lacks(f); got != want {
			t.Errorf("%v is lacking: %v", f, got)
		}
	}
	if Name(of, "") != "deployments.apps" || Name(of, "b") != "deployments.apps in b" {
		t.Errorf("the names are %q and %q", Name(of, ""), Name(of, "b"))
	}
}

// TestLacksOtherVersions: what rules select in other versions is lacking once one of them
// is followed.
func TestLacksOtherVersions(t *testing.T) {
	f := follower{of: schema.GroupResource{Group: "apps", Resource: "deployments"}, namespace: "a"}
	for version, want := range map[string]bool{"v1": false, "v1beta1": true} {
		d := Of[follower](subject.Series{}, []string{Others(f.of.WithVersion(version))})
		if got := d.Lacks(f); got != want {
			t.Errorf("others than %s, and v1 is followed: lacking: %v", version, got)
		}
	}
	if name := Others(f.of.WithVersion("v1")); name != "deployments.apps other than v1" {
		t.Errorf("the name is %q", name)
	}
}

// TestOr: what is known of an answer is kept when the answer is told of again, and of an
// outcome as long as it lacks the same.
func TestOr(t *testing.T) {
	had, lost := follower{of: schema.GroupResource{Resource: "configmaps"}}, follower{of: schema.GroupResource{Resource: "services"}}
	r1, r2, outcome := subject.Series{Run: "r1"}, subject.Series{Run: "r2"}, subject.Series{}
	lacking := []string{"configmaps"}
	for _, tt := range []struct {
		name string
		told Debt[follower]
		kept bool
	}{
		{"the same answer", Of[follower](r1, lacking), true},
		{"another one", Of[follower](r2, lacking), false},
		{"an outcome", Of[follower](outcome, lacking), false},
		{"nothing", Debt[follower]{}, false},
	} {
		got := tt.told.Or(Of(r1, lacking, had).Lost([]string{"services"}))
		if kept := !got.Lacks(had) && got.Lacks(lost); kept != tt.kept {
			t.Errorf("%s: what was known is kept: %t", tt.name, kept)
		}
	}
	if Of[follower](outcome, lacking).Or(Of(outcome, lacking, had)).Lacks(had) {
		t.Error("it is forgotten that a run was asked for")
	}
	if !Of[follower](outcome, lacking).Or(Of[follower](outcome, nil, had)).Lacks(had) {
		t.Error("what another outcome lacked is not lacking")
	}
}

// TestNothingOwed: where no answer is known, only what is lost is lacking.
func TestNothingOwed(t *testing.T) {
	f := follower{of: schema.GroupResource{Resource: "configmaps"}}
	var none Debt[follower]
	if none.Lacks(f) {
		t.Error("lacking in no answer")
	}
	if d := none.Lost([]string{"configmaps"}); !d.Lacks(f) || d.Paid(f).Lacks(f) {
		t.Error("what was lost is not lacking until it is asked for")
	}
}
