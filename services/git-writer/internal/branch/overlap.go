package branch

import (
	"fmt"
	"strings"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// overlap is why a destination has no folder of its own: that of another one is the
// same, lies around it or inside it.
type overlap struct {
	destination, with bus.Registered
}

// overlaps finds the destinations of a branch that are refused their folders, since each
// would take files of another one for its own, and remove them. Of two, of whatever
// clusters, the one that was registered first keeps its folder: over changes, restarts,
// and whether it may write there or not. So nobody loses a folder because somebody
// leaves.
func overlaps(all map[event.DestinationKey]bus.Registered) map[event.DestinationKey]overlap {
	refused := map[event.DestinationKey]overlap{}
	for k, d := range all {
		for _, other := range all {
			o, is := refused[k]
			if other.Since() < d.Since() && meet(d.BaseFolder, other.BaseFolder) && (!is || other.Since() < o.with.Since()) {
				refused[k] = overlap{d, other}
			}
		}
	}
	return refused
}

// meet is whether folders are the same, or one lies inside the other. They are compared
// without case, as some checkouts do.
func meet(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return inFolder(a, b) || inFolder(b, a)
}

// inFolder is whether a folder is another one, or lies inside it.
func inFolder(folder, other string) bool {
	return other == "" || folder == other || strings.HasPrefix(folder, other+"/")
}

func (o overlap) Error() string {
	ours, theirs := o.destination.BaseFolder, o.with.BaseFolder
	lower, other := strings.ToLower(ours), strings.ToLower(theirs)
	how := "lies around " + marker.Name(theirs)
	switch {
	case ours == theirs:
		how = "is the folder"
	case lower == other:
		how = "differs only in case from the folder"
	case inFolder(lower, other):
		how = "lies inside " + marker.Name(theirs)
	}
	return fmt.Sprintf("the folders of two destinations overlap: %s %s of destination %s, which was registered on this branch before: choose another --base-folder (spec.baseFolder), or remove that destination",
		marker.Name(ours), how, o.with.Key)
}

// stands is whether what a destination was refused for is still so.
func (o overlap) stands(r *bus.Registry) bool {
	now, registered := r.Get(o.with.Key)
	return registered && now.Since() == o.with.Since() && now.BranchKey == o.with.BranchKey
}
