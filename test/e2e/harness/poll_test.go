package harness

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPoll: a check that is never answered is made again, and what is said in the end is
// what the last one that ended by itself has said.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := Poll(t.Context(), time.Second, "an answer", func(ctx context.Context) error {
			if calls++; calls == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		if err != nil || calls != 2 {
			t.Errorf("%d calls, and %v", calls, err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err = Poll(ctx, time.Second, "an answer", func(context.Context) error { return errors.New("not yet") })
		if err == nil || !strings.Contains(err.Error(), "waited 5s for an answer: not yet") {
			t.Error(err)
		}
	})
}
