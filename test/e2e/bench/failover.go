package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// Failover is how long it took until another replica did the work of one that was killed.
type Failover struct {
	Role    string    `json:"role"`
	Seconds []float64 `json:"seconds"` // of each kill: what the change took, or the run, that took longest
}

// failoverLimit bounds one: what takes longer is taken for that long.
const failoverLimit = time.Minute

const failoverName = "failover/"

func failover() scenario {
	var s scenario
	for _, role := range roles {
		s.names = append(s.names, failoverName+role)
	}
	s.run = func(ctx context.Context, b *e2e, chosen []string) error { return b.failovers(ctx, chosen) }
	return s
}

// failovers kills replicas of roles while changes come. Each time, another one takes their place
// once the work goes on.
func (b *e2e) failovers(ctx context.Context, chosen []string) error {
	return b.steadily(ctx, "failover", func(ctx context.Context, s *steady) error {
		for _, name := range chosen {
			role := strings.TrimPrefix(name, failoverName)
			over := Failover{Role: role}
			for range b.Kills {
				took, err := s.failover(ctx, role)
				if err != nil {
					return fmt.Errorf("%s: %w", role, err)
				}
				over.Seconds = append(over.Seconds, took.Seconds())
			}
			b.Failover = append(b.Failover, over)
			say(b.out, "%s", over)
		}
		return nil
	})
}

// failover kills the replica of a role that does its work, and says how long that took
// longest which it stopped.
func (s *steady) failover(ctx context.Context, role string) (time.Duration, error) {
	if err := s.flows(ctx); err != nil {
		return 0, err
	}
	busy, err := s.busiest(ctx, role)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	s.dismiss(busy).Kill()
	err = s.resumes(ctx, role)
	took := time.Since(begun)
	if err != nil && took < failoverLimit {
		return 0, err
	}
	if err := s.startRoles(ctx, s.kubeconfig, busy); err != nil {
		return 0, err
	}
	return took, nil
}

// resumes waits until the work of a role goes on, for so long.
func (s *steady) resumes(ctx context.Context, role string) error {
	ctx, cancel := context.WithTimeout(ctx, failoverLimit)
	defer cancel()
	if role == "reconciler" { // which has nothing to do with changes
		before, err := s.ask(ctx, event.ReasonRequested)
		if err == nil {
			_, err = s.closed(ctx, before)
		}
		return err
	}
	return s.flows(ctx)
}

// busiestOver is for how long replicas are looked at.
const busiestOver = 2 * time.Second

// busiest is the replica of a role that computes most: with leases, the one that has that of
// what the changes go through.
func (s *steady) busiest(ctx context.Context, role string) (string, error) {
	before := map[string]float64{}
	cpu := func() (map[string]float64, error) {
		now := map[string]float64{}
		for name, pid := range s.processes() {
			if program(name) != role {
				continue
			}
			used, err := cpuSeconds(pid)
			if err != nil {
				return nil, err
			}
			now[name] = used - before[name]
		}
		return now, nil
	}
	before, err := cpu()
	if err != nil {
		return "", err
	}
	if err := fault.Wait(ctx, busiestOver); err != nil {
		return "", err
	}
	used, err := cpu()
	if err != nil {
		return "", err
	}
	return mostOf(used), nil
}

// mostOf is the name with the greatest number, of the same ones the first.
func mostOf(numbers map[string]float64) (most string) {
	for name, n := range numbers {
		if most == "" || n > numbers[most] || n == numbers[most] && name < most {
			most = name
		}
	}
	return most
}
