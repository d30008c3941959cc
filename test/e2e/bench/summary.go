package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// What is to be reached.
const (
	ratioTarget = 1.3         // the cost of an object among 100,000, to that among 10,000
	roleTarget  = 200_000_000 // bytes of memory of each role, at 100,000 objects
	driftBytes  = 20_000_000  // over the bus, for a check of 100,000 objects that are equal
	driftTarget = 5.0         // seconds, for the same
	heldTarget  = 10_000_000  // bytes that 10,000 changes add to stream
	some, many  = 10_000, 100_000
)

// Verdict is a target and what was measured; what was not is no verdict.
type Verdict struct {
	Target string `json:"target"`
	Value  string `json:"value"`
	Met    bool   `json:"met"`
}

// verdicts judges what was measured.
func verdicts(measures []Measure, held *HeldBack) []Verdict {
	var all []Verdict
	add := func(met bool, value, target string, args ...any) {
		all = append(all, Verdict{fmt.Sprintf(target, args...), value, met})
	}
	for _, c := range []string{caseEqual, caseSome, caseAll} {
		few, ok := best(measures, some, c)
		lot, too := best(measures, many, c)
		if ok && too {
			ratio := lot.Landed / many / (few.Landed / some)
			add(ratio <= ratioTarget, fmt.Sprintf("%.2f (%.1f µs, %.1f µs)", ratio, few.Landed/some*1e6, lot.Landed/many*1e6),
				"cost per object from 10k to 100k, %s: at most %.1f times", c, ratioTarget)
		}
	}
	if role, peak, ok := hungriest(measures); ok {
		add(peak <= roleTarget, megabytes(peak)+" ("+role+")", "memory of each role at 100k: at most %s", megabytes(roleTarget))
	}
	if m, ok := best(measures, many, caseEqual); ok {
		add(m.Published < driftBytes, megabytes(m.Published), "drift check of 100k equal objects, over the bus: under %s", megabytes(driftBytes))
		add(m.Landed < driftTarget, fmt.Sprintf("%.2f s", m.Landed), "drift check of 100k equal objects: under %.0f s", driftTarget)
	}
	if held != nil {
		add(held.AddedBytes < heldTarget, megabytes(held.AddedBytes), "%d changes held back, in stream's memory: under %s", held.Changes, megabytes(heldTarget))
	}
	return all
}

// best is the quickest run of a case on a generated state.
func best(measures []Measure, size int, c string) (b Measure, ok bool) {
	for _, m := range measures {
		if m.State == stateMade && m.Objects == size && m.Case == c && (!ok || m.Landed < b.Landed) {
			b, ok = m, true
		}
	}
	return b, ok
}

// hungriest is the role that had the most memory with many objects.
func hungriest(measures []Measure) (role string, peak int64, ok bool) {
	for _, m := range measures {
		for name, p := range m.Peak {
			if m.Objects == many && p > peak {
				role, peak, ok = name, p, true
			}
		}
	}
	return role, peak, ok
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// String is the measure on one line.
func (m Measure) String() string {
	var peaks []string
	for _, name := range slices.Sorted(maps.Keys(m.Peak)) {
		peaks = append(peaks, fmt.Sprintf("%s %.0f MB %.1f s", name, float64(m.Peak[name])/1e6, m.CPU[name]))
	}
	return fmt.Sprintf("%6d %-9s %-14s closed %6.2f s, landed %6.2f s, published %9s, answers %9s | %s",
		m.Objects, m.State, m.Case, m.Closed, m.Landed, megabytes(m.Published), megabytes(m.Answers), strings.Join(peaks, ", "))
}

// say prints a line.
func say(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format+"\n", args...) // nobody may be there to read it
}

// figure is what was measured of something that has no target.
type figure struct{ what, value string }

// report prints the targets, what has none behind them, and the figures as JSON: into a
// file, if one is named.
func report(out io.Writer, all []Verdict, figures any, file string, besides ...figure) error {
	width := 0
	for _, v := range all {
		width = max(width, len([]rune(v.Target)))
	}
	for _, f := range besides {
		width = max(width, len([]rune(f.what)))
	}
	say(out, "")
	for _, v := range all {
		word := "met"
		if !v.Met {
			word = "missed"
		}
		say(out, "%-*s  %-32s %s", width, v.Target, v.Value, word)
	}
	for _, f := range besides {
		say(out, "%-*s  %-32s no target", width, f.what, f.value)
	}
	b, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	if file == "" {
		say(out, "\n%s", b)
		return nil
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil { //nolint:gosec // anybody may read it
		return fmt.Errorf("writing the figures: %w", err)
	}
	return nil
}
