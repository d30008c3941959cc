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
	// turn of one processor, and what has the same codes.
	pieceEntries = 1024
	pieceBytes   = 256 << 10
	// deflaters is on how many processors at most: each takes about two megabytes.
	deflaters = 4
)

// writeEntries compresses entries on several processors, and writes them in their order.
// It keeps some pieces a processor in memory.
func writeEntries(w io.Writer, entries []entry) error {
	type piece struct {
		entries []entry
		made    chan []byte // has room for one
	}
	pieces := cutPieces(entries)
	processors := min(deflaters, runtime.GOMAXPROCS(0), len(pieces))
	todo, ordered := make(chan piece, processors), make(chan piece, processors)
	failed := make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(failed) // or all is done
	all.Go(func() {
		defer close(ordered)
		defer close(todo)
		for _, entries := range pieces {
			p := piece{entries, make(chan []byte, 1)}
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

// cutPieces cuts entries into pieces.
func cutPieces(entries []entry) (pieces [][]entry) {
	for len(entries) > 0 {
		n := 0
		for size := 0; n < min(len(entries), pieceEntries) && size < pieceBytes; n++ {
			size += len(entries[n].content)
		}
		pieces, entries = append(pieces, entries[:n]), entries[n:]
	}
	return pieces
}

// deflater compresses entries. One goroutine at a time may use it.
type deflater struct {
	matcher matcher
	tokens  []token
	books   [refDelta + 1]codeBook // by kind: what is of one kind is alike
	large   *zlib.Writer           // for what is more than a window
}

func newDeflater() *deflater {
	z, err := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	if err != nil {
		panic(err) // there is this level
	}
	return &deflater{large: z}
}

// small says whether an entry is compressed with the codes of its kind.
func (e *entry) small() bool { return tiny <= len(e.content) && len(e.content) <= window }

// deflate is the bytes of entries in a pack.
func (d *deflater) deflate(entries []entry) []byte {
	d.tokens = d.tokens[:0]
	ends := make([]int, len(entries)) // of the tokens of each
	for i := range d.books {
		d.books[i].reset()
	}
	size := 0
	for i, e := range entries {
		size += len(e.content)
		if from := len(d.tokens); e.small() {
			d.tokens = d.matcher.append(d.tokens, e.content)
			d.books[e.kind].count(d.tokens[from:])
		}
		ends[i] = len(d.tokens)
	}
	for i := range d.books {
		d.books[i].make()
	}
	b := make([]byte, 0, size/2+64*len(entries)) // about as much as it comes to
	from := 0
	for i, e := range entries {
		b = appendEntryHead(b, e.kind, len(e.content))
		if e.kind == refDelta {
			b = append(b, e.base[:]...)
		}
		b = d.append(b, &e, d.tokens[from:ends[i]])
		from = ends[i]
	}
	return b
}

// append appends the compressed content of an entry, of which these are the tokens if it is small.
func (d *deflater) append(b []byte, e *entry, tokens []token) []byte {
	switch {
	case len(e.content) < tiny:
		return appendStored(b, e.content)
	case len(e.content) > window:
		return d.appendLarge(b, e.content)
	}
	short := d.books[e.kind].append(b, e.content, tokens)
	if len(short)-len(b) > storedSize(e.content) {
		return appendStored(b, e.content)
	}
	return short
}

func (d *deflater) appendLarge(b, content []byte) []byte {
	w := bytes.NewBuffer(b)
	d.large.Reset(w)
	_, err := d.large.Write(content)
	if err == nil {
		err = d.large.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("compressing into memory: %v", err)) // cannot happen
	}
	return w.Bytes()
}
