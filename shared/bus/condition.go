package bus

import (
	"sync"
	"time"
)

// condition is why something does not work, nil while it does.
type condition struct {
	mu    sync.Mutex
	err   error
	until time.Time // zero: until it is set anew
}

func (c *condition) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.until = err, time.Time{}
}

// setFor is set of what is known for a while alone.
func (c *condition) setFor(d time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.until = err, time.Now().Add(d)
}

func (c *condition) get() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.until.IsZero() && time.Now().After(c.until) {
		return nil
	}
	return c.err
}
