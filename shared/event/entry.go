package event

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
)

// What says what an [Entry] stands for.
type What byte

// What an entry of a state or of a comparison can be.
const (
	// Resource is an object of the cluster, or a file at the path of one.
	Resource What = iota
	// Foreign is a file that holds resources and is not at their path, or holds
	// several: it is reported, and never changed or removed.
	Foreign
	// ResultCreate, ResultReconcile and ResultDelete are what a comparison found.
	ResultCreate
	ResultReconcile
	ResultDelete
)

// String is the name by which logs, messages and people know it.
func (w What) String() string {
	switch w {
	case Resource:
		return "RESOURCE"
	case Foreign:
		return "FOREIGN"
	case ResultCreate:
		return "CREATE"
	case ResultReconcile:
		return "RECONCILE_RESOURCE"
	case ResultDelete:
		return "DELETE"
	}
	return fmt.Sprintf("What(%d)", byte(w))
}

// Entry is one line of a state, or of a comparison of two. The entries of a series
// are sorted by path, as bytes, and each path comes once.
type Entry struct {
	Path string // of the file, below the base folder
	// Hash is the content hash: of what is there, or is to be there; of a DELETE, of
	// what was. "" is of an object that is there, and whose content can never be
	// written: its file stays as it is.
	Hash    string
	Version uint64 // resourceVersion, where it is known
	What    What
}

// A hash of forty hexadecimal digits is stored as the bytes it stands for; a bit of
// the entry's What says so.
const (
	hexHash  = 0x80
	hexBytes = 20
)

// Chunk gathers entries into the body of a message: each without the beginning it
// shares with the path before it. The zero value is empty. One chunk serves a whole
// series: it remembers, through [Chunk.Take], what the next path must be behind.
type Chunk struct {
	data []byte
	last string // path of the newest entry, taken or not
	n    int
}

// Len is the chunk's size in bytes.
func (c *Chunk) Len() int { return len(c.data) }

// Count is how many entries are in it.
func (c *Chunk) Count() int { return c.n }

// Add appends an entry. Its path must be behind that of the one before: no path is
// empty. Errors wrap ErrMalformed, and leave the chunk as it was.
func (c *Chunk) Add(e Entry) error {
	if e.Path <= c.last {
		return fmt.Errorf("%w: entry %q after %q", ErrMalformed, e.Path, c.last)
	}
	if e.What > ResultDelete {
		return fmt.Errorf("%w: entry %q is %s", ErrMalformed, e.Path, e.What)
	}
	shared := 0
	for c.n > 0 && shared < len(c.last) && e.Path[shared] == c.last[shared] {
		shared++ // ends within e.Path, which is behind c.last
	}
	b := binary.AppendUvarint(c.data, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(e.Path)-shared))
	b = append(b, e.Path[shared:]...)
	raw, err := hex.DecodeString(e.Hash)
	if err == nil && len(raw) == hexBytes && hex.EncodeToString(raw) == e.Hash {
		b = binary.AppendUvarint(append(b, byte(e.What)|hexHash), e.Version)
		b = append(b, raw...)
	} else {
		b = binary.AppendUvarint(append(b, byte(e.What)), e.Version)
		b = binary.AppendUvarint(b, uint64(len(e.Hash)))
		b = append(b, e.Hash...)
	}
	c.data, c.last, c.n = b, e.Path, c.n+1
	return nil
}

// Take is the body, and leaves the chunk empty.
func (c *Chunk) Take() []byte {
	b := c.data
	c.data, c.n = nil, 0
	return b
}

// Entries reads a body that [Chunk.Take] gave. An error, which wraps ErrMalformed,
// is the last thing it yields.
func Entries(body []byte) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r, last := reader{rest: body}, ""
		for len(r.rest) > 0 {
			shared := r.uvarint()
			suffix := r.bytes(r.uvarint())
			what := r.byte()
			e := Entry{What: What(what &^ hexHash), Version: r.uvarint()}
			if what&hexHash != 0 {
				e.Hash = hex.EncodeToString(r.bytes(hexBytes))
			} else {
				e.Hash = string(r.bytes(r.uvarint()))
			}
			if r.bad || shared > uint64(len(last)) || e.What > ResultDelete {
				yield(Entry{}, fmt.Errorf("%w: a chunk of entries, behind %q", ErrMalformed, last))
				return
			}
			e.Path = last[:shared] + string(suffix)
			if e.Path <= last {
				yield(Entry{}, fmt.Errorf("%w: entry %q after %q", ErrMalformed, e.Path, last))
				return
			}
			if last = e.Path; !yield(e, nil) {
				return
			}
		}
	}
}

// reader takes a body apart and remembers that something was not there.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	b := r.bytes(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}
