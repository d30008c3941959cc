package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

func TestE2EVerdicts(t *testing.T) {
	run := func(destinations, rate, changes, kept int, p50, p99, cpu float64) Paced {
		return Paced{
			Form: allInOne, Destinations: destinations, Rate: rate, Changes: changes, Answered: 300, Sustained: 290, Behind: 2,
			Latency: Committed{Changes: kept, P50: p50, P99: p99, Max: p99}, CPU: map[string]float64{"kubescribe": cpu, apiServerProcess: 100},
		}
	}
	figures := E2EFigures{
		Paced: []Paced{
			run(1, 50, 100, 99, 0.01, 0.02, 9), run(1, 50, 100, 100, 0.09, 0.6, 2), run(1, 50, 100, 100, 0.05, 0.499, 1),
			run(1, full, 900, 900, 1, 2, 50),
			run(changing, 50, 100, 100, 0.1, 0.5, 2.5), run(changing, full, 900, 890, 1, 2, 500),
		},
		Fair:     []Fair{{State: stateReal, Where: "the same branch", Idle: Committed{P99: 0.05}, Burst: Committed{P99: 0.09}, beside: beside{Rate: 400}}, {State: stateMade, Where: "another branch", Idle: Committed{P99: 0.05}, Burst: Committed{P99: 0.1}}},
		Failover: []Failover{{"router", []float64{14.9, 3}}, {"watcher", []float64{2, 15}}},
		Rolling:  []Restart{{"stream", 5}, {"git-writer", 5.01}},
	}
	last := run(changing, full, 0, 0, 0, 0, 0)
	last.Answered, last.Behind, last.Latency.P99 = 299, 2.01, 2
	last.Changes, last.Latency.Changes = 900, 895
	fewer := run(1, full, 900, 900, 0.1, 0.2, 1) // waited less, and took fewer changes
	fewer.Answered = 250
	figures.Paced = append(figures.Paced, last, fewer)
	want := []Verdict{
		{"all-in-one, 1 destination, 50/s: p50 under 100 ms", "50 ms", true},
		{"all-in-one, 1 destination, 50/s: p99 under 500 ms", "499 ms", true},
		{"all-in-one, 1 destination, full speed: the API server takes 300 a second", "300 (commits: 290)", true},
		{"all-in-one, 1 destination, full speed: at the end behind by at most 2 s", "2.00 s", true},
		{"all-in-one, 50 destinations, 50/s: p50 under 100 ms", "100 ms", false},
		{"all-in-one, 50 destinations, 50/s: p99 under 500 ms", "500 ms", false},
		{"all-in-one, 50 destinations, full speed: the API server takes 300 a second", "299 (commits: 290)", false},
		{"all-in-one, 50 destinations, full speed: at the end behind by at most 2 s", "2.01 s", false},
		{"versions kept: every one", "1995 of 2000", false},
		{"all-in-one, 50 destinations, 50/s: the CPU of one, under 3 times", "2.50 (2.50 s, 1.00 s)", true},
		{"beside a burst of 400/s of a real cluster, on the same branch: p99 under 2 times the idle one", "1.80 (90 ms, 50 ms)", true},
		{"beside a burst of 0/s of a generated cluster, on another branch: p99 under 2 times the idle one", "2.00 (100 ms, 50 ms)", false},
		{"failover of the router, 2 times: p99 under 15 s", "14.9 s", true},
		{"failover of the watcher, 2 times: p99 under 15 s", "15.0 s", false},
		{"each stream restarted: no commit for at most 5 s", "5.00 s", true},
		{"each git-writer restarted: no commit for at most 5 s", "5.01 s", false},
	}
	if got := figures.verdicts(); !slices.Equal(got, want) {
		for n := range max(len(got), len(want)) {
			if n >= len(got) || n >= len(want) || got[n] != want[n] {
				t.Errorf("verdict %d of %v, want %v", n, got[min(n, len(got)):], want[min(n, len(want)):])
				break
			}
		}
	}
	if none := (&E2EFigures{}).verdicts(); len(none) != 0 {
		t.Errorf("without what is judged: %v", none)
	}
	figures = E2EFigures{Paced: []Paced{run(1, 50, 100, 100, 0, 0, 1), run(changing, 50, 100, 100, 0, 0, 3)}}
	if cost := figures.verdicts()[5]; cost.Met {
		t.Errorf("%+v", cost)
	}
}

// TestPacedTook: what was kept is told from what was not, and rates from what took longer.
func TestPacedTook(t *testing.T) {
	begun := time.Now()
	after := func(seconds float64) time.Time { return begun.Add(time.Duration(seconds * float64(time.Second))) }
	written := []harness.Written{{Resource: "a", Version: "1", At: after(1)}, {Resource: "b", Version: "2", At: after(2)}, {Resource: "a", Version: "3", At: after(1.5)}}
	var p Paced
	p.took(written, map[string]time.Time{versionOf("a", "1"): after(1.25), versionOf("b", "2"): after(4)}, begun)
	if p.Changes != 3 || !slices.Equal(p.Missing, []string{"a at 3"}) || p.Latency != (Committed{Changes: 2, P50: 0.25, P99: 2, Max: 2}) || p.Answered != 1.5 || p.Sustained != 0.5 || p.Behind != 2 {
		t.Errorf("%+v", p)
	}
}

// TestStreamsSince: what was removed counts, as large as what is there.
func TestStreamsSince(t *testing.T) {
	before := streams{"KS_WRITE": {LastSeq: 10, Msgs: 10, Bytes: 1000}, "KS_CTL": {LastSeq: 5}}
	after := streams{"KS_WRITE": {LastSeq: 30, Msgs: 5, Bytes: 600}, "KS_CTL": {LastSeq: 6}, "KV_KS_STATUS": jetstream.StreamState{LastSeq: 2, Msgs: 1, Bytes: 7}}
	if messages, bytes := after.since(before); messages != 23 || bytes != 20*120+2*7 {
		t.Errorf("%d messages, %d bytes", messages, bytes)
	}
}

func TestMostOf(t *testing.T) {
	if got := mostOf(map[string]float64{"router": 0.01, "router 2": 0.2, "router 3": 0.2}); got != "router 2" {
		t.Error(got)
	}
}

// TestChanging: destinations share all objects that change, and none has another's.
func TestChanging(t *testing.T) {
	all := changingObjects(0, changing)
	if len(all) != changing*changingEach || len(all) < loadClients {
		t.Errorf("%d objects", len(all))
	}
	for n := range changing {
		m := mirrorOf("live", "", n, n+1)
		for _, o := range changingObjects(n, n+1) {
			if !slices.Equal(m.namespaces, []string{o.namespace()}) {
				t.Errorf("destination %d has %v, and %s is in %s", n, m.namespaces, o.objectName(), o.namespace())
			}
		}
	}
}
