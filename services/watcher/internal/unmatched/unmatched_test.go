package unmatched

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/shared/event"
)

const doc = "WatchRule shop/a"

func typ(group, version, resource string, namespaced bool) discover.Type {
	return discover.Type{GroupVersionResource: schema.GroupVersionResource{Group: group, Version: version, Resource: resource}, Namespaced: namespaced}
}

var configmaps = typ("", "v1", "configmaps", true)

func rule(groups, resources []string, change func(r *event.Rule)) event.Rule {
	r := event.Rule{Of: doc, Groups: groups, Resources: resources, Namespaces: []string{"shop"}}
	if change != nil {
		change(&r)
	}
	return r
}

func destination(name string, rules ...event.Rule) event.Destination {
	return event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: name}, Rules: rules}
}

// TestTypes: what a rule names and is not there is said, where it stands; what is there, or may
// be, is not.
func TestTypes(t *testing.T) {
	found := discover.Found{
		Types: []discover.Type{
			configmaps, typ("", "v1", "nodes", false), typ("", "v1", "namespaces", false), typ("apps", "v1", "deployments", true),
		},
		Others: []schema.GroupResource{{Resource: "bindings"}, {Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}},
		Failed: map[schema.GroupVersion]error{{Group: "metrics.k8s.io", Version: "v1"}: errors.New("no")},
	}
	all, core, both := []string{"*"}, []string{""}, []string{"", "apps"}
	for _, tt := range []struct {
		name string
		rule event.Rule
		want string // path and reason
	}{
		{"everything", rule(all, all, nil), ""},
		{"types that are there", rule(both, []string{"configmaps", "deployments"}, nil), ""},
		{"an unknown resource", rule(both, []string{"configmaps", "deployment"}, nil), "spec.rules[0].resources[1] NotServed"},
		{"of another group", rule(core, []string{"deployments"}, nil), "spec.rules[0].resources[0] NotServed"},
		{"an unknown group", rule([]string{"", "app"}, []string{"configmaps"}, nil), "spec.rules[0].apiGroups[1] NotServed"},
		{"nothing but unknown groups", rule([]string{"app"}, []string{"deployments"}, nil), "spec.rules[0].apiGroups[0] NotServed"},
		{"a group that does not answer", rule([]string{"metrics.k8s.io"}, []string{"pods"}, nil), ""},
		{"any group, of which one does not answer", rule(all, []string{"pod"}, nil), ""},
		{"what cannot be watched", rule(core, []string{"bindings"}, nil), "spec.rules[0].resources[0] LeftOut"},
		{"what is left out by default", rule(core, []string{"nodes"}, func(r *event.Rule) { r.Namespaces = nil }), "spec.rules[0].resources[0] LeftOut"},
		{"what is in no namespace", rule(core, []string{"namespaces"}, nil), "spec.rules[0].resources[0] LeftOut"},
		{"for the whole cluster", rule(core, []string{"namespaces"}, func(r *event.Rule) { r.Namespaces = nil }), ""},
		{"another version", rule([]string{"apps"}, []string{"deployments"}, func(r *event.Rule) { r.Versions = []string{"v1beta1"} }), "spec.rules[0].resources[0] LeftOut"},
		{"any version", rule([]string{"apps"}, []string{"deployments"}, func(r *event.Rule) { r.Versions = all }), ""},
	} {
		got := ""
		for _, r := range Types([]event.Destination{destination("live", tt.rule)}, found, nil)[doc] {
			got += r.Path + " " + r.Reason
			if r.Text == "" {
				t.Errorf("%s: nothing is said", tt.name)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	withheld := destination("live", rule(core, []string{"secrets"}, nil))
	withheld.Withheld = event.WithheldNoRecipient
	found.Types = append(found.Types, typ("", "v1", "secrets", true))
	if got := Types([]event.Destination{withheld}, found, nil)[doc]; len(got) != 1 || got[0].Reason != LeftOut || !strings.Contains(got[0].Text, "nobody could read them") {
		t.Errorf("of Secrets that are withheld: %+v", got)
	}
	if got := Types([]event.Destination{destination("live", rule(core, []string{"secrets"}, nil))}, found, nil)[doc]; len(got) > 0 {
		t.Errorf("of Secrets that are mirrored: %+v", got)
	}
	// A rule's place is that in its own document.
	other := rule(core, []string{"x"}, func(r *event.Rule) { r.Of = "WatchRule shop/b" })
	remarks := Types([]event.Destination{destination("live", rule(core, all, nil), other, rule(core, []string{"x"}, nil))}, found, nil)
	if got := []string{remarks[doc][0].Path, remarks["WatchRule shop/b"][0].Path}; !cmp.Equal(got, []string{"spec.rules[1].resources[0]", "spec.rules[0].resources[0]"}) {
		t.Errorf("%q", got)
	}
}

// TestTypesWhileAGroupFails: what was said before of a rule stays while a group does not answer, of
// that rule alone.
func TestTypesWhileAGroupFails(t *testing.T) {
	metrics := schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1"}
	found := discover.Found{Types: []discover.Type{configmaps, typ(metrics.Group, "v1", "nodes", false)}}
	live := destination("live",
		rule([]string{"*"}, []string{"pod"}, nil),
		rule([]string{"*"}, []string{"configmaps"}, nil),
		rule([]string{""}, []string{"cm"}, nil))
	says := func(when string, live event.Destination, before map[string][]Remark, want ...string) map[string][]Remark {
		t.Helper()
		all := Types([]event.Destination{live}, found, before)
		var got []string
		for _, r := range all[doc] {
			got = append(got, r.Path)
		}
		if !cmp.Equal(got, want) {
			t.Errorf("%s: it says %q, want %q", when, got, want)
		}
		return all
	}
	before := says("at first", live, nil, "spec.rules[0].resources[0]", "spec.rules[2].resources[0]")
	found.Failed = map[schema.GroupVersion]error{metrics: errors.New("no")}
	before = says("while a group fails", live, before, "spec.rules[0].resources[0]", "spec.rules[2].resources[0]")
	says("before anything was said", live, nil, "spec.rules[2].resources[0]")
	found.Failed = nil
	found.Types = append(found.Types, typ(metrics.Group, "v1", "pod", true))
	says("once it is back", live, before, "spec.rules[2].resources[0]")
}

func configMap(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetNamespace("shop")
	o.SetName(name)
	return o
}

// TestPatterns: a pattern that no object matches is named once all there is has been seen, and
// not any more once one has matched, whatever becomes of other rules.
func TestPatterns(t *testing.T) {
	named := func(pattern string) event.Rule {
		return rule([]string{""}, []string{"configmaps"}, func(r *event.Rule) { r.Names = []string{pattern} })
	}
	var p Patterns
	follow := func(destinations ...event.Destination) {
		t.Helper()
		if err := p.Follow(destinations); err != nil {
			t.Fatal(err)
		}
	}
	says := func(exact bool, want ...string) {
		t.Helper()
		var got []string
		for _, r := range p.Remarks([]Followed{{Type: configmaps, Namespace: "shop", Exact: exact}, {Type: typ("", "v1", "pods", true), Namespace: "shop"}})[doc] {
			got = append(got, r.Path)
			if r.Reason != NothingMatches || r.Text != "no object that can be mirrored matches its names; correct that, or leave it until one does" {
				t.Errorf("%+v", r)
			}
		}
		if !cmp.Equal(got, want) {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	live := destination("live", rule([]string{""}, []string{"*"}, nil), named("web-*"), named("wbe-*"))
	follow(live)
	if p.See(typ("apps", "v1", "deployments", true), "shop") != nil || p.See(configmaps, "billing") != nil {
		t.Error("it waits for what no rule selects")
	}
	see := p.See(configmaps, "shop")
	if !see(configMap("web-1")) {
		t.Error("it does not wait for a second one")
	}
	says(false)
	says(true, "spec.rules[2]")
	follow(destination("live", named("wbe-*"), named("web-*"), named("new-*")))
	says(false, "spec.rules[0]") // as before; web-* has matched, and of the new one nothing is known
	says(true, "spec.rules[0]", "spec.rules[2]")
	see = p.See(configmaps, "")
	see(configMap("wbe-1"))
	says(true, "spec.rules[2]")
	see(configMap("new-1"))
	says(true)
	if see(configMap("new-2")) || p.See(configmaps, "shop") != nil {
		t.Error("it waits on")
	}
	if err := p.Follow([]event.Destination{destination("live", rule(nil, nil, func(r *event.Rule) { r.Labels = "a in (" }))}); err == nil {
		t.Error("what cannot be read is followed")
	}
}

// TestRefusedTypes: a type that the API server refuses is not waited for, and is not taken for seen
// where a rule selects nothing else.
func TestRefusedTypes(t *testing.T) {
	named := func(resources ...string) event.Rule {
		return rule([]string{""}, resources, func(r *event.Rule) { r.Names = []string{"a"} })
	}
	var p Patterns
	if err := p.Follow([]event.Destination{destination("live", named("configmaps", "pods"), named("pods"))}); err != nil {
		t.Fatal(err)
	}
	remarks := p.Remarks([]Followed{{Type: configmaps, Namespace: "shop", Exact: true}, {Type: typ("", "v1", "pods", true), Namespace: "shop", Refused: true}})[doc]
	if len(remarks) != 1 || remarks[0].Path != "spec.rules[0]" {
		t.Errorf("%+v", remarks)
	}
}

// client has one object, and a watch.
type client struct {
	dynamic.ResourceInterface
	watch *watch.FakeWatcher
	err   error
}

func (c client) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	return &unstructured.UnstructuredList{Items: []unstructured.Unstructured{*configMap("a"), *configMap("b")}}, c.err
}

func (c client) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return c.watch, c.err
}

// TestSeen: what is listed and watched is shown and handed on, and a watch that is stopped, or
// ends, leaves nothing.
func TestSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails where a goroutine stays
		shown := ""
		from := client{watch: watch.NewFake()}
		c := Seen(from, func(o *unstructured.Unstructured) bool { shown += o.GetName(); return true })
		if l, err := c.List(t.Context(), metav1.ListOptions{}); err != nil || len(l.Items) != 2 || shown != "ab" {
			t.Errorf("%v, %v, shown %q", l, err, shown)
		}
		wi, err := c.Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			from.watch.Add(configMap("c"))
			from.watch.Delete(configMap("d"))
			from.watch.Modify(configMap("e"))
			from.watch.Add(configMap("f"))
		}()
		var got string
		for range 3 {
			got += (<-wi.ResultChan()).Object.(*unstructured.Unstructured).GetName()
		}
		synctest.Wait() // f waits to be taken
		wi.Stop()
		if got != "cde" || shown != "abcef" {
			t.Errorf("handed on %q, shown %q", got, shown)
		}
		synctest.Wait()
		from.watch = watch.NewFake()
		if wi, err = Seen(from, func(*unstructured.Unstructured) bool { return false }).Watch(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		from.watch.Stop()
		if _, open := <-wi.ResultChan(); open {
			t.Error("it goes on behind its end")
		}
		failing := Seen(client{err: errors.New("no")}, nil)
		if _, err := failing.List(t.Context(), metav1.ListOptions{}); err == nil {
			t.Error("that it cannot be listed is not said")
		}
		if _, err := failing.Watch(t.Context(), metav1.ListOptions{}); err == nil {
			t.Error("that it cannot be watched is not said")
		}
	})
}
