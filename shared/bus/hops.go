package bus

import (
	"context"
	"errors"
	"sync"
)

// Hops is one hop for each shard that a replica works on.
type Hops struct {
	Leases
	Begin func(shard int) *Hop // makes one; its Lag is the Hops' to set
	Lag   func(pending uint64) // told how many inputs wait, of all its shards

	hmu     sync.Mutex
	running map[int]*Hop   // guarded by hmu
	waiting map[int]uint64 // guarded by hmu
}

// Run works until ctx ends, as [Leases.Run] does. An error is one that no retry can mend.
func (h *Hops) Run(ctx context.Context) error {
	h.hmu.Lock()
	h.running, h.waiting = map[int]*Hop{}, map[int]uint64{}
	h.hmu.Unlock()
	return h.Leases.Run(ctx, h.work)
}

func (h *Hops) work(ctx context.Context, shard int) error {
	hop := h.Begin(shard)
	hop.Lag = func(n uint64) { h.count(shard, n) }
	h.hmu.Lock()
	h.running[shard] = hop
	h.hmu.Unlock()
	defer func() {
		h.hmu.Lock()
		delete(h.running, shard)
		h.hmu.Unlock()
		h.count(shard, 0) // what waits is the next one's to tell
	}()
	return hop.Run(ctx)
}

func (h *Hops) count(shard int, n uint64) {
	h.hmu.Lock()
	defer h.hmu.Unlock()
	h.waiting[shard] = n
	var all uint64
	for _, n := range h.waiting {
		all += n
	}
	h.Lag(all)
}

// Ready is nil while the replica takes part, and each of its hops consumes.
func (h *Hops) Ready() error {
	h.hmu.Lock()
	defer h.hmu.Unlock()
	errs := []error{h.Leases.Ready()}
	for _, hop := range h.running {
		errs = append(errs, hop.Ready())
	}
	return errors.Join(errs...)
}
