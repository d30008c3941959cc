package branch

import "time"

// Snapshot is what a person wants to know of a branch right now.
type Snapshot struct {
	URL     string // without credentials
	Branch  string
	Pending uint64 // changes that are not on the remote yet, as far as is known
	Commit  string // the newest one of ours on the remote
	Subject string
	Pushed  time.Time
	Pushing time.Time // since when a batch is being brought to the remote, zero while none is
	Next    time.Time // when the next push is tried, if it waits for that
	Why     error     // why nothing moves, nil when it does
	Refused []Refusal // destinations that may not write to their folders
	DryRun  bool      // nothing is pushed: all destinations are in DryRun
}

// Refusal says why a destination is not written to.
type Refusal struct {
	Revision uint64 // of the registry: a newer one may say otherwise
	Reason   string // one word, as in its status
	Why      error
}

// Snapshot is how things stand.
func (w *Worker) Snapshot() Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.snap
}

func (w *Worker) show(f func(*Snapshot)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.snap)
}
