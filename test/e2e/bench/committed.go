package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// Committed is how long changes took from the API server's answer to their commits on the
// remote.
type Committed struct {
	Changes int     `json:"changes"`
	P50     float64 `json:"p50Seconds"`
	P99     float64 `json:"p99Seconds"`
	Max     float64 `json:"maxSeconds"`
}

// changesRate is how many changes are made a second: so few that none waits for another.
const changesRate = 10

// change changes objects of all types, one by one, and measures what each takes.
func (c *capture) change(ctx context.Context, i *install, to version) (m Committed, err error) {
	ctx, cancel := i.within(ctx, caseLimit)
	defer cancel()
	f, err := follow(ctx, i.remote.Repository)
	if err != nil {
		return m, err
	}
	defer f.end()
	written, err := c.write(ctx, to)
	if err != nil {
		return m, err
	}
	history, err := f.await(ctx, written, ofFirst)
	if err != nil {
		return m, err
	}
	took, missing := latencies(written, landings(history, f.end(), ofFirst))
	if len(missing) > 0 {
		return m, fmt.Errorf("when %s came to the remote was not seen", missing[0])
	}
	return committed(took), nil
}

// write makes the changes, at a rate.
func (c *capture) write(ctx context.Context, to version) (written []harness.Written, err error) {
	all := slices.Collect(objectsOfEach(c.types, c.Each))
	begun := time.Now()
	for n := range c.Changes {
		due := begun.Add(time.Duration(n) * time.Second / changesRate)
		if err := fault.Wait(ctx, time.Until(due)); err != nil {
			return nil, err
		}
		w, err := c.objects.Apply(ctx, string(all[n*7919%len(all)].appendJSON(nil, to)))
		if err != nil {
			return nil, err
		}
		written = append(written, w)
	}
	return written, nil
}

// ofFirst has the commits count of the destination that has all objects.
func ofFirst(c harness.Commit) bool { return c.Placement == destination.String() }

// latencies says how long writes took to be commits, and which of them have not been seen
// to be any.
func latencies(written []harness.Written, landed map[string]time.Time) (took []time.Duration, missing []string) {
	for _, w := range written {
		version := versionOf(w.Resource, w.Version)
		if at, ok := landed[version]; ok {
			took = append(took, max(0, at.Sub(w.At)))
		} else {
			missing = append(missing, version)
		}
	}
	return took, missing
}

// committed is what there is to say of latencies.
func committed(took []time.Duration) Committed {
	sorted := slices.Sorted(slices.Values(took))
	of := func(q float64) float64 { return harness.Quantile(sorted, q).Seconds() }
	return Committed{Changes: len(took), P50: of(0.5), P99: of(0.99), Max: of(1)}
}

// landings says since when the branch was seen to have each version, by the commits that
// count of a history, oldest first: with the first tip at its commit or behind it.
func landings(history []harness.Commit, tips []harness.Tip, counts func(harness.Commit) bool) map[string]time.Time {
	tipped := map[string]time.Time{}
	for _, tip := range tips {
		tipped[tip.Commit] = tip.Seen
	}
	landed := map[string]time.Time{}
	var at time.Time
	for _, c := range slices.Backward(history) {
		if t, ok := tipped[c.Hash]; ok {
			at = t
		}
		if counts(c) && !at.IsZero() {
			landed[versionOf(c.Resource, c.Version)] = at
		}
	}
	return landed
}
