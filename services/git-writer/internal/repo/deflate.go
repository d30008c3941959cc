package repo

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zlib"
)

const (
	// tiny is below how many bytes trying to compress costs more than it saves. Most
	// objects are so small: deltas of trees, which are little more than an object name,
	// and nothing compresses that.
	tiny = 128
	// A piece is so many entries, or what has so many bytes before it is compressed: a
	// turn of one processor.
	pieceEntries = 64
	pieceBytes   = 256 << 10
	// deflaters is on how many processors at most: each takes most of a megabyte.
	deflaters = 4
)

// writeEntries compresses entries on several processors, and writes them in their order.
// It keeps some pieces a processor in memory.
func writeEntries(w io.Writer, entries []entry) error {
	type piece struct {
		entries []entry
		made    chan []byte // has room for one
	}
	processors := min(deflaters, runtime.GOMAXPROCS(0), 1+len(entries)/pieceEntries)
	todo, ordered := make(chan piece, processors), make(chan piece, processors)
	failed := make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(failed) // or all is done
	all.Go(func() {
		defer close(ordered)
		defer close(todo)
		for len(entries) > 0 {
			n := cutPiece(entries)
			p := piece{entries[:n], make(chan []byte, 1)}
			entries = entries[n:]
			select {
			case ordered <- p:
				todo <- p
			case <-failed:
				return
			}
		}
	})
	for range processors {
		all.Go(func() {
			d := newDeflater()
			for p := range todo {
				p.made <- d.deflate(p.entries)
			}
		})
	}
	for p := range ordered {
		if _, err := w.Write(<-p.made); err != nil {
			return err
		}
	}
	return nil
}

// cutPiece is how many of the first entries are a piece.
func cutPiece(entries []entry) (n int) {
	for size := 0; n < min(len(entries), pieceEntries) && size < pieceBytes; n++ {
		size += len(entries[n].content)
	}
	return n
}

// deflater compresses entries. One goroutine at a time may use it.
type deflater struct {
	small, large *zlib.Writer // for what is tiny, and what is not
	head         []byte
}

func newDeflater() *deflater {
	level := func(n int) *zlib.Writer {
		z, err := zlib.NewWriterLevel(nil, n)
		if err != nil {
			panic(err) // there are these levels
		}
		return z
	}
	return &deflater{small: level(zlib.NoCompression), large: level(zlib.BestSpeed)}
}

// deflate is the bytes of entries in a pack.
func (d *deflater) deflate(entries []entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		d.head = appendEntryHead(d.head[:0], e.kind, len(e.content))
		b.Write(d.head)
		if e.kind == refDelta {
			b.Write(e.base[:])
		}
		z := d.large
		if len(e.content) < tiny {
			z = d.small
		}
		z.Reset(&b)
		_, err := z.Write(e.content)
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			panic(fmt.Sprintf("compressing into memory: %v", err)) // cannot happen
		}
	}
	return b.Bytes()
}
