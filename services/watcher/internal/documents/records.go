package documents

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// Bucket is one to follow, as bus.Bucket's Watch does it.
type Bucket[R event.Record] interface {
	Watch(ctx context.Context, entry func(bus.Entry[R]) error, synced func() error) error
}

// errUnread says that a bucket is not read yet.
var errUnread = errors.New("what becomes of destinations is not read from the bus yet")

// followAtMost is the longest wait before a bucket is followed again.
const followAtMost = 5 * time.Second

// records are what a bucket holds, while it is followed.
type records[R event.Record] struct {
	mu  sync.Mutex
	of  map[string]R // guarded by mu
	err error        // why it is not followed; guarded by mu
}

// follow keeps the records until ctx ends.
func (r *records[R]) follow(ctx context.Context, b Bucket[R]) {
	backoff := fault.Backoff{Max: followAtMost}
	for ctx.Err() == nil {
		of := map[string]R{}
		err := b.Watch(ctx, func(e bus.Entry[R]) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			of[e.Key] = e.Record
			if e.Gone {
				delete(of, e.Key)
			}
			return nil
		}, func() error {
			backoff.Reset()
			r.mu.Lock()
			defer r.mu.Unlock()
			r.of, r.err = of, nil // as one: what was removed while it was not followed is not in it
			return nil
		})
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
		_ = fault.Wait(ctx, backoff.Next())
	}
}

// get is a key's record, the zero one if there is none. An error says why that is not known.
func (r *records[R]) get(key string) (record R, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && r.of == nil {
		return record, errUnread
	}
	return r.of[key], r.err
}
