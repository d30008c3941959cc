package bus

import "sync"

// condition is why something does not work, nil while it does.
type condition struct {
	mu  sync.Mutex
	err error
}

func (c *condition) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *condition) get() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
