package index

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func TestMerge(t *testing.T) {
	web := types.NamespacedName{Namespace: "shop", Name: "web"}
	api := types.NamespacedName{Namespace: "shop", Name: "api"}
	a, b := Entry{"u-1", Digest{0xaa}, 1}, Entry{"u-1", Digest{0xbb}, 2}
	reborn := Entry{"u-2", Digest{0xaa}, 3}
	at := func(e Entry, rv string) Version { return Version{Entry: e, RV: rv} }
	gone := func(rv string) Version { return Version{RV: rv, Gone: true} }
	for _, tt := range []struct {
		name   string
		listed Index
		seen   Overlay
		want   Index
	}{
		{"nothing", Index{}, Overlay{}, Index{}},
		{"the list alone", Index{web: a}, Overlay{}, Index{web: a}},
		{"changed before the list", Index{web: b}, Overlay{web: at(a, "99")}, Index{web: b}},
		{"changed at the list's version", Index{web: b}, Overlay{web: at(a, "100")}, Index{web: b}},
		{"changed after the list", Index{web: a}, Overlay{web: at(b, "101")}, Index{web: b}},
		{"versions are numbers", Index{web: a}, Overlay{web: at(b, "1000")}, Index{web: b}},
		{"a shorter one is older", Index{web: b}, Overlay{web: at(a, "9")}, Index{web: b}},
		{"made before the list and gone by then", Index{}, Overlay{web: at(a, "99")}, Index{}},
		{"made after the list", Index{}, Overlay{web: at(a, "101")}, Index{web: a}},
		{"deleted before the list", Index{}, Overlay{web: gone("99")}, Index{}},
		{"deleted before the list, made again by then", Index{web: reborn}, Overlay{web: gone("99")}, Index{web: reborn}},
		{"deleted after the list", Index{web: a}, Overlay{web: gone("101")}, Index{}},
		{"deleted after the list, never listed", Index{}, Overlay{web: gone("101")}, Index{}},
		{"deleted and made again after the list", Index{web: a}, Overlay{web: at(reborn, "102")}, Index{web: reborn}},
		{"one of two", Index{web: a, api: b}, Overlay{api: gone("101")}, Index{web: a}},
		{"a version that is none", Index{web: a}, Overlay{web: at(b, "new")}, Index{web: a}},
		{"a deletion without version", Index{web: a}, Overlay{web: gone("")}, Index{web: a}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Merge(tt.listed, "100", tt.seen)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestNewer(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"2", "1", true},
		{"1", "2", false},
		{"1", "1", false},
		{"10", "9", true},
		{"123456789012345678901234567890", "123456789012345678901234567889", true},
		{"", "1", false},
		{"1", "", false},
		{"x", "1", false},
		{"-1", "0", false},
	} {
		if got := Newer(tt.a, tt.b); got != tt.want {
			t.Errorf("%q is newer than %q: %v", tt.a, tt.b, got)
		}
	}
}

func TestFate(t *testing.T) {
	web := types.NamespacedName{Namespace: "shop", Name: "web"}
	a := Entry{"u-1", Digest{0xaa}, 1}
	had := Index{web: a}
	is := func(e Entry) Version { return Version{Entry: e} }
	for _, tt := range []struct {
		name     string
		index    Index
		version  Version
		excluded bool
		want     Fate
	}{
		{"new", Index{}, is(a), false, Published},
		{"without an index", nil, is(a), false, Published},
		{"changed", had, is(Entry{"u-1", Digest{0xbb}, 2}), false, Published},
		{"made again as it was", had, is(Entry{"u-2", Digest{0xaa}, 2}), false, Published},
		{"its status changed", had, is(Entry{"u-1", Digest{0xaa}, 2}), false, Suppressed},
		{"gone", had, Version{Gone: true}, false, Published},
		{"gone, and never known", Index{}, Version{Gone: true}, false, Published},
		{"it cannot be written", had, is(Entry{UID: "u-1", Version: 2}), false, Unwritable},
		{"nor could it before", Index{web: {UID: "u-1", Version: 1}}, is(Entry{UID: "u-1", Version: 2}), false, Unwritable},
		{"excluded", Index{}, is(a), true, Excluded},
		{"excluded by now", had, is(Entry{"u-1", Digest{0xbb}, 2}), true, Excluded},
		{"excluded by now, and gone", had, Version{Gone: true}, true, Published},
		{"excluded from the beginning, and gone", Index{}, Version{Gone: true}, true, Excluded},
	} {
		if got := tt.index.Fate(web, tt.version, tt.excluded); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
