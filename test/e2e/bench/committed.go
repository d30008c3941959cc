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
	before, err := i.remote.Tip()
	if err != nil {
		return m, err
	}
	follow, stop := context.WithCancel(ctx)
	defer stop()
	tips := make(chan harness.Tip, 4*c.Changes) // more than come: nobody receives any meanwhile
	go i.remote.FollowTips(follow, tips)
	written, err := c.write(ctx, to)
	if err != nil {
		return m, err
	}
	history, err := c.await(ctx, i, before, written)
	if err != nil {
		return m, err
	}
	stop()
	var seen []harness.Tip
	for tip := range tips {
		seen = append(seen, tip)
	}
	return committed(written, history, seen)
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

// await waits until each change has its commit, and returns those that came.
func (c *capture) await(ctx context.Context, i *install, before string, written []harness.Written) (history []harness.Commit, err error) {
	err = harness.Poll(ctx, 50*time.Millisecond, "a commit of each change", func(context.Context) error {
		tip, err := i.remote.Tip()
		if err != nil {
			return err
		}
		if history, err = i.remote.History(before + ".." + tip); err != nil {
			return err
		}
		if missing := harness.Versions(ofFirst(history), written); len(missing) > 0 {
			return fmt.Errorf("%d are missing, first: %s", len(missing), missing[0])
		}
		return nil
	})
	return history, err
}

// ofFirst are the commits of the destination that has all objects.
func ofFirst(history []harness.Commit) []harness.Commit {
	return harness.OfPlacement(history, destination.String())
}

// committed says how long writes took to be commits, in a history of which the branch
// showed some as tips.
func committed(written []harness.Written, history []harness.Commit, tips []harness.Tip) (Committed, error) {
	seen := landings(history, tips)
	landed := map[string]time.Time{}
	for _, c := range ofFirst(history) {
		landed[c.Resource+" at "+c.Version] = seen[c.Hash]
	}
	var took []time.Duration
	for _, w := range written {
		at := landed[w.Resource+" at "+w.Version]
		if at.IsZero() {
			return Committed{}, fmt.Errorf("when %s at %s came to the remote was not seen", w.Resource, w.Version)
		}
		took = append(took, max(0, at.Sub(w.At)))
	}
	slices.Sort(took)
	of := func(q float64) float64 { return harness.Quantile(took, q).Seconds() }
	return Committed{Changes: len(took), P50: of(0.5), P99: of(0.99), Max: of(1)}, nil
}

// landings says since when the branch was seen to have each commit of a history, oldest
// first: with the first tip at it or behind it.
func landings(history []harness.Commit, tips []harness.Tip) map[string]time.Time {
	tipped := map[string]time.Time{}
	for _, tip := range tips {
		tipped[tip.Commit] = tip.Seen
	}
	seen := map[string]time.Time{}
	var at time.Time
	for _, c := range slices.Backward(history) {
		if t, ok := tipped[c.Hash]; ok {
			at = t
		}
		seen[c.Hash] = at
	}
	return seen
}
