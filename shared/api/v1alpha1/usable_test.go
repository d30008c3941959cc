package v1alpha1

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestUsable: what is wrong with one document stands in nobody else's way but those that need
// it, and each that is refused says why.
func TestUsable(t *testing.T) {
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	all := []Rule{{APIGroups: []string{"*"}, Resources: []string{"*"}}}
	docs := func(change func(d *Documents)) *Documents {
		d := &Documents{
			GitRemotes: []GitRemote{{ObjectMeta: meta("shop", "git"), Spec: GitRemoteSpec{URL: "/srv/git"}}, {ObjectMeta: meta("billing", "git"), Spec: GitRemoteSpec{URL: "/srv/git"}}},
			GitDestinations: []GitDestination{
				{ObjectMeta: meta("shop", "live"), Spec: GitDestinationSpec{RemoteRef: RemoteRef{Name: "git"}, BaseFolder: "shop"}},
				{ObjectMeta: meta("billing", "live"), Spec: GitDestinationSpec{RemoteRef: RemoteRef{Name: "git"}, BaseFolder: "billing"}},
			},
			WatchRules: []WatchRule{
				{ObjectMeta: meta("shop", "all"), Spec: WatchRuleSpec{DestinationRef: DestinationRef{Name: "live"}, Rules: all}},
				{ObjectMeta: meta("billing", "all"), Spec: WatchRuleSpec{DestinationRef: DestinationRef{Name: "live"}, Rules: all}},
			},
			ClusterWatchRules: []ClusterWatchRule{{ObjectMeta: meta("", "all"), Spec: ClusterWatchRuleSpec{DestinationRef: DestinationRef{Namespace: "shop", Name: "live"}, Rules: all}}},
		}
		if change != nil {
			change(d)
		}
		SetDefaults(d)
		return d
	}
	for _, tt := range []struct {
		name    string
		unread  []Refused
		held    []Holder
		change  func(d *Documents)
		refused []string // and a word of why
	}{
		{"all is right", nil, nil, nil, nil},
		{"nothing", nil, nil, func(d *Documents) { *d = Documents{} }, nil},
		{"a destination that nothing refers to", nil, nil, func(d *Documents) { d.WatchRules, d.ClusterWatchRules = nil, nil }, nil},
		{"a rule", nil, nil, func(d *Documents) { d.WatchRules[0].Spec.Rules = nil }, []string{"WatchRule shop/all: spec.rules: is required"}},
		{"a rule that cannot be read", []Refused{{Ref{KindWatchRule, "shop", "all"}, Problems{{Object: "WatchRule shop/all", Text: "cannot be read"}}}}, nil, nil, []string{"WatchRule shop/all: cannot be read"}},
		{"a remote, and what needs it", nil, nil, func(d *Documents) { d.GitRemotes[1].Spec.URL = "ftp://x" }, []string{
			"GitDestination billing/live: spec.remoteRef.name: GitRemote billing/git is refused: spec.url: has a scheme that is not supported; correct that first",
			"GitRemote billing/git: spec.url: has a scheme that is not supported; write",
			"WatchRule billing/all: spec.destinationRef.name: GitDestination billing/live is refused: spec.remoteRef.name: GitRemote billing/git is refused: spec.url: has a scheme that is not supported; correct that first",
		}},
		{"a remote that is gone", nil, nil, func(d *Documents) { d.GitRemotes = d.GitRemotes[:1] }, []string{
			"GitDestination billing/live: spec.remoteRef.name: GitRemote billing/git does not exist; add that document or correct the reference",
			"WatchRule billing/all: spec.destinationRef.name: GitDestination billing/live is refused: spec.remoteRef.name: GitRemote billing/git does not exist; correct that first",
		}},
		{"a destination with several problems", nil, nil, func(d *Documents) {
			d.GitDestinations[1].Spec.Branch, d.GitDestinations[1].Spec.BaseFolder = "a..b", "../x"
		}, []string{
			"GitDestination billing/live: spec.branch: ",
			"WatchRule billing/all: spec.destinationRef.name: GitDestination billing/live is refused: spec.branch: ",
		}},
		{"a folder that the first one has", nil, nil, func(d *Documents) { d.GitDestinations[1].Spec.BaseFolder = "shop/more" }, []string{
			"GitDestination billing/live: spec.baseFolder: lies inside the folder of a GitDestination of another namespace, on the same remote",
			"WatchRule billing/all: spec.destinationRef.name: GitDestination billing/live is refused: spec.baseFolder: lies inside the folder of a GitDestination of another namespace, on the same remote and branch; correct that first",
		}},
		{"a folder around that of the first one", nil, nil, func(d *Documents) { d.GitDestinations[0].Spec.BaseFolder = "billing/more" }, []string{
			"GitDestination billing/live: spec.baseFolder: contains the folder of a GitDestination of another namespace", "WatchRule billing/all: ",
		}},
		{"a folder of one of its own namespace", nil, nil, func(d *Documents) {
			second := d.GitDestinations[0]
			second.Name, second.Spec.BaseFolder = "second", "SHOP"
			d.GitDestinations = append(d.GitDestinations, second)
		}, []string{"GitDestination shop/second: spec.baseFolder: differs only in case from the folder of GitDestination shop/live, on"}},
		{"a folder that the second one has written to", nil, []Holder{{"billing", "live", "file:///srv/git", "main", "shop/more"}}, func(d *Documents) { d.GitDestinations[1].Spec.BaseFolder = "shop/more" }, []string{
			"ClusterWatchRule all: spec.destinationRef.name: GitDestination shop/live is refused: ",
			"GitDestination shop/live: spec.baseFolder: contains the folder of a GitDestination of another namespace",
			"WatchRule shop/all: ",
		}},
		{"one that it wrote to once, and not any more", nil, []Holder{{"billing", "live", "/srv/git", "main", "bills"}}, func(d *Documents) { d.GitDestinations[1].Spec.BaseFolder = "shop/more" }, []string{
			"GitDestination billing/live: spec.baseFolder: lies inside", "WatchRule billing/all: ",
		}},
		{"of two that have written, the second", nil, []Holder{{"billing", "live", "/srv/git", "main", "shop"}, {"shop", "live", "/srv/git", "main", "shop"}}, func(d *Documents) { d.GitDestinations[1].Spec.BaseFolder = "shop" }, []string{
			"ClusterWatchRule all: ", "GitDestination shop/live: spec.baseFolder: is the folder of a GitDestination of another namespace", "WatchRule shop/all: ",
		}},
		{"one that is wrong, and goes on writing", nil, []Holder{{"billing", "live", "/srv/git", "main", ""}}, func(d *Documents) { d.GitRemotes = d.GitRemotes[:1] }, []string{
			"ClusterWatchRule all: ", "GitDestination billing/live: spec.remoteRef.name: ",
			"GitDestination shop/live: spec.baseFolder: lies inside the folder of a GitDestination of another namespace, which is the root of the repository",
			"WatchRule billing/all: ", "WatchRule shop/all: ",
		}},
		{"one that is gone, and had written", nil, []Holder{{"billing", "gone", "/srv/git", "main", ""}}, nil, nil},
		{"a destination that does not admit it", nil, nil, func(d *Documents) {
			d.WatchRules[0].Spec.DestinationRef = DestinationRef{Namespace: "billing", Name: "live"}
		}, []string{"WatchRule shop/all: spec.destinationRef: GitDestination billing/live does not exist, or does not admit WatchRules of the namespace shop; correct"}},
		{"one that is not there, in another namespace", nil, nil, func(d *Documents) {
			d.WatchRules[0].Spec.DestinationRef = DestinationRef{Namespace: "billing", Name: "liv"}
		}, []string{"WatchRule shop/all: spec.destinationRef: GitDestination billing/liv does not exist, or does not admit WatchRules of the namespace shop; correct"}},
		{"one that is refused, in another namespace, and would admit it", nil, nil, func(d *Documents) {
			d.WatchRules[0].Spec.DestinationRef = DestinationRef{Namespace: "billing", Name: "live"}
			d.GitDestinations[1].Spec.AllowedNamespaces, d.GitDestinations[1].Spec.Branch = []string{"sh*"}, "a..b"
		}, []string{
			"GitDestination billing/live: spec.branch: ", "WatchRule billing/all: ",
			"WatchRule shop/all: spec.destinationRef.name: GitDestination billing/live is refused, and its status says why; ",
		}},
		{"a name that is near one of its own namespace, and one of another", nil, nil, func(d *Documents) {
			d.WatchRules[0].Spec.DestinationRef.Name, d.WatchRules[1].Spec.DestinationRef.Name = "liv", "livid"
			d.GitDestinations[1].Namespace, d.GitRemotes[1].Namespace = "shoq", "shoq"
			d.WatchRules[1].Namespace = "shoe"
		}, []string{
			"WatchRule shoe/all: spec.destinationRef.name: GitDestination shoe/livid does not exist; add that document or correct the reference",
			"WatchRule shop/all: spec.destinationRef.name: GitDestination shop/liv does not exist; did you mean shop/live?",
		}},
		{"a cluster's rule sees the names of the namespace that it names", nil, nil, func(d *Documents) {
			d.ClusterWatchRules[0].Spec.DestinationRef.Name = "liv"
		}, []string{"ClusterWatchRule all: spec.destinationRef.name: GitDestination shop/liv does not exist; did you mean shop/live?"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := docs(tt.change)
			usable, refused := d.Usable(tt.unread, tt.held)
			for i, r := range refused {
				if i >= len(tt.refused) || !strings.HasPrefix(r.Problems.Error(), tt.refused[i]) || !strings.HasPrefix(tt.refused[i], r.String()) {
					t.Errorf("%s is refused: %v", r, r.Problems)
				}
			}
			if len(refused) != len(tt.refused) {
				t.Errorf("%d are refused, want %d", len(refused), len(tt.refused))
			}
			count := func(d *Documents) int {
				return len(d.GitRemotes) + len(d.GitDestinations) + len(d.WatchRules) + len(d.ClusterWatchRules)
			}
			if count(usable)+len(refused) != count(d) {
				t.Errorf("%d of %d are usable", count(usable), count(d))
			}
			if _, again := usable.Usable(nil, nil); len(again) > 0 {
				t.Errorf("of those that are usable some are refused: %v", again)
			}
		})
	}
}

// TestRef: a name is said whole, however long it is.
func TestRef(t *testing.T) {
	long := strings.Repeat("x", 200)
	refs := []string{Ref{KindWatchRule, "shop", long + "1"}.String(), Ref{KindWatchRule, "shop", long + "2"}.String(), Ref{KindClusterWatchRule, "", "all"}.String()}
	if want := []string{"WatchRule shop/" + long + "1", "WatchRule shop/" + long + "2", "ClusterWatchRule all"}; !slices.Equal(refs, want) {
		t.Errorf("%q", refs)
	}
}
