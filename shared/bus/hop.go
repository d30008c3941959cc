package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// idleWait is how long an input must be quiet before cursors that lead in
	// memory are stored.
	idleWait = time.Second
	// idleInputs is how many inputs without output a cursor may lead by.
	idleInputs = 1000
	// stopWait bounds what a stopping hop may still store, all together.
	stopWait = 500 * time.Millisecond
)

// Stage is what a hop does with its inputs. Its methods are called from one
// goroutine.
type Stage interface {
	// Ledgers lists those that exist now, so that the hop knows where to begin.
	Ledgers(ctx context.Context) ([]LedgerConfig, error)
	// Ledger names the one that consumes a subject. Only what is not a subject
	// of the input stream may be an error: it is skipped.
	Ledger(subj string) (LedgerConfig, error)
	// Reset is called when the hop begins or begins anew: whatever the stage
	// remembers beyond the ledgers' states is void.
	Reset()
	// Opened is called for each ledger as it is opened, with its state.
	Opened(ctx context.Context, l LedgerConfig, state string) error
	// Decide turns an input and the ledger's state into outputs and the next
	// state. It need not give the same whenever it is asked: whatever it gives is
	// stored once, with the cursor, and it is asked again only for what was not.
	// After a crash between two pieces of a decision (see [Ledger.Commit]) it is
	// asked with the next state already, and what it gives then counts for the
	// subjects that are left. An error of class fault.Poison, or about a malformed
	// message, sends the input to the dead letters; any other stops the hop here
	// until it no longer comes.
	Decide(ctx context.Context, m Message, state string) (Decision, error)
	// Stored is called once a decision is durable. Its context outlasts the hop's
	// by a bounded time.
	Stored(ctx context.Context, m Message, d Decision) error
}

// Decision is what is to be stored for one input.
type Decision struct {
	Outputs []Output
	State   string
	Note    any // for Stored, from Decide
}

// Hop moves an input stream through a [Stage] into an output stream, each input
// once, in order, whatever is killed in between. Live operation and recovery
// are the same code: open the ledgers, begin behind the one furthest back, skip
// what was consumed.
type Hop struct {
	Bus     *Bus
	Name    string // stage, for logs and dead letters
	Input   string // stream
	Filters []string
	Stage   Stage
	Log     *slog.Logger
	Lag     func(pending uint64) // told after each input, and while none can be taken; may be nil

	moves   condition
	reached uint64 // every input up to here is consumed, as far as is known
	known   bool   // that reached means something: the ledgers were opened once
}

// Run works until ctx ends, then stores its cursors and returns nil. It returns
// an error only for what no retry can mend (fault.Terminate).
func (h *Hop) Run(ctx context.Context) error {
	var backoff fault.Backoff
	h.moves.set(errors.New("starting"))
	for {
		moved, err := h.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if fault.ClassOf(err) == fault.Terminate {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if moved {
			backoff.Reset()
		}
		h.moves.set(err)
		h.Log.Warn("hop interrupted, opening its ledgers again", "err", err)
		h.count(ctx)
		if fault.Wait(ctx, backoff.Next()) != nil {
			return nil
		}
	}
}

// Ready is nil while the hop consumes.
func (h *Hop) Ready() error { return h.moves.get() }

// count tells how much waits while nothing is taken.
func (h *Hop) count(ctx context.Context) {
	if h.Lag == nil || !h.known {
		return
	}
	var all uint64
	for _, filter := range h.Filters {
		n, err := h.Bus.Waiting(ctx, h.Input, filter, h.reached)
		if err != nil {
			h.Log.Debug("backlog not counted", "err", err)
			return
		}
		all += n
	}
	h.Lag(all)
}

// round works until something fails or ctx ends.
func (h *Hop) round(ctx context.Context) (moved bool, err error) {
	// Once something is decided, a stop does not cut its publish in two, but waits
	// for it no longer than stopWait.
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopWait, cancel) })()
	h.Stage.Reset()
	open := map[string]*Ledger{}
	start, err := h.begin(ctx, open)
	if err != nil {
		return false, err
	}
	h.reached, h.known = start-1, true
	h.count(ctx) // what was counted before may be somebody else's by now
	r, err := h.Bus.Read(ctx, h.Input, h.Filters, start)
	if err != nil {
		return false, err
	}
	defer r.Close()
	for {
		m, ok, err := r.Next(ctx, idleWait)
		if ctx.Err() != nil {
			h.stop(late, open)
			return moved, nil
		}
		if err != nil {
			return moved, err
		}
		if !ok {
			if err := flush(ctx, open, 1); err != nil {
				return moved, err
			}
			h.moves.set(nil)
			continue
		}
		if err := h.take(ctx, late, m, open); err != nil {
			if ctx.Err() != nil {
				h.stop(late, open)
				return moved, nil
			}
			return moved, err
		}
		moved, h.reached = true, m.Seq
		h.moves.set(nil)
		if h.Lag != nil {
			h.Lag(m.Pending)
		}
	}
}

// begin opens all ledgers and finds the first input that any of them lacks.
func (h *Hop) begin(ctx context.Context, open map[string]*Ledger) (uint64, error) {
	// Read before the ledgers: whatever came up to here and is not found
	// missing below has been consumed.
	last, err := h.Bus.LastSeq(ctx, h.Input)
	if err != nil {
		return 0, err
	}
	start := last + 1
	configs, err := h.Stage.Ledgers(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range configs {
		l, err := h.open(ctx, c, open)
		if err != nil {
			return 0, err
		}
		behind, err := l.Behind(ctx)
		if err != nil {
			return 0, err
		}
		if behind {
			start = min(start, l.cursor.Seq+1)
		}
	}
	return start, nil
}

func (h *Hop) open(ctx context.Context, c LedgerConfig, open map[string]*Ledger) (*Ledger, error) {
	l, err := h.Bus.OpenLedger(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := h.Stage.Opened(ctx, c, l.State()); err != nil {
		return nil, err
	}
	open[c.OwnerFilter] = l
	return l, nil
}

// poison reports whether an input is wrong by itself. One of a newer version is
// not: it is right, and this program too old for it.
func poison(err error) bool {
	return fault.ClassOf(err) == fault.Poison || errors.Is(err, event.ErrMalformed) || errors.Is(err, subject.ErrSubject)
}

// take moves one input through the stage; what it stores may end late.
func (h *Hop) take(ctx, late context.Context, m Message, open map[string]*Ledger) error {
	cfg, err := h.Stage.Ledger(m.Subject)
	if err != nil {
		h.Log.Error("message skipped", "subject", m.Subject, "seq", m.Seq, "err", err)
		return nil
	}
	l := open[cfg.OwnerFilter]
	if l == nil {
		if l, err = h.open(ctx, cfg, open); err != nil {
			return err
		}
	}
	if l.Consumed(m.Seq) {
		return nil
	}
	d, err := h.Stage.Decide(ctx, m, l.State())
	switch {
	case err == nil:
	case poison(err):
		// A crash between the dead letter and the cursor dead-letters again:
		// one message a subject, so that is one record.
		_, k, _ := subject.ParseLiveData(m.Subject) // none where the stage comes before destinations
		if err := h.Bus.DeadLetter(ctx, h.Name, k, h.Input, m, err); err != nil {
			return err
		}
		h.Log.Error("input sent to the dead letters", "subject", m.Subject, "seq", m.Seq, "err", err)
		d = Decision{State: l.State()}
	default:
		return fmt.Errorf("message %d of %s: %w", m.Seq, h.Input, err)
	}
	if err := l.Commit(late, m, d.State, d.Outputs); err != nil {
		return err
	}
	if l.idle >= idleInputs {
		if err := l.Flush(late); err != nil {
			return err
		}
	}
	return h.Stage.Stored(late, m, d)
}

// stop stores what leads in memory; failing that, the next start consumes it
// again.
func (h *Hop) stop(ctx context.Context, open map[string]*Ledger) {
	if err := flush(ctx, open, 1); err != nil {
		h.Log.Warn("cursors not stored at stop, the next start reads again", "err", err)
	}
}

// flush stores the cursors that lead by at least n inputs.
func flush(ctx context.Context, open map[string]*Ledger, n int) error {
	for _, l := range open {
		if l.idle >= n {
			if err := l.Flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
