package results

import "iter"

// Reader goes through the results of a run, one at a time, as far as somebody takes
// them. It is not safe for concurrent use.
type Reader struct {
	next    func() (Result, error, bool)
	stop    func()
	current *Result
	err     error
	end     bool
}

// NewReader begins behind the first done results: those taken before. It has to be
// stopped.
func NewReader(results iter.Seq2[Result, error], done int) *Reader {
	r := &Reader{}
	r.next, r.stop = iter.Pull2(results)
	for range done {
		if _, more, err := r.Peek(); err != nil || !more {
			break
		}
		r.Advance()
	}
	return r
}

// Peek is the result that is next; more is false behind the last one.
func (r *Reader) Peek() (_ Result, more bool, err error) {
	if r.current == nil && r.err == nil && !r.end {
		got, err, ok := r.next()
		r.current, r.err, r.end = &got, err, !ok
	}
	if r.err != nil || r.end {
		return Result{}, false, r.err
	}
	return *r.current, true, nil
}

// Advance takes the result that is next.
func (r *Reader) Advance() { r.current = nil }

// Stop ends the reading.
func (r *Reader) Stop() { r.stop() }
