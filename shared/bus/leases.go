package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Leases shares a role's shards out among its replicas, so that no two do the same
// work. Nothing else rests on it: two that work on one shard, while one has been cut
// off or has stood still, are told apart by what they publish and push.
//
// A replica takes free shards up to its share, the shards by the replicas that are there,
// rounded up, and gives back what it has beyond. A shard whose owner is gone is free
// after 10 s; at once where the owner has stopped, and where the next one goes by its name.
// While the bus cannot be reached nobody can take anything, and all go on as they can.
type Leases struct {
	Bus    *Bus
	Role   string // see [subject.Leases]
	Shards int    // as many as there are, numbered from 0
	Owner  string // no two replicas at a time have one name; "": it works on all shards, whoever else does
	Log    *slog.Logger

	works condition
	mu    sync.Mutex
	mine  map[int]*leased // guarded by mu, changed by Run alone
}

// leased is a shard that is worked on.
type leased struct {
	*lease
	cancel context.CancelFunc
	since  time.Time
	stops  bool  // it was told to
	err    error // what it returned; written before it is said to have ended
}

// news is what a watch has found: entries of the role, or all of them.
type leaseNews struct {
	all   map[string]Entry[event.Lease]
	entry Entry[event.Lease]
}

// Ready is nil while the replica is known to the others.
func (l *Leases) Ready() error { return l.works.get() }

// Held are the shards that are worked on.
func (l *Leases) Held() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.mine))
}

// Run has a share of the shards worked on until ctx ends, gives them back, and returns
// nil. work is called for each shard that is taken, in a goroutine of its own; its context ends
// when the shard is to be given back, or is somebody else's. The lease is given back
// once it has returned. Should it return earlier, the shard is free again, and left to others
// for a while. An error of it ends all, and is returned.
func (l *Leases) Run(ctx context.Context, work func(ctx context.Context, shard int) error) error {
	if l.Owner == "" {
		return l.all(ctx, work)
	}
	l.works.set(fmt.Errorf("the replicas of %s have not been read yet", l.Role))
	r := &leasing{
		Leases: l, work: work, member: l.Bus.newLease(subject.MemberKey(l.Role, l.Owner), l.Owner),
		ended: make(chan int, l.Shards), pauses: map[int]*pause{},
	}
	l.mu.Lock()
	l.mine = map[int]*leased{}
	l.mu.Unlock()
	wctx, cancel := context.WithCancel(ctx)
	news := make(chan leaseNews)
	var watch sync.WaitGroup
	watch.Go(func() { l.follow(wctx, news) })
	err := r.run(ctx, news)
	cancel()
	watch.Wait()
	return errors.Join(err, r.leave(ctx))
}

// all has all shards worked on.
func (l *Leases) all(ctx context.Context, work func(context.Context, int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, l.Shards)
	for shard := range l.Shards {
		go func() { ended <- work(ctx, shard) }()
	}
	var errs []error
	for range l.Shards {
		err := <-ended
		if err != nil {
			cancel()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// follow tells what stands in KS_LEASE of the role until ctx ends.
func (l *Leases) follow(ctx context.Context, news chan<- leaseNews) {
	var backoff fault.Backoff
	for ctx.Err() == nil {
		err := l.watch(ctx, news, backoff.Reset)
		if ctx.Err() == nil {
			l.Log.Debug("leases are not being followed, retrying", "err", err)
			_ = fault.Wait(ctx, backoff.Next()) // the loop sees how ctx is
		}
	}
}

func (l *Leases) watch(ctx context.Context, news chan<- leaseNews, works func()) error {
	bucket, err := OpenBucket[event.Lease](ctx, l.Bus, subject.BucketLease)
	if err != nil {
		return err
	}
	tell := func(n leaseNews) error {
		select {
		case news <- n:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	first := map[string]Entry[event.Lease]{}
	whole := false
	return bucket.WatchSome(ctx, subject.Leases(l.Role), func(e Entry[event.Lease]) error {
		if whole {
			return tell(leaseNews{entry: e})
		}
		first[e.Key] = e
		return nil
	}, func() error {
		whole = true
		works()
		return tell(leaseNews{all: first})
	})
}

// restMax is for how long at most a shard is left alone whose work has ended by itself.
const restMax = time.Minute

// pause is for how long a shard is left alone whose work has ended by itself.
type pause struct {
	fault.Backoff
	until time.Time
}

// leasing is the time during which a replica takes part. It is one goroutine's.
type leasing struct {
	*Leases
	work   func(context.Context, int) error
	member *lease
	ended  chan int // shards whose work has returned
	pauses map[int]*pause
	seen   bool  // what stands in KS_LEASE was read
	failed error // why the entries were not renewed; nil if they were
	standing
}

func (r *leasing) run(ctx context.Context, news <-chan leaseNews) error {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	r.renew(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-news:
			r.take(n)
		case <-tick.C:
			r.renew(ctx)
		case shard := <-r.ended:
			if err := r.finish(ctx, shard); err != nil {
				return err
			}
		}
		r.balance(ctx)
		r.show()
	}
}

// take takes in what was found in KS_LEASE.
func (r *leasing) take(n leaseNews) {
	if n.all == nil {
		r.takeEntry(n.entry)
		return
	}
	r.seen = true
	r.standing = standing{members: map[string]bool{}, holders: make([]string, r.Shards)}
	for _, e := range n.all {
		r.takeEntry(e)
	}
}

func (r *leasing) takeEntry(e Entry[event.Lease]) {
	shard, owner, err := subject.ParseLease(r.Role, r.Shards, e.Key)
	switch {
	case err != nil:
		r.Log.Warn("a key of KS_LEASE is no lease", "key", e.Key, "err", err)
	case shard < 0 && e.Gone:
		delete(r.members, owner)
	case shard < 0:
		r.members[owner] = true
	case e.Gone:
		r.holders[shard] = ""
	default:
		r.holders[shard] = e.Record.Owner
		if mine := r.mine[shard]; mine != nil && e.Record.Owner != r.Owner && e.Revision > mine.revision {
			r.lose(shard, fmt.Errorf("lease %s, of %s: %w", e.Key, e.Record.Owner, errTaken))
		}
	}
}

// renew keeps all entries standing. The first that is not answered ends it: the others
// would have to be waited for as long.
func (r *leasing) renew(ctx context.Context) {
	err := r.member.put(ctx)
	for shard, mine := range r.mine {
		if err != nil {
			break
		}
		if mine.stops {
			continue
		}
		if err = mine.put(ctx); errors.Is(err, errTaken) {
			r.lose(shard, err)
			err = nil
		}
	}
	r.failed = err
}

// show says whether the replica takes part.
func (r *leasing) show() {
	switch {
	case r.failed != nil:
		r.works.set(fmt.Errorf("taking part in the work of %s: %w", r.Role, r.failed))
	case r.seen:
		r.works.set(nil)
	}
}

// balance takes what is free, and gives back what others are to have.
func (r *leasing) balance(ctx context.Context) {
	if !r.seen || ctx.Err() != nil {
		return
	}
	for _, shard := range r.surplus(r.working()) {
		r.Log.Info("giving a shard to another replica", "shard", shard, "replicas", len(r.members))
		r.stop(shard)
	}
	for _, shard := range r.free(r.Owner, slices.Collect(maps.Keys(r.mine))) {
		if p := r.pauses[shard]; p != nil && time.Now().Before(p.until) {
			continue
		}
		next := r.Bus.newLease(subject.LeaseKey(r.Role, shard), r.Owner)
		switch err := next.put(ctx); {
		case errors.Is(err, errTaken): // the news of it come
		case err != nil:
			r.Log.Debug("shard not taken", "shard", shard, "err", err)
			return
		default:
			r.start(ctx, shard, next)
		}
	}
}

// working are the shards that are worked on and were not told to stop.
func (r *leasing) working() (shards []int) {
	for shard, mine := range r.mine {
		if !mine.stops {
			shards = append(shards, shard)
		}
	}
	return shards
}

func (r *leasing) start(ctx context.Context, shard int, l *lease) {
	ctx, cancel := context.WithCancel(ctx)
	next := &leased{lease: l, cancel: cancel, since: time.Now()}
	r.holders[shard] = r.Owner
	r.mu.Lock()
	r.mine[shard] = next
	r.mu.Unlock()
	go func() {
		defer cancel()
		next.err = r.work(ctx, shard)
		r.ended <- shard // there is room for one of each
	}()
}

// stop has the work on a shard end; it is finished once it has.
func (r *leasing) stop(shard int) {
	r.mine[shard].stops = true
	r.mine[shard].cancel()
}

// lose has the work on a shard end that is somebody else's now.
func (r *leasing) lose(shard int, why error) {
	if !r.mine[shard].stops {
		r.Log.Warn("a shard was lost to another replica", "shard", shard, "err", why)
	}
	r.stop(shard)
}

// finish gives a shard back whose work has returned, and returns its error.
func (r *leasing) finish(ctx context.Context, shard int) error {
	was := r.mine[shard]
	r.mu.Lock()
	delete(r.mine, shard)
	r.mu.Unlock()
	r.holders[shard] = ""
	if !was.stops {
		r.rest(shard, time.Since(was.since))
	}
	if err := was.giveBack(ctx); err != nil {
		r.Log.Debug("a lease was not given back, it goes by itself", "shard", shard, "err", err)
	}
	return was.err
}

// rest leaves a shard alone for a while whose work has ended by itself, and longer each
// time.
func (r *leasing) rest(shard int, lasted time.Duration) {
	p := r.pauses[shard]
	if p == nil || lasted > restMax {
		p = &pause{Backoff: fault.Backoff{Min: time.Second, Max: restMax}}
		r.pauses[shard] = p
	}
	p.until = time.Now().Add(p.Next())
}

// leave ends all work, and gives everything back: the replica first, so that the others
// take what is given back after it.
func (r *leasing) leave(ctx context.Context) error {
	for shard := range r.mine {
		r.stop(shard)
	}
	if err := r.member.giveBack(ctx); err != nil {
		r.Log.Debug("the others were not told, they find out", "err", err)
	}
	var errs []error
	for len(r.mine) > 0 {
		errs = append(errs, r.finish(ctx, <-r.ended))
	}
	return errors.Join(errs...)
}
