package selection

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSet: sets are what maps of places are.
func TestSet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	type model = map[int]bool
	draw := func() (s Set, m model) {
		m = model{}
		for range random.IntN(6) {
			place := random.IntN(40)
			s, m[place] = s.With(Only(place)), true
		}
		return s, m
	}
	check := func(what string, s Set, m model) {
		t.Helper()
		if got, want := slices.Collect(s.Places()), slices.Sorted(maps.Keys(m)); !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
		again := Set("")
		for place := range m {
			again = Only(place).With(again)
			if !s.Has(place) {
				t.Errorf("%s has no %d", what, place)
			}
		}
		if again != s {
			t.Errorf("%s made in another order is another: %q, %q", what, again, s)
		}
		if s.Has(40) || s.Has(400) {
			t.Errorf("%s has what is in none", what)
		}
	}
	for range 2000 {
		a, in := draw()
		b, other := draw()
		check("a set", a, in)
		union, rest := maps.Clone(in), maps.Clone(in)
		maps.Copy(union, other)
		maps.DeleteFunc(rest, func(place int, _ bool) bool { return other[place] })
		check("a union", a.With(b), union)
		check("a difference", a.Without(b), rest)
	}
}
