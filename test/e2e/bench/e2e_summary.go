package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// What is to be reached of the whole way.
const (
	p50Target      = 0.1  // seconds, at judgedRate
	p99Target      = 0.5  // seconds, at judgedRate
	judgedRate     = 50   // changes a second
	fullTarget     = 300  // changes a second that the API server takes beside kubescribe
	behindTarget   = 2.0  // seconds, once it takes no more
	costTarget     = 3.0  // the CPU of many destinations, to that of one
	failoverTarget = 15.0 // seconds, at the 99th percentile
	fairTarget     = 2.0  // the p99 beside one that bursts, to the idle one
	gapTarget      = 5.0  // seconds without a commit
)

// verdicts judges what was measured.
func (f *E2EFigures) verdicts() []Verdict {
	var all []Verdict
	add := func(met bool, value, target string, args ...any) {
		all = append(all, Verdict{fmt.Sprintf(target, args...), value, met})
	}
	changes, kept := 0, 0
	for _, p := range f.best() {
		changes, kept = changes+p.Changes, kept+p.Latency.Changes
		switch l := p.Latency; p.Rate {
		case judgedRate:
			add(l.P50 < p50Target, milliseconds(l.P50), "%s: p50 under %s", p.title(), milliseconds(p50Target))
			add(l.P99 < p99Target, milliseconds(l.P99), "%s: p99 under %s", p.title(), milliseconds(p99Target))
		case full:
			add(p.Answered >= fullTarget, fmt.Sprintf("%.0f (commits: %.0f)", p.Answered, p.Sustained), "%s: the API server takes %d a second", p.title(), fullTarget)
			add(p.Behind <= behindTarget, fmt.Sprintf("%.2f s", p.Behind), "%s: at the end behind by at most %.0f s", p.title(), behindTarget)
		}
	}
	if changes > 0 {
		add(kept == changes, fmt.Sprintf("%d of %d", kept, changes), "versions kept: every one")
	}
	for _, many := range f.best() {
		if one, ok := f.bestOf(many.Form, 1, many.Rate); ok && many.Destinations > 1 && many.Rate != full {
			ratio := many.cost() / one.cost()
			add(ratio < costTarget, fmt.Sprintf("%.2f (%.2f s, %.2f s)", ratio, many.cost(), one.cost()),
				"%s: the CPU of one, under %.0f times", many.title(), costTarget)
		}
	}
	for _, q := range f.Fair {
		ratio := q.Burst.P99 / q.Idle.P99
		add(ratio < fairTarget, fmt.Sprintf("%.2f (%s, %s)", ratio, milliseconds(q.Burst.P99), milliseconds(q.Idle.P99)),
			"beside a burst of %.0f/s of a %s cluster, on %s: p99 under %.0f times the idle one", q.Rate, q.State, q.Where, fairTarget)
	}
	for _, o := range f.Failover {
		add(o.p99() < failoverTarget, fmt.Sprintf("%.1f s", o.p99()), "failover of the %s, %d times: p99 under %.0f s", o.Role, len(o.Seconds), failoverTarget)
	}
	for _, r := range f.Rolling {
		add(r.Gap <= gapTarget, fmt.Sprintf("%.2f s", r.Gap), "each %s restarted: no commit for at most %.0f s", r.Role, gapTarget)
	}
	return all
}

// best is the quickest run of each rate, in the order in which they were measured first.
func (f *E2EFigures) best() []Paced {
	var all []Paced
	for _, p := range f.Paced {
		if b, _ := f.bestOf(p.Form, p.Destinations, p.Rate); !slices.ContainsFunc(all, b.same) {
			all = append(all, b)
		}
	}
	return all
}

// bestOf is the quickest run of one rate: of those that kept most, if any did not keep all.
func (f *E2EFigures) bestOf(form string, destinations, rate int) (b Paced, ok bool) {
	of := Paced{Form: form, Destinations: destinations, Rate: rate}
	for _, p := range f.Paced {
		lost, least := p.Changes-p.Latency.Changes, b.Changes-b.Latency.Changes
		if p.same(of) && (!ok || lost < least || lost == least && p.quicker(b)) {
			b, ok = p, true
		}
	}
	return b, ok
}

// quicker reports whether a run was, of two that measured the same: with more changes, or,
// where their rate was given, with less waiting.
func (p Paced) quicker(q Paced) bool {
	if p.Rate == full {
		return p.Answered > q.Answered
	}
	return p.Latency.P99 < q.Latency.P99
}

// same reports whether two runs measured the same.
func (p Paced) same(q Paced) bool {
	return p.Form == q.Form && p.Destinations == q.Destinations && p.Rate == q.Rate
}

// p99 is that of all kills.
func (o Failover) p99() float64 {
	var all []time.Duration
	for _, s := range o.Seconds {
		all = append(all, time.Duration(s*float64(time.Second)))
	}
	slices.Sort(all)
	return harness.Quantile(all, 0.99).Seconds()
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.0f ms", seconds*1e3) }

// String is the latencies in one piece.
func (c Committed) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, at most %s", milliseconds(c.P50), milliseconds(c.P99), milliseconds(c.Max))
}

// title is what was measured.
func (p Paced) title() string {
	rate := fmt.Sprintf("%d/s", p.Rate)
	if p.Rate == full {
		rate = "full speed"
	}
	destinations := "destinations"
	if p.Destinations == 1 {
		destinations = "destination"
	}
	return fmt.Sprintf("%s, %d %s, %s", p.Form, p.Destinations, destinations, rate)
}

// String is the figures, on three lines.
func (p Paced) String() string {
	needs := needsString(p.CPU, func(name string) string { return fmt.Sprintf(" %.0f MB", float64(p.Peak[name])/1e6) })
	return fmt.Sprintf("%s: %s; answered %.0f/s, committed %.0f/s, kept %d of %d, behind %.2f s; bus %d messages, %s\n  %s\n  %s",
		p.title(), p.Latency, p.Answered, p.Sustained, p.Latency.Changes, p.Changes, p.Behind, p.Messages, megabytes(int64(p.Bytes)), stagesString(p.Stages), needs) //nolint:gosec // far below
}

// needsString is how long each process has computed, with more of each, on one line.
func needsString(cpu map[string]float64, more func(name string) string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(cpu)) {
		all = append(all, fmt.Sprintf("%s %.2f s%s", name, cpu[name], more(name)))
	}
	return strings.Join(all, ", ")
}

// String is the figures, on three lines.
func (f Fair) String() string {
	return fmt.Sprintf("%s cluster, on %s: idle %s; beside %.0f changes/s %s\n  %s\n  %s",
		f.State, f.Where, f.Idle, f.Rate, f.Burst, stagesString(f.Stages), needsString(f.CPU, func(string) string { return "" }))
}

// String is the figures on one line.
func (o Failover) String() string {
	return fmt.Sprintf("failover of the %s: %.1f s", o.Role, o.Seconds)
}

// String is the figures on one line.
func (r Restart) String() string {
	return fmt.Sprintf("each %s restarted: no commit for %.2f s at most", r.Role, r.Gap)
}
