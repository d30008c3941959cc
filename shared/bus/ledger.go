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
)

// A batch holds at most so many messages (the server's limit) and bytes; what
// one input fans out to beyond that goes in pieces.
const (
	batchMessages = 1000
	batchBytes    = 8 << 20
	headBytes     = 1024 // headers and subject of a message, generously
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
}

// String is the cursor as it stands in the Ks-Cursor header.
func (c Cursor) String() string {
	id := "-" // a header's value is trimmed on its way, and an ID is anybody's word
	if c.ID != "" {
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
	c := Cursor{Seq: seq}
	if id, has := strings.CutPrefix(f[1], "="); has {
		if c.ID, err = url.QueryUnescape(id); err != nil {
			return Cursor{}, fmt.Errorf("%w: cursor %q: %w", event.ErrMalformed, s, err)
		}
	} else if f[1] != "-" {
		return Cursor{}, fmt.Errorf("%w: cursor %q", event.ErrMalformed, s)
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
	lead   Cursor // consumed in memory, without output since head
	idle   int    // how many inputs lead is ahead of cursor
}

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
// one remembered. One that was trimmed is fine, as long as the log reaches up to it
// and what follows it is there.
//
// Whether what follows was for this ledger is not known once it is gone, so that
// it is taken to be: a cursor is that of the ledger's newest input, and one that has
// had none for long may find something missing that was not for it.
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
	first, last, serr := l.bus.span(ctx, l.Input)
	switch {
	case serr != nil:
		return serr
	case err == nil || last < at:
		return &Loss{Why: ErrLogWentBack, Input: l.Input, After: at, Until: last}
	case first > at+1:
		return &Loss{Why: ErrCut, Input: l.Input, After: at, Until: first - 1}
	}
	return nil
}

// rebase makes everything up to a sequence of the input consumed, and stores the
// outputs and the state with which the owner goes on. Those beyond a batch go before
// it: a crash between leaves some of them, and the old cursor. After any error the
// ledger must be opened anew.
func (l *Ledger) rebase(ctx context.Context, seq uint64, d Decision) error {
	to := Cursor{Seq: seq}
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
		if err := l.store(ctx, l.cursor, l.state, piece); err != nil {
			return err
		}
		outs = outs[len(piece):]
	}
	l.lead = to
	return l.Extend(ctx, d.State, outs)
}

// Consumed reports whether an input was consumed before.
func (l *Ledger) Consumed(seq uint64) bool { return seq <= l.lead.Seq }

// State is what was last committed as the owner's state, "" at first.
func (l *Ledger) State() string { return l.state }

// Commit makes an input consumed, its outputs stored and the owner's state
// known, all or nothing for up to a batch of outputs; more go in pieces, in the
// order of their subjects, so that a crash between two pieces resumes after the
// last subject stored. Without outputs and with the state unchanged nothing is
// published: the cursor leads in memory until the next Commit or [Ledger.Flush],
// and a crash consumes the input again, whatever comes of it then.
//
// After any error the ledger must be opened anew: whether the publish happened
// stands in the stream.
func (l *Ledger) Commit(ctx context.Context, in Message, state string, outs []Output) error {
	if len(outs) == 0 && state == l.state {
		l.lead = Cursor{Seq: in.Seq, ID: in.ID()}
		l.idle++
		return nil
	}
	if len(outs) == 0 {
		outs = []Output{l.checkpoint()}
	}
	slices.SortFunc(outs, func(a, b Output) int { return strings.Compare(a.Subject, b.Subject) })
	if l.lead.After != "" {
		outs = slices.DeleteFunc(outs, func(o Output) bool { return o.Subject <= l.lead.After })
		if len(outs) == 0 { // all that were left went away with their destinations
			outs = []Output{l.checkpoint()}
		}
	}
	for len(outs) > 0 {
		piece := pieceOf(outs)
		outs = outs[len(piece):]
		next := Cursor{Seq: in.Seq, ID: in.ID()}
		if len(outs) > 0 {
			next = Cursor{Seq: l.lead.Seq, ID: l.lead.ID, After: piece[len(piece)-1].Subject}
		}
		if err := l.store(ctx, next, state, piece); err != nil {
			return err
		}
	}
	return nil
}

// Extend stores outputs, in their order, and the owner's state, all or nothing,
// without consuming an input: at most 1,000 of them, and 8 MB. Without
// outputs the state alone is stored. After any error the ledger must be opened anew.
func (l *Ledger) Extend(ctx context.Context, state string, outs []Output) error {
	if len(outs) == 0 {
		outs = []Output{l.checkpoint()}
	}
	return l.store(ctx, l.lead, state, outs)
}

// Flush stores a cursor that leads in memory only. Without it a quiet owner
// would consume again, after each restart, all that it had nothing to say to.
func (l *Ledger) Flush(ctx context.Context) error {
	if l.lead == l.cursor {
		return nil
	}
	return l.store(ctx, l.lead, l.state, []Output{l.checkpoint()})
}

func (l *Ledger) checkpoint() Output {
	return Output{Subject: l.Checkpoint, Header: event.NewHeader(event.KindCheckpoint)}
}

// store publishes a piece whose newest message carries the cursor.
//
// A crash before the server has stored it leaves the old cursor, and the input
// is consumed again; after it, the new one. A batch is stored whole or not at
// all (NATS ADR-50), so there is nothing between.
func (l *Ledger) store(ctx context.Context, next Cursor, state string, piece []Output) error {
	last := piece[len(piece)-1]
	last.Header[event.HeaderCursor] = []string{next.String()}
	if state != "" {
		last.Header[event.HeaderState] = []string{state}
	}
	first := piece[0].Header
	first[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{l.OwnerFilter}
	first[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(l.head, 10)}

	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	var seq uint64
	if len(piece) == 1 {
		ack, err := l.bus.js.PublishMsg(ctx, last.msg(), jetstream.WithRetryAttempts(0))
		if err != nil {
			return fmt.Errorf("storing to %s: %w", last.Subject, fenced(err))
		}
		seq = ack.Sequence
	} else {
		msgs := make([]*nats.Msg, len(piece))
		for i, o := range piece {
			msgs[i] = o.msg()
		}
		ack, err := jetstreamext.PublishMsgBatch(ctx, l.bus.js, msgs)
		if err != nil {
			return fmt.Errorf("storing %d messages to %s: %w", len(piece), l.OwnerFilter, fenced(err))
		}
		seq = ack.Sequence
	}
	l.head, l.cursor, l.lead, l.state, l.idle = seq, next, next, state, 0
	return nil
}

// pieceOf is the longest run of outputs that one batch takes: at least one.
func pieceOf(outs []Output) []Output {
	size := 0
	for i, o := range outs {
		size += len(o.Data) + headBytes
		if i > 0 && (i == batchMessages || size > batchBytes) {
			return outs[:i]
		}
	}
	return outs
}
