package bustest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// leaseShards is how many there are to share.
const leaseShards = 8

// floor is where replicas work: it sees who works on what, at the same time.
type floor struct {
	mu    sync.Mutex
	on    [leaseShards]map[string]bool
	twice bool // two worked on one shard at once
}

func (f *floor) enter(shard int, who string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on[shard] == nil {
		f.on[shard] = map[string]bool{}
	}
	f.twice = f.twice || len(f.on[shard]) > 0
	f.on[shard][who] = true
}

func (f *floor) exit(shard int, who string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.on[shard], who)
}

// by is how many shards each replica works on, and whether all are worked on.
func (f *floor) by() (by map[string]int, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	by, all = map[string]int{}, true
	for _, who := range f.on {
		all = all && len(who) > 0
		for name := range who {
			by[name]++
		}
	}
	return by, all
}

// doubled reports whether two have worked on one shard at once.
func (f *floor) doubled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.twice
}

// replica is one that takes part.
type replica struct {
	*bus.Leases
	bus  *bus.Bus
	stop func() error // ends it, gives all back, and returns what Run did
}

// joins has another replica take part; work is what it does, nil for waiting to be told to stop.
func joins(t *testing.T, s Server, f *floor, name string, work func(context.Context, int) error) *replica {
	t.Helper()
	b := s.Connect(t)
	if err := b.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &replica{Leases: &bus.Leases{Bus: b, Role: subject.LeaseRouter, Shards: leaseShards, Owner: name, Log: quiet()}, bus: b}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, func(ctx context.Context, shard int) error {
			f.enter(shard, name)
			defer f.exit(shard, name)
			if work == nil {
				<-ctx.Done()
				return nil
			}
			return work(ctx, shard)
		})
	}()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = r.stop() })
	return r
}

func shares(t *testing.T, f *floor, want map[string]int) {
	t.Helper()
	until(t, "each replica with its share", func() bool {
		by, all := f.by()
		if !all || len(by) != len(want) {
			return false
		}
		for name, n := range want {
			if by[name] != n {
				return false
			}
		}
		return true
	})
}

// leasesAreShared: a newcomer gets its part, and what one gives back others take; no two
// work on one shard meanwhile.
func leasesAreShared(t *testing.T, s Server) {
	provisioned(t, s)
	f := &floor{}
	a := joins(t, s, f, "a", nil)
	shares(t, f, map[string]int{"a": 8})
	if err := a.Ready(); err != nil {
		t.Errorf("it has all, and says %v", err)
	}
	b := joins(t, s, f, "b", nil)
	shares(t, f, map[string]int{"a": 4, "b": 4})
	c := joins(t, s, f, "c", nil)
	until(t, "three shares", func() bool {
		by, all := f.by()
		return all && by["a"] <= 3 && by["b"] <= 3 && by["c"] >= 2
	})
	if err := errors.Join(a.stop(), c.stop()); err != nil {
		t.Error(err)
	}
	shares(t, f, map[string]int{"b": 8})
	if got := b.Held(); !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("it says that it holds %v", got)
	}
	if f.doubled() {
		t.Error("two worked on one shard although each had been told to stop before")
	}
}

// leasesRaced: of replicas that come in the same moment, and find the same shards free, one works on
// each.
func leasesRaced(t *testing.T, s Server) {
	provisioned(t, s)
	var replicas []*bus.Bus
	for range 4 {
		b := s.Connect(t)
		if err := b.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		replicas = append(replicas, b)
	}
	for range 10 {
		f := &floor{}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for i, b := range replicas {
			l := &bus.Leases{Bus: b, Role: subject.LeaseRouter, Shards: leaseShards, Owner: strconv.Itoa(i), Log: quiet()}
			running.Go(func() {
				err := l.Run(ctx, func(ctx context.Context, shard int) error {
					f.enter(shard, l.Owner)
					defer f.exit(shard, l.Owner)
					<-ctx.Done()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		until(t, "all shards to be worked on", func() bool { _, all := f.by(); return all || f.doubled() })
		cancel()
		running.Wait()
		if f.doubled() {
			t.Fatal("two worked on one shard")
		}
	}
}

// leasesOfTheGone: what a replica held that is cut off goes to others once nobody renews it, also
// where it was renewed before.
func leasesOfTheGone(t *testing.T, s Server) {
	provisioned(t, s)
	f := &floor{}
	a, _ := joins(t, s, f, "a", nil), joins(t, s, f, "b", nil)
	shares(t, f, map[string]int{"a": 4, "b": 4})
	begun := revisions(t, s)
	until(t, "each lease to be renewed", func() bool {
		for key, e := range revisions(t, s) {
			if e.Revision == begun[key].Revision {
				return false
			}
		}
		return true
	})
	a.bus.Close()
	until(t, "the other one on all shards", func() bool {
		by, _ := f.by()
		return by["b"] == 8
	})
	if a.Ready() == nil {
		t.Error("it cannot reach the bus, and is ready")
	}
}

// leasesByName: who comes by the name of one that was killed takes at once what that held.
func leasesByName(t *testing.T, s Server) {
	provisioned(t, s)
	f, g := &floor{}, &floor{}
	a := joins(t, s, f, "a", nil)
	shares(t, f, map[string]int{"a": 8})
	a.bus.Close() // it gives nothing back
	begun := revisions(t, s)
	joins(t, s, g, "a", nil)
	shares(t, g, map[string]int{"a": 8})
	for key, e := range revisions(t, s) {
		if e.Revision == begun[key].Revision {
			t.Errorf("%s was not written anew", key)
		}
		if n := stored(t, s, "KV_"+subject.BucketLease, "$KV."+subject.BucketLease+"."+key); n != 1 {
			t.Errorf("%s has %d entries", key, n)
		}
	}
}

func revisions(t *testing.T, s Server) map[string]bus.Entry[event.Lease] {
	t.Helper()
	bucket, err := bus.OpenBucket[event.Lease](t.Context(), s.Connect(t), subject.BucketLease)
	if err != nil {
		t.Fatal(err)
	}
	all, err := bucket.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// leaseTaken: who finds that somebody else has taken a shard stops working on it, and does not take it
// back.
func leaseTaken(t *testing.T, s Server) {
	provisioned(t, s)
	f := &floor{}
	joins(t, s, f, "a", nil)
	shares(t, f, map[string]int{"a": 8})
	record := event.Encode(event.Lease{V: event.Version, Owner: "somebody", Since: time.Now()})
	nc := s.NATS(t)
	if _, err := nc.Request("$KV."+subject.BucketLease+"."+subject.LeaseKey(subject.LeaseRouter, 5), record, time.Minute); err != nil {
		t.Fatal(err)
	}
	shares7 := func() bool { by, _ := f.by(); return by["a"] == 7 }
	until(t, "the work on it to end", shares7)
	// What renews all others three times over leaves this one alone.
	before := revisions(t, s)[subject.LeaseKey(subject.LeaseRouter, 0)].Revision
	until(t, "the others to be renewed", func() bool {
		return revisions(t, s)[subject.LeaseKey(subject.LeaseRouter, 0)].Revision > before+18
	})
	if e := revisions(t, s)[subject.LeaseKey(subject.LeaseRouter, 5)]; e.Record.Owner != "somebody" || !shares7() {
		t.Errorf("it is %s's now", e.Record.Owner)
	}
	// It has no time to live, so it is given back by hand.
	m := nats.NewMsg("$KV." + subject.BucketLease + "." + subject.LeaseKey(subject.LeaseRouter, 5))
	m.Header.Set("KV-Operation", "DEL")
	if _, err := nc.RequestMsg(m, time.Minute); err != nil {
		t.Fatal(err)
	}
	shares(t, f, map[string]int{"a": 8})
}

// leasesLeftAlone: a shard whose work ends by itself is tried again, and an error of it ends all.
func leasesLeftAlone(t *testing.T, s Server) {
	provisioned(t, s)
	f := &floor{}
	var mu sync.Mutex
	tries := 0
	broken := errors.New("broken")
	r := joins(t, s, f, "a", func(ctx context.Context, shard int) error {
		if shard != 3 {
			<-ctx.Done()
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries < 3 {
			return nil
		}
		return broken
	})
	until(t, "all to end", func() bool { by, _ := f.by(); mu.Lock(); defer mu.Unlock(); return tries == 3 && len(by) == 0 })
	if err := r.stop(); !errors.Is(err, broken) {
		t.Errorf("it ends with %v", err)
	}
	if left := revisions(t, s); len(left) > 0 {
		t.Errorf("it has left %v", left)
	}
}

// leasesSurvive: a server that restarts takes nobody's work away.
func leasesSurvive(t *testing.T, s Server) {
	provisioned(t, s)
	f := &floor{}
	var mu sync.Mutex
	begun := 0
	work := func(ctx context.Context, _ int) error {
		mu.Lock()
		begun++
		mu.Unlock()
		<-ctx.Done()
		return nil
	}
	joins(t, s, f, "a", work)
	joins(t, s, f, "b", work)
	shares(t, f, map[string]int{"a": 4, "b": 4})
	mu.Lock()
	before := begun
	mu.Unlock()
	s.Restart(t)
	at := revisions(t, s)[subject.LeaseKey(subject.LeaseRouter, 0)].Revision
	until(t, "leases to be renewed", func() bool {
		return revisions(t, s)[subject.LeaseKey(subject.LeaseRouter, 0)].Revision > at
	})
	mu.Lock()
	defer mu.Unlock()
	if begun != before || f.twice {
		t.Errorf("work began %d times, %d before the restart; twice on one shard: %v", begun, before, f.twice)
	}
}
