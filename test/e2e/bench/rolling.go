package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// Restart is what came of restarting each replica of a role, one after the other.
type Restart struct {
	Role string  `json:"role"`
	Gap  float64 `json:"gapSeconds"` // the longest time without a commit
}

const rollingName = "rolling"

var rolling = scenario{names: []string{rollingName}, run: func(ctx context.Context, b *e2e, _ []string) error { return b.roll(ctx) }}

// roll restarts each replica of each role in order while changes come: the next one once
// it is ready and changes flow.
func (b *e2e) roll(ctx context.Context) error {
	return b.steadily(ctx, rollingName, func(ctx context.Context, s *steady) error {
		if err := s.flows(ctx); err != nil {
			return err
		}
		begun := map[string]time.Time{}
		ended := map[string]time.Time{}
		for _, role := range roles {
			begun[role] = time.Now()
			for _, name := range replicasOf(role, 2) {
				if err := s.again(ctx, name); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			ended[role] = time.Now()
		}
		for _, role := range roles {
			r := Restart{role, harness.LongestGap(s.follower.seen(), begun[role], ended[role]).Seconds()}
			b.Rolling = append(b.Rolling, r)
			say(b.out, "%s", r)
		}
		return nil
	})
}

// again ends one replica in order, starts it again, and waits until it is ready and changes
// flow.
func (s *steady) again(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if _, err := s.dismiss(name).Terminate(ctx); err != nil {
		return err
	}
	if err := s.startRoles(ctx, s.kubeconfig, name); err != nil {
		return err
	}
	return s.flows(ctx)
}
