package reconciler

import (
	"context"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
)

// lettersEvery is how often the dead letters are counted.
const lettersEvery = 15 * time.Second

// otherStage is the label of letters that none of our roles has sent.
const otherStage = "other"

// countLetters shows how many dead letters there are, of all roles, until ctx ends. They keep
// nobody from being ready: each is a message that stopped nobody else.
func (r *Reconciler) countLetters(ctx context.Context) {
	defer r.metrics.letters.Reset() // another replica counts them
	for ctx.Err() == nil {
		switch counts, err := r.bus.CountLetters(ctx); {
		case err == nil:
			r.metrics.count(counts)
		case ctx.Err() == nil:
			r.log.Debug("dead letters not counted", "err", err)
		}
		select {
		case <-r.clock.At(r.clock.Now().Add(lettersEvery)):
		case <-ctx.Done():
		}
	}
}

// count shows how many dead letters there are of each stage.
func (m metrics) count(letters map[string]int) {
	shown := map[string]int{otherStage: 0}
	for _, stage := range bus.Stages() {
		shown[stage] = 0
	}
	for stage, n := range letters {
		if !slices.Contains(bus.Stages(), stage) {
			stage = otherStage
		}
		shown[stage] += n
	}
	for stage, n := range shown {
		m.letters.WithLabelValues(stage).Set(float64(n))
	}
}
