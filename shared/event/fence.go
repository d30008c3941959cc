package event

import "fmt"

// Fence stands in KS_LIVE, for each destination in each part, where the router lacks a
// part of KS_EVENTS: what was to be routed from behind After up to Until.
//
// Invariants, checked by [ParseFence]: Reason is ReasonCheckpointLost, of a log that is
// another one, or ReasonHistoryGap, of one that was cut.
type Fence struct {
	Reason string
	After  uint64 // the last sequence that was routed before it
	Until  uint64 // nothing behind this one is missing
}

// Message encodes the fence. ID and cursor are the publisher's to add.
func (f Fence) Message() (Header, []byte) {
	h := NewHeader(KindFence)
	put(h, HeaderReason, f.Reason)
	putUint(h, HeaderAfter, f.After)
	putUint(h, HeaderUntil, f.Until)
	return h, nil
}

// ParseFence decodes a message of KindFence. Its errors wrap ErrMalformed.
func ParseFence(h Header) (Fence, error) {
	f := Fence{Reason: get(h, HeaderReason)}
	if f.Reason != ReasonCheckpointLost && f.Reason != ReasonHistoryGap {
		return Fence{}, fmt.Errorf("%w: a fence because of %q", ErrMalformed, f.Reason)
	}
	var err error
	if f.After, err = getUint(h, HeaderAfter); err != nil {
		return Fence{}, err
	}
	f.Until, err = getUint(h, HeaderUntil)
	return f, err
}
