package bus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/faultpoint"
)

// A batch holds at most so many messages (the server's limit) and bytes; what
// one input fans out to beyond that goes in pieces.
const (
	batchMessages = 1000
	batchBytes    = 8 << 20
	headBytes     = 1024 // headers and subject of a message, generously
	// worthBatch is from how many inputs on they are stored as one batch: on one replica it
	// costs the server as much as about eight messages, each by itself.
	worthBatch = 8
)

// ErrLogWentBack says that an input stream no longer holds what a checkpoint
// remembers of it: it was restored from a backup, or made anew.
var ErrLogWentBack = errors.New("the log went back behind a checkpoint")

// ErrCut says that a part of an input stream was removed before it was consumed.
var ErrCut = errors.New("the log was cut before it was consumed")

// Loss is the error of an input that lacks what a ledger was to consume.
type Loss struct {
	Why     error  // ErrLogWentBack or ErrCut
	Input   string // the stream
	After   uint64 // what was consumed last
	Until   uint64 // what lacks something ends here: the ledger goes on behind it
	Missing uint64 // how many inputs of the ledger were removed; 0: nobody knows
}

func (l *Loss) Error() string {
	return fmt.Sprintf("%v: %s, from behind %d up to %d", l.Why, l.Input, l.After, l.Until)
}

func (l *Loss) Unwrap() error { return l.Why }

// Cursor says how far an input has been consumed: everything up to Seq, and of
// the next message all outputs up to the subject After.
type Cursor struct {
	Seq   uint64
	ID    string // of the input message at Seq
	After string // "" between inputs
	// Mended says that Seq was given, because the input lacked something: the message
	// there need not be one of the ledger's, and may be removed for somebody else's sake.
	Mended bool
}

// String is the cursor as it stands in the Ks-Cursor header.
func (c Cursor) String() string {
	id := "-" // a header's value is trimmed on its way, and an ID is anybody's word
	switch {
	case c.Mended:
		id = "~" + url.QueryEscape(c.ID)
	case c.ID != "":
		id = "=" + url.QueryEscape(c.ID)
	}
	s := strconv.FormatUint(c.Seq, 10) + " " + id
	if c.After != "" {
		s += " " + c.After
	}
	return s
}

// ParseCursor is the reverse of [Cursor.String].
func ParseCursor(s string) (Cursor, error) {
	f := strings.Split(s, " ")
	if len(f) < 2 || len(f) > 3 {
		return Cursor{}, fmt.Errorf("%w: cursor %q", event.ErrMalformed, s)
	}
	seq, err := strconv.ParseUint(f[0], 10, 64)
	if err != nil {
		return Cursor{}, fmt.Errorf("%w: cursor %q: %w", event.ErrMalformed, s, err)
	}
	c := Cursor{Seq: seq, Mended: strings.HasPrefix(f[1], "~")}
	if f[1] != "-" {
		if f[1] == "" || f[1][0] != '=' && !c.Mended {
			return Cursor{}, fmt.Errorf("%w: cursor %q", event.ErrMalformed, s)
		}
		if c.ID, err = url.QueryUnescape(f[1][1:]); err != nil {
			return Cursor{}, fmt.Errorf("%w: cursor %q: %w", event.ErrMalformed, s, err)
		}
	}
	if len(f) == 3 {
		c.After = f[2]
	}
	return c, nil
}

// LedgerConfig names what one owner consumes and produces.
type LedgerConfig struct {
	Input       string // stream
	InputFilter string // the subjects of Input that this ledger consumes
	Output      string // stream
	OwnerFilter string // all subjects of Output that this owner, and nobody else, writes
	Checkpoint  string // the subject, within OwnerFilter, of a cursor without output
}

// Ledger makes consuming inputs and producing outputs one fact: the newest
// message under OwnerFilter says in its Ks-Cursor header how far the input was
// consumed, and every publish is a compare-and-swap on that message. Any number
// of processes may hold the same ledger: each input takes effect once.
//
// It is not safe for concurrent use.
type Ledger struct {
	LedgerConfig
	bus    *Bus
	head   uint64 // sequence of the newest message under OwnerFilter
	cursor Cursor // what is stored there
	state  string // the owner's own words, stored beside it
	lead   Cursor // consumed in memory
	idle   int    // how many inputs without output lead is ahead of what is stored or taken
	taken  []unit // not stored yet
	size   extent // of all of taken
}

// unit is what an input, or none, led to: it is stored whole or not at all. The last output
// has the cursor and the state with which the owner goes on.
type unit struct {
	outs []Output
	next Cursor
}

// extent is how large outputs are together, as a batch counts.
type extent struct{ messages, bytes int }

func extentOf(outs []Output) (e extent) {
	for _, o := range outs {
		e.messages++
		e.bytes += len(o.Data) + headBytes
	}
	return e
}

func (e extent) and(o extent) extent { return extent{e.messages + o.messages, e.bytes + o.bytes} }

// fits reports whether one batch takes it.
func (e extent) fits() bool { return e.messages <= batchMessages && e.bytes <= batchBytes }

// OpenLedger reads where a ledger stands. With an error that is a [Loss], the ledger
// is open, and has to be rebased before it consumes anything.
func (b *Bus) OpenLedger(ctx context.Context, cfg LedgerConfig) (*Ledger, error) {
	l := &Ledger{LedgerConfig: cfg, bus: b}
	m, err := b.LastFor(ctx, cfg.Output, cfg.OwnerFilter)
	if errors.Is(err, ErrNoMessage) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening ledger %s: %w", cfg.OwnerFilter, err)
	}
	l.head = m.Seq
	if v := m.Header[event.HeaderCursor]; len(v) == 1 {
		if l.cursor, err = ParseCursor(v[0]); err != nil {
			return nil, fmt.Errorf("opening ledger %s: message %d: %w", cfg.OwnerFilter, m.Seq, err)
		}
	} else {
		return nil, fmt.Errorf("opening ledger %s: message %d of %s has no cursor: %w", cfg.OwnerFilter, m.Seq, cfg.Output, event.ErrMalformed)
	}
	if v := m.Header[event.HeaderState]; len(v) == 1 {
		l.state = v[0]
	}
	l.lead = l.cursor
	return l, l.verify(ctx)
}

// verify holds the cursor against the input: the message it names must be the
// one remembered. The janitor leaves that one where it is, however long the ledger has had
// no input: whatever removed the messages behind it, and was not the janitor, would have
// removed it first. If it is gone, what follows has to be there: whether that was for this
// ledger is not known any more, so that it is taken to be.
//
// A cursor that was mended may name a message of somebody else, which the janitor removes.
// What is cut behind it, before there was an input, is in the run that mends the rest.
func (l *Ledger) verify(ctx context.Context) error {
	at := l.cursor.Seq
	if at == 0 {
		return nil
	}
	m, err := l.bus.MessageAt(ctx, l.Input, at)
	if err == nil && m.ID() == l.cursor.ID {
		return nil
	}
	if err != nil && !errors.Is(err, ErrNoMessage) {
		return err
	}
	e, serr := l.bus.ExtentPast(ctx, l.Input, at)
	if serr != nil {
		return serr
	}
	if err != nil { // unless the leader has it by now
		if m, err = l.bus.MessageAt(ctx, l.Input, at); err == nil && m.ID() == l.cursor.ID {
			return nil
		}
	}
	switch {
	case err != nil && !errors.Is(err, ErrNoMessage):
		return err
	case err == nil || e.Last < at:
		return &Loss{Why: ErrLogWentBack, Input: l.Input, After: at, Until: e.Last}
	case e.First > at+1 && !l.cursor.Mended:
		return &Loss{Why: ErrCut, Input: l.Input, After: at, Until: e.First - 1}
	}
	return nil
}

// rebase makes everything up to a sequence of the input consumed, and stores the
// outputs and the state with which the owner goes on. Those beyond a batch go before
// it: a crash between leaves some of them, and the old cursor. After any error the
// ledger must be opened anew.
func (l *Ledger) rebase(ctx context.Context, seq uint64, d Decision) error {
	to := Cursor{Seq: seq, Mended: true}
	if seq > 0 {
		m, err := l.bus.MessageAt(ctx, l.Input, seq)
		if err != nil && !errors.Is(err, ErrNoMessage) {
			return err
		}
		to.ID = m.ID()
	}
	outs := d.Outputs
	for {
		piece := pieceOf(outs)
		if len(piece) == len(outs) {
			break
		}
		if err := l.Extend(ctx, l.state, piece); err != nil {
			return err
		}
		outs = outs[len(piece):]
	}
	l.lead = to
	return l.Extend(ctx, d.State, outs)
}

// Consumed reports whether an input was consumed before.
func (l *Ledger) Consumed(seq uint64) bool { return seq <= l.lead.Seq }

// State is the owner's state behind what was last taken, "" at first.
func (l *Ledger) State() string { return l.state }

// Commit is [Ledger.Take] and [Ledger.Store].
func (l *Ledger) Commit(ctx context.Context, in Message, state string, outs []Output) error {
	if err := l.Take(ctx, in, state, outs); err != nil {
		return err
	}
	return l.Store(ctx)
}

// Take makes an input consumed, its outputs and the owner's state known, in memory:
// [Ledger.Store] makes that durable, and until then a crash consumes the input again,
// whatever comes of it then. What no batch takes beside what was taken before has that
// stored first. The outputs of an input are stored all or nothing for up to a batch of
// them; more are stored here and now, in pieces, in the order of their subjects, so that a
// crash between two pieces resumes after the last subject stored. Without outputs and with
// the state unchanged there is nothing to be stored: the cursor goes with the next outputs,
// or with [Ledger.Flush].
//
// After any error the ledger must be opened anew: whether a publish happened
// stands in the stream.
func (l *Ledger) Take(ctx context.Context, in Message, state string, outs []Output) error {
	next := Cursor{Seq: in.Seq, ID: in.ID()}
	if len(outs) == 0 && state == l.state {
		l.lead = next
		l.idle++
		return nil
	}
	slices.SortFunc(outs, func(a, b Output) int { return strings.Compare(a.Subject, b.Subject) })
	if l.lead.After != "" {
		outs = slices.DeleteFunc(outs, func(o Output) bool { return o.Subject <= l.lead.After })
	}
	if len(outs) == 0 { // or all that were left went away with their destinations
		outs = []Output{l.checkpoint()}
	}
	for piece := pieceOf(outs); len(piece) < len(outs); piece = pieceOf(outs) {
		outs = outs[len(piece):]
		part := l.lead
		part.After = piece[len(piece)-1].Subject
		if err := l.add(ctx, part, state, piece); err != nil {
			return err
		}
		if err := l.Store(ctx); err != nil {
			return err
		}
	}
	return l.add(ctx, next, state, outs)
}

// add takes a unit that a batch holds.
func (l *Ledger) add(ctx context.Context, next Cursor, state string, outs []Output) error {
	size := l.size.and(extentOf(outs))
	if !size.fits() && len(l.taken) > 0 {
		if err := l.Store(ctx); err != nil {
			return err
		}
		size = extentOf(outs)
	}
	last := outs[len(outs)-1].Header
	last[event.HeaderCursor] = []string{next.String()}
	if state != "" {
		last[event.HeaderState] = []string{state}
	}
	l.taken, l.size = append(l.taken, unit{outs, next}), size
	l.lead, l.state, l.idle = next, state, 0
	return nil
}

// Store makes durable what was taken: a few inputs one after the other, and more of them
// all or nothing. Where that ends, the cursor says. After any error the ledger must be
// opened anew.
func (l *Ledger) Store(ctx context.Context) error {
	taken := l.taken
	l.taken, l.size = nil, extent{}
	if len(taken) >= worthBatch {
		var all unit
		for _, u := range taken {
			all.outs, all.next = append(all.outs, u.outs...), u.next
		}
		return l.store(ctx, all)
	}
	for _, u := range taken {
		if err := l.store(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// Extend stores what was taken and then outputs, in their order, and the owner's state, all
// or nothing, without consuming an input: at most 1,000 of them, and 8 MB. Without
// outputs the state alone is stored. After any error the ledger must be opened anew.
func (l *Ledger) Extend(ctx context.Context, state string, outs []Output) error {
	if len(outs) == 0 {
		outs = []Output{l.checkpoint()}
	}
	if err := l.add(ctx, l.lead, state, outs); err != nil {
		return err
	}
	return l.Store(ctx)
}

// Flush stores what was taken, and a cursor that leads in memory only. Without it a quiet
// owner would consume again, after each restart, all that it had nothing to say to.
func (l *Ledger) Flush(ctx context.Context) error {
	if err := l.Store(ctx); err != nil || l.lead == l.cursor {
		return err
	}
	return l.Extend(ctx, l.state, nil)
}

func (l *Ledger) checkpoint() Output {
	return Output{Subject: l.Checkpoint, Header: event.NewHeader(event.KindCheckpoint)}
}

// store publishes a unit.
//
// A crash before the server has stored it leaves the old cursor, and the input
// is consumed again; after it, the new one. A batch is stored whole or not at
// all (NATS ADR-50), so there is nothing between.
func (l *Ledger) store(ctx context.Context, u unit) error {
	piece := u.outs
	last := piece[len(piece)-1]
	first := piece[0].Header
	first[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{l.OwnerFilter}
	first[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(l.head, 10)}

	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	var seq uint64
	if len(piece) == 1 {
		ack, err := faultpoint.Answered(faultpoint.Store, l.Output, func() (*jetstream.PubAck, error) {
			return l.bus.js.PublishMsg(ctx, last.msg(), jetstream.WithRetryAttempts(0))
		})
		if err != nil {
			return fmt.Errorf("storing to %s: %w", last.Subject, fenced(err))
		}
		seq = ack.Sequence
	} else {
		msgs := make([]*nats.Msg, len(piece))
		for i, o := range piece {
			msgs[i] = o.msg()
		}
		ack, err := faultpoint.Answered(faultpoint.StoreBatch, l.Output, func() (*jetstreamext.BatchAck, error) {
			return jetstreamext.PublishMsgBatch(ctx, l.bus.js, msgs)
		})
		if err != nil {
			return fmt.Errorf("storing %d messages to %s: %w", len(piece), l.OwnerFilter, fenced(err))
		}
		seq = ack.Sequence
	}
	l.bus.stored(l.Output, piece...)
	l.head, l.cursor = seq, u.next
	return nil
}

// pieceOf is the longest run of outputs that one batch takes: at least one.
func pieceOf(outs []Output) []Output {
	var size extent
	for i := range outs {
		size = size.and(extentOf(outs[i : i+1]))
		if i > 0 && !size.fits() {
			return outs[:i]
		}
	}
	return outs
}
