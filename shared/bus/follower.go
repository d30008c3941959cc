package bus

import (
	"context"
	"errors"
)

// follower is a ledger's place in a hop: with the reader of all, or behind it.
type follower struct {
	*Ledger
	waits  bool    // it takes nothing for now
	passed uint64  // the newest input that the reader of all passed over for it
	reader *Reader // of its own inputs alone, until it has those; may be nil
}

// passes reports whether an input that the reader of all has come to is passed
// over: the ledger waits, or has not taken all that was passed over before. From
// the moment on at which it has, it goes with the reader of all again.
func (f *follower) passes(seq uint64) bool {
	if f.Consumed(seq) || (!f.waits && f.passed <= f.lead.Seq) {
		return false
	}
	f.passed = seq
	return true
}

// newest is the sequence of the newest input there is for the ledger, 0 if none.
func (f *follower) newest(ctx context.Context) (uint64, error) {
	m, err := f.bus.LastFor(ctx, f.Input, f.InputFilter)
	if errors.Is(err, ErrNoMessage) {
		return 0, nil
	}
	return m.Seq, err
}

func (f *follower) close() {
	if f.reader != nil {
		f.reader.Close()
		f.reader = nil
	}
}
