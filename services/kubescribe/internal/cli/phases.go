package cli

import (
	"context"
	"log/slog"
	"sync"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// phases follows, for display, in which phase the destinations of a cluster are.
type phases struct {
	cluster  string
	registry *bus.Registry

	mu   sync.Mutex
	told map[string]event.Phase // by key of KS_PHASE, of destinations that are gone too; guarded by mu
}

func newPhases(cluster string) *phases {
	return &phases{cluster: cluster, registry: bus.NewRegistry(), told: map[string]event.Phase{}}
}

// run follows both buckets until ctx ends. While that fails, the display stands still.
func (p *phases) run(ctx context.Context, b *bus.Bus, log *slog.Logger) {
	var both sync.WaitGroup
	both.Go(func() { _ = p.registry.Run(ctx, b, log) })
	both.Go(func() {
		kv, err := bus.OpenBucket[event.PhaseRecord](ctx, b, subject.BucketPhase)
		if err != nil {
			return
		}
		var backoff fault.Backoff
		for ctx.Err() == nil {
			_ = kv.Watch(ctx, p.tell, func() error {
				backoff.Reset()
				return nil
			})
			_ = fault.Wait(ctx, backoff.Next())
		}
	})
	both.Wait()
}

func (p *phases) tell(e bus.Entry[event.PhaseRecord]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[e.Key] = e.Record.Phase
	return nil
}

// worst is the phase to show for all destinations together.
func (p *phases) worst() event.Phase {
	registered, _ := p.registry.All()
	p.mu.Lock()
	defer p.mu.Unlock()
	return worst(p.cluster, registered, p.told)
}

// worst is the phase furthest from normal of a cluster's destinations. What
// earlier commands had registered may have left a phase behind, and counts no more.
func worst(cluster string, registered map[event.DestinationKey]bus.Registered, told map[string]event.Phase) event.Phase {
	severity := map[event.Phase]int{event.LiveProcessing: 1, event.StartupReconcile: 2, event.Parked: 3}
	var worst event.Phase
	for k := range registered {
		if k.Cluster != cluster {
			continue
		}
		phase := told[subject.DestinationToken(k)]
		if phase == "" {
			phase = event.StartupReconcile // nothing is told of a new one yet
		}
		if severity[phase] > severity[worst] {
			worst = phase
		}
	}
	if worst == "" {
		return event.StartupReconcile
	}
	return worst
}
