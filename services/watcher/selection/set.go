package selection

import (
	"iter"
	"math/bits"
	"strings"
)

// Set is some of a [Selector]'s destinations, by their places: a bitmap, the lowest place
// first, without empty bytes at its end. Equal sets are equal strings; "" is nobody.
type Set string

// Only is the set of one place.
func Only(place int) Set {
	b := make([]byte, place/8+1)
	b[place/8] = 1 << (place % 8)
	return Set(b)
}

// Has reports whether a place is in the set.
func (s Set) Has(place int) bool {
	return place/8 < len(s) && s[place/8]&(1<<(place%8)) != 0
}

// With is the union of both.
func (s Set) With(other Set) Set {
	if len(s) < len(other) {
		s, other = other, s
	}
	return s.each(other, func(a, b byte) byte { return a | b })
}

// Without is what is in s alone.
func (s Set) Without(other Set) Set {
	return s.each(other, func(a, b byte) byte { return a &^ b })
}

// each combines the bytes of a set with those of another one, as long as it is.
func (s Set) each(other Set, f func(a, b byte) byte) Set {
	if s == "" || other == "" {
		return s
	}
	out := []byte(s)
	for i := range min(len(s), len(other)) {
		out[i] = f(s[i], other[i])
	}
	return Set(strings.TrimRight(string(out), "\x00"))
}

// Places are those of the set, in order.
func (s Set) Places() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range len(s) {
			for rest := s[i]; rest != 0; rest &= rest - 1 {
				if !yield(i*8 + bits.TrailingZeros8(rest)) {
					return
				}
			}
		}
	}
}
