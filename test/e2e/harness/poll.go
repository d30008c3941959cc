package harness

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Poll calls check every interval until it returns nil. When ctx ends first, the
// error says what was awaited, and what check said last.
func Poll(ctx context.Context, interval time.Duration, what string, check func(context.Context) error) error {
	begun := time.Now()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := errors.New("it was never looked at")
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err // a check that ctx cut short has nothing to say
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %w", time.Since(begun).Round(time.Millisecond), what, last)
		case <-tick.C:
		}
	}
}
