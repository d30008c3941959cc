package repo

import (
	"encoding/binary"
	"hash/adler32"
	"math/bits"
)

// codeBook compresses contents that are alike with the same codes, which are made once for
// all of them: making them takes longer than all the rest where contents are small. Each is
// a zlib stream (RFC 1950) of one block that brings its codes along (RFC 1951, 3.2.7).
type codeBook struct {
	symbols   [maxSymbols]code // of literals, the end, and lengths
	distances [maxDistances]code
	symbolN   [maxSymbols]uint32 // how often each occurs
	distanceN [maxDistances]uint32
	head      bitWriter // how each stream begins
}

const (
	maxSymbols   = 286
	maxDistances = 30
	maxCode      = 15 // bits

	endOfBlock  = 256
	firstLength = 257
)

// reset forgets what was counted.
func (k *codeBook) reset() {
	clear(k.symbolN[:])
	clear(k.distanceN[:])
}

// count takes the tokens of one content into account.
func (k *codeBook) count(tokens []token) {
	for _, t := range tokens {
		if t&isMatch == 0 {
			k.symbolN[t.literal()]++
			continue
		}
		s, _, _ := lengthSymbol(t.length())
		k.symbolN[s]++
		d, _, _ := distanceSymbol(t.distance())
		k.distanceN[d]++
	}
	k.symbolN[endOfBlock]++
}

// make makes the codes of what was counted.
func (k *codeBook) make() {
	if k.symbolN[endOfBlock] == 0 {
		return // for nothing
	}
	makeCodes(k.symbols[:], k.symbolN[:], maxCode)
	makeCodes(k.distances[:], k.distanceN[:], maxCode)
	k.head = bitWriter{b: appendStreamHead(k.head.b[:0])}
	k.head.write(0b101, 3) // the last block, which brings its codes
	k.writeCodes(&k.head)
}

// append appends the stream of a content that was counted, of which these are the tokens.
func (k *codeBook) append(b, content []byte, tokens []token) []byte {
	w := bitWriter{append(b, k.head.b...), k.head.bits, k.head.n}
	for _, t := range tokens {
		if t&isMatch == 0 {
			w.code(k.symbols[t.literal()])
			continue
		}
		s, extra, n := lengthSymbol(t.length())
		w.code(k.symbols[s])
		w.write(extra, n)
		s, extra, n = distanceSymbol(t.distance())
		w.code(k.distances[s])
		w.write(extra, n)
	}
	w.code(k.symbols[endOfBlock])
	return appendChecksum(w.end(), content)
}

// lengthSymbol is how a length is written (RFC 1951, 3.2.5): from 3 to 10 each has a symbol
// of its own, behind them four symbols share each number of extra bits, and the longest
// has its own again.
func lengthSymbol(length int) (symbol int, extra uint64, n uint8) {
	x := uint(length - 3)
	switch {
	case length == longestMatch:
		return maxSymbols - 1, 0, 0
	case x < 8:
		return firstLength + int(x), 0, 0
	}
	e := bits.Len(x) - 3
	return firstLength + 4*e + int(x>>e), uint64(x & (1<<e - 1)), uint8(e)
}

// distanceSymbol is how a distance is written: up to 4 each has a symbol of its own, behind
// them two share each number of extra bits.
func distanceSymbol(distance int) (symbol int, extra uint64, n uint8) {
	x := uint(distance - 1)
	if x < 4 {
		return int(x), 0, 0
	}
	e := bits.Len(x) - 2
	return 2*e + int(x>>e), uint64(x & (1<<e - 1)), uint8(e)
}

// The symbols that code lengths are written in: up to 15 themselves, and repetitions.
const (
	repeatLast    = 16 // the length before, 3 to 6 times: 2 extra bits
	repeatZero    = 17 // 3 to 10 times: 3 extra bits
	repeatZeros   = 18 // 11 to 138 times: 7 extra bits
	lengthSymbols = 19
	maxLengthCode = 7 // bits
)

// lengthOrder is the order in which the lengths of those symbols' codes are written.
var lengthOrder = [lengthSymbols]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// run is a symbol of code lengths with its extra bits.
type run struct {
	symbol int
	extra  uint64
	n      uint8
}

// writeCodes writes of which length each code is: that says which it is.
func (k *codeBook) writeCodes(w *bitWriter) {
	symbols, distances := used(k.symbols[:], firstLength), used(k.distances[:], 1)
	var lengths []uint8
	for _, codes := range [][]code{k.symbols[:symbols], k.distances[:distances]} {
		for _, c := range codes {
			lengths = append(lengths, c.n)
		}
	}
	runs := runsOf(lengths)
	var counts [lengthSymbols]uint32
	for _, r := range runs {
		counts[r.symbol]++
	}
	var codes [lengthSymbols]code
	makeCodes(codes[:], counts[:], maxLengthCode)
	last := lengthSymbols
	for last > 4 && codes[lengthOrder[last-1]].n == 0 {
		last--
	}
	w.write(uint64(symbols-firstLength), 5)
	w.write(uint64(distances-1), 5)
	w.write(uint64(last-4), 4)
	for _, s := range lengthOrder[:last] {
		w.write(uint64(codes[s].n), 3)
	}
	for _, r := range runs {
		w.code(codes[r.symbol])
		w.write(r.extra, r.n)
	}
}

// used is how many codes there are up to the last one that occurs, and at least so many.
func used(codes []code, least int) int {
	n := len(codes)
	for n > least && codes[n-1].n == 0 {
		n--
	}
	return n
}

// runsOf writes code lengths, with repetitions where these are shorter.
func runsOf(lengths []uint8) (runs []run) {
	for len(lengths) > 0 {
		n := 1
		for n < len(lengths) && lengths[n] == lengths[0] {
			n++
		}
		length := int(lengths[0])
		lengths = lengths[n:]
		if length > 0 {
			runs = append(runs, run{symbol: length})
			n--
		}
		for n > 0 {
			switch {
			case n < 3:
				runs = append(runs, run{symbol: length})
				n--
			case length > 0:
				m := min(n, 6)
				runs = append(runs, run{repeatLast, uint64(m - 3), 2})
				n -= m
			case n < 11:
				runs = append(runs, run{repeatZero, uint64(n - 3), 3})
				n = 0
			default:
				m := min(n, 138)
				runs = append(runs, run{repeatZeros, uint64(m - 11), 7})
				n -= m
			}
		}
	}
	return runs
}

// appendStored appends the stream of a content of less than 64 KB that is not compressed
// (RFC 1951, 3.2.4).
func appendStored(b, content []byte) []byte {
	b = append(appendStreamHead(b), 1) // the last block, stored
	b = binary.LittleEndian.AppendUint16(b, uint16(len(content)))
	b = binary.LittleEndian.AppendUint16(b, ^uint16(len(content)))
	return appendChecksum(append(b, content...), content)
}

// storedSize is how many bytes that is.
func storedSize(content []byte) int { return 2 + 5 + len(content) + 4 }

// appendStreamHead says (RFC 1950, 2.2) that this is deflate, with a window of 32 KB, and
// was made fast.
func appendStreamHead(b []byte) []byte { return append(b, 0x78, 0x01) }

func appendChecksum(b, content []byte) []byte {
	return binary.BigEndian.AppendUint32(b, adler32.Checksum(content))
}
