package plan

import (
	"slices"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// incomplete is the types that a run lacks: those that its comparison did not have, and
// those of which the contents were not to be had any more. A watcher that starts after
// the run has closed knows by it what to ask another run for.
func incomplete(compared []string, ends map[subject.Side]event.End) []string {
	all := slices.Clone(compared)
	for part := range subject.Parts {
		all = append(all, ends[subject.SideContent(part)].Incomplete...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
