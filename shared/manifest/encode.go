package manifest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

const (
	// maxDepth is how deep lists and maps may be nested: what encoding/json,
	// and so the API server, still reads.
	maxDepth = 10_000
	// maxBytes bounds a manifest. Indentation grows with depth, so a hostile
	// object of etcd's 1.5 MiB could take gigabytes; an honest one stays well
	// below ten times its size.
	maxBytes = 32 << 20
	// maxSimpleKey is the longest key written as "key:". YAML 1.2.2 section 7.4
	// allows 1024 characters; parsers count bytes, quotes and escapes too.
	maxSimpleKey = 1000
)

// The fields that come first, in this order; the others follow, sorted by
// their bytes.
var (
	objectOrder   = []string{"apiVersion", "kind", "metadata"}
	metadataOrder = []string{"name", "namespace", "labels", "annotations"}
)

// Encode returns the canonical manifest of an object: block-style YAML that
// parsers of YAML 1.1 and 1.2 read alike, with a final newline.
//
// It is exact for string, bool, int64, nil, map[string]any, []any, and for
// float64 but in one point that Kubernetes itself does not keep: a float64 that
// JSON writes as an integer (1.0, -0) is that integer.
//
// It fails on a NaN or infinity, on text that is not UTF-8, on other Go types,
// on nesting below 10,000 levels and on manifests above 32 MiB. The error names
// the field and is, as errors.Is sees it, one of this package's sentinels.
func Encode(obj map[string]any) ([]byte, error) {
	if len(obj) == 0 {
		return []byte("{}\n"), nil
	}
	e := encoder{buf: make([]byte, 0, 4096), keys: make([]string, 0, 64)}
	if err := e.mapping(obj, block{first: objectOrder}); err != nil {
		return nil, err
	}
	return bytes.Clone(e.buf), nil // who keeps it keeps no more than that
}

type encoder struct {
	buf []byte
	// keys is a stack: each mapping in progress owns the part it pushed.
	keys []string
}

// block is where a mapping or sequence stands.
type block struct {
	indent int
	depth  int
	inline bool     // the first line's indentation is already written
	first  []string // keys that come before the sorted ones
}

func (b block) child(indent int, inline bool) block {
	return block{indent: indent, depth: b.depth + 1, inline: inline}
}

func (e *encoder) mapping(m map[string]any, b block) *fieldError {
	if err := e.enter(b); err != nil {
		return err
	}
	base := len(e.keys)
	for _, k := range b.first {
		if _, ok := m[k]; ok {
			e.keys = append(e.keys, k)
		}
	}
	sorted := len(e.keys)
	for k := range m {
		if !slices.Contains(b.first, k) {
			e.keys = append(e.keys, k)
		}
	}
	slices.Sort(e.keys[sorted:])
	for i, end := base, len(e.keys); i < end; i++ {
		key := e.keys[i]
		if i > base || !b.inline {
			e.indent(b.indent)
		}
		if err := e.entry(key, m[key], b); err != nil {
			return under(key, err)
		}
	}
	e.keys = e.keys[:base]
	return nil
}

// entry writes one key and its value.
func (e *encoder) entry(key string, value any, b block) *fieldError {
	start := len(e.buf)
	style, ok := styleOf(key)
	if !ok {
		return &fieldError{reason: ErrNotUTF8}
	}
	if style == plain {
		e.buf = append(e.buf, key...)
	} else {
		e.buf = appendQuoted(e.buf, key)
	}
	// The explicit form of YAML 1.2.2 section 8.2.2, "? key" and ": value" on
	// lines of their own.
	explicit := len(e.buf)-start > maxSimpleKey
	if explicit {
		e.buf = slices.Insert(e.buf, start, '?', ' ')
		e.buf = append(e.buf, '\n')
		e.indent(b.indent)
	}
	e.buf = append(e.buf, ':')

	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 {
			e.buf = append(e.buf, '\n')
			child := b.child(b.indent+2, false)
			if b.depth == 0 && key == "metadata" {
				child.first = metadataOrder
			}
			return e.mapping(v, child)
		}
	case []any:
		if len(v) > 0 {
			e.buf = append(e.buf, '\n')
			indent := b.indent
			if explicit {
				indent += 2
			}
			return e.sequence(v, b.child(indent, false))
		}
	}
	e.buf = append(e.buf, ' ')
	return e.scalar(value, b.indent)
}

func (e *encoder) sequence(s []any, b block) *fieldError {
	if err := e.enter(b); err != nil {
		return err
	}
	for i, item := range s {
		if i > 0 || !b.inline {
			e.indent(b.indent)
		}
		e.buf = append(e.buf, '-', ' ')
		if err := e.item(item, b); err != nil {
			return at(i, err)
		}
	}
	return nil
}

func (e *encoder) item(item any, b block) *fieldError {
	switch v := item.(type) {
	case map[string]any:
		if len(v) > 0 {
			return e.mapping(v, b.child(b.indent+2, true))
		}
	case []any:
		if len(v) > 0 {
			return e.sequence(v, b.child(b.indent+2, true))
		}
	}
	return e.scalar(item, b.indent)
}

// scalar writes a scalar or an empty collection and ends the line. Lines of a
// literal block stand two columns right of indent.
func (e *encoder) scalar(value any, indent int) *fieldError {
	switch v := value.(type) {
	case string:
		if err := e.text(v, indent); err != nil {
			return err
		}
	case bool:
		if v {
			e.buf = append(e.buf, "true"...)
		} else {
			e.buf = append(e.buf, "false"...)
		}
	case int64:
		e.buf = strconv.AppendInt(e.buf, v, 10)
	case float64:
		buf, ok := appendFloat(e.buf, v)
		if !ok {
			return &fieldError{reason: ErrNotFinite}
		}
		e.buf = buf
	case nil:
		e.buf = append(e.buf, "null"...)
	case map[string]any:
		e.buf = append(e.buf, '{', '}')
	case []any:
		e.buf = append(e.buf, '[', ']')
	default:
		return &fieldError{reason: fmt.Errorf("%w %T", ErrUnsupported, value)}
	}
	e.buf = append(e.buf, '\n')
	if len(e.buf) > maxBytes {
		return &fieldError{reason: ErrTooLarge}
	}
	return nil
}

func (e *encoder) text(s string, indent int) *fieldError {
	style, ok := styleOf(s)
	if !ok {
		return &fieldError{reason: ErrNotUTF8}
	}
	switch style {
	case plain:
		e.buf = append(e.buf, s...)
	case quoted:
		e.buf = appendQuoted(e.buf, s)
	case literal:
		return e.literal(s, indent+2)
	}
	return nil
}

func (e *encoder) enter(b block) *fieldError {
	if b.depth >= maxDepth {
		return &fieldError{reason: ErrTooDeep}
	}
	if len(e.buf) > maxBytes {
		return &fieldError{reason: ErrTooLarge}
	}
	return nil
}

const blanks = "                                                                "

func (e *encoder) indent(n int) {
	for ; n > len(blanks); n -= len(blanks) {
		e.buf = append(e.buf, blanks...)
	}
	e.buf = append(e.buf, blanks[:n]...)
}
