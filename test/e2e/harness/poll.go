package harness

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// checkLimit is how long one check may take: the answer that it waits for may be lost.
const checkLimit = 10 * time.Second

// Poll calls check every interval until it returns nil. A check that takes longer than
// 10 s has its context ended, and is made again. When ctx ends first, the error says what
// was awaited, and what check said last.
func Poll(ctx context.Context, interval time.Duration, what string, check func(context.Context) error) error {
	begun := time.Now()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := errors.New("it was never looked at")
	for {
		err := limited(ctx, check)
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

func limited(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	return check(ctx)
}
