package repo

import (
	"cmp"
	"math/bits"
	"slices"
)

// code is a Huffman code as it is written, and how many bits it has; 0: the symbol does
// not occur.
type code struct {
	bits uint16
	n    uint8
}

// makeCodes gives each symbol that occurs its code, of at most longest bits (RFC 1951,
// 3.2.2): the more often it occurs, the shorter. Where that comes to longer ones, counts are
// made more even until it does not. One symbol alone has one bit.
func makeCodes(codes []code, counts []uint32, longest int) {
	type leaf struct {
		symbol int
		count  uint32
	}
	clear(codes)
	var leaves []leaf
	for s, n := range counts {
		if n > 0 {
			leaves = append(leaves, leaf{s, n})
		}
	}
	slices.SortFunc(leaves, func(a, b leaf) int {
		return cmp.Or(cmp.Compare(a.count, b.count), cmp.Compare(a.symbol, b.symbol))
	})
	sorted := make([]uint32, len(leaves))
	for i, l := range leaves {
		sorted[i] = l.count
	}
	lengths := codeLengths(sorted)
	for slices.Max(append(lengths, 0)) > longest {
		for i := range sorted {
			sorted[i] = sorted[i]/2 + 1
		}
		lengths = codeLengths(sorted)
	}
	for i, l := range leaves {
		codes[l.symbol].n = uint8(lengths[i])
	}
	assign(codes, longest)
}

// codeLengths is how many bits the codes of symbols have that occur so many times, the
// rarest first: how deep each is in the tree that joins the two rarest until one is left.
func codeLengths(counts []uint32) []int {
	n := len(counts)
	lengths := make([]int, n)
	if n < 2 {
		if n == 1 {
			lengths[0] = 1
		}
		return lengths
	}
	// What is joined is made in the order of its count, so the rarest is at the front of
	// either those or the symbols.
	joined, above := make([]uint32, 0, n-1), make([]int, n+n-1)
	leaf, inner := 0, 0
	rarest := func(join int) uint32 {
		if leaf < n && (inner == len(joined) || counts[leaf] <= joined[inner]) {
			above[leaf] = join
			leaf++
			return counts[leaf-1]
		}
		above[n+inner] = join
		inner++
		return joined[inner-1]
	}
	for range n - 1 {
		join := n + len(joined)
		a := rarest(join)
		joined = append(joined, a+rarest(join))
	}
	depth := make([]int, n+n-1)
	for i := n + n - 3; i >= 0; i-- {
		depth[i] = depth[above[i]] + 1
	}
	return depth[:n]
}

// assign makes codes of their lengths: those of one length follow each other in the order of symbols.
func assign(codes []code, longest int) {
	next := 0
	for n := 1; n <= longest; n++ {
		for s := range codes {
			if int(codes[s].n) == n {
				codes[s].bits = bits.Reverse16(uint16(next)) >> (16 - n) // they begin with their highest bit
				next++
			}
		}
		next <<= 1
	}
}

// bitWriter appends bits, the lowest first.
type bitWriter struct {
	b    []byte
	bits uint64 // that are not appended yet
	n    uint8  // how many: less than 32
}

// write appends at most 32 bits.
func (w *bitWriter) write(bits uint64, n uint8) {
	w.bits |= bits << w.n
	if w.n += n; w.n >= 32 {
		b := uint32(w.bits)
		w.b = append(w.b, byte(b), byte(b>>8), byte(b>>16), byte(b>>24))
		w.bits >>= 32
		w.n -= 32
	}
}

func (w *bitWriter) code(c code) { w.write(uint64(c.bits), c.n) }

// end fills the last byte up.
func (w *bitWriter) end() []byte {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.b = append(w.b, byte(w.bits))
		w.bits >>= 8
	}
	return w.b
}
