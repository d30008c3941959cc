package plan

import "github.com/kubescribe/kubescribe/shared/event"

// trait is what a reason asks of its run.
type trait struct {
	holds    bool // changes are held back until its results are written
	replaces bool // it does not wait for the run that is under way
	queues   bool // it begins once that one has closed
	dry      bool // its results are for a person to see, and not to be written
}

// traits is every reason there is.
//
// What holds is what may have left a gap between the repository and the changes
// that go on: they must not overtake what fills it. What replaces says that the
// run under way is none of the repository, or of the destination, as it is now.
var traits = map[string]trait{
	event.ReasonNewDestination:   {holds: true, queues: true},
	event.ReasonSpecChanged:      {holds: true, replaces: true},
	event.ReasonAdmitted:         {holds: true, replaces: true},
	event.ReasonHistoryRewritten: {holds: true, replaces: true},
	event.ReasonWatchGap:         {holds: true, queues: true},
	event.ReasonTypeAppeared:     {queues: true},
	event.ReasonOvertaken:        {queues: true},
	event.ReasonRequested:        {queues: true},
	event.ReasonApproved:         {queues: true},
	event.ReasonDriftCheck:       {},
	event.ReasonCompare:          {queues: true, dry: true},
}

// Known reports whether there is such a reason.
func Known(reason string) bool {
	_, ok := traits[reason]
	return ok
}

// Dry reports whether a run's results are not to be written.
func Dry(reason string) bool { return traits[reason].dry }

// stronger is the reason of one run that begins for two. A comparison for a person
// is none for anybody else, while who wants to compare sees that another came.
func stronger(a, b string) string {
	if a == "" || traits[b].holds && !traits[a].holds || traits[a].dry {
		return b
	}
	return a
}
