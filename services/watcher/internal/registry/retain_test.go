package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestRetain: a document that was changed and is wrong now goes on as it is registered, in its
// place; one that is gone, or that is not admitted any more, does not.
func TestRetain(t *testing.T) {
	rule := func(of, name string) event.Rule { return event.Rule{Of: of, Names: []string{name}} }
	live := func(rules ...event.Rule) event.Destination {
		return event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: "live"}, ClusterID: "c-2", URL: url, Branch: "main", BaseFolder: "live", Rules: rules}
	}
	const a, b, team, everywhere = "WatchRule shop/a", "WatchRule shop/b", "WatchRule team/a", "ClusterWatchRule a"
	registered := live(rule(a, "before"), rule(b, "before"), rule(team, "before"), rule(everywhere, "before"))
	registered.First, registered.ClusterID = 7, "c-1" // of a cluster that was made anew since
	refuse := func(kind, namespace, name string) []v1alpha1.Refused {
		return []v1alpha1.Refused{{Ref: v1alpha1.Ref{Kind: kind, Namespace: namespace, Name: name}}}
	}
	destinationItself := refuse(v1alpha1.KindGitDestination, "shop", "live")
	registered.Recipients, registered.Sensitive = []string{"age1a", "age1b"}, []event.Sensitive{{Resource: "a", Fields: []string{"x"}}}
	readBy := func(d event.Destination, recipients ...string) event.Destination {
		d.Recipients, d.Sensitive = recipients, registered.Sensitive
		return d
	}
	without := func(r event.Rule) event.Rule {
		r.Except = []event.Rule{{Groups: []string{""}, Resources: []string{"secrets"}}}
		return r
	}
	for _, tt := range []struct {
		name     string
		compiled []event.Destination
		refused  []v1alpha1.Refused
		change   func(all *v1alpha1.Documents)
		want     []event.Destination
	}{
		{"nothing is wrong", []event.Destination{live(rule(a, "now"))}, nil, nil, []event.Destination{live(rule(a, "now"))}},
		{"a rule, in its place", []event.Destination{live(rule(b, "now"), rule(everywhere, "now"))}, refuse(v1alpha1.KindWatchRule, "shop", "a"), nil, []event.Destination{live(rule(a, "before"), rule(b, "now"), rule(everywhere, "now"))}},
		{"a cluster's rule, in its place", []event.Destination{live(rule(a, "now"))}, refuse(v1alpha1.KindClusterWatchRule, "", "a"), nil, []event.Destination{live(rule(a, "now"), rule(everywhere, "before"))}},
		{"a rule that never was right", []event.Destination{live()}, refuse(v1alpha1.KindWatchRule, "shop", "c"), nil, []event.Destination{live()}},
		{"a rule that is not admitted any more", []event.Destination{live(rule(a, "now"))}, refuse(v1alpha1.KindWatchRule, "team", "a"), func(all *v1alpha1.Documents) {
			all.GitDestinations[0].Spec.AllowedNamespaces = nil
		}, []event.Destination{live(rule(a, "now"))}},
		{"a rule that goes elsewhere", []event.Destination{live(rule(a, "now"))}, refuse(v1alpha1.KindWatchRule, "shop", "b"), func(all *v1alpha1.Documents) {
			all.WatchRules[1].Spec.DestinationRef.Name = "other"
		}, []event.Destination{live(rule(a, "now"))}},
		{"a destination", nil, destinationItself, nil, []event.Destination{readBy(live(registered.Rules...), "age1a", "age1b")}},
		{"a destination that names one reader less, and one more", nil, destinationItself, func(all *v1alpha1.Documents) {
			all.GitDestinations[0].Spec.Encryption.Recipients = []string{"age1c", "age1b"}
		}, []event.Destination{readBy(live(registered.Rules...), "age1b")}},
		{"a destination that says that more is sensitive", nil, destinationItself, func(all *v1alpha1.Documents) {
			all.GitDestinations[0].Spec.Encryption.Types = []v1alpha1.SensitiveType{{Resource: "a", Fields: []string{"y"}}, {Resource: "b", Fields: []string{"z"}}}
		}, []event.Destination{func() event.Destination {
			d := readBy(live(registered.Rules...), "age1a", "age1b")
			d.Sensitive = []event.Sensitive{{Resource: "a", Fields: []string{"x", "y"}}, {Resource: "b", Fields: []string{"z"}}}
			return d
		}()}},
		{"a rule that says that Secrets are not mirrored", []event.Destination{live(rule(b, "now"))}, refuse(v1alpha1.KindWatchRule, "shop", "a"), func(all *v1alpha1.Documents) {
			all.WatchRules[0].Spec.MirrorSecrets = v1alpha1.MirrorSecretsNever
		}, []event.Destination{live(without(rule(a, "before")), rule(b, "now"))}},
		{"a destination, and a rule of it is gone", nil, destinationItself, func(all *v1alpha1.Documents) { all.WatchRules = all.WatchRules[:2] }, []event.Destination{readBy(live(rule(a, "before"), rule(b, "before"), rule(everywhere, "before")), "age1a", "age1b")}},
		{"a destination without a remote", nil, destinationItself, func(all *v1alpha1.Documents) { all.GitRemotes = nil }, []event.Destination{readBy(live(registered.Rules...), "age1a", "age1b")}},
		{"a destination without a remote, and a rule is not admitted any more", nil, destinationItself, func(all *v1alpha1.Documents) {
			all.GitRemotes, all.GitDestinations[0].Spec.AllowedNamespaces = nil, nil
		}, []event.Destination{readBy(live(rule(a, "before"), rule(b, "before"), rule(everywhere, "before")), "age1a", "age1b")}},
		{"a rule of which no destination can be read", []event.Destination{live(rule(b, "now"))}, refuse(v1alpha1.KindWatchRule, "shop", "a"), func(all *v1alpha1.Documents) {
			all.WatchRules[0].Spec = v1alpha1.WatchRuleSpec{}
		}, []event.Destination{live(rule(a, "before"), rule(b, "now"))}},
		{"a destination of another folder", nil, destinationItself, func(all *v1alpha1.Documents) { all.GitDestinations[0].Spec.BaseFolder = "other" }, nil},
		{"a destination that is gone", nil, nil, func(all *v1alpha1.Documents) { all.GitDestinations = nil }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			everything := v1alpha1.Rule{APIGroups: []string{"*"}, Resources: []string{"*"}}
			all := &v1alpha1.Documents{
				GitRemotes:        []v1alpha1.GitRemote{remote("shop", "git", url)},
				GitDestinations:   []v1alpha1.GitDestination{destination("shop", "live", "git", "live")},
				WatchRules:        []v1alpha1.WatchRule{watchRule("shop", "a", "live", everything), watchRule("shop", "b", "live", everything), watchRule("team", "a", "live", everything)},
				ClusterWatchRules: []v1alpha1.ClusterWatchRule{clusterRule("shop", "live", nil, everything)},
			}
			all.GitDestinations[0].Spec.AllowedNamespaces = []string{"team"}
			all.GitDestinations[0].Spec.Encryption.Recipients = []string{"age1a", "age1b"}
			all.WatchRules[2].Spec.DestinationRef.Namespace = "shop"
			all.ClusterWatchRules[0].Name = "a"
			if tt.change != nil {
				tt.change(all)
			}
			got := Retain(tt.compiled, []event.Destination{registered}, tt.refused, nil, all, "c-2")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestStanding: a destination whose document points elsewhere, as far as that can be read, does not
// write to its old place any more.
func TestStanding(t *testing.T) {
	unreadable := func(kind, name, path string) []v1alpha1.Refused {
		return []v1alpha1.Refused{{Ref: v1alpha1.Ref{Kind: kind, Namespace: "shop", Name: name}, Problems: v1alpha1.Problems{{Path: path}}}}
	}
	for _, tt := range []struct {
		name   string
		change func(all *v1alpha1.Documents)
		unread []v1alpha1.Refused
		want   bool
	}{
		{"as it was", func(*v1alpha1.Documents) {}, nil, true},
		{"another folder", func(all *v1alpha1.Documents) { all.GitDestinations[0].Spec.BaseFolder = "." }, nil, false},
		{"another branch", func(all *v1alpha1.Documents) { all.GitDestinations[0].Spec.Branch = "b" }, nil, false},
		{"another branch, and something else cannot be read", func(all *v1alpha1.Documents) { all.GitDestinations[0].Spec.Branch = "b" }, unreadable(v1alpha1.KindGitDestination, "live", "spec.interval"), false},
		{"a branch that cannot be read", func(all *v1alpha1.Documents) { all.GitDestinations[0].Spec.Branch = "b" }, unreadable(v1alpha1.KindGitDestination, "live", "spec.branch"), true},
		{"a folder that cannot be read", func(all *v1alpha1.Documents) { all.GitDestinations[0].Spec.BaseFolder = "." }, unreadable(v1alpha1.KindGitDestination, "live", "spec.baseFolder"), true},
		{"nothing of it can be read", func(all *v1alpha1.Documents) { all.GitDestinations[0].Spec = v1alpha1.GitDestinationSpec{} }, unreadable(v1alpha1.KindGitDestination, "live", "spec"), true},
		{"another URL of the remote", func(all *v1alpha1.Documents) { all.GitRemotes[0].Spec.URL = "https://git.example.com/other" }, nil, false},
		{"another spelling of the URL", func(all *v1alpha1.Documents) { all.GitRemotes[0].Spec.URL = "https://GIT.example.com/platform/live" }, nil, true},
		{"a URL that cannot be read", func(all *v1alpha1.Documents) { all.GitRemotes[0].Spec.URL = "" }, unreadable(v1alpha1.KindGitRemote, "git", "spec.url"), true},
		{"a URL that is wrong", func(all *v1alpha1.Documents) { all.GitRemotes[0].Spec.URL = "htps://git.example.com/other" }, nil, true},
		{"another remote", func(all *v1alpha1.Documents) {
			all.GitDestinations[0].Spec.RemoteRef.Name = "other"
			all.GitRemotes = append(all.GitRemotes, remote("shop", "other", "https://git.example.com/other"))
		}, nil, false},
		{"a remote that is gone", func(all *v1alpha1.Documents) { all.GitRemotes = nil }, nil, true},
		{"no document", func(all *v1alpha1.Documents) { all.GitDestinations = nil }, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := &v1alpha1.Documents{
				GitRemotes:      []v1alpha1.GitRemote{remote("shop", "git", url)},
				GitDestinations: []v1alpha1.GitDestination{destination("shop", "live", "git", "live")},
			}
			tt.change(all)
			registered := event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: "live"}, URL: url, Branch: "main", BaseFolder: "live"}
			if got := len(Standing([]event.Destination{registered}, all, tt.unread)) == 1; got != tt.want {
				t.Errorf("it stands: %v", got)
			}
		})
	}
}

// TestHeld: folders are whose they were first.
func TestHeld(t *testing.T) {
	of := func(name string, first uint64) event.Destination {
		return event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: name}, URL: url, Branch: "main", BaseFolder: name, First: first}
	}
	want := []v1alpha1.Holder{{Namespace: "shop", Name: "b", URL: url, Branch: "main", BaseFolder: "b"}, {Namespace: "shop", Name: "a", URL: url, Branch: "main", BaseFolder: "a"}}
	if diff := cmp.Diff(want, Held([]event.Destination{of("a", 9), of("b", 4)})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestMissing: what is registered has documents, or it is said which it has not.
func TestMissing(t *testing.T) {
	registered := []event.Destination{{
		Key:   event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: "live"},
		Rules: []event.Rule{{Of: "WatchRule shop/a"}, {Of: "ClusterWatchRule a"}, {}},
	}}
	for _, tt := range []struct {
		change func(all *v1alpha1.Documents)
		want   string
	}{
		{func(*v1alpha1.Documents) {}, ""},
		{func(all *v1alpha1.Documents) { all.GitRemotes = nil }, ""},
		{func(all *v1alpha1.Documents) { all.GitDestinations = nil }, "GitDestination shop/live"},
		{func(all *v1alpha1.Documents) { all.WatchRules = nil }, "WatchRule shop/a"},
		{func(all *v1alpha1.Documents) { all.ClusterWatchRules = nil }, "ClusterWatchRule a"},
	} {
		all := &v1alpha1.Documents{
			GitRemotes:        []v1alpha1.GitRemote{remote("shop", "git", url)},
			GitDestinations:   []v1alpha1.GitDestination{destination("shop", "live", "git", "live")},
			WatchRules:        []v1alpha1.WatchRule{watchRule("shop", "a", "live")},
			ClusterWatchRules: []v1alpha1.ClusterWatchRule{clusterRule("shop", "a", nil)},
		}
		if tt.change(all); Missing(registered, all) != tt.want {
			t.Errorf("%q is missing, want %q", Missing(registered, all), tt.want)
		}
	}
}
