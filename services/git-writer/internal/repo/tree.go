package repo

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// tree is one directory, as the bytes of its tree object and where each entry
// begins in them. An edit changes those bytes in place; entries that are not
// edited keep their bytes, whatever their mode is.
//
// A tree object is a sequence of
//
//	mode in octal, SP, name, NUL, 20 bytes of object name
//
// sorted by name, where a directory's name counts as if it ended in a slash
// (git's base_name_compare).
type tree struct {
	hash   plumbing.Hash // of the bytes as last cut; zero for a directory that never was
	data   []byte
	starts []uint32 // offset of each entry in data

	kids    map[string]*tree // subdirectories that are loaded
	changed []string         // kids that became dirty since the last cut
	dirty   bool             // this or a directory below it changed since the last cut
	shared  bool             // data is referred to from elsewhere: copy it before the next edit

	// What of data is as it was when hash was computed: the first head and the
	// last tail bytes of was. Only meaningful while edited.
	edited          bool
	head, tail, was int
}

// item is one entry of a tree.
type item struct {
	mode filemode.FileMode
	hash plumbing.Hash
}

// Mode bits that say what an entry is (gitformat-index, "mode").
const (
	modeType = 0o170000
	modeDir  = 0o040000
	modeFile = 0o100000
)

func (it item) isDir() bool  { return it.mode&modeType == modeDir }
func (it item) isFile() bool { return it.mode&modeType == modeFile }

// parseTree indexes the bytes of a tree object. It keeps data.
func parseTree(hash plumbing.Hash, data []byte) (*tree, error) {
	t := &tree{hash: hash, data: data, starts: make([]uint32, 0, len(data)/48), was: len(data)}
	for off := 0; off < len(data); {
		n := entryLength(data[off:])
		if n < 0 {
			return nil, fmt.Errorf("reading tree %s: malformed at byte %d", hash, off)
		}
		t.starts = append(t.starts, uint32(off))
		off += n
	}
	return t, nil
}

// entryLength is how many bytes the first entry of data has, or -1.
func entryLength(data []byte) int {
	nul := bytes.IndexByte(data, 0)
	space := bytes.IndexByte(data, ' ')
	if space < 1 || nul < space+2 || len(data) < nul+21 {
		return -1
	}
	if _, ok := parseMode(data[:space]); !ok {
		return -1
	}
	return nul + 21
}

func parseMode(octal []byte) (filemode.FileMode, bool) {
	var m uint32
	for _, c := range octal {
		if c < '0' || c > '7' || m > 0o77777777 {
			return 0, false
		}
		m = m<<3 | uint32(c-'0')
	}
	return filemode.FileMode(m), true
}

// span is the part of data that is entry i.
func (t *tree) span(i int) (from, to int) {
	to = len(t.data)
	if i+1 < len(t.starts) {
		to = int(t.starts[i+1])
	}
	return int(t.starts[i]), to
}

func (t *tree) at(i int) (name []byte, it item) {
	from, to := t.span(i)
	return splitEntry(t.data[from:to])
}

// splitEntry takes apart the bytes of one well-formed entry.
func splitEntry(entry []byte) (name []byte, it item) {
	space := bytes.IndexByte(entry, ' ')
	it.mode, _ = parseMode(entry[:space])
	copy(it.hash[:], entry[len(entry)-20:])
	return entry[space+1 : len(entry)-21], it
}

// place is where an entry of that name and kind is, or would be.
func (t *tree) place(name []byte, dir bool) (i int, found bool) {
	i = sort.Search(len(t.starts), func(i int) bool {
		other, otherDir := t.nameAt(i)
		return compareNames(other, otherDir, name, dir) >= 0
	})
	if i < len(t.starts) {
		other, otherDir := t.nameAt(i)
		found = otherDir == dir && bytes.Equal(other, name)
	}
	return i, found
}

// nameAt is what entries are sorted by.
func (t *tree) nameAt(i int) (name []byte, dir bool) {
	from, to := t.span(i)
	entry := t.data[from:to]
	space := bytes.IndexByte(entry, ' ')
	mode, _ := parseMode(entry[:space])
	return entry[space+1 : len(entry)-21], item{mode: mode}.isDir()
}

// find looks for name, whatever it is: first for what it is likely to be.
func (t *tree) find(name []byte, dir bool) (i int, it item, ok bool) {
	if i, ok = t.place(name, dir); !ok {
		if i, ok = t.place(name, !dir); !ok {
			return 0, item{}, false
		}
	}
	_, it = t.at(i)
	return i, it, true
}

// compareNames is git's base_name_compare.
func compareNames(a []byte, aDir bool, b []byte, bDir bool) int {
	n := min(len(a), len(b))
	if c := bytes.Compare(a[:n], b[:n]); c != 0 {
		return c
	}
	return int(after(a, aDir, n)) - int(after(b, bDir, n))
}

func after(name []byte, dir bool, n int) byte {
	switch {
	case n < len(name):
		return name[n]
	case dir:
		return '/'
	default:
		return 0
	}
}

// touch notes an edit that replaces old bytes at off, before it is made.
func (t *tree) touch(off, old int) {
	if t.shared {
		t.data = slices.Clone(t.data)
		t.shared = false
	}
	if !t.edited {
		t.edited = true
		t.was = len(t.data)
		t.head, t.tail = t.was, t.was
	}
	t.head = min(t.head, off)
	t.tail = min(t.tail, len(t.data)-off-old)
}

// setHash points entry i at another object.
func (t *tree) setHash(i int, hash plumbing.Hash) {
	_, to := t.span(i)
	t.touch(to-20, 20)
	copy(t.data[to-20:], hash[:])
}

// insert adds an entry that is not there.
func (t *tree) insert(name []byte, it item) {
	i, _ := t.place(name, it.isDir())
	off := len(t.data)
	if i < len(t.starts) {
		off = int(t.starts[i])
	}
	t.touch(off, 0)
	entry := strconv.AppendUint(make([]byte, 0, len(name)+28), uint64(it.mode), 8)
	entry = append(entry, ' ')
	entry = append(entry, name...)
	entry = append(entry, 0)
	entry = append(entry, it.hash[:]...)
	t.data = slices.Insert(t.data, off, entry...)
	t.starts = slices.Insert(t.starts, i, uint32(off))
	t.shift(i+1, len(entry))
}

// remove takes entry i away.
func (t *tree) remove(i int) {
	from, to := t.span(i)
	t.touch(from, to-from)
	t.data = slices.Delete(t.data, from, to)
	t.starts = slices.Delete(t.starts, i, i+1)
	t.shift(i, from-to)
}

func (t *tree) shift(first, by int) {
	for i := first; i < len(t.starts); i++ {
		t.starts[i] = uint32(int(t.starts[i]) + by)
	}
}
