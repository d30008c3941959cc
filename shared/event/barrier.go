package event

import "fmt"

// Barrier stands in KS_WRITE where a run wants to know what the repository holds:
// it is the REQUEST_REPO_STATE. The git-writer answers it once everything before
// it is on the remote branch.
//
// Invariants, checked by [ParseBarrier]: Run is set.
type Barrier struct {
	Run      string
	Attempt  uint64
	Registry uint64 // as in Change
}

// Message encodes the barrier. ID and cursor are the publisher's to add.
func (b Barrier) Message() (Header, []byte) {
	h := NewHeader(KindRepoState)
	put(h, HeaderRun, b.Run)
	putUint(h, HeaderAttempt, b.Attempt)
	putUint(h, HeaderRegistry, b.Registry)
	return h, nil
}

// ParseBarrier decodes a message of KindRepoState. Its errors wrap ErrMalformed.
func ParseBarrier(h Header) (Barrier, error) {
	b := Barrier{Run: get(h, HeaderRun)}
	if b.Run == "" {
		return Barrier{}, fmt.Errorf("%w: a %s without a run", ErrMalformed, KindRepoState)
	}
	var err error
	if b.Attempt, err = getUint(h, HeaderAttempt); err != nil {
		return Barrier{}, err
	}
	b.Registry, err = getUint(h, HeaderRegistry)
	return b, err
}
