package branch

import (
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

func inFolderOf(name, folder string, revision, first uint64) bus.Registered {
	k := event.DestinationKey{Cluster: "east", Namespace: "default", Name: name}
	return bus.Registered{Destination: event.Destination{Key: k, BaseFolder: folder, First: first}, Revision: revision}
}

func TestOverlaps(t *testing.T) {
	for name, tt := range map[string]struct {
		a, b bus.Registered
		want string // of whom it is refused, and what is said
	}{
		"apart":                 {inFolderOf("a", "live", 1, 0), inFolderOf("b", "test", 2, 0), ""},
		"a name that goes on":   {inFolderOf("a", "live", 1, 0), inFolderOf("b", "live-2", 2, 0), ""},
		"side by side":          {inFolderOf("a", "live/a", 1, 0), inFolderOf("b", "live/b", 2, 0), ""},
		"the same":              {inFolderOf("a", "live", 1, 0), inFolderOf("b", "live", 2, 0), "b: folder live is the folder of destination east/default/a,"},
		"the same, the root":    {inFolderOf("a", "", 1, 0), inFolderOf("b", "", 2, 0), "b: the root of the repository is the folder of"},
		"in another case":       {inFolderOf("a", "live", 1, 0), inFolderOf("b", "Live", 2, 0), "b: folder Live differs only in case from the folder of"},
		"inside":                {inFolderOf("a", "live", 1, 0), inFolderOf("b", "live/shop", 2, 0), "b: folder live/shop lies inside folder live of"},
		"inside, in other case": {inFolderOf("a", "Live", 1, 0), inFolderOf("b", "live/shop", 2, 0), "b: folder live/shop lies inside folder Live of"},
		"inside the root":       {inFolderOf("a", "", 1, 0), inFolderOf("b", "live", 2, 0), "b: folder live lies inside the root of the repository of"},
		"around":                {inFolderOf("a", "live/shop", 1, 0), inFolderOf("b", "live", 2, 0), "b: folder live lies around folder live/shop of"},
		"the first one changed": {inFolderOf("a", "live", 9, 1), inFolderOf("b", "live/shop", 2, 0), "b: folder live/shop lies inside folder live of"},
		"both changed":          {inFolderOf("a", "live", 8, 2), inFolderOf("b", "live/shop", 9, 1), "a: folder live lies around folder live/shop of"},
	} {
		got := ""
		for k, o := range overlaps(map[event.DestinationKey]bus.Registered{tt.a.Key: tt.a, tt.b.Key: tt.b}) {
			got += k.Name + ": " + o.Error()
		}
		if !strings.HasPrefix(strings.Replace(got, "the folders of two destinations overlap: ", "", 1), tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestOverlapsOfMany: who is refused does not depend on whether the other one is, and
// the first of those in the way is named.
func TestOverlapsOfMany(t *testing.T) {
	all := map[event.DestinationKey]bus.Registered{}
	for i, folder := range []string{"live/a", "live", "live/b", "other", "", "live/a"} {
		d := inFolderOf(string(rune('a'+i)), folder, uint64(i+1), 0)
		all[d.Key] = d
	}
	got := map[string]string{}
	for k, o := range overlaps(all) {
		got[k.Name] = o.with.Key.Name
	}
	want := map[string]string{"b": "a", "c": "b", "e": "a", "f": "a"}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		if got[name] != want[name] {
			t.Errorf("%s is refused for %q, want %q", name, got[name], want[name])
		}
	}
}
