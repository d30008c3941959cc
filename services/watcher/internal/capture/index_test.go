package capture

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func TestMerge(t *testing.T) {
	web := types.NamespacedName{Namespace: "shop", Name: "web"}
	api := types.NamespacedName{Namespace: "shop", Name: "api"}
	a, b := entry{"u-1", digest{0xaa}, 1}, entry{"u-1", digest{0xbb}, 2}
	reborn := entry{"u-2", digest{0xaa}, 3}
	at := func(e entry, rv string) version { return version{entry: e, rv: rv} }
	gone := func(rv string) version { return version{rv: rv, gone: true} }
	for _, tt := range []struct {
		name   string
		listed index
		seen   overlay
		want   index
	}{
		{"nothing", index{}, overlay{}, index{}},
		{"the list alone", index{web: a}, overlay{}, index{web: a}},
		{"changed before the list", index{web: b}, overlay{web: at(a, "99")}, index{web: b}},
		{"changed at the list's version", index{web: b}, overlay{web: at(a, "100")}, index{web: b}},
		{"changed after the list", index{web: a}, overlay{web: at(b, "101")}, index{web: b}},
		{"versions are numbers", index{web: a}, overlay{web: at(b, "1000")}, index{web: b}},
		{"a shorter one is older", index{web: b}, overlay{web: at(a, "9")}, index{web: b}},
		{"made before the list and gone by then", index{}, overlay{web: at(a, "99")}, index{}},
		{"made after the list", index{}, overlay{web: at(a, "101")}, index{web: a}},
		{"deleted before the list", index{}, overlay{web: gone("99")}, index{}},
		{"deleted before the list, made again by then", index{web: reborn}, overlay{web: gone("99")}, index{web: reborn}},
		{"deleted after the list", index{web: a}, overlay{web: gone("101")}, index{}},
		{"deleted after the list, never listed", index{}, overlay{web: gone("101")}, index{}},
		{"deleted and made again after the list", index{web: a}, overlay{web: at(reborn, "102")}, index{web: reborn}},
		{"one of two", index{web: a, api: b}, overlay{api: gone("101")}, index{web: a}},
		{"a version that is none", index{web: a}, overlay{web: at(b, "new")}, index{web: a}},
		{"a deletion without version", index{web: a}, overlay{web: gone("")}, index{web: a}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := merge(tt.listed, "100", tt.seen)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(entry{})); diff != "" {
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
		if got := newer(tt.a, tt.b); got != tt.want {
			t.Errorf("%q is newer than %q: %v", tt.a, tt.b, got)
		}
	}
}
