package plan

import (
	"fmt"

	"github.com/kubescribe/kubescribe/shared/event"
)

// trait is what a reason asks of its run.
type trait struct {
	holds    bool // changes are held back until its results are written
	replaces bool // it does not wait until the run that is under way has closed
	own      bool // the plan finds it by itself, and nobody asks for a run because of it
	dry      bool // its results are for a person to see, and not to be written
}

// traits is every reason there is.
//
// What holds is what may have left a gap between the repository and the changes
// that go on: they must not overtake what fills it. What replaces says that the
// run under way is none of the repository, or of the destination, as it is now. A run
// that continues another holds if that one did, which has not ended the phase.
var traits = map[string]trait{
	event.ReasonNewDestination:   {holds: true, own: true},
	event.ReasonSpecChanged:      {holds: true, own: true},
	event.ReasonAdmitted:         {holds: true, replaces: true},
	event.ReasonHistoryRewritten: {holds: true, replaces: true},
	event.ReasonWatchGap:         {holds: true},
	event.ReasonCheckpointLost:   {holds: true, replaces: true},
	event.ReasonHistoryGap:       {holds: true, replaces: true},
	event.ReasonTypeAppeared:     {},
	event.ReasonContentsSkipped:  {},
	event.ReasonMayHaveLeft:      {},
	event.ReasonSchemaChanged:    {},
	event.ReasonOvertaken:        {},
	event.ReasonContinued:        {own: true},
	event.ReasonRequested:        {},
	event.ReasonApproved:         {},
	event.ReasonDriftCheck:       {own: true},
	event.ReasonCompare:          {dry: true},
}

// Askable is nil if a run may be asked for because of a reason.
func Askable(reason string) error {
	t, known := traits[reason]
	switch {
	case !known:
		return fmt.Errorf("a run is asked for because of %q, which is no reason", reason)
	case t.own:
		return fmt.Errorf("a run is asked for because of %s, which the reconciler finds by itself: ask because of %s", reason, event.ReasonRequested)
	}
	return nil
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
