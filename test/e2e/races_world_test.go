package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// races is the five services and a repository that somebody else works on, too.
type races struct {
	*fleet
	whole        *testing.T // of all races: services outlive the one in which they are started
	bus          *bus.Bus
	phases       *bus.Bucket[event.PhaseRecord]
	destinations *bus.Bucket[event.Destination]
	key          event.DestinationKey // whose runs are raced with
	others       *others
	writes       []harness.Written // all there were, in their order
}

func newRaces(t *testing.T, namespaces ...string) *races {
	t.Helper()
	w := newWorld(t, cluster)
	f := newFleet(t, w)
	f.mirror(t, mirror{"live", namespaces})
	return racesOf(t, f)
}

// racesOf starts the services of a fleet that has its configuration, and waits until
// their first run has closed.
func racesOf(t *testing.T, f *fleet) *races {
	t.Helper()
	r := &races{whole: t, fleet: f, key: keyOf("live"), others: newOthers(t, f.world)}
	r.bus = r.connect(t)
	must(t, r.bus.Verify(within(t, stepLimit)))
	var err error
	r.phases, err = bus.OpenBucket[event.PhaseRecord](within(t, stepLimit), r.bus, subject.BucketPhase)
	must(t, err)
	r.destinations, err = bus.OpenBucket[event.Destination](within(t, stepLimit), r.bus, subject.BucketDestination)
	must(t, err)
	for _, name := range services {
		r.start(t, name)
	}
	r.closed(t, "")
	return r
}

// keyOf is the destination that a mirror is.
func keyOf(mirror string) event.DestinationKey {
	return event.DestinationKey{Cluster: "e2e", Namespace: "default", Name: mirror}
}

// apply brings an object to what a manifest says, and keeps that it did.
func (r *races) apply(t *testing.T, manifest string) {
	t.Helper()
	r.writes = append(r.writes, r.world.apply(t, manifest))
}

// remove deletes an object, and keeps that it did.
func (r *races) remove(t *testing.T, manifest string) {
	t.Helper()
	r.writes = append(r.writes, r.world.remove(t, manifest))
}

// landed waits until what was written to a namespace has landed at the destination,
// and returns its history.
func (r *races) landed(t *testing.T, namespace string) []harness.Commit {
	t.Helper()
	since := r.tip(t)
	if since != "" {
		since += ".."
	}
	r.sentinels++
	r.apply(t, configMap(namespace, "sentinel", fmt.Sprint(r.sentinels)))
	last := r.writes[len(r.writes)-1]
	must(t, harness.Poll(within(t, stepLimit), 25*time.Millisecond, "a commit of "+last.Resource+" for "+r.key.String(), func(context.Context) error {
		news, err := r.remote.History(since + "HEAD")
		for _, c := range news {
			if c.Placement == r.key.String() && c.Resource == last.Resource && c.Version == last.Version {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("it is not among %d", len(news)))
	}))
	return harness.OfPlacement(r.history(t), r.key.String())
}

// record is the destination's entry in KS_PHASE.
func (r *races) record(ctx context.Context) (event.PhaseRecord, error) {
	rec, _, err := r.phases.Newest(ctx, subject.DestinationToken(r.key))
	if errors.Is(err, bus.ErrNoMessage) {
		err = nil
	}
	return rec, err
}

// now is that, read at once.
func (r *races) now(t *testing.T) event.PhaseRecord {
	t.Helper()
	rec, err := r.record(within(t, stepLimit))
	must(t, err)
	return rec
}

// ask asks for a run.
func (r *races) ask(t *testing.T, reason string) {
	t.Helper()
	q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: r.key, Reason: reason}
	must(t, r.bus.Ask(within(t, stepLimit), subject.CtlRun(r.key), q))
}

// closed waits until the newest run has closed, which must be another than one that
// was before.
func (r *races) closed(t *testing.T, before string) (rec event.PhaseRecord) {
	t.Helper()
	must(t, harness.Poll(within(t, startLimit), 10*time.Millisecond, "a run to close", func(ctx context.Context) (err error) {
		rec, err = r.record(ctx)
		if err == nil && (rec.Run == before || rec.Running() || rec.Run == "" || rec.Next != "" || rec.Phase != event.LiveProcessing) {
			err = fmt.Errorf("it is %+v", rec)
		}
		return err
	}))
	return rec
}
