package subject

import (
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

// TestOfRun: what a run leaves is found by its run, by its attempt, and by no
// other's.
func TestOfRun(t *testing.T) {
	for _, name := range awkward {
		k := event.DestinationKey{Cluster: name, Namespace: "default", Name: "d"}
		for _, s := range []string{CtlClusterState(name, 3, "run-1", 2), CtlResources(name, 3, "run-1", 2)} {
			selects(t, s, CtlOfRun(name, "run-1"), CtlOfAttempt(name, "run-1", 2))
			ignores(t, s, CtlOfRun(name+"x", "run-1"), CtlOfRun(name, "run-2"), CtlOfAttempt(name, "run-1", 1))
		}
		ignores(t, CtlRun(k), CtlOfRun(name, "default"), CtlOfRun("default", "d"))
		series := Series{Destination: k, Run: "run-1", Attempt: 2, Side: SideRepo}
		for _, s := range []string{series.Chunk("nonce", 0), series.End()} {
			selects(t, s, SnapAttempt(k, "run-1", 2), SnapRun(k, "run-1"), SnapDestination(k))
			ignores(t, s, SnapAttempt(k, "run-1", 1), SnapAttempt(k, "run-2", 2))
		}
	}
}
