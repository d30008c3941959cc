package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// ErrUnknownDestination says that a message is meant for a destination that is not
// registered, or not any more.
var ErrUnknownDestination = errors.New("no such destination is registered")

// Registry follows KS_DESTINATION: the destinations there are, as one
// consistent picture at one revision. It is safe for concurrent use.
type Registry struct {
	mu      sync.Mutex
	all     map[event.DestinationKey]Registered // replaced, never changed
	held    uint64
	synced  bool
	err     error
	changed chan struct{} // closed and replaced at each change
}

// Registered is a destination with the revision at which it was last written.
type Registered struct {
	event.Destination
	Revision uint64
}

// Since is the revision at which it was registered, however often it has changed.
func (r Registered) Since() uint64 { return cmp.Or(r.First, r.Revision) }

// NewRegistry is empty until [Registry.Run] has read the bucket.
func NewRegistry() *Registry {
	return &Registry{all: map[event.DestinationKey]Registered{}, changed: make(chan struct{})}
}

// FixedRegistry holds these destinations, whatever revision is asked for: nobody may run it.
func FixedRegistry(all ...Registered) *Registry {
	r := NewRegistry()
	for _, d := range all {
		r.all[d.Key] = d
	}
	r.held, r.synced = math.MaxUint64, true
	return r
}

// Run follows the bucket until ctx ends, starting over with backoff when the
// watch fails, and then returns nil. The backoff grows only while the bucket
// cannot be read.
func (r *Registry) Run(ctx context.Context, b *Bus, log *slog.Logger) error {
	var backoff fault.Backoff
	for {
		err := r.follow(ctx, b, backoff.Reset)
		if ctx.Err() != nil {
			return nil
		}
		r.update(func() { r.err = err })
		wait := backoff.Next()
		log.Warn("registry watch interrupted, retrying", "in", wait.Round(time.Millisecond).String(), "err", err)
		if fault.Wait(ctx, wait) != nil {
			return nil
		}
	}
}

// follow calls synced once it has read the bucket.
func (r *Registry) follow(ctx context.Context, b *Bus, synced func()) error {
	bucket, err := OpenBucket[event.Destination](ctx, b, subject.BucketDestination)
	if err != nil {
		return err
	}
	reached, err := bucket.Reached(ctx)
	if err != nil {
		return err
	}
	// Until the first reading is whole it is kept aside, so that nobody sees
	// half a registry, and what was removed while the watch was down goes too.
	first := map[event.DestinationKey]Registered{}
	var held uint64
	whole := false
	return bucket.Watch(ctx, func(e Entry[event.Destination]) error {
		k, err := subject.ParseDestinationToken(e.Key)
		if err != nil {
			return err
		}
		if !whole {
			held = e.Revision
			first[k] = Registered{e.Record, e.Revision}
			if e.Gone { // since the reading began
				delete(first, k)
			}
			return nil
		}
		r.update(func() {
			r.all = maps.Clone(r.all)
			if e.Gone {
				delete(r.all, k)
			} else {
				r.all[k] = Registered{e.Record, e.Revision}
			}
			r.held = e.Revision
		})
		return nil
	}, func() error {
		if held < reached { // a replica that lags: what it lacks was not removed
			return fmt.Errorf("reading %s: it is at revision %d of %d", subject.BucketDestination, held, reached)
		}
		whole = true
		synced()
		r.update(func() { r.all, r.held, r.synced, r.err = first, max(held, r.held), true, nil })
		return nil
	})
}

func (r *Registry) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// All is every destination there is, and a channel that closes when that is no
// longer so. The map is shared: read it only.
func (r *Registry) All() (map[event.DestinationKey]Registered, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all, r.changed
}

// Get is one destination.
func (r *Registry) Get(k event.DestinationKey) (Registered, bool) {
	all, _ := r.All()
	d, ok := all[k]
	return d, ok
}

// Wait returns once the registry holds a revision or a newer one.
func (r *Registry) Wait(ctx context.Context, revision uint64) error {
	for {
		r.mu.Lock()
		ok, changed, held, err := r.synced && r.held >= revision, r.changed, r.held, r.err
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for registry revision %d, holding %d: %w", revision, held, errors.Join(ctx.Err(), err))
		case <-changed:
		}
	}
}

// Ready is nil once the bucket was read and while its watch lives.
func (r *Registry) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.synced && r.err == nil {
		return errors.New("registry not read yet")
	}
	return r.err
}
