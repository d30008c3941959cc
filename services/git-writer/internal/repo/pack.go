package repo

import (
	"crypto/sha1" // #nosec G505 -- a pack's checksum is SHA-1
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
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
	p := &packWriter{w: io.MultiWriter(w, sum), depth: make(map[plumbing.Hash]int, len(objects))}
	var err error
	if p.z, err = zlib.NewWriterLevel(p.w, zlib.BestSpeed); err != nil {
		return fmt.Errorf("starting pack: %w", err)
	}
	if p.plain, err = zlib.NewWriterLevel(p.w, zlib.NoCompression); err != nil {
		return fmt.Errorf("starting pack: %w", err)
	}
	head := append(make([]byte, 0, 12), "PACK"...)
	head = binary.BigEndian.AppendUint32(head, 2)
	head = binary.BigEndian.AppendUint32(head, uint32(len(objects)))
	if _, err := p.w.Write(head); err != nil {
		return fmt.Errorf("starting pack: %w", err)
	}
	for _, o := range objects {
		if err := p.write(o, thin); err != nil {
			return fmt.Errorf("packing %s %s: %w", o.kind, o.hash, err)
		}
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("ending pack: %w", err)
	}
	return nil
}

// tiny is below how many bytes trying to compress costs more than it saves. Most objects
// are so small: deltas of trees, which are little more than an object name, and nothing
// compresses that.
const tiny = 128

type packWriter struct {
	w     io.Writer
	z     *zlib.Writer
	plain *zlib.Writer          // for what is not worth compressing
	depth map[plumbing.Hash]int // of each object written: how many deltas lead to it
	head  []byte
}

func (p *packWriter) write(o *object, thin bool) error {
	depth := 0
	k, content := o.kind, o.data
	if o.delta != nil {
		base, here := p.depth[o.base]
		// Without its content, the base is in this pack and the chain short: see line.emit.
		if o.data == nil || (here || thin) && base < maxChain {
			depth, k, content = base+1, refDelta, o.delta
		}
	}
	p.depth[o.hash] = depth
	p.head = appendEntryHead(p.head[:0], k, len(content))
	if k == refDelta {
		p.head = append(p.head, o.base[:]...)
	}
	if _, err := p.w.Write(p.head); err != nil {
		return err
	}
	z := p.z
	if len(content) < tiny {
		z = p.plain
	}
	z.Reset(p.w)
	if _, err := z.Write(content); err != nil {
		return err
	}
	return z.Close()
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
