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
		change  func(d *Documents)
		refused []string // and a word of why
	}{
		{"all is right", nil, nil},
		{"nothing", func(d *Documents) { *d = Documents{} }, nil},
		{"a destination that nothing refers to", func(d *Documents) { d.WatchRules, d.ClusterWatchRules = nil, nil }, nil},
		{"a rule", func(d *Documents) { d.WatchRules[0].Spec.Rules = nil }, []string{"WatchRule shop/all: spec.rules: is required"}},
		{"a remote, and what needs it", func(d *Documents) { d.GitRemotes[1].Spec.URL = "ftp://x" }, []string{
			"GitDestination billing/live: spec.remoteRef.name: GitRemote billing/git does not exist",
			"GitRemote billing/git: spec.url: has a scheme that is not supported",
			"WatchRule billing/all: spec.destinationRef.name: GitDestination billing/live does not exist",
		}},
		{"a folder that the first one has", func(d *Documents) { d.GitDestinations[1].Spec.BaseFolder = "shop/more" }, []string{
			"GitDestination billing/live: spec.baseFolder: lies inside the folder of GitDestination shop/live",
			"WatchRule billing/all: spec.destinationRef.name: GitDestination billing/live does not exist",
		}},
		{"a destination that does not admit it", func(d *Documents) {
			d.WatchRules[0].Spec.DestinationRef = DestinationRef{Namespace: "billing", Name: "live"}
		}, []string{"WatchRule shop/all: spec.destinationRef: names a destination that does not admit WatchRules of the namespace shop"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := docs(tt.change)
			usable, refused := d.Usable()
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
			if _, again := usable.Usable(); len(again) > 0 {
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
