package integration

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kubescribe/kubescribe/services/stream/decide"
	"github.com/kubescribe/kubescribe/services/stream/rerun"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestRerun: what was recorded of streams in a chaotic run comes to the same decisions
// again, and twice to the very same (I12), and to the writes that were stored: but for a
// content that a stream had forgotten, and for deletions, since prune.mode was another.
func TestRerun(t *testing.T) {
	long(t)
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("the seed is %d", seed)
	c := newChaos(t, seed, "a", "b", "c")
	c.play(300)
	became := map[outcome.Outcome]int{}
	for _, d := range c.destinations {
		decisions, written := c.rerun(d.name)
		again, writtenAgain := c.rerun(d.name)
		if !slices.EqualFunc(decisions, again, same) || !slices.Equal(written, writtenAgain) {
			t.Errorf("%s: the second time it is decided otherwise", d.name)
		}
		dropped := 0
		for _, one := range decisions {
			became[one.Outcome]++
			change, err := event.ParseChange(one.Input.Header, one.Input.Data)
			switch {
			case one.Differs == "":
			case one.Differs == "it was forwarded" && (one.Outcome == outcome.Suppressed || one.Outcome == outcome.Pruned):
				dropped++
			case err == nil && change.Op == event.Delete:
			default:
				t.Errorf("%s: %d is %s, and then %s", d.name, one.Input.Seq, one.Outcome, one.Differs)
			}
		}
		if stored := c.all(subject.Write, subject.WriteDestination(key(d.name))); len(stored) != len(written)+dropped {
			t.Errorf("%s: %d messages are written, %d are dropped, and %d were stored", d.name, len(written), dropped, len(stored))
		}
	}
	fmt.Printf("rerun: seed %d: %v\n", seed, became)
	if became[outcome.Forwarded] < 50 || became[outcome.Suppressed] == 0 || became[outcome.Marked] < 6 || became[outcome.Held] != 0 {
		t.Errorf("it comes to %v", became)
	}
}

func same(a, b rerun.Decided) bool {
	return a.Input.Seq == b.Input.Seq && a.Outcome == b.Outcome && a.Differs == b.Differs
}

// rerun decides again about what was recorded of a destination's stream.
func (c *chaos) rerun(name string) (decisions []rerun.Decided, written []uint64) {
	c.Helper()
	kv, err := bus.OpenBucket[event.Destination](c.Context(), c.bus, subject.BucketDestination)
	if err != nil {
		c.Fatal(err)
	}
	dest, rev, err := kv.Newest(c.Context(), subject.DestinationToken(key(name)))
	if err != nil {
		c.Fatal(err)
	}
	of := decide.Destination{Registered: bus.Registered{Destination: dest, Revision: rev}, Incarnation: c.bus.Install.Incarnation}
	s, err := rerun.New(of, func(d rerun.Decided) { decisions = append(decisions, d) })
	if err != nil {
		c.Fatal(err)
	}
	live := c.bus.Range(c.Context(), subject.Live, subject.LiveDestination(key(name)), 1, math.MaxUint64)
	for w, err := range s.Run(live, c.bus.Range(c.Context(), subject.Write, subject.WriteDestination(key(name)), 1, math.MaxUint64)) {
		if err != nil {
			c.Fatal(err)
		}
		written = append(written, w.Seq)
	}
	return decisions, written
}
