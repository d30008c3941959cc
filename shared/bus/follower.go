package bus

import "context"

// follower is a ledger's place in a hop: with the reader of all, or behind it.
type follower struct {
	*Ledger
	waits  bool    // it takes nothing for now
	passed uint64  // the newest input that the reader of all passed over for it
	behind uint64  // how many it has passed over, and that were not taken yet
	from   uint64  // what it had taken when it began to take those
	reader *Reader // of its own inputs alone, until it has those; may be nil

	decided []decided // what was taken and the stage was not told to be stored
}

// decided is what came of an input, and where the ledger stands behind it.
type decided struct {
	Decision
	state  string
	cursor uint64
}

// take takes an input, in memory, with what the stage has decided.
func (f *follower) take(ctx context.Context, m Message, d Decision) error {
	if err := f.Take(ctx, m, d.State, d.Outputs); err != nil {
		f.decided = nil // whether it was stored is not known
		return err
	}
	f.decided = append(f.decided, decided{d, f.State(), m.Seq})
	return nil
}

// settle stores what was taken, and returns what the stage is to be told.
func (f *follower) settle(ctx context.Context) (all []decided, err error) {
	all, f.decided = f.decided, nil
	if f.idle >= idleInputs {
		return all, f.Flush(ctx)
	}
	return all, f.Store(ctx)
}

// passes reports whether an input that the reader of all has come to is passed
// over: the ledger waits, or has not taken all that was passed over before. From
// the moment on at which it has, it goes with the reader of all again.
func (f *follower) passes(seq uint64) bool {
	if f.Consumed(seq) || (!f.waits && f.passed <= f.lead.Seq) {
		return false
	}
	if seq > f.passed {
		f.passed = seq
		f.behind++
	}
	return true
}

// passesAll passes over all inputs there are, up to the newest one.
func (f *follower) passesAll(ctx context.Context, newest uint64) error {
	after, err := f.bus.Waiting(ctx, f.Input, f.InputFilter, f.lead.Seq)
	if err != nil {
		return err
	}
	since, err := f.bus.Waiting(ctx, f.Input, f.InputFilter, newest) // it grows: none is counted that is none
	if err != nil {
		return err
	}
	f.passed, f.behind = newest, after-min(after, since)
	return nil
}

// caughtUp counts an input as taken, 0 for none, and reports whether there is no more
// of what was passed over. Should somebody have removed the rest, there is none.
func (f *follower) caughtUp(ctx context.Context, seq uint64) (bool, error) {
	if seq > 0 {
		if seq <= f.passed && f.behind > 0 {
			f.behind--
		}
		return f.passed <= f.lead.Seq, nil
	}
	newest, err := f.newest(ctx)
	return err == nil && newest <= f.lead.Seq, err
}

// newest is the sequence of the newest input there is for the ledger, 0 if none.
func (f *follower) newest(ctx context.Context) (uint64, error) {
	return f.bus.Newest(ctx, f.Input, f.InputFilter)
}

func (f *follower) close() {
	if f.reader != nil {
		f.reader.Close()
		f.reader = nil
	}
}
