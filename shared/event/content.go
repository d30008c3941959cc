package event

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
)

// AppendContent appends a change to the body of a chunk of contents: what a lane
// answers to the results CREATE and RECONCILE_RESOURCE of a run. Of the chunks of
// one series, the changes are sorted by the path of their file.
func AppendContent(body []byte, c Change) []byte {
	h, manifest := c.Message()
	head, err := json.Marshal(h)
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	body = binary.AppendUvarint(body, uint64(len(head)))
	body = append(body, head...)
	body = binary.AppendUvarint(body, uint64(len(manifest)))
	return append(body, manifest...)
}

// Contents reads what [AppendContent] wrote. An error is the last thing it yields.
func Contents(body []byte) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		r := reader{rest: body}
		for len(r.rest) > 0 {
			head := r.bytes(r.uvarint())
			manifest := r.bytes(r.uvarint())
			var h Header
			if r.bad || json.Unmarshal(head, &h) != nil {
				yield(Change{}, fmt.Errorf("%w: a chunk of contents", ErrMalformed))
				return
			}
			kind, err := KindOf(h)
			if err == nil && kind != KindChange {
				err = fmt.Errorf("%w: a %s among contents", ErrMalformed, kind)
			}
			var c Change
			if err == nil {
				c, err = ParseChange(h, manifest)
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}
