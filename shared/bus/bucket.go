package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/faultpoint"
)

// ErrConflict says that a key was written by somebody else in the meantime.
var ErrConflict = errors.New("the key was changed by somebody else")

// Bucket is a key-value bucket whose values are records of one type. Writes are
// compare-and-swap. It is safe for concurrent use.
type Bucket[R event.Record] struct {
	name string
	kv   jetstream.KeyValue
	bus  *Bus
}

// OpenBucket opens a bucket of the install.
func OpenBucket[R event.Record](ctx context.Context, b *Bus, name string) (*Bucket[R], error) {
	kv, err := b.js.KeyValue(impatient{ctx}, name)
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s: %w", name, err)
	}
	return &Bucket[R]{name, kv, b}, nil
}

// Get reads a key with its revision. ErrNoMessage when there is none. What it
// returns may be older than the newest write, by the lag of a replica: enough
// for whoever goes on with [Bucket.Put]. Who may find that there is nothing to
// write needs [Bucket.Newest].
func (b *Bucket[R]) Get(ctx context.Context, key string) (R, uint64, error) {
	var none R
	e, err := b.kv.Get(impatient{ctx}, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return none, 0, ErrNoMessage
	}
	if err != nil {
		return none, 0, fmt.Errorf("reading %s of %s: %w", key, b.name, err)
	}
	r, err := event.Decode[R](e.Value())
	if err != nil {
		return none, 0, fmt.Errorf("reading %s of %s: %w", key, b.name, err)
	}
	return r, e.Revision(), nil
}

// Newest reads a key with its revision from the bucket's leader: it sees every
// write that was acknowledged before the call. ErrNoMessage when there is none.
func (b *Bucket[R]) Newest(ctx context.Context, key string) (R, uint64, error) {
	var none R
	m, err := b.bus.LastFor(ctx, "KV_"+b.name, "$KV."+b.name+"."+key)
	if err != nil {
		return none, 0, err
	}
	if len(m.Header["KV-Operation"]) > 0 {
		return none, 0, ErrNoMessage
	}
	r, err := event.Decode[R](m.Data)
	if err != nil {
		return none, 0, fmt.Errorf("reading %s of %s: %w", key, b.name, err)
	}
	return r, m.Seq, nil
}

// Put writes a key that has not changed since revision, 0 for one that does not
// exist, and returns the new revision. ErrConflict when it has.
func (b *Bucket[R]) Put(ctx context.Context, key string, r R, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	revision, err := faultpoint.Answered(faultpoint.Put, b.name, func() (uint64, error) {
		if revision == 0 {
			return b.kv.Create(ctx, key, event.Encode(r))
		}
		return b.kv.Update(ctx, key, event.Encode(r), revision)
	})
	if errors.Is(err, jetstream.ErrKeyExists) || isCode(err, errWrongLastSequence) || isCode(err, errWrongLastSequenceConstant) {
		return 0, fmt.Errorf("writing %s of %s: %w", key, b.name, ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("writing %s of %s: %w", key, b.name, err)
	}
	return revision, nil
}

// Delete removes a key, whoever wrote it last.
func (b *Bucket[R]) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if err := faultpoint.Do(faultpoint.Remove, b.name, func() error { return b.kv.Delete(ctx, key) }); err != nil {
		return fmt.Errorf("removing %s of %s: %w", key, b.name, err)
	}
	return nil
}

// Reached is the revision of the newest write of all, or removal, as the bucket's leader knows
// it; 0 if there was none.
func (b *Bucket[R]) Reached(ctx context.Context) (uint64, error) {
	return b.bus.Newest(ctx, "KV_"+b.name, "$KV."+b.name+".>")
}

// All reads every key there is.
func (b *Bucket[R]) All(ctx context.Context) (map[string]Entry[R], error) {
	all := map[string]Entry[R]{}
	err := b.Watch(ctx, func(e Entry[R]) error {
		all[e.Key] = e
		if e.Gone { // since the reading began
			delete(all, e.Key)
		}
		return nil
	}, func() error { return errSynced })
	if !errors.Is(err, errSynced) {
		return nil, err
	}
	return all, nil
}

// errSynced ends a watch once it has delivered what there is.
var errSynced = errors.New("everything was read")

// Entry is one key of a bucket at one revision. Gone says that it was removed.
type Entry[R event.Record] struct {
	Key      string
	Revision uint64
	Record   R
	Gone     bool
}

// Watch calls entry for each key there is, then synced once, then entry for
// each further write, in the order of the revisions, until ctx ends, a callback
// fails, or the connection was lost and is back: the library would notice only by
// heartbeats that it misses, after 20 s, that its watch is gone. Entries that cannot
// be read are an error: guessing at configuration is worse than standing still.
func (b *Bucket[R]) Watch(ctx context.Context, entry func(Entry[R]) error, synced func() error) error {
	return b.WatchSome(ctx, ">", entry, synced)
}

// WatchSome is [Bucket.Watch] of the keys under a filter, which may hold wildcards.
func (b *Bucket[R]) WatchSome(ctx context.Context, filter string, entry func(Entry[R]) error, synced func() error) error {
	return b.watch(ctx, filter, func(e jetstream.KeyValueEntry) (err error) {
		next := Entry[R]{Key: e.Key(), Revision: e.Revision(), Gone: gone(e)}
		if !next.Gone {
			if next.Record, err = event.Decode[R](e.Value()); err != nil {
				return fmt.Errorf("watching %s: key %s: %w", b.name, e.Key(), err)
			}
		}
		return entry(next)
	}, synced)
}

// WatchKeys is [Bucket.Watch] of the keys alone: what stands there may be anything.
func (b *Bucket[R]) WatchKeys(ctx context.Context, key func(key string, gone bool) error, synced func() error) error {
	return b.watch(ctx, ">", func(e jetstream.KeyValueEntry) error { return key(e.Key(), gone(e)) }, synced, jetstream.MetaOnly())
}

// Keys reads every key there is, whatever stands there.
func (b *Bucket[R]) Keys(ctx context.Context) (map[string]bool, error) {
	all := map[string]bool{}
	err := b.WatchKeys(ctx, func(key string, gone bool) error {
		all[key] = true
		if gone {
			delete(all, key)
		}
		return nil
	}, func() error { return errSynced })
	if !errors.Is(err, errSynced) {
		return nil, err
	}
	return all, nil
}

// Written are the keys below some tokens that were ever written, those that were removed
// among them, as the bucket's leader knows them.
func (b *Bucket[R]) Written(ctx context.Context, below string) (keys []string, err error) {
	prefix := "$KV." + b.name + "."
	s, err := b.bus.js.Stream(impatient{ctx}, "KV_"+b.name)
	if err != nil {
		return nil, fmt.Errorf("reading the keys of %s: %w", b.name, err)
	}
	info, err := s.Info(impatient{ctx}, jetstream.WithSubjectFilter(prefix+below+".>"))
	if err != nil {
		return nil, fmt.Errorf("reading the keys of %s: %w", b.name, err)
	}
	for subj := range info.State.Subjects {
		keys = append(keys, strings.TrimPrefix(subj, prefix))
	}
	return keys, nil
}

func gone(e jetstream.KeyValueEntry) bool { return e.Operation() != jetstream.KeyValuePut }

func (b *Bucket[R]) watch(ctx context.Context, filter string, entry func(jetstream.KeyValueEntry) error, synced func() error, opts ...jetstream.WatchOpt) error {
	back := b.bus.nc.StatusChanged(nats.CONNECTED)
	defer b.bus.nc.RemoveStatusListener(back)
	w, err := b.kv.Watch(impatient{ctx}, filter, opts...)
	if err != nil {
		return fmt.Errorf("watching %s: %w", b.name, err)
	}
	defer func() { _ = w.Stop() }() // the subscription goes with the connection anyway
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-back:
			return fmt.Errorf("watching %s: the connection was lost meanwhile", b.name)
		case e, open := <-w.Updates():
			switch {
			case !open:
				return fmt.Errorf("watching %s: the watch ended", b.name)
			case e == nil:
				if err := synced(); err != nil {
					return err
				}
			default:
				if err := entry(e); err != nil {
					return err
				}
			}
		}
	}
}
