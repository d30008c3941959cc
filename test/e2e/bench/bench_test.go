package bench_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/bench"
)

// long leaves out what takes long where that is asked for: make test has no time for it.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes long: make long plays it, for make verify too")
	}
}

// TestRun: the benchmark runs, proves what it measures, and says it in both forms.
// Its targets are about other numbers of objects than these.
func TestRun(t *testing.T) {
	long(t)
	file := filepath.Join(t.TempDir(), "figures.json")
	var out strings.Builder
	err := bench.Run(t.Context(), bench.Options{Runs: 1, Generated: []int{200}, Held: 100, JSON: file, Logs: t.TempDir()}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	var figures struct {
		Targets  []bench.Verdict
		Measures []bench.Measure
		HeldBack *bench.HeldBack
	}
	read(t, file, &figures)
	if len(figures.Measures) != 4 || len(figures.Targets) != 1 || figures.HeldBack == nil {
		t.Fatalf("%d measures, %d targets, held back: %v", len(figures.Measures), len(figures.Targets), figures.HeldBack)
	}
	if all := figures.Measures[3].Outcome; all.Created != 50 || all.Updated != 150 || all.Deleted != 20 {
		t.Errorf("with all of 200 files damaged, the run found %+v", all)
	}
	for _, m := range figures.Measures {
		if m.Landed <= 0 || m.Published <= 0 || m.Answers <= 0 || len(m.Peak) != 5 {
			t.Errorf("%s: not all was measured: %s", m.Case, m)
		}
	}
}

// TestRate: the same of the git-writer alone, with changes at a rate.
func TestRate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures.json")
	var out strings.Builder
	err := bench.Rate(t.Context(), bench.RateOptions{Rate: 50, Seconds: 2, Files: 200, JSON: file, Logs: t.TempDir()}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	var figures struct {
		Targets []bench.Verdict
		bench.Rated
	}
	read(t, file, &figures)
	r := figures.Rated
	if len(figures.Targets) != 3 || r.Changes != 100 || r.Pushes == 0 || r.Backlog == 0 || r.Waited <= 0 || r.Behind <= 0 || r.Peak == 0 {
		t.Errorf("not all was measured: %+v", figures)
	}
}

// TestCapture: the same of a start beside a real control plane.
func TestCapture(t *testing.T) {
	long(t)
	file := filepath.Join(t.TempDir(), "figures.json")
	var out strings.Builder
	err := bench.Capture(t.Context(), bench.CaptureOptions{Runs: 2, Types: 12, Each: 25, Changes: 5, JSON: file, Logs: t.TempDir()}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	var figures struct {
		Targets []bench.Verdict
		Starts  []bench.Captured
	}
	read(t, file, &figures)
	if len(figures.Targets) != 3 || len(figures.Starts) != 2 {
		t.Fatalf("%d targets, %d starts", len(figures.Targets), len(figures.Starts))
	}
	if once := figures.Targets[2]; !once.Met {
		t.Errorf("%+v", once)
	}
	for _, s := range figures.Starts {
		// Beside ours there are those of the control plane.
		if s.Files["live"] < 300 || s.Files["part"] != 240 || len(s.Peak) != 5 || s.Landed < s.Closed || s.Closed <= 0 || len(s.Watches) < 12 || s.Committed.Changes != 5 {
			t.Errorf("not all was measured: %+v", s)
		}
	}
}

// TestE2E: the same of the whole way, beside a real control plane.
func TestE2E(t *testing.T) {
	long(t)
	file := filepath.Join(t.TempDir(), "figures.json")
	var out strings.Builder
	only := regexp.MustCompile(`^all-in-one/1/200$|^separate/50/(200|full)$|^fairness/generated$`)
	err := bench.E2E(t.Context(), bench.E2EOptions{Only: only, Runs: 1, Seconds: 2, Kills: 1, JSON: file, Logs: t.TempDir()}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	var figures struct {
		Targets []bench.Verdict
		bench.E2EFigures
	}
	read(t, file, &figures)
	if len(figures.Paced) != 3 || len(figures.Fair) != 6 {
		t.Fatalf("%d rates, %d beside a burst", len(figures.Paced), len(figures.Fair))
	}
	// The control plane is one of the processes; KS_EVENTS, KS_LIVE and KS_WRITE each take a change.
	for n, processes := range []int{2, 7, 7} {
		p := figures.Paced[n]
		if p.Changes == 0 || p.Latency.Changes != p.Changes || p.Latency.P50 <= 0 || p.Answered < p.Sustained || p.Sustained <= 0 || len(p.CPU) != processes || len(p.Peak) != processes || p.Messages < 3*uint64(p.Changes) || p.Bytes < 3*500*uint64(p.Changes) {
			t.Errorf("not all was measured: %s", p)
		}
	}
	for _, q := range figures.Fair {
		if q.Idle.Changes < 20 || q.Burst.Changes < 20 || q.Rate == 0 {
			t.Errorf("not all was measured: %s", q)
		}
	}
}

// read reads the figures that a benchmark has written.
func read(t *testing.T, file string, figures any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, figures); err != nil {
		t.Fatal(err)
	}
}
