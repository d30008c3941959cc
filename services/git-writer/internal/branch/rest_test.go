package branch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestRest: who waits because the remote could not be used waits no longer than until what
// opens it is another, unless the remote asked to be left alone.
func TestRest(t *testing.T) {
	for name, tt := range map[string]struct {
		woken, ended bool
		asked, want  time.Duration
	}{
		"nothing happens":          {false, false, 0, time.Minute},
		"woken":                    {true, false, 0, leastRest},
		"woken, and asked to wait": {true, false, 50 * time.Second, 50 * time.Second},
		"ended":                    {false, true, time.Minute, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := New(Config{})
			begun := time.Now()
			time.AfterFunc(time.Second, func() {
				if tt.woken {
					w.Wake()
					w.Wake() // nobody waits for the second
				}
				if tt.ended {
					cancel()
				}
			})
			w.rest(ctx, time.Minute, tt.asked)
			if took := time.Since(begun); took != tt.want {
				t.Errorf("%s: it waits %s, want %s", name, took, tt.want)
			}
		})
	}
}
