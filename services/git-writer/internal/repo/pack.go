package repo

import (
	"crypto/sha1" // #nosec G505 -- a pack's checksum is SHA-1
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxChain bounds how many deltas have to be applied to read an object of a
// pack, as git does by default.
const maxChain = 50

// writePack writes objects as a pack (gitformat-pack): a header, each object
// compressed, a checksum of it all. Bases of deltas come before what is made
// from them. A thin pack may have deltas whose base is not in it but on the
// remote (gitprotocol-pack, "Packfile Data").
func writePack(w io.Writer, objects []*object, thin bool) error {
	sum := sha1.New() // #nosec G401
	all := io.MultiWriter(w, sum)
	head := append(make([]byte, 0, 12), "PACK"...)
	head = binary.BigEndian.AppendUint32(head, 2)
	head = binary.BigEndian.AppendUint32(head, uint32(len(objects)))
	if _, err := all.Write(head); err != nil {
		return fmt.Errorf("starting pack: %w", err)
	}
	if err := writeEntries(all, entriesOf(objects, thin)); err != nil {
		return fmt.Errorf("writing pack: %w", err)
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("ending pack: %w", err)
	}
	return nil
}

// entry is an object as it stands in a pack.
type entry struct {
	kind    kind
	base    plumbing.Hash // of a refDelta
	content []byte        // before it is compressed
}

// entriesOf decides which objects stand as deltas, so that no chain of them is too long.
func entriesOf(objects []*object, thin bool) []entry {
	depth := make(map[plumbing.Hash]int, len(objects)) // of those before: how many deltas lead to it
	entries := make([]entry, len(objects))
	for i, o := range objects {
		e, d := entry{kind: o.kind, content: o.data}, 0
		if o.delta != nil {
			base, here := depth[o.base]
			// Without its content, the base is in this pack and the chain short: see line.emit.
			if o.data == nil || (here || thin) && base < maxChain {
				e, d = entry{refDelta, o.base, o.delta}, base+1
			}
		}
		entries[i], depth[o.hash] = e, d
	}
	return entries
}

// appendEntryHead appends type and size: three bits of type and four of size,
// then seven bits of size a byte, while the high bit says that more follows.
func appendEntryHead(d []byte, k kind, size int) []byte {
	b := byte(k)<<4 | byte(size&0x0f)
	for size >>= 4; size > 0; size >>= 7 {
		d = append(d, b|0x80)
		b = byte(size & 0x7f)
	}
	return append(d, b)
}
