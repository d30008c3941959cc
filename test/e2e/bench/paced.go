package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// Paced is how changes that came at one rate came to the remote.
type Paced struct {
	Form         string             `json:"form"`
	Destinations int                `json:"destinations"` // of one branch, with as many namespaces each
	Rate         int                `json:"rate"`         // changes a second; 0: as many as the API server takes
	Answered     float64            `json:"answeredPerSecond"`
	Sustained    float64            `json:"sustainedPerSecond"` // commits, from the first change to the last commit
	Changes      int                `json:"changes"`
	Latency      Committed          `json:"latency"`           // of those that were kept
	Missing      []string           `json:"missing,omitempty"` // the others
	Behind       float64            `json:"behindSeconds"`     // from the last answer to the last commit
	CPU          map[string]float64 `json:"cpuSeconds"`        // of each process, from the first change to the last commit
	Peak         map[string]int64   `json:"peakBytes"`
	Messages     uint64             `json:"messages"` // that the bus stored
	Bytes        uint64             `json:"bytes"`
	Stages       []Stage            `json:"stages"` // of the way
}

// apiServerProcess is what the control plane is called among processes: it is no part of what is
// measured.
const apiServerProcess = "controlplane"

// full is as fast as the API server answers.
const full = 0

// rates are those that are measured, in their order.
var rates = []int{10, 50, 200, full}

// atRates has the changes of one install come at each of the rates.
func atRates(form string, destinations int) scenario {
	var s scenario
	for _, rate := range rates {
		s.names = append(s.names, pacedName(form, destinations, rate))
	}
	s.run = func(ctx context.Context, b *e2e, chosen []string) error {
		return b.paced(ctx, form, destinations, func(rate int) bool { return slices.Contains(chosen, pacedName(form, destinations, rate)) })
	}
	return s
}

func pacedName(form string, destinations, rate int) string {
	if rate == full {
		return fmt.Sprintf("%s/%d/full", form, destinations)
	}
	return fmt.Sprintf("%s/%d/%d", form, destinations, rate)
}

// paced measures at the rates that were chosen.
func (b *e2e) paced(ctx context.Context, form string, destinations int, chosen func(rate int) bool) (err error) {
	each := changing / destinations
	var mirrors []mirror
	for n := range destinations {
		mirrors = append(mirrors, mirrorOf(fmt.Sprintf("live-%02d", n), "", n*each, (n+1)*each))
	}
	i, err := b.deploy(ctx, fmt.Sprintf("%s-%d", form, destinations), b.control.Kubeconfig(), form, 1, mirrors...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	for _, rate := range slices.DeleteFunc(slices.Clone(rates), func(rate int) bool { return !chosen(rate) }) {
		for range b.Runs {
			p, err := b.pace(ctx, i, Paced{Form: form, Destinations: destinations, Rate: rate})
			if err != nil {
				return fmt.Errorf("%s: %w", pacedName(form, destinations, rate), i.cause(err))
			}
			b.Paced = append(b.Paced, p)
			say(b.out, "%s", p)
		}
	}
	return errors.Join(right(i.remote.Repository), i.quiet())
}

// pace has changes come at one rate, and waits until all have come to the remote, or for
// long enough.
func (b *e2e) pace(ctx context.Context, i *install, p Paced) (Paced, error) {
	ctx, cancel := i.within(ctx, caseLimit)
	defer cancel()
	l, err := newLoad(b.cfg, changingObjects(0, changing), p.Rate, &b.revision)
	if err != nil {
		return p, err
	}
	if err := i.packed(); err != nil {
		return p, err
	}
	f, err := follow(ctx, i.remote.Repository)
	if err != nil {
		return p, err
	}
	defer f.end()
	before, err := streamsOf(ctx, i.watching)
	if err != nil {
		return p, err
	}
	processes := i.processes()
	processes[apiServerProcess] = b.control.PID()
	u, err := beginUsage(processes)
	if err != nil {
		return p, err
	}
	while, stop := context.WithTimeout(ctx, time.Duration(b.Seconds)*time.Second)
	defer stop()
	if err := l.during(ctx, while); err != nil {
		return p, err
	}
	landed, err := f.arrivals(ctx, l.answered())
	if err != nil {
		return p, err
	}
	if p.CPU, p.Peak, err = u.used(processes); err != nil {
		return p, err
	}
	after, err := streamsOf(ctx, i.watching)
	if err != nil {
		return p, err
	}
	p.Messages, p.Bytes = after.since(before)
	p.took(l.answered(), landed, u.begun)
	p.Stages, err = i.stages(ctx, before, l.answered(), landed)
	return p, err
}

// took puts into it what became of what was written.
func (p *Paced) took(written []harness.Written, landed map[string]time.Time, begun time.Time) {
	took, missing := latencies(written, landed)
	p.Changes, p.Latency, p.Missing = len(written), committed(took), missing
	var answer, commit time.Time
	for _, w := range written {
		answer = latest(answer, w.At)
		commit = latest(commit, landed[versionOf(w.Resource, w.Version)])
	}
	p.Behind = max(0, commit.Sub(answer).Seconds())
	p.Answered = float64(len(written)) / answer.Sub(begun).Seconds()
	p.Sustained = float64(len(took)) / commit.Sub(begun).Seconds()
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// cost is how long all of kubescribe has computed for it, its bus included.
func (p Paced) cost() (total float64) {
	for name, seconds := range p.CPU {
		if name != apiServerProcess {
			total += seconds
		}
	}
	return total
}
