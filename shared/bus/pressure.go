package bus

import (
	"context"
	"errors"
	"time"

	"github.com/kubescribe/kubescribe/shared/fault"
)

// relieveEvery is how often a hop looks whether ledgers that wait have to give way.
const relieveEvery = 5 * time.Second

// standStill waits while the output is full. What the input holds meanwhile stays where it
// is, and fills that, hop by hop. Cursors that lead in memory are stored: there is a
// reserve for them.
func (h *Hop) standStill(ctx context.Context, open map[string]*follower, full error) error {
	if !errors.Is(h.moves.get(), ErrFull) {
		h.Log.Warn("hop stands still until there is room", "err", full)
	}
	h.moves.set(full)
	if err := h.flush(ctx, open); err != nil {
		return err
	}
	h.count(ctx)
	_ = fault.Wait(ctx, levelEvery) // the round sees how ctx is
	return nil
}

// relieve has ledgers that wait give up the oldest of what waits for them, where the input
// is so full that they would stop everybody else. Those that only are slow give up
// nothing: then the input fills, and who writes to it waits.
//
// It is mended as if somebody else had cut the log, so what a crash leaves is the same;
// but what is missing is known exactly, and is removed, by the janitor, only once the
// cursor has been stored behind it.
func (h *Hop) relieve(ctx, late context.Context, open map[string]*follower) error {
	if time.Since(h.relieved) < relieveEvery {
		return nil
	}
	h.relieved = time.Now()
	for _, f := range open {
		if !f.waits || f.passed <= f.lead.Seq {
			continue
		}
		s, err := h.Bus.Surplus(ctx, h.Input, f.InputFilter, f.lead.Seq)
		if err != nil {
			return err
		}
		if s.Messages == 0 {
			continue
		}
		d, err := h.mend(late, f.Ledger, &Loss{Why: ErrCut, Input: h.Input, After: f.lead.Seq, Until: s.Until, Missing: s.Changed()})
		if err != nil {
			return err
		}
		f.behind -= min(f.behind, s.Messages)
		if err := h.stored(late, d, f); err != nil {
			return err
		}
	}
	return nil
}
