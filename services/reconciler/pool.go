package reconciler

import (
	"context"
	"sync"

	"github.com/kubescribe/kubescribe/shared/event"
)

// comparers is how many comparisons run at once.
const comparers = 2

// epoch is an attempt at a run.
type epoch struct {
	run     string
	attempt uint64
}

// compared is what became of a comparison.
type compared struct {
	key   event.DestinationKey
	epoch epoch
	found found
	err   error
}

// pool runs comparisons, a few at once. It is its manager's alone.
type pool struct {
	work    func(context.Context, comparison) (found, error)
	done    chan compared
	waiting []job
	running int
	wg      sync.WaitGroup
}

type job struct {
	ctx context.Context
	c   comparison
}

// add puts a comparison in the queue. It is given up once ctx ends; what became of
// it comes through done in any case, unless all, the context of the whole pool,
// has ended.
func (p *pool) add(all, ctx context.Context, c comparison) {
	p.waiting = append(p.waiting, job{ctx, c})
	p.start(all)
}

// finished makes room for the next one.
func (p *pool) finished(all context.Context) {
	p.running--
	p.start(all)
}

func (p *pool) start(all context.Context) {
	for p.running < comparers && len(p.waiting) > 0 {
		j := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.running++
		p.wg.Go(func() {
			res := compared{key: j.c.key, epoch: epochOf(j.c.record)}
			res.found, res.err = p.work(j.ctx, j.c)
			_ = send(all, p.done, res) // nobody waits for it once all has ended
		})
	}
}

func epochOf(rec event.PhaseRecord) epoch { return epoch{rec.Run, rec.Attempt} }
