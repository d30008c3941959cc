package owing

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/mark"
	"github.com/kubescribe/kubescribe/shared/event"
)

// CaughtUp is why to ask for a run of a destination when a gap in the watch of a type was
// closed, "" if there is nothing to ask for. What a run skipped, because the object had
// changed, was to come by the watch; should the object be what it was again, it is no
// difference from the index.
//
// It goes by what is stored, read behind the gap's list: the destination's entry of
// KS_PHASE, and then the lane's newest MARK, and the end of the contents of the entry's
// attempt, nil if there is none. For who skips them may be another watcher, that was paused
// while its lanes were taken, and stores them only now: until they are stored, any of them
// may be skipped.
func CaughtUp(rec event.PhaseRecord, revision uint64, newest event.Mark, contents *event.End, of schema.GroupResource) string {
	var skipped []string
	switch {
	case mark.ToCome(rec, revision, newest): // frozen behind the gap
	case rec.Running() && rec.Reason != event.ReasonCompare:
		if contents == nil {
			return event.ReasonContentsSkipped
		}
		skipped = contents.Skipped
	case rec.Outcome != nil:
		skipped = rec.Outcome.Skipped
	}
	if names(skipped, of) {
		return event.ReasonContentsSkipped
	}
	return ""
}
