package service

import "sync"

// pending is the readiness of a role that is still being built.
type pending struct {
	mu    sync.Mutex
	why   error        // guarded by mu
	ready func() error // guarded by mu; nil until built
}

// Ready is the role's readiness, or why there is no role yet.
func (p *pending) Ready() error {
	p.mu.Lock()
	why, ready := p.why, p.ready
	p.mu.Unlock()
	if ready != nil {
		return ready()
	}
	return why
}

func (p *pending) wait(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.why = why
}

func (p *pending) become(ready func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = ready
}
