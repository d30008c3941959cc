package reconciler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/services/reconciler/diff"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// compareFor bounds how long one comparison may take, which is a matter of
// seconds: longer, something is in its way.
const compareFor = 10 * time.Minute

// comparison is what one attempt compares.
type comparison struct {
	key    event.DestinationKey
	record event.PhaseRecord
	prune  event.Prune
	ends   map[subject.Side]event.End // those of the record's lanes and of the repository
}

// found is what a comparison says.
type found struct {
	outcome event.Outcome
	parts   []int                // the lanes that have results
	wanted  map[int]event.Wanted // those of them of which contents are wanted
}

// lanes are those of which contents are wanted.
func (f found) lanes() []int { return slices.Sorted(maps.Keys(f.wanted)) }

func (c comparison) series(s subject.Side) subject.Series {
	return subject.Series{Destination: c.key, Run: c.record.Run, Attempt: c.record.Attempt, Side: s}
}

// compare merges the states of an attempt and stores the results, one series for
// each lane that has some. Nothing is closed before both states were read to their
// end, which is when they prove whole.
//
// A crash in the middle leaves some of the series, or none; whoever compares again
// finds the same results, and closes the rest.
func compare(ctx context.Context, b *bus.Bus, c comparison) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, compareFor)
	defer cancel()
	cfg := diff.Config{
		Run: c.record.Run, Prune: c.prune, Approved: c.record.Approved,
		Part: func(group, resource string) int { return subject.Part(c.key.Cluster, group, resource) },
	}
	if o := c.record.Outcome; o != nil {
		cfg.Previous = o.Pending
	}
	lanes := map[int]diff.State{}
	for _, part := range c.record.Parts {
		side := subject.SideCluster(part)
		end := c.ends[side]
		cfg.Incomplete = append(cfg.Incomplete, end.Incomplete...)
		cfg.Unmirrored = append(cfg.Unmirrored, end.Unmirrored...)
		lanes[part] = b.Entries(ctx, c.series(side), end)
	}
	repo := b.Entries(ctx, c.series(subject.SideRepo), c.ends[subject.SideRepo])
	writers, wanted := map[int]*bus.SeriesWriter{}, map[int]event.Wanted{}
	out, err := diff.Merge(cfg, lanes, repo, func(part int, e event.Entry) error {
		w := writers[part]
		if w == nil {
			w = b.WriteSeries(c.series(subject.SideResult(part)))
			writers[part] = w
		}
		if e.What != event.ResultDelete {
			wanted[part] = wanted[part].With(e.What)
		}
		return w.Entry(ctx, e)
	})
	if err != nil {
		return found{}, err
	}
	f := found{outcome: out, parts: slices.Sorted(maps.Keys(writers)), wanted: wanted}
	for _, part := range f.parts {
		if _, err := writers[part].Close(ctx, event.End{Wanted: wanted[part].Count()}); err != nil {
			return found{}, fmt.Errorf("closing the results of lane %d: %w", part, err)
		}
	}
	return f, nil
}
