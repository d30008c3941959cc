package repo

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// someEntries are of all sizes: tiny ones, and some that are more than a piece.
func someEntries(n int) []entry {
	all := make([]entry, n)
	for i := range all {
		size := i % 300
		if i%97 == 96 {
			size = pieceBytes + i
		}
		all[i] = entry{kind: blobObject, content: []byte(strings.Repeat(fmt.Sprint(i, " "), size)[:size])}
	}
	return all
}

// TestEntriesInOrder: entries come in their order, each whole, on however many processors
// they were compressed.
func TestEntriesInOrder(t *testing.T) {
	var few []entry
	for i := range pieceEntries + 1 {
		few = append(few, entry{kind: commitObject, content: fmt.Append(nil, i)})
	}
	for _, entries := range [][]entry{nil, someEntries(1), someEntries(2000), few[:pieceEntries], few} {
		var b bytes.Buffer
		if err := writeEntries(&b, entries); err != nil {
			t.Fatal(err)
		}
		checkEntries(t, b.Bytes(), entries)
	}
	if got := len(cutPieces(few)); got != 2 {
		t.Errorf("small ones are %d pieces", got)
	}
	if got := len(cutPieces(someEntries(98))); got != 2 {
		t.Errorf("some with a large one are %d pieces", got)
	}
}

// checkEntries fails the test unless packed is these entries, for the standard library.
func checkEntries(t *testing.T, packed []byte, entries []entry) {
	t.Helper()
	b := bytes.NewBuffer(packed)
	for i, e := range entries {
		head := appendEntryHead(nil, e.kind, len(e.content))
		if !bytes.Equal(b.Next(len(head)), head) {
			t.Fatalf("entry %d of %d does not begin where it should", i, len(entries))
		}
		z, err := zlib.NewReader(b) // reads a byte at a time: no further than the end
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, e.content) {
			t.Fatalf("entry %d of %d has %d bytes, want %d: %v", i, len(entries), len(got), len(e.content), err)
		}
	}
	if b.Len() > 0 {
		t.Errorf("%d bytes are left", b.Len())
	}
}

// The least value that each symbol stands for, as RFC 1951 lists them (3.2.5).
var (
	leastLengths   = []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	leastDistances = []int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
)

// TestLengthsAndDistances: each has the symbol that the RFC gives it, and the rest of it in
// the extra bits.
func TestLengthsAndDistances(t *testing.T) {
	check := func(n int, least []int, most, first int, symbol func(int) (int, uint64, uint8)) {
		t.Helper()
		want := 0
		for want+1 < len(least) && least[want+1] <= n {
			want++
		}
		end := most + 1
		if want+1 < len(least) {
			end = least[want+1]
		}
		got, extra, bits := symbol(n)
		if got != first+want || int(extra) != n-least[want] || end-least[want] > 1<<bits || bits > 0 && end-least[want] <= 1<<(bits-1) {
			t.Fatalf("%d has symbol %d with %d in %d bits", n, got, extra, bits)
		}
	}
	for n := 3; n <= longestMatch; n++ {
		check(n, leastLengths, longestMatch, firstLength, lengthSymbol)
	}
	for n := 1; n <= window; n++ {
		check(n, leastDistances, window, 0, distanceSymbol)
	}
}

// TestDeflate: what is compressed with the codes of its kind comes out again, whatever
// lengths, distances and bytes there are in it.
func TestDeflate(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	var matches []byte
	for n := shortestMatch; n <= longestMatch+2; n += 8 {
		again := random(n)
		matches = append(append(append(matches, again...), byte(n)), again...)
	}
	// What is looked for once leaves the places of all else as they are.
	far := append(append([]byte("first"), make([]byte, window-10)...), "first"...)
	small := entry{kind: commitObject, content: random(300)}
	for _, tt := range []struct {
		name    string
		content []byte
	}{
		{"one byte", bytes.Repeat([]byte("a"), 5000)},
		{"two", bytes.Repeat([]byte("ab"), 5000)},
		{"nothing repeats", random(5000)},
		{"one match", append(random(200), 1, 2, 3, 4, 5, 1, 2, 3, 4, 5)},
		{"matches of many lengths", matches},
		{"as far as it may be", far},
		{"the least", bytes.Repeat([]byte("k: v\n"), tiny)[:tiny]},
		{"the most", bytes.Repeat([]byte("key: value\n"), window)[:window]},
		{"too small", bytes.Repeat([]byte("k: v\n"), tiny)[:tiny-1]},
		{"too large", bytes.Repeat([]byte("key: value\n"), window)[:window+1]},
		{"empty", nil},
		{"not ASCII", bytes.Repeat([]byte("größe: häufig\n"), 30)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			alone := []entry{{kind: blobObject, content: tt.content}}
			checkEntries(t, newDeflater().deflate(alone), alone)
			d := newDeflater()
			for range 2 { // what it had to do before does not matter
				among := append(someEntries(50), alone[0], small)
				checkEntries(t, d.deflate(among), among)
			}
		})
	}
	var m matcher
	if tokens := m.append(nil, far); tokens[len(tokens)-2] != matchToken(shortestMatch, window-5) && tokens[len(tokens)-1] != matchToken(5, window-5) {
		t.Errorf("what is far away is not found: %v", tokens[len(tokens)-2:])
	}
}

// TestDeflateSmaller: nothing becomes larger than it is by compressing it, and what is alike
// becomes smaller than by codes of its own.
func TestDeflateSmaller(t *testing.T) {
	incompressible := make([]byte, 10*tiny)
	for i := range incompressible {
		incompressible[i] = byte(i * i * 31 >> 3)
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(incompressible), func(i, j int) {
		incompressible[i], incompressible[j] = incompressible[j], incompressible[i]
	})
	e := []entry{{kind: blobObject, content: incompressible}}
	head := len(appendEntryHead(nil, blobObject, len(incompressible)))
	if got := len(newDeflater().deflate(e)); got > head+storedSize(incompressible) {
		t.Errorf("%d bytes became %d", len(incompressible), got)
	}
	var together, alone int
	var all []entry
	for i := range 100 {
		e := entry{kind: blobObject, content: manifest(i, i)}
		all = append(all, e)
		var b bytes.Buffer
		z, err := zlib.NewWriterLevel(&b, zlib.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(e.content); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		alone += b.Len()
	}
	if together = len(newDeflater().deflate(all)); together > alone {
		t.Errorf("with the same codes they have %d bytes, and each with its own %d", together, alone)
	}
}

// FuzzDeflate: entries of any content come out again.
func FuzzDeflate(f *testing.F) {
	f.Add([]byte(strings.Repeat("key: value\n", 20)), uint8(3), uint16(100))
	f.Add([]byte{0, 0, 1}, uint8(200), uint16(1))
	f.Fuzz(func(t *testing.T, content []byte, times uint8, part uint16) {
		content = bytes.Repeat(content, 1+int(times))
		var entries []entry
		for i, at := 0, 0; at < len(content) && i < 100; i++ {
			n := min(len(content)-at, tiny+int(part))
			entries = append(entries, entry{kind: []kind{commitObject, blobObject, treeObject}[i%3], content: content[at : at+n]})
			at += n
		}
		checkEntries(t, newDeflater().deflate(entries), entries)
	})
}

// failing takes so many bytes, and no more.
type failing int

var errFull = errors.New("no more")

func (f *failing) Write(b []byte) (int, error) {
	if *f -= failing(len(b)); *f < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// TestEntriesStop: where they cannot be written any more, compressing them ends.
func TestEntriesStop(t *testing.T) {
	entries := someEntries(2000)
	for _, n := range []failing{0, 1, 1000, 10_000} {
		if err := writeEntries(&n, entries); !errors.Is(err, errFull) {
			t.Errorf("it ended with %v", err)
		}
	}
}
