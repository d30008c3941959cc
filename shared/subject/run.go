package subject

import (
	"strconv"

	"github.com/kubescribe/kubescribe/shared/event"
)

// CtlOfRun selects the requests of a run to the owners of a cluster's lanes.
func CtlOfRun(cluster, run string) string {
	return join("ks.ctl.*", Token(cluster), "*", Token(run), "*")
}

// CtlOfAttempt selects those of one attempt.
func CtlOfAttempt(cluster, run string, attempt uint64) string {
	return join("ks.ctl.*", Token(cluster), "*", Token(run), strconv.FormatUint(attempt, 10))
}

// SnapAttempt selects all series of an attempt at a run.
func SnapAttempt(k event.DestinationKey, run string, attempt uint64) string {
	return join("ks.snap", destination(k), Token(run), strconv.FormatUint(attempt, 10), ">")
}
