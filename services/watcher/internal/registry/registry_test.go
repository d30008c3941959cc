package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func remote(namespace, name, url string) v1alpha1.GitRemote {
	return v1alpha1.GitRemote{ObjectMeta: meta(namespace, name), Spec: v1alpha1.GitRemoteSpec{
		URL: url, Committer: v1alpha1.Committer{Name: "k", Email: "k@localhost"}, MinPushInterval: &metav1.Duration{Duration: 10 * time.Second},
	}}
}

func destination(namespace, name, remote, folder string) v1alpha1.GitDestination {
	percent := intstr.FromString("30%")
	return v1alpha1.GitDestination{ObjectMeta: meta(namespace, name), Spec: v1alpha1.GitDestinationSpec{
		RemoteRef: v1alpha1.RemoteRef{Name: remote}, Branch: "main", BaseFolder: folder,
		Interval: &metav1.Duration{Duration: 10 * time.Minute}, Prune: v1alpha1.Prune{Mode: v1alpha1.PruneAlways, MaxDeletions: &percent},
		Commit: v1alpha1.Commit{Window: &metav1.Duration{Duration: 30 * time.Second}, MaxCommitsPerObjectPerMinute: 10},
	}}
}

func watchRule(namespace, name, dest string, rules ...v1alpha1.Rule) v1alpha1.WatchRule {
	return v1alpha1.WatchRule{ObjectMeta: meta(namespace, name), Spec: v1alpha1.WatchRuleSpec{
		DestinationRef: v1alpha1.DestinationRef{Namespace: namespace, Name: dest}, Rules: rules,
	}}
}

func clusterRule(namespace, dest string, namespaces []string, rules ...v1alpha1.Rule) v1alpha1.ClusterWatchRule {
	return v1alpha1.ClusterWatchRule{ObjectMeta: meta("", dest), Spec: v1alpha1.ClusterWatchRuleSpec{
		DestinationRef: v1alpha1.DestinationRef{Namespace: namespace, Name: dest}, Rules: rules, Namespaces: namespaces,
	}}
}

const url = "https://git.example.com/platform/live.git"

func TestCompile(t *testing.T) {
	deployments := v1alpha1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}}
	everything := v1alpha1.Rule{APIGroups: []string{"*"}, Resources: []string{"*"}}
	dest := func(namespace, name, folder string, rules ...event.Rule) event.Destination {
		return event.Destination{
			V: event.Version, Key: event.DestinationKey{Cluster: "prod", Namespace: namespace, Name: name}, ClusterID: "c-1",
			URL: url, BranchKey: subject.BranchKey(v1alpha1.CanonicalURL(url), "main"), Branch: "main", BaseFolder: folder,
			Committer: event.Person{Name: "k", Email: "k@localhost"}, Rules: rules,
			MinPushInterval: 10 * time.Second, Window: 30 * time.Second, MaxCommits: 10, Interval: 10 * time.Minute, Prune: event.Prune{Mode: event.PruneAlways, MaxPercent: 30, MaxFiles: 10},
		}
	}
	for _, tt := range []struct {
		name string
		docs v1alpha1.Documents
		want []event.Destination
	}{
		{"nothing", v1alpha1.Documents{}, nil},
		{
			"a destination without rules",
			v1alpha1.Documents{
				GitRemotes:      []v1alpha1.GitRemote{remote("shop", "git", url)},
				GitDestinations: []v1alpha1.GitDestination{destination("shop", "live", "git", "live")},
			},
			[]event.Destination{dest("shop", "live", "live")},
		},
		{
			"the root folder",
			v1alpha1.Documents{
				GitRemotes:      []v1alpha1.GitRemote{remote("shop", "git", url)},
				GitDestinations: []v1alpha1.GitDestination{destination("shop", "live", "git", ".")},
			},
			[]event.Destination{dest("shop", "live", "")},
		},
		{
			"rules by their own namespace",
			v1alpha1.Documents{
				GitRemotes:      []v1alpha1.GitRemote{remote("shop", "git", url), remote("billing", "git", url)},
				GitDestinations: []v1alpha1.GitDestination{destination("shop", "live", "git", "shop"), destination("billing", "live", "git", "billing")},
				WatchRules: []v1alpha1.WatchRule{
					watchRule("shop", "a", "live", deployments, everything),
					watchRule("billing", "a", "live", everything),
					watchRule("shop", "b", "other", everything),
				},
			},
			[]event.Destination{
				dest("shop", "live", "shop",
					event.Rule{Groups: []string{"apps"}, Versions: []string{"v1"}, Resources: []string{"deployments"}, Namespaces: []string{"shop"}, Of: "WatchRule shop/a"},
					event.Rule{Groups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"shop"}, Of: "WatchRule shop/a"}),
				dest("billing", "live", "billing",
					event.Rule{Groups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"billing"}, Of: "WatchRule billing/a"}),
			},
		},
		{
			"cluster-wide, whole and narrowed",
			v1alpha1.Documents{
				GitRemotes:      []v1alpha1.GitRemote{remote("gitops", "git", url)},
				GitDestinations: []v1alpha1.GitDestination{destination("gitops", "all", "git", "all"), destination("gitops", "some", "git", "some")},
				ClusterWatchRules: []v1alpha1.ClusterWatchRule{
					clusterRule("gitops", "all", nil, everything),
					clusterRule("gitops", "some", []string{"shop", "billing"}, deployments),
					clusterRule("shop", "all", nil, deployments),
				},
			},
			[]event.Destination{
				dest("gitops", "all", "all", event.Rule{Groups: []string{"*"}, Resources: []string{"*"}, Of: "ClusterWatchRule all"}),
				dest("gitops", "some", "some", event.Rule{Groups: []string{"apps"}, Versions: []string{"v1"}, Resources: []string{"deployments"}, Namespaces: []string{"shop", "billing"}, Of: "ClusterWatchRule some"}),
			},
		},
		{
			"both kinds of rule",
			v1alpha1.Documents{
				GitRemotes:        []v1alpha1.GitRemote{remote("shop", "git", url)},
				GitDestinations:   []v1alpha1.GitDestination{destination("shop", "live", "git", "live")},
				WatchRules:        []v1alpha1.WatchRule{watchRule("shop", "a", "live", deployments)},
				ClusterWatchRules: []v1alpha1.ClusterWatchRule{clusterRule("shop", "live", nil, everything)},
			},
			[]event.Destination{dest("shop", "live", "live",
				event.Rule{Groups: []string{"apps"}, Versions: []string{"v1"}, Resources: []string{"deployments"}, Namespaces: []string{"shop"}, Of: "WatchRule shop/a"},
				event.Rule{Groups: []string{"*"}, Resources: []string{"*"}, Of: "ClusterWatchRule live"})},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Compile(&tt.docs, "prod", "c-1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestCompileSelection: what a document says of all its rules, each of them has.
func TestCompileSelection(t *testing.T) {
	d := destination("shop", "live", "git", "live")
	d.Spec.WithoutExclusions = []string{"controlled"}
	d.Spec.Encryption = v1alpha1.Encryption{
		Recipients: []string{"age1b", "age1a", "age1b"},
		Types:      []v1alpha1.SensitiveType{{APIGroup: "example.com", Resource: "vaults", Fields: []string{"token", "key", "token"}}},
	}
	w := watchRule("shop", "a", "live", v1alpha1.Rule{
		APIGroups: []string{"apps"}, Resources: []string{"*"}, Names: []string{"web-*"}, Owners: []string{"ConfigMap/c"},
		ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "legacy", Operator: metav1.LabelSelectorOpDoesNotExist}}},
	}, v1alpha1.Rule{APIGroups: []string{""}, Resources: []string{"services"}})
	w.Spec.Exclude = []v1alpha1.Rule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Names: []string{"*-test"}}}
	w.Spec.MirrorSecrets = v1alpha1.MirrorSecretsNever
	w.Spec.Sanitize = v1alpha1.Sanitize{Finalizers: v1alpha1.RemoveIt, OwnerReferences: v1alpha1.KeepIt, TrackingMarks: v1alpha1.KeepIt, Fields: []string{"/spec/replicas"}, IgnoreFieldManagers: []string{"robot-*"}}
	got, err := Compile(&v1alpha1.Documents{
		GitRemotes: []v1alpha1.GitRemote{remote("shop", "git", url)}, GitDestinations: []v1alpha1.GitDestination{d}, WatchRules: []v1alpha1.WatchRule{w},
	}, "prod", "c-1")
	if err != nil {
		t.Fatal(err)
	}
	except := []event.Rule{{Groups: []string{"*"}, Resources: []string{"*"}, Names: []string{"*-test"}}, {Groups: []string{""}, Resources: []string{"secrets"}}}
	policy := event.Policy{DropFinalizers: true, KeepOwners: true, KeepTracking: true, Drop: []string{"/spec/replicas"}, IgnoreManagers: []string{"robot-*"}}
	want := []event.Rule{
		{Groups: []string{"apps"}, Resources: []string{"*"}, Namespaces: []string{"shop"}, Labels: "!legacy,team=shop", Names: []string{"web-*"}, Owners: []string{"ConfigMap/c"}, Except: except, Policy: policy, Of: "WatchRule shop/a"},
		{Groups: []string{""}, Resources: []string{"services"}, Namespaces: []string{"shop"}, Except: except, Policy: policy, Of: "WatchRule shop/a"},
	}
	if diff := cmp.Diff(want, got[0].Rules); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"controlled"}, got[0].Without); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"age1a", "age1b"}, got[0].Recipients); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]event.Sensitive{{Group: "example.com", Resource: "vaults", Fields: []string{"key", "token"}}}, got[0].Sensitive); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestCompileTenants: a WatchRule uses a destination of another namespace only if that admits
// it, and selects in its own.
func TestCompileTenants(t *testing.T) {
	everything := v1alpha1.Rule{APIGroups: []string{"*"}, Resources: []string{"*"}}
	open, closed := destination("platform", "open", "git", "open"), destination("platform", "closed", "git", "closed")
	open.Spec.AllowedNamespaces = []string{"team-*"}
	var docs v1alpha1.Documents
	docs.GitRemotes = []v1alpha1.GitRemote{remote("platform", "git", url)}
	docs.GitDestinations = []v1alpha1.GitDestination{open, closed}
	for _, namespace := range []string{"team-a", "shop", "platform"} {
		for _, name := range []string{"open", "closed"} {
			w := watchRule(namespace, name, name, everything)
			w.Spec.DestinationRef.Namespace = "platform"
			docs.WatchRules = append(docs.WatchRules, w)
		}
	}
	got, err := Compile(&docs, "prod", "c-1")
	if err != nil {
		t.Fatal(err)
	}
	in := map[string][]string{}
	for _, d := range got {
		for _, r := range d.Rules {
			in[d.Key.Name] = append(in[d.Key.Name], r.Namespaces...)
		}
	}
	if diff := cmp.Diff(map[string][]string{"open": {"team-a", "platform"}, "closed": {"platform"}}, in); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCompileAdopt(t *testing.T) {
	d := destination("shop", "live", "git", "live")
	d.Spec.Adopt = true
	docs := &v1alpha1.Documents{GitRemotes: []v1alpha1.GitRemote{remote("shop", "git", url)}, GitDestinations: []v1alpha1.GitDestination{d}}
	if got, err := Compile(docs, "prod", "c-1"); err != nil || !got[0].Adopt {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCompileCredentials: a remote's Secret is one of its own namespace, which is the
// destination's.
func TestCompileCredentials(t *testing.T) {
	r := remote("shop", "git", url)
	r.Spec.SecretRef = &v1alpha1.SecretRef{Name: "token"}
	docs := &v1alpha1.Documents{
		GitRemotes:      []v1alpha1.GitRemote{r, remote("billing", "git", url)},
		GitDestinations: []v1alpha1.GitDestination{destination("shop", "live", "git", "shop"), destination("billing", "live", "git", "billing")},
	}
	got, err := Compile(docs, "prod", "c-1")
	if err != nil || got[0].Credentials != "prod/shop/token" || got[1].Credentials != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCompileCommit(t *testing.T) {
	words := v1alpha1.Message{Subject: "{{.Object}}", Body: "changed"}
	for _, tt := range []struct {
		name    string
		commit  v1alpha1.Commit
		author  event.Person
		wording event.Wording
	}{
		{"nothing said", v1alpha1.Commit{}, event.Person{}, event.Wording{}},
		{"an author", v1alpha1.Commit{Author: v1alpha1.Author{Name: "a", Email: "a@x"}}, event.Person{Name: "a", Email: "a@x"}, event.Wording{}},
		{"a name alone", v1alpha1.Commit{Author: v1alpha1.Author{Name: "a"}}, event.Person{Name: "a", Email: "k@localhost"}, event.Wording{}},
		{"an address alone", v1alpha1.Commit{Author: v1alpha1.Author{Email: "a@x"}}, event.Person{Name: "k", Email: "a@x"}, event.Wording{}},
		{"words", v1alpha1.Commit{Message: words}, event.Person{}, event.Wording{Subject: "{{.Object}}", Body: "changed"}},
	} {
		d := destination("shop", "live", "git", "live")
		tt.commit.Window = &metav1.Duration{}
		d.Spec.Commit = tt.commit
		docs := &v1alpha1.Documents{GitRemotes: []v1alpha1.GitRemote{remote("shop", "git", url)}, GitDestinations: []v1alpha1.GitDestination{d}}
		got, err := Compile(docs, "prod", "c-1")
		if err != nil || got[0].Author != tt.author || got[0].Wording != tt.wording {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

// TestCompileAuthors: an address that a field manager's author leaves out is that of the author
// of every commit.
func TestCompileAuthors(t *testing.T) {
	mapped := []v1alpha1.ManagerAuthor{{FieldManager: "kubectl-*", Name: "ada", Email: "ada@x"}, {FieldManager: "helm", Name: "helm"}}
	for email, want := range map[string]string{"": "k@localhost", "a@x": "a@x"} {
		d := destination("shop", "live", "git", "live")
		d.Spec.Commit = v1alpha1.Commit{Window: &metav1.Duration{}, Author: v1alpha1.Author{Email: email}, Authors: mapped}
		got, err := Compile(&v1alpha1.Documents{GitRemotes: []v1alpha1.GitRemote{remote("shop", "git", url)}, GitDestinations: []v1alpha1.GitDestination{d}}, "prod", "c-1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]event.ManagerAuthor{
			{FieldManager: "kubectl-*", Person: event.Person{Name: "ada", Email: "ada@x"}}, {FieldManager: "helm", Person: event.Person{Name: "helm", Email: want}},
		}, got[0].Authors); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestCompileReconciliation(t *testing.T) {
	percent, number := intstr.FromString("5%"), intstr.FromInt32(50)
	none := intstr.FromInt32(0)
	for _, tt := range []struct {
		name     string
		interval *metav1.Duration
		prune    v1alpha1.Prune
		every    time.Duration
		want     event.Prune
	}{
		{"defaults", nil, v1alpha1.Prune{}, 10 * time.Minute, event.Prune{Mode: event.PruneAlways, MaxPercent: 30, MaxFiles: 10}},
		{"a percentage", &metav1.Duration{Duration: time.Hour}, v1alpha1.Prune{Mode: v1alpha1.PruneOnEvent, MaxDeletions: &percent}, time.Hour, event.Prune{Mode: event.PruneOnEvent, MaxPercent: 5, MaxFiles: 10}},
		{"a number", &metav1.Duration{}, v1alpha1.Prune{Mode: v1alpha1.PruneNever, MaxDeletions: &number}, 0, event.Prune{Mode: event.PruneNever, MaxFiles: 50}},
		{"none unasked", nil, v1alpha1.Prune{MaxDeletions: &none}, 10 * time.Minute, event.Prune{Mode: event.PruneAlways}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := destination("shop", "live", "git", "live")
			d.Spec.Interval, d.Spec.Prune = tt.interval, tt.prune
			docs := &v1alpha1.Documents{GitRemotes: []v1alpha1.GitRemote{remote("shop", "git", url)}, GitDestinations: []v1alpha1.GitDestination{d}}
			v1alpha1.SetDefaults(docs)
			got, err := Compile(docs, "prod", "c-1")
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Interval != tt.every || got[0].Prune != tt.want {
				t.Errorf("got %s and %+v, want %s and %+v", got[0].Interval, got[0].Prune, tt.every, tt.want)
			}
		})
	}
}

// TestCompileMode: a destination that is written to is registered as it was before there were modes.
func TestCompileMode(t *testing.T) {
	for mode, want := range map[v1alpha1.Mode]bool{"": false, v1alpha1.ModeWrite: false, v1alpha1.ModeDryRun: true} {
		d := destination("shop", "live", "git", "live")
		d.Spec.Mode = mode
		docs := &v1alpha1.Documents{GitRemotes: []v1alpha1.GitRemote{remote("shop", "git", url)}, GitDestinations: []v1alpha1.GitDestination{d}}
		got, err := Compile(docs, "prod", "c-1")
		if err != nil {
			t.Fatal(err)
		}
		if is := strings.Contains(string(event.Encode(got[0])), `"dryRun":true`); is != want || got[0].DryRun != want {
			t.Errorf("in the mode %q it is %s", mode, event.Encode(got[0]))
		}
	}
}

// TestCompileZeroConfig: flags alone mean the defaults.
func TestCompileZeroConfig(t *testing.T) {
	got, err := Compile(v1alpha1.ZeroConfig(v1alpha1.ZeroConfigOptions{Repo: url}), "prod", "c-1")
	if err != nil {
		t.Fatal(err)
	}
	if want := (event.Prune{Mode: event.PruneAlways, MaxPercent: 30, MaxFiles: 10}); got[0].Interval != 10*time.Minute || got[0].Prune != want {
		t.Errorf("got %s and %+v", got[0].Interval, got[0].Prune)
	}
}

// TestCompileWithoutRemote: validation has refused it; nobody else may write to
// another namespace's remote either.
func TestCompileWithoutRemote(t *testing.T) {
	docs := &v1alpha1.Documents{
		GitRemotes:      []v1alpha1.GitRemote{remote("billing", "git", url)},
		GitDestinations: []v1alpha1.GitDestination{destination("shop", "live", "git", "live")},
	}
	if got, err := Compile(docs, "prod", "c-1"); err == nil || !strings.Contains(err.Error(), "shop/live") {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOneWriterForABranch, however its URL is spelled.
func TestOneWriterForABranch(t *testing.T) {
	docs := &v1alpha1.Documents{
		GitRemotes:      []v1alpha1.GitRemote{remote("shop", "a", url), remote("shop", "b", "https://GIT.example.com:443/platform/live.git")},
		GitDestinations: []v1alpha1.GitDestination{destination("shop", "a", "a", "a"), destination("shop", "b", "b", "b"), destination("shop", "c", "a", "c")},
	}
	docs.GitDestinations[2].Spec.Branch = "other"
	got, err := Compile(docs, "prod", "c-1")
	if err != nil {
		t.Fatal(err)
	}
	if got[0].BranchKey != got[1].BranchKey {
		t.Errorf("%s and %s have two writers on one branch", got[0].URL, got[1].URL)
	}
	if got[0].BranchKey == got[2].BranchKey {
		t.Error("two branches have one writer")
	}
}

// TestWrittenOnce: what a start compiles is what the one before has stored, down
// to the lists that documents leave empty, or each start would be a change of
// every destination and begin a run.
func TestWrittenOnce(t *testing.T) {
	rule := clusterRule("shop", "live", []string{}, v1alpha1.Rule{APIGroups: []string{"*"}, APIVersions: []string{}, Resources: []string{"*"}})
	got, err := Compile(&v1alpha1.Documents{
		GitRemotes:        []v1alpha1.GitRemote{remote("shop", "git", url)},
		GitDestinations:   []v1alpha1.GitDestination{destination("shop", "live", "git", "live")},
		ClusterWatchRules: []v1alpha1.ClusterWatchRule{rule},
	}, "prod", "c-1")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := event.Decode[event.Destination](event.Encode(got[0]))
	if err != nil {
		t.Fatal(err)
	}
	if !same(stored, got[0]) {
		t.Errorf("stored as %s, compiled as %s", event.Encode(stored), event.Encode(got[0]))
	}
	got[0].Adopt = true
	if same(stored, got[0]) {
		t.Error("a change passes for none")
	}
}
