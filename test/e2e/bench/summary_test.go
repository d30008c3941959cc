package bench

import (
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

func TestVerdicts(t *testing.T) {
	measures := []Measure{
		{State: stateMade, Objects: some, Case: caseEqual, Landed: 1},
		{State: stateReal, Objects: some, Case: caseEqual, Landed: 0.1},
		{State: stateMade, Objects: many, Case: caseEqual, Landed: 20, Published: driftBytes, Peak: map[string]int64{"stream": 1, "watcher": roleTarget}},
		{State: stateMade, Objects: many, Case: caseEqual, Landed: 4, Published: driftBytes - 1, Peak: map[string]int64{"watcher": roleTarget - 1}},
		{State: stateMade, Objects: some, Case: caseAll, Landed: 1},
		{State: stateMade, Objects: many, Case: caseAll, Landed: 14, Peak: map[string]int64{"git-writer": roleTarget + 1}},
	}
	want := []Verdict{
		{"cost per object from 10k to 100k, 0 % differ: at most 1.3 times", "0.40 (100.0 µs, 40.0 µs)", true},
		{"cost per object from 10k to 100k, 100 % differ: at most 1.3 times", "1.40 (100.0 µs, 140.0 µs)", false},
		{"memory of each role at 100k: at most 200.0 MB", "200.0 MB (git-writer)", false},
		{"drift check of 100k equal objects, over the bus: under 20.0 MB", "20.0 MB", true},
		{"drift check of 100k equal objects: under 5 s", "4.00 s", true},
		{"10000 changes held back, in stream's memory: under 10.0 MB", "10.0 MB", false},
	}
	got := verdicts(measures, &HeldBack{Changes: 10_000, AddedBytes: heldTarget})
	if len(got) != len(want) {
		t.Fatalf("%d verdicts, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	if none := verdicts(measures[:2], nil); len(none) != 0 {
		t.Errorf("without what is judged: %v", none)
	}
}

func TestCaptureVerdicts(t *testing.T) {
	start := func(landed float64, peak int64, watches map[string]int) Captured {
		return Captured{
			Measure: Measure{Landed: landed, Closed: landed - 1, Peak: map[string]int64{"watcher": peak, "stream": 2 * watcherTarget}},
			Watches: watches, Committed: Committed{Changes: 100, P50: landed / 1000, P99: landed / 100},
		}
	}
	once := map[string]int{"configmaps": 1, "gadget0s.group0.example.com": 1, "customresourcedefinitions.apiextensions.k8s.io": 2}
	c := &capture{CaptureOptions: CaptureOptions{Types: 2, Each: 10}, types: []kind{kinds[0], custom(0)}}
	check := func(want ...Verdict) {
		t.Helper()
		for i, got := range c.verdicts() {
			if got != want[i] {
				t.Errorf("%+v, want %+v", got, want[i])
			}
		}
	}
	const began = "20 objects of 2 types, from the start to LIVE_PROCESSING and Git equal: under 30 s"
	c.starts = []Captured{start(40, 1, once), start(20, watcherTarget-1, once)}
	check(
		Verdict{began, "20.00 s (LIVE_PROCESSING 19.00 s)", true},
		Verdict{"memory of the watcher: under 200.0 MB", "200.0 MB", true},
		Verdict{"watches of a type, with 2 destinations: one", "1", true},
	)
	want := figure{"100 changes, from the API server's answer to the commit on the remote", "p50 20 ms, p99 200 ms"}
	if got := c.figures(); len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	c.starts = []Captured{start(31, 1, once), start(30, watcherTarget, map[string]int{"configmaps": 2})}
	check(
		Verdict{began, "30.00 s (LIVE_PROCESSING 29.00 s)", false},
		Verdict{"memory of the watcher: under 200.0 MB", "200.0 MB", false},
		Verdict{"watches of a type, with 2 destinations: one", "0 to 2", false},
	)
}

// TestCommitted: a commit is there with the first tip that has it, and the same object's
// commit for another destination does not count.
func TestCommitted(t *testing.T) {
	begun := time.Now()
	after := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	commit := func(hash, placement, version string) harness.Commit {
		return harness.Commit{Hash: hash, Ours: true, Placement: placement, Resource: "v1 configmaps a/b", Version: version}
	}
	write := func(version string, ms int) harness.Written {
		return harness.Written{Resource: "v1 configmaps a/b", Version: version, At: after(ms)}
	}
	history := []harness.Commit{
		commit("1", "bench/default/part", "1"), commit("2", "bench/default/live", "1"), commit("3", "bench/default/live", "2"),
		commit("4", "bench/default/live", "3"), commit("5", "bench/default/part", "3"),
	}
	tips := []harness.Tip{{Commit: "0", Seen: after(0)}, {Commit: "1", Seen: after(10)}, {Commit: "3", Seen: after(50)}, {Commit: "5", Seen: after(70)}}
	written := []harness.Written{write("1", 5), write("2", 20), write("3", 60)}
	took, missing := latencies(written, landings(history, tips, ofFirst))
	if got, want := committed(took), (Committed{Changes: 3, P50: 0.03, P99: 0.045, Max: 0.045}); got != want || len(missing) > 0 {
		t.Errorf("%+v without %v, want %+v", got, missing, want)
	}
	if took, missing := latencies(written, landings(history, tips[:3], ofFirst)); len(took) != 2 || len(missing) != 1 {
		t.Errorf("a tip that was not seen is one: %v without %v", took, missing)
	}
}

// TestTypes: the types of the benchmark of issue 5 are as many as it says, and in every lane.
func TestTypes(t *testing.T) {
	types, definitions := typesOf(50)
	names, parts := map[string]bool{}, map[int]bool{}
	for _, k := range types {
		names[typeName(k.group, k.resource)] = true
		parts[subject.Part(destination.Cluster, k.group, k.resource)] = true
	}
	if len(names) != 50 || len(definitions) != 50-len(builtin) || len(parts) != subject.Parts {
		t.Errorf("%d types, %d definitions, %d lanes", len(names), len(definitions), len(parts))
	}
	if few, none := typesOf(3); len(few) != 3 || len(none) != 0 {
		t.Errorf("of three types: %d, and %d definitions", len(few), len(none))
	}
}
