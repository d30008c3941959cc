package bench

import "testing"

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
