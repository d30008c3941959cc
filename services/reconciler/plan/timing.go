package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

const (
	firstPatience = time.Second
	mostPatience  = 5 * time.Minute
)

// patience is the least time between the beginnings of an attempt and of the next.
func patience(attempt uint64) time.Duration {
	d := firstPatience
	for n := uint64(1); n < attempt && d < mostPatience; n++ {
		d *= 2
	}
	return min(d, mostPatience)
}

// driftCheck is when the interval since a run is over, give or take a tenth, so
// that destinations do not all come at once. It follows from the run, so that a
// restart does not move it. Comparisons for people do not put it off.
func driftCheck(k event.DestinationKey, rec event.PhaseRecord, interval time.Duration) time.Time {
	sum := sha256.Sum256([]byte(k.String() + "\n" + rec.Run))
	share := 0.9 + 0.2*float64(binary.BigEndian.Uint32(sum[:]))/math.MaxUint32
	since := rec.Closed
	if Dry(rec.Reason) && !rec.Settled.IsZero() {
		since = rec.Settled
	}
	return since.Add(time.Duration(float64(interval) * share))
}
