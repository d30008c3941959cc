package bus

import "context"

// Stage is what a hop does with its inputs. Its methods are called from one
// goroutine.
type Stage interface {
	// Ledgers lists those that exist now, so that the hop knows where to begin.
	Ledgers(ctx context.Context) ([]LedgerConfig, error)
	// Ledger names the one that consumes an input. One that nobody consumes is an
	// error as of Decide: of class fault.Poison, it goes to the dead letters.
	Ledger(ctx context.Context, m Message) (LedgerConfig, error)
	// Left reports whether a ledger is no more: it is closed, and no cursor of it
	// is stored again.
	Left(l LedgerConfig) bool
	// Reset is called when the hop begins or begins anew: whatever the stage
	// remembers beyond the ledgers' states is void.
	Reset()
	// Opened is called for each ledger as it is opened, with its state and cursor.
	Opened(ctx context.Context, l LedgerConfig, state string, cursor uint64) error
	// Lost is called where the input lacks what a ledger was to consume. The ledger goes
	// on behind that, with the decision. What else mends it has to be durable before
	// Lost returns: a crash before the decision is stored has it called again, and one
	// behind it not. Opened follows where the ledger was just opened, Stored where it
	// was open.
	Lost(ctx context.Context, l LedgerConfig, state string, loss *Loss) (Decision, error)
	// Waits reports whether a ledger takes no input while it is in a state: its
	// inputs stay where they are, and those of others go on.
	Waits(state string) bool
	// Decide turns an input and the ledger's state into outputs and the next
	// state. It need not give the same whenever it is asked: whatever it gives is
	// stored once, with the cursor, and it is asked again only for what was not.
	// After a crash between two pieces of a decision (see [Ledger.Commit]) it is
	// asked with the next state already, and what it gives then counts for the
	// subjects that are left. An error of class fault.Poison, or about a malformed
	// message, sends the input to the dead letters; any other stops the hop here
	// until it no longer comes. Several inputs may be decided before Stored is called for
	// the first: what one leads to has to count for the next. Should it not be stored,
	// Reset is called.
	Decide(ctx context.Context, m Message, state string) (Decision, error)
	// Due lists the ledgers that have something to do without an input, since the
	// last call; Hop.Wake says that there are some.
	Due() []LedgerConfig
	// Work is asked about a ledger that is due until it has nothing to do. Its
	// outputs fit a batch. Errors stop the hop, as those of Decide do.
	Work(ctx context.Context, l LedgerConfig, state string) (d Decision, ok bool, err error)
	// Stored is called once a decision is durable, in the order of a ledger's decisions. Its
	// context outlasts the hop's by a bounded time.
	Stored(ctx context.Context, d Decision, state string, cursor uint64) error
}

// Decision is what is to be stored for one input, or without one.
type Decision struct {
	Outputs []Output
	State   string
	Note    any // for Stored, from Decide
}

// Stateless is for embedding: a stage that remembers nothing, and has nothing to do
// without an input.
type Stateless struct{}

// Reset has nothing to forget.
func (Stateless) Reset() {}

// Opened has nothing to learn.
func (Stateless) Opened(context.Context, LedgerConfig, string, uint64) error { return nil }

// Left is false: ledgers stay.
func (Stateless) Left(LedgerConfig) bool { return false }

// Waits is false: nothing holds an input back.
func (Stateless) Waits(string) bool { return false }

// Due is empty.
func (Stateless) Due() []LedgerConfig { return nil }

// Work has nothing to do.
func (Stateless) Work(context.Context, LedgerConfig, string) (Decision, bool, error) {
	return Decision{}, false, nil
}
