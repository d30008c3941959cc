package service

import (
	"context"
	"log/slog"
	"time"
)

// StopLimit bounds all that a process does once it was told to stop, so that
// SIGTERM ends it within the 10 s that are promised.
const StopLimit = 9 * time.Second

// Bounded returns what do returns, but nil if that is not there within
// [StopLimit] of ctx's end. The caller must exit then: do still runs. It loses
// nothing by it, as it would not by a crash.
func Bounded(ctx context.Context, log *slog.Logger, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	t := time.NewTimer(StopLimit)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		log.Warn("not everything has stopped in time; what is not done is kept, and the next start goes on", "bound", StopLimit)
		return nil
	}
}
