package janitor

import (
	"context"
	"errors"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// ForgetStatuses removes from KS_STATUS what is shown of destinations that have left. It goes
// with all else that is left of one; but a git-writer that has not heard of that yet may write
// it anew behind that, and a KS_PHASE that is gone has nobody look again.
//
// What is shown is read before it is asked, at the registry's leader, who is registered: of one
// that is registered in between, what its git-writer has written since is of another revision,
// and stays. What stands there already as it would be written goes, and comes with the next
// change, or, of a folder that is refused, with the next look at it.
func (j *Janitor) ForgetStatuses(ctx context.Context) error {
	shown, err := j.statuses.All(ctx)
	if err != nil {
		return err
	}
	all, _ := j.registry.All()
	var failed []error
	for key, e := range shown {
		k, err := subject.ParseDestinationToken(key)
		if err != nil {
			continue // of a newer version
		}
		if _, registered := all[k]; registered {
			continue
		}
		if _, _, err := j.destinations.Newest(ctx, key); !errors.Is(err, bus.ErrNoMessage) {
			failed = append(failed, err)
			continue
		}
		switch err := j.statuses.Remove(ctx, key, e.Revision); {
		case err == nil:
			j.log.Info("status removed: its destination has left", "destination", k.String())
		case !errors.Is(err, bus.ErrConflict):
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
