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
	// busyWait is how long a hop waits for an input while there is something else
	// to do.
	busyWait = time.Millisecond
	// catchUpInputs is how many inputs of one ledger are taken before another's.
	catchUpInputs = 64
	// togetherInputs is how many inputs are taken, at most, before what comes of them is
	// stored.
	togetherInputs = 64
	// stopWait bounds what a stopping hop may still store, all together.
	stopWait = 500 * time.Millisecond
)

// errStarting is why a hop does not move that has not read anything yet.
var errStarting = errors.New("starting")

// Hop moves an input stream through a [Stage] into an output stream, each input
// once, in order, whatever is killed in between. Live operation and recovery
// are the same code: open the ledgers, begin behind the one furthest back, skip
// what was consumed.
//
// A ledger that waits does not move, and nobody waits for it: what comes for it
// meanwhile is passed over, and read again from the input, which is the buffer,
// once it goes on.
type Hop struct {
	Bus     *Bus
	Name    string // stage, for logs and dead letters
	Input   string // stream
	Filters []string
	Output  string // stream
	Stage   Stage
	Log     *slog.Logger
	Wake    <-chan struct{}      // the stage has ledgers that are due; may be nil
	Lag     func(pending uint64) // told after each input, and while none can be taken; may be nil
	Ended   func()               // called as Run returns; may be nil

	moves    condition
	relieved time.Time // when it was last seen whether ledgers that wait have to give way
	reached  uint64    // every input up to here is consumed, as far as is known
	end      uint64    // of the input, before any of this round's ledgers was opened
	known    bool      // that reached means something: the ledgers were opened once
}

// Run works until ctx ends, then stores its cursors and returns nil. It returns
// an error only for what no retry can mend (fault.Terminate).
func (h *Hop) Run(ctx context.Context) error {
	if h.Ended != nil {
		defer h.Ended()
	}
	var backoff fault.Backoff
	h.moves.set(errStarting)
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
	open := map[string]*follower{}
	defer func() {
		for _, f := range open {
			f.close()
		}
	}()
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
	if errors.Is(h.moves.get(), errStarting) { // what has interrupted a hop holds until something moves
		h.moves.set(nil)
	}
	due := map[string]LedgerConfig{}
	busy := time.Now() // when something was last done
	for {
		if err := h.relieve(ctx, late, open); err != nil && ctx.Err() == nil {
			return moved, err
		}
		if full := h.Bus.room(ctx, h.Output); full != nil {
			if err := h.standStill(ctx, open, full); err != nil {
				return moved, err
			}
			if ctx.Err() != nil {
				h.stop(late, open)
				return moved, nil
			}
			continue
		}
		for _, c := range h.Stage.Due() {
			due[c.OwnerFilter] = c
		}
		worked, err := h.work(ctx, late, due, open)
		if err == nil {
			var caught bool
			caught, err = h.catchUp(ctx, late, open)
			worked = worked || caught
		}
		var m Message
		var ok bool
		if err == nil {
			wait := idleWait
			if worked {
				wait = busyWait
			}
			m, ok, err = r.NextOr(ctx, wait, h.Wake)
		}
		if err == nil && ok {
			err = h.takeNext(ctx, late, m, r, open)
		}
		if ctx.Err() != nil {
			h.stop(late, open)
			return moved, nil
		}
		if err != nil {
			return moved, err
		}
		moved = moved || ok || worked
		h.moves.set(nil)
		if ok || worked {
			busy = time.Now()
		}
		if time.Since(busy) < idleWait { // being woken is no quiet
			continue
		}
		busy = time.Now()
		if err := h.flush(ctx, open); err != nil {
			return moved, err
		}
	}
}

// begin opens all ledgers and finds the first input that any of them lacks, but
// for those that wait.
func (h *Hop) begin(ctx context.Context, open map[string]*follower) (uint64, error) {
	// Read before the ledgers: whatever came up to here and is not found
	// missing below has been consumed.
	last, err := h.Bus.LastSeq(ctx, h.Input)
	if err != nil {
		return 0, err
	}
	h.end = last
	start := last + 1
	configs, err := h.Stage.Ledgers(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range configs {
		f, err := h.open(ctx, c, open)
		if err != nil {
			return 0, err
		}
		newest, err := f.newest(ctx)
		if err != nil {
			return 0, err
		}
		switch {
		case f.Consumed(newest):
		case f.waits:
			if err := f.passesAll(ctx, newest); err != nil {
				return 0, err
			}
		default:
			start = min(start, f.cursor.Seq+1)
		}
	}
	return start, nil
}

func (h *Hop) open(ctx context.Context, c LedgerConfig, open map[string]*follower) (*follower, error) {
	if f := open[c.OwnerFilter]; f != nil {
		return f, nil
	}
	l, err := h.Bus.OpenLedger(ctx, c)
	var loss *Loss
	if errors.As(err, &loss) {
		if errors.Is(loss, ErrLogWentBack) {
			loss.Until = h.end // whatever is asked for from here on comes behind it
		}
		_, err = h.mend(ctx, l, loss)
	}
	if err != nil {
		return nil, err
	}
	if err := h.Stage.Opened(ctx, c, l.State(), l.cursor.Seq); err != nil {
		return nil, err
	}
	f := &follower{Ledger: l, waits: h.Stage.Waits(l.State())}
	open[c.OwnerFilter] = f
	return f, nil
}

// mend has the stage say how a ledger goes on whose input lacks something, and
// stores that. A crash before it is stored leaves the loss to be found again.
func (h *Hop) mend(ctx context.Context, l *Ledger, loss *Loss) (Decision, error) {
	h.Log.Error("an input lacks what was to be taken", "ledger", l.OwnerFilter, "missing", loss.Missing, "err", loss)
	d, err := h.Stage.Lost(ctx, l.LedgerConfig, l.State(), loss)
	if err != nil {
		return d, fmt.Errorf("mending %s: %w", l.OwnerFilter, err)
	}
	return d, l.rebase(ctx, loss.Until, d)
}

// poison reports whether an input is wrong by itself. One of a newer version is
// not: it is right, and this program too old for it.
func poison(err error) bool {
	return fault.ClassOf(err) == fault.Poison || errors.Is(err, event.ErrMalformed) || errors.Is(err, subject.ErrSubject)
}

// takeNext takes the next input of all, and those that are right behind it if they are
// many: what comes of them is stored together. Nobody waits for more to come.
func (h *Hop) takeNext(ctx, late context.Context, m Message, r *Reader, open map[string]*follower) error {
	together := 1
	if m.Pending+1 >= worthBatch {
		together = togetherInputs
	}
	var err error
	for ok := true; ok; together-- {
		if err = h.takeOne(ctx, late, m, open); err != nil || together == 1 || m.Pending == 0 {
			break
		}
		m, ok, err = r.Next(ctx, busyWait)
	}
	// Where an input cannot be taken for now, what came before it is stored all the same:
	// it may be long until that one can.
	return errors.Join(err, h.settleAll(late, open))
}

// takeOne takes an input in memory, into the ledger that consumes it.
func (h *Hop) takeOne(ctx, late context.Context, m Message, open map[string]*follower) error {
	cfg, err := h.Stage.Ledger(ctx, m)
	switch {
	case err == nil:
		f, err := h.open(ctx, cfg, open)
		if err != nil {
			return err
		}
		if f.passes(m.Seq) {
			break
		}
		if err := h.take(ctx, late, m, f); err != nil {
			return err
		}
	case poison(err):
		// Nobody's cursor moves: a restart may send it there again.
		if err := h.deadLetter(ctx, m, err); err != nil {
			return err
		}
	default:
		return fmt.Errorf("message %d of %s: %w", m.Seq, h.Input, err)
	}
	h.reached = m.Seq
	if h.Lag != nil {
		h.Lag(m.Pending)
	}
	return nil
}

// take moves one input of a ledger through the stage, in memory; settle stores what came of
// it. What it stores may end late.
func (h *Hop) take(ctx, late context.Context, m Message, f *follower) error {
	if f.Consumed(m.Seq) {
		return nil
	}
	d, err := h.Stage.Decide(ctx, m, f.State())
	switch {
	case err == nil:
	case poison(err):
		// A crash between the dead letter and the cursor dead-letters again:
		// one message a subject, so that is one record.
		if err := h.deadLetter(ctx, m, err); err != nil {
			return err
		}
		d = Decision{State: f.State()}
	default:
		return fmt.Errorf("message %d of %s: %w", m.Seq, h.Input, err)
	}
	if err := f.take(late, m, d); err != nil {
		return err
	}
	if f.idle < idleInputs && !h.Stage.Waits(f.State()) {
		return nil
	}
	return h.settle(late, f)
}

// settle stores what a ledger has taken.
func (h *Hop) settle(late context.Context, f *follower) error {
	all, err := f.settle(late)
	if err != nil {
		return err
	}
	for _, d := range all {
		if err := h.Stage.Stored(late, d.Decision, d.state, d.cursor); err != nil {
			return err
		}
	}
	f.waits = h.Stage.Waits(f.State())
	return nil
}

// settleAll settles each ledger that has taken something.
func (h *Hop) settleAll(late context.Context, open map[string]*follower) error {
	for _, f := range open {
		if len(f.decided) == 0 {
			continue
		}
		if err := h.settle(late, f); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hop) stored(ctx context.Context, d Decision, f *follower) error {
	f.waits = h.Stage.Waits(f.State())
	return h.Stage.Stored(ctx, d, f.State(), f.lead.Seq)
}

func (h *Hop) deadLetter(ctx context.Context, m Message, why error) error {
	_, k, err := subject.ParseLiveData(m.Subject)
	if err != nil {
		k = event.DestinationKey{} // the stage comes before destinations
	}
	if err := h.Bus.DeadLetter(ctx, h.Name, k, h.Input, m, why); err != nil {
		return err
	}
	h.Log.Error("input sent to the dead letters", "subject", m.Subject, "seq", m.Seq, "err", why)
	return nil
}

// work lets the stage do one thing for each ledger that is due.
func (h *Hop) work(ctx, late context.Context, due map[string]LedgerConfig, open map[string]*follower) (worked bool, err error) {
	for key, cfg := range due {
		f, err := h.open(ctx, cfg, open)
		if err != nil {
			return worked, err
		}
		d, ok, err := h.Stage.Work(ctx, cfg, f.State())
		if err != nil {
			return worked, fmt.Errorf("%s: %w", cfg.Checkpoint, err)
		}
		if !ok {
			delete(due, key)
			continue
		}
		worked = true
		if err := f.Extend(late, d.State, d.Outputs); err != nil {
			return worked, err
		}
		if err := h.stored(late, d, f); err != nil {
			return worked, err
		}
	}
	return worked, nil
}

// catchUp takes some of what was passed over for ledgers that wait no more.
func (h *Hop) catchUp(ctx, late context.Context, open map[string]*follower) (moved bool, err error) {
	for key, f := range open {
		if f.waits || f.passed <= f.lead.Seq || h.left(key, open) {
			continue
		}
		if f.reader == nil {
			if f.reader, err = h.Bus.Read(ctx, h.Input, []string{f.InputFilter}, f.lead.Seq+1); err != nil {
				return moved, err
			}
			f.from = f.lead.Seq
		}
		moved = true
		if err := errors.Join(h.catchUpSome(ctx, late, f), h.settle(late, f)); err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// catchUpSome takes some of what was passed over for a ledger.
func (h *Hop) catchUpSome(ctx, late context.Context, f *follower) error {
	for range catchUpInputs {
		m, ok, err := f.reader.Next(ctx, busyWait)
		if err == nil && ok {
			err = h.take(ctx, late, m, f)
		}
		if err != nil {
			return err
		}
		caughtUp, err := f.caughtUp(ctx, m.Seq)
		if err != nil {
			return err
		}
		if caughtUp && f.behind > 0 {
			if err := errors.Join(h.settle(late, f), h.cut(ctx, late, f)); err != nil {
				return err
			}
		}
		if caughtUp {
			f.passed = min(f.passed, f.lead.Seq)
		}
		if f.waits || caughtUp {
			f.close()
		}
		if !ok || f.reader == nil {
			return nil
		}
	}
	return nil
}

// cut tells the stage that some of what was passed over for a ledger was removed.
func (h *Hop) cut(ctx, late context.Context, f *follower) error {
	loss := &Loss{Why: ErrCut, Input: h.Input, After: f.from, Until: max(f.passed, f.lead.Seq), Missing: f.behind}
	d, err := h.mend(ctx, f.Ledger, loss)
	if err != nil {
		return err
	}
	f.behind = 0
	return h.stored(late, d, f)
}

// stop stores what leads in memory; failing that, the next start consumes it
// again.
func (h *Hop) stop(ctx context.Context, open map[string]*follower) {
	if err := h.flush(ctx, open); err != nil {
		h.Log.Warn("cursors not stored at stop, the next start reads again", "err", err)
	}
}

// left closes a ledger that is no more.
func (h *Hop) left(key string, open map[string]*follower) bool {
	if !h.Stage.Left(open[key].LedgerConfig) {
		return false
	}
	open[key].close()
	delete(open, key)
	return true
}

// flush stores the cursors that lead in memory, and closes the ledgers that are
// no more.
func (h *Hop) flush(ctx context.Context, open map[string]*follower) error {
	for key, f := range open {
		if h.left(key, open) {
			continue
		}
		if f.idle > 0 {
			if err := f.Flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
