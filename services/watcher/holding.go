package watcher

import (
	"context"
	"sync"
	"time"

	"github.com/kubescribe/kubescribe/shared/subject"
)

// What the watchers of a cluster share: the lanes, by their parts, and the configuration, which
// is one's alone to register and to report on.
const (
	configurationShard = subject.Parts
	shards             = subject.Parts + 1
)

// holdingSettles is for how long what a watcher holds stays as it is before a session begins with
// it: it comes and goes several at a time.
const holdingSettles = 100 * time.Millisecond

// lanes are some of the parts.
type lanes [subject.Parts]bool

// holding is what a watcher holds of that, and what its session has of it. It is safe for
// concurrent use.
type holding struct {
	mu         sync.Mutex
	lanes      lanes // guarded by mu
	used       lanes // by the session; guarded by mu
	configures bool  // the configuration is held; guarded by mu
	registered bool  // and what it means is; guarded by mu
	changed    chan struct{}
}

// newHolding holds nothing; one that shares with nobody is about to have the configuration.
func newHolding(alone bool) *holding {
	return &holding{configures: alone, changed: make(chan struct{})}
}

func (h *holding) update(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

// any reports whether any lane is held.
func (h *holding) any() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lanes != lanes{}
}

// hold keeps a lane until ctx has ended, and no session has it any more.
func (h *holding) hold(ctx context.Context, part int) {
	h.update(func() { h.lanes[part] = true })
	<-ctx.Done()
	h.update(func() { h.lanes[part] = false })
	for {
		h.mu.Lock()
		used, changed := h.used[part], h.changed
		h.mu.Unlock()
		if !used {
			return
		}
		<-changed
	}
}

// configure says whether the configuration is held. Until what it means is registered no
// session begins; one that there is goes by what was registered before.
func (h *holding) configure(held bool) {
	h.update(func() { h.configures, h.registered = held, h.used != lanes{} })
}

// register says whether what the configuration means is registered: while it is not, a session
// that there is ends.
func (h *holding) register(is bool) { h.update(func() { h.registered = is }) }

// begins reports whether a session may have these lanes, with mu held.
func (h *holding) begins(has lanes) bool {
	return h.lanes == has && (!h.configures || h.registered)
}

// outdated returns once a session with these lanes has to end, or ctx has ended.
func (h *holding) outdated(ctx context.Context, has lanes) {
	for {
		h.mu.Lock()
		fits, changed := h.begins(has), h.changed
		h.mu.Unlock()
		if !fits {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// settled waits until there are lanes for a session to begin with, and returns them. They are in
// use until done is called.
func (h *holding) settled(ctx context.Context) (lanes, error) {
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		quiet, cancel := context.WithTimeout(ctx, holdingSettles)
		select {
		case <-changed:
			cancel()
			continue
		case <-quiet.Done():
			cancel()
		}
		if ctx.Err() != nil {
			return lanes{}, ctx.Err()
		}
		h.mu.Lock()
		if h.changed == changed && h.lanes != (lanes{}) && h.begins(h.lanes) {
			h.used = h.lanes
			defer h.mu.Unlock()
			return h.lanes, nil
		}
		h.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return lanes{}, ctx.Err()
		}
	}
}

// done says that no lane is in use.
func (h *holding) done() { h.update(func() { h.used = lanes{} }) }

// idle waits until no lane is in use.
func (h *holding) idle(ctx context.Context) error {
	for {
		h.mu.Lock()
		used, changed := h.used, h.changed
		h.mu.Unlock()
		if used == (lanes{}) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
