package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// String is what one start took, on two lines.
func (s Captured) String() string {
	c := s.Committed
	return fmt.Sprintf("%s\n%d changes, from answer to commit: p50 %.0f ms, p99 %.0f ms, at most %.0f ms; files %v; watches of %d types",
		s.Measure, c.Changes, c.P50*1e3, c.P99*1e3, c.Max*1e3, s.Files, len(s.Watches))
}

// What is to be reached.
const (
	liveTarget    = 30.0        // seconds from the watcher's start
	watcherTarget = 200_000_000 // bytes
)

// verdicts judges all starts.
func (c *capture) verdicts() []Verdict {
	best := slices.MinFunc(c.starts, func(a, b Captured) int { return cmp.Compare(a.Landed, b.Landed) })
	var peak int64
	for _, s := range c.starts {
		peak = max(peak, s.Peak["watcher"])
	}
	fewest, most := c.watchesOfEach()
	watches := fmt.Sprint(most)
	if fewest != most {
		watches = fmt.Sprintf("%d to %d", fewest, most)
	}
	return []Verdict{
		{
			fmt.Sprintf("%d objects of %d types, from the start to LIVE_PROCESSING and Git equal: under %.0f s", c.Types*c.Each, c.Types, liveTarget),
			fmt.Sprintf("%.2f s (LIVE_PROCESSING %.2f s)", best.Landed, best.Closed), best.Landed < liveTarget,
		},
		{"memory of the watcher: under " + megabytes(watcherTarget), megabytes(peak), peak < watcherTarget},
		{fmt.Sprintf("watches of a type, with %d destinations: one", len(mirrors)), watches, fewest == 1 && most == 1},
	}
}

// watchesOfEach is how often one of the types was watched, in any of the starts: the
// fewest times, and the most.
func (c *capture) watchesOfEach() (fewest, most int) {
	fewest = math.MaxInt
	for _, s := range c.starts {
		for _, k := range c.types {
			n := s.Watches[typeName(k.group, k.resource)]
			fewest, most = min(fewest, n), max(most, n)
		}
	}
	return fewest, most
}

// figures are what has no target.
func (c *capture) figures() []figure {
	best := slices.MinFunc(c.starts, func(a, b Captured) int { return cmp.Compare(a.Committed.P50, b.Committed.P50) }).Committed
	return []figure{{
		fmt.Sprintf("%d changes, from the API server's answer to the commit on the remote", best.Changes),
		fmt.Sprintf("p50 %.0f ms, p99 %.0f ms", best.P50*1e3, best.P99*1e3),
	}}
}
