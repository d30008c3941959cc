package repo

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// leastBits is how many bits symbols take with the best codes there are: what each joining of the two
// rarest comes to.
func leastBits(counts []uint32) (bits int) {
	left := slices.DeleteFunc(slices.Clone(counts), func(n uint32) bool { return n == 0 })
	for len(left) > 1 {
		slices.Sort(left)
		left = append(left[2:], left[0]+left[1])
		bits += int(left[len(left)-1])
	}
	return bits
}

// TestMakeCodes: codes are complete, none is the beginning of another or too long, and
// none could be better where the limit is not in the way.
func TestMakeCodes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		counts := make([]uint32, 2+rnd.IntN(maxSymbols-1))
		for i := range counts {
			if rnd.IntN(3) > 0 {
				counts[i] = 1 << rnd.IntN(1+rnd.IntN(20))
			}
		}
		counts[0], counts[1] = 1, 1 // there are two at least
		checkCodes(t, counts, maxCode)
		checkCodes(t, counts[:min(len(counts), lengthSymbols)], maxLengthCode)
	}
	steep := []uint32{1, 1} // each code one bit longer than the next, without a limit
	for len(steep) < 30 {
		steep = append(steep, steep[len(steep)-1]+steep[len(steep)-2])
	}
	checkCodes(t, steep, maxCode)
	checkCodes(t, steep[:lengthSymbols], maxLengthCode)
}

func checkCodes(t *testing.T, counts []uint32, longest int) {
	t.Helper()
	codes := make([]code, len(counts))
	makeCodes(codes, counts, longest)
	taken, total, most := 0, 0, 0
	for s, c := range codes {
		if (c.n > 0) != (counts[s] > 0) || int(c.n) > longest {
			t.Fatalf("symbol %d occurs %d times, and its code has %d bits", s, counts[s], c.n)
		}
		if c.n > 0 {
			taken += 1 << (longest - int(c.n))
		}
		total, most = total+int(counts[s])*int(c.n), max(most, int(c.n))
		for other, o := range codes {
			if o.n > 0 && c.n > 0 && other != s && o.n >= c.n && o.bits&(1<<c.n-1) == c.bits {
				t.Fatalf("the code of %d begins that of %d", s, other)
			}
		}
	}
	if taken != 1<<longest {
		t.Fatalf("codes take %d of %d", taken, 1<<longest)
	}
	if best := leastBits(counts); total < best || total > best && most < longest-1 {
		t.Fatalf("they take %d bits, and %d would do", total, best)
	}
}

// TestMakeOneCode: one symbol alone has one bit, none has none.
func TestMakeOneCode(t *testing.T) {
	codes := make([]code, 3)
	makeCodes(codes, []uint32{0, 7, 0}, maxCode)
	if codes[1] != (code{0, 1}) || codes[0].n > 0 || codes[2].n > 0 {
		t.Errorf("codes are %v", codes)
	}
	if makeCodes(codes, []uint32{0, 0, 0}, maxCode); codes[1].n > 0 {
		t.Errorf("codes of nothing are %v", codes)
	}
}
