package stream

import (
	"slices"
	"testing"
	"time"
)

// TestShowsHeld: for as long as a run may take, the counts leave room in the history
// of KS_PHASE for the phases.
func TestShowsHeld(t *testing.T) {
	var got []uint
	for n := uint(1); time.Duration(n)*heldEvery <= 30*time.Minute; n++ {
		if showsHeld(n) {
			got = append(got, n)
		}
	}
	if want := []uint{1, 4, 16, 64, 256, 1024}; !slices.Equal(got, want) {
		t.Errorf("it shows %d, want %d", got, want)
	}
}
