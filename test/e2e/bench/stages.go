package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// Stage is how long changes took from one place of their way to the next.
type Stage struct {
	To string `json:"to"`
	Committed
}

// places are the streams on the way of a change, in order.
var places = []string{subject.Events, subject.Live, subject.Write}

// stages splits the way of what was written: where it waits.
func (i *install) stages(ctx context.Context, before streams, written []harness.Written, landed map[string]time.Time) ([]Stage, error) {
	at := map[string]time.Time{}
	for _, w := range written {
		at[versionOf(w.Resource, w.Version)] = w.At
	}
	var all []Stage
	step := func(to string, reached map[string]time.Time) {
		var took []time.Duration
		for version, from := range at {
			if t, ok := reached[version]; ok {
				took = append(took, max(0, t.Sub(from)))
				at[version] = t
			}
		}
		all = append(all, Stage{to, committed(took)})
	}
	for _, stream := range places {
		reached, err := i.stored(ctx, stream, before[stream].LastSeq)
		if err != nil {
			return nil, err
		}
		step(stream, reached)
	}
	step("commit", landed)
	return all, nil
}

// stored is when a stream has stored each version behind a sequence.
func (i *install) stored(ctx context.Context, stream string, after uint64) (map[string]time.Time, error) {
	last, err := i.bus.LastSeq(ctx, stream)
	if err != nil {
		return nil, err
	}
	stored := map[string]time.Time{}
	for m, err := range i.bus.Range(ctx, stream, ">", after+1, last) {
		if err != nil {
			return nil, err
		}
		if kind, err := event.KindOf(m.Header); err != nil || kind != event.KindChange {
			continue
		}
		c, err := event.ParseChange(m.Header, m.Data)
		if err != nil {
			return nil, err
		}
		stored[versionOf(c.APIVersion+" "+c.Object.String(), c.ResourceVersion)] = m.Time
	}
	return stored, nil
}

// stagesString is where changes waited, on one line.
func stagesString(all []Stage) string {
	var parts []string
	for _, s := range all {
		parts = append(parts, fmt.Sprintf("to %s p50 %s p99 %s", s.To, milliseconds(s.P50), milliseconds(s.P99)))
	}
	return strings.Join(parts, ", ")
}
