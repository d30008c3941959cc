package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"
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
	for _, n := range []int{0, 1, pieceEntries, pieceEntries + 1, 2000} {
		var b bytes.Buffer
		entries := someEntries(n)
		if err := writeEntries(&b, entries); err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			head := appendEntryHead(nil, e.kind, len(e.content))
			if !bytes.Equal(b.Next(len(head)), head) {
				t.Fatalf("%d: entry %d does not begin where it should", n, i)
			}
			z, err := zlib.NewReader(&b) // reads a byte at a time: no further than the end
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, e.content) {
				t.Fatalf("%d: entry %d has %d bytes, want %d: %v", n, i, len(got), len(e.content), err)
			}
		}
		if b.Len() > 0 {
			t.Errorf("%d: %d bytes are left", n, b.Len())
		}
	}
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
