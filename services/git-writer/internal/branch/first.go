package branch

import (
	"cmp"
	"fmt"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// Before is whether a destination was registered before another one. The first one on a
// branch says how that is reached, and opened: over changes and restarts, for as long as
// it stays.
func Before(d, other bus.Registered) bool {
	return cmp.Or(cmp.Compare(d.Since(), other.Since()), cmp.Compare(d.Key.String(), other.Key.String())) < 0
}

// first is the one that was registered first, if there is any.
func first(all map[event.DestinationKey]bus.Registered) (first bus.Registered, is bool) {
	for _, d := range all {
		if !is || Before(d, first) {
			first, is = d, true
		}
	}
	return first, is
}

// otherSecret is why a destination may not write to a branch: that is opened with one
// Secret, and nobody writes with another one than theirs.
type otherSecret struct{ ours, branch string }

func (o otherSecret) Error() string {
	branch, ours := "the Secret "+o.branch, "the Secret "+o.ours
	if o.branch == "" {
		branch = "what the git-writer's environment knows"
	}
	if o.ours == "" {
		ours = "none"
	}
	return fmt.Sprintf("the branch is opened with %s, by the destination that was registered on it before, and this one's remote names %s: let it name the same one (spec.secretRef), or choose another branch", branch, ours)
}
