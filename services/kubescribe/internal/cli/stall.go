package cli

import (
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

// stall is for how long a destination has been seen stalled. The git-writer takes the
// condition back while it tries again, so only what reaches the remote ends a stall.
type stall struct {
	since    time.Time // zero while there is none
	now      bool
	position uint64
}

// sees takes in a status.
func (s stall) sees(st event.Status, now time.Time) stall {
	next := stall{since: s.since, now: st.Stalled != nil, position: st.Position}
	if st.Position != s.position {
		next.since = time.Time{}
	}
	if next.now && next.since.IsZero() {
		next.since = now
	}
	return next
}

// outlasts reports whether the destination is stalled, and has been for longer than
// one is patient.
func (s stall) outlasts(patience time.Duration, now time.Time) bool {
	return s.now && now.Sub(s.since) >= patience
}
