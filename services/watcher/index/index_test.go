package index

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/selection"
)

// The destinations of these tests.
var (
	one, two = selection.Only(0), selection.Only(1)
	both     = one.With(two)
)

func entry(uid, rv string, renderings ...Rendering) Entry {
	e := NewEntry(uid, rv)
	for _, r := range renderings {
		e.Add(r.To, r.Hash)
	}
	return e
}

func TestMerge(t *testing.T) {
	web := types.NamespacedName{Namespace: "shop", Name: "web"}
	api := types.NamespacedName{Namespace: "shop", Name: "api"}
	a, b := entry("u-1", "1", Rendering{one, Digest{0xaa}}), entry("u-1", "2", Rendering{one, Digest{0xbb}})
	reborn := entry("u-2", "3", Rendering{one, Digest{0xaa}})
	nobodys := entry("u-1", "4")
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
		{"not selected any more", Index{web: a}, Overlay{web: at(nobodys, "101")}, Index{}},
		{"not selected before the list", Index{web: a}, Overlay{web: at(nobodys, "99")}, Index{web: a}},
		{"one of two", Index{web: a, api: b}, Overlay{api: gone("101")}, Index{web: a}},
		{"a version that is none", Index{web: a}, Overlay{web: at(b, "new")}, Index{web: a}},
		{"a deletion without version", Index{web: a}, Overlay{web: gone("")}, Index{web: a}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Merge(tt.listed, "100", tt.seen)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Entry{})); diff != "" {
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

// TestPublications: each destination that is to have something else gets that, once, and the
// index then says what each has. What is stored of several goes by itself.
func TestPublications(t *testing.T) {
	web := types.NamespacedName{Namespace: "shop", Name: "web"}
	aa, bb, none := Digest{0xaa}, Digest{0xbb}, Digest{}
	was := func(r ...Rendering) Index { return Index{web: entry("u-1", "1", r...)} }
	is := func(r ...Rendering) Version { return Version{Entry: entry("u-1", "2", r...)} }
	write := func(to selection.Set, hash Digest) Publication { return Publication{To: to, Hash: hash} }
	remove := func(to selection.Set) Publication { return Publication{To: to, Delete: true} }
	reborn := is(Rendering{both, aa})
	reborn.UID = "u-2"
	for _, tt := range []struct {
		name    string
		index   Index
		version Version
		want    []Publication
	}{
		{"new", Index{}, is(Rendering{one, aa}), []Publication{write(one, aa)}},
		{"new, for nobody", Index{}, is(), nil},
		{"changed", was(Rendering{both, aa}), is(Rendering{both, bb}), []Publication{write(both, bb)}},
		{"its status changed", was(Rendering{both, aa}), is(Rendering{both, aa}), nil},
		{"made again as it was", was(Rendering{both, aa}), reborn, []Publication{write(both, aa)}},
		{"gone", was(Rendering{one, aa}, Rendering{two, bb}), Version{Gone: true}, []Publication{remove(both)}},
		{"gone, and never known", Index{}, Version{Gone: true}, nil},
		{"one more selects it", was(Rendering{one, aa}), is(Rendering{both, aa}), []Publication{write(two, aa)}},
		{"one more, and it changed", was(Rendering{one, aa}), is(Rendering{both, bb}), []Publication{write(both, bb)}},
		{"one selects it no more", was(Rendering{both, aa}), is(Rendering{one, aa}), []Publication{remove(two)}},
		{"nobody does", was(Rendering{both, aa}), is(), []Publication{remove(both)}},
		{"from one to the other", was(Rendering{one, aa}), is(Rendering{two, aa}), []Publication{remove(one), write(two, aa)}},
		{"one looks otherwise", was(Rendering{both, aa}), is(Rendering{one, aa}, Rendering{two, bb}), []Publication{write(two, bb)}},
		{"both look the same again", was(Rendering{one, aa}, Rendering{two, bb}), is(Rendering{both, aa}), []Publication{write(two, aa)}},
		{"changed for one of them", was(Rendering{one, aa}, Rendering{two, bb}), is(Rendering{one, bb}, Rendering{two, bb}), []Publication{write(one, bb)}},
		{"it cannot be written", was(Rendering{both, aa}), is(Rendering{both, none}), nil},
		{"nor for one of them", was(Rendering{both, aa}), is(Rendering{one, bb}, Rendering{two, none}), []Publication{write(one, bb)}},
		{"nor could it before", was(Rendering{both, none}), is(Rendering{both, none}), nil},
		{"it can be written again", was(Rendering{both, none}), is(Rendering{both, aa}), []Publication{write(both, aa)}},
		{"it cannot be written, and one selects it no more", was(Rendering{both, aa}), is(Rendering{one, none}), []Publication{remove(two)}},
		{"without an index", nil, is(Rendering{one, aa}), []Publication{write(one, aa)}},
		{"without an index, for all", nil, is(Rendering{both, aa}), []Publication{write(both, aa)}},
		{"without an index, gone", nil, Version{Gone: true}, []Publication{remove(both)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := tt.index.Publications(web, tt.version, func() selection.Set { return both })
			if diff := cmp.Diff(tt.want, all); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if tt.index == nil {
				return
			}
			has := map[int]string{}
			for place := range 2 {
				has[place] = hashOf(tt.index, web, place)
			}
			for _, p := range all { // and between two of them
				tt.index.Published(web, tt.version, p)
				for place := range p.To.Places() {
					has[place] = p.Hash.String()
					if p.Delete {
						has[place] = "nothing"
					}
				}
				for place := range 2 {
					if got := hashOf(tt.index, web, place); got != has[place] {
						t.Errorf("behind %+v %d has %s, want %s", p, place, got, has[place])
					}
				}
			}
			if again := tt.index.Publications(web, tt.version, nil); len(again) > 0 {
				t.Errorf("once that is stored there is more: %+v", again)
			}
		})
	}
}

// TestUnwritable: who had something keeps it, and who had nothing knows that it is there.
func TestUnwritable(t *testing.T) {
	web := types.NamespacedName{Namespace: "shop", Name: "web"}
	i := Index{web: entry("u-1", "1", Rendering{one, Digest{0xaa}})}
	v := Version{Entry: entry("u-1", "2", Rendering{both, Digest{}})}
	i.Unwritable(web, v, both)
	if a, b := hashOf(i, web, 0), hashOf(i, web, 1); a != (Digest{0xaa}).String() || b != "" {
		t.Errorf("they have %q and %q", a, b)
	}
	i = Index{}
	i.Unwritable(web, v, both)
	if a, b := hashOf(i, web, 0), hashOf(i, web, 1); a != "" || b != "" {
		t.Errorf("of one that is new they have %q and %q", a, b)
	}
	v = Version{Entry: entry("u-1", "3", Rendering{both, Digest{0xaa}})}.Unwritable(two)
	i = Merge(Index{}, "1", Overlay{web: {Entry: v.Entry, RV: "3"}})
	if a, b := hashOf(i, web, 0), hashOf(i, web, 1); a != (Digest{0xaa}).String() || b != "" {
		t.Errorf("of one that came while the index was listed they have %q and %q", a, b)
	}
}

// hashOf is what a destination has of an object.
func hashOf(i Index, key types.NamespacedName, place int) string {
	hash, ok := i[key].Of(place)
	if !ok {
		return "nothing"
	}
	return hash.String()
}
