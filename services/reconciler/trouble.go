package reconciler

import (
	"errors"
	"maps"
	"slices"
	"sync"
)

// troubles is what does not work, by where. It is safe for concurrent use.
type troubles struct {
	mu  sync.Mutex
	all map[string]error
}

// set says what is wrong with something; nil: nothing is.
func (t *troubles) set(where string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		delete(t.all, where)
		return
	}
	if t.all == nil {
		t.all = map[string]error{}
	}
	t.all[where] = err
}

func (t *troubles) get() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []error
	for _, where := range slices.Sorted(maps.Keys(t.all)) {
		all = append(all, t.all[where])
	}
	return errors.Join(all...)
}
