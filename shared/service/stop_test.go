package service

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestBounded: the bound counts from when the process was told to stop, and
// what is done before it is reported as it is.
func TestBounded(t *testing.T) {
	boom := errors.New("boom")
	const told = time.Hour
	for name, tt := range map[string]struct {
		takes time.Duration // from the start
		want  error
		ends  time.Duration
	}{
		"by itself":        {time.Minute, boom, time.Minute},
		"in time":          {told + StopLimit - 1, boom, told + StopLimit - 1},
		"late":             {told + StopLimit + 1, nil, told + StopLimit},
		"as good as never": {told + 100*StopLimit, nil, told + StopLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), told)
				defer cancel()
				begun := time.Now()
				err := Bounded(ctx, quiet(), func() error { <-time.After(tt.takes); return boom })
				if took := time.Since(begun); err != tt.want || took != tt.ends {
					t.Errorf("after %s it returned %v, want %v after %s", took, err, tt.want, tt.ends)
				}
				<-time.After(tt.takes) // what was left behind ends too
			})
		})
	}
}
