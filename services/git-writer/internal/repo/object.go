package repo

import (
	"crypto/sha1" // #nosec G505 -- Git's object names are SHA-1
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
)

// kind is an object's type with its number in a pack (gitformat-pack, "Object types").
type kind byte

const (
	commitObject kind = 1
	treeObject   kind = 2
	blobObject   kind = 3
	refDelta     kind = 7
)

func (k kind) String() string {
	switch k {
	case commitObject:
		return "commit"
	case treeObject:
		return "tree"
	case blobObject:
		return "blob"
	case refDelta:
	}
	return "delta"
}

// object is one object of a pending commit, not yet compressed.
type object struct {
	hash plumbing.Hash
	kind kind
	data []byte // the content; nil if delta is all that is kept

	// delta, if there is one, makes the content from that of base, which the
	// remote has or which goes before this object in the same pack.
	delta []byte
	base  plumbing.Hash
}

// size is what keeping the object costs.
func (o *object) size() int { return len(o.data) + len(o.delta) }

// hashObject is the name of an object: the SHA-1 of its type, size and content.
func hashObject(k kind, content []byte) (hash plumbing.Hash) {
	h := sha1.New() // #nosec G401
	head := make([]byte, 0, 32)
	head = append(append(head, k.String()...), ' ')
	head = strconv.AppendInt(head, int64(len(content)), 10)
	h.Write(append(head, 0))
	h.Write(content)
	h.Sum(hash[:0])
	return hash
}

// delta describes the bytes of an edited tree as an edit of what they were when
// its hash was computed (gitformat-pack, "Deltified representation"): two
// sizes, then instructions that copy from the old bytes or insert new ones. It
// is nil where writing the tree out is as good.
func (t *tree) delta() []byte {
	middle := t.data[t.head : len(t.data)-t.tail]
	if t.hash.IsZero() || 2*len(middle)+64 > len(t.data) {
		return nil
	}
	d := make([]byte, 0, 48+len(middle)+len(middle)/127)
	d = appendSize(d, t.was)
	d = appendSize(d, len(t.data))
	d = appendCopy(d, 0, t.head)
	for len(middle) > 0 {
		n := min(len(middle), 127)
		d = append(append(d, byte(n)), middle[:n]...)
		middle = middle[n:]
	}
	return appendCopy(d, t.was-t.tail, t.tail)
}

// appendSize appends n as a little-endian base-128 number.
func appendSize(d []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		d = append(d, byte(n)|0x80)
	}
	return append(d, byte(n))
}

// appendCopy appends instructions to copy n bytes from off: a byte whose high bit
// is set and whose other bits say which bytes of offset (4) and size (3) follow.
func appendCopy(d []byte, off, n int) []byte {
	const most = 0xff0000 // a size whose low bytes are zero, so that pieces are few
	for ; n > 0; off, n = off+most, n-most {
		op := len(d)
		d = append(d, 0x80)
		for i := range 4 {
			if b := byte(off >> (8 * i)); b != 0 {
				d[op] |= 1 << i
				d = append(d, b)
			}
		}
		for i := range 3 {
			if b := byte(min(n, most) >> (8 * i)); b != 0 {
				d[op] |= 0x10 << i
				d = append(d, b)
			}
		}
	}
	return d
}
