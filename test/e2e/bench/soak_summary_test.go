package bench

import (
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/subject"
)

// soaked is samples of an hour, one each 10 s, of which every role holds the same.
func soaked(hold func(share float64) Holding, consumers func(share float64) int) []Sample {
	var all []Sample
	for n := 1; n <= 360; n++ {
		share := float64(n) / 360
		s := Sample{At: share * 3600, Consumers: consumers(share), Roles: map[string]Holding{natsServer: {Memory: 2e8 * share, Files: 30}}, Streams: map[string]Stored{}}
		for _, role := range roles {
			s.Roles[role] = hold(share)
		}
		for _, name := range []string{subject.Events, subject.Live, subject.Write} {
			s.Streams[name] = Stored{Messages: 100, Share: 0.9 * share}
		}
		all = append(all, s)
	}
	return all
}

// met says which targets of a role, or of all, are met.
func met(t *testing.T, samples []Sample, target string) bool {
	t.Helper()
	all, _ := soakVerdicts(samples, time.Hour)
	for _, v := range all {
		if v.Target == target {
			return v.Met
		}
	}
	t.Fatalf("no target %q among %v", target, all)
	return false
}

func TestSoakVerdicts(t *testing.T) {
	still := func(float64) int { return 70 }
	holds := func(memory, files, goroutines float64) func(float64) Holding {
		return func(share float64) Holding {
			return Holding{1e8 + memory*share, 50 + files*share, 200 + goroutines*share}
		}
	}
	for name, c := range map[string]struct {
		samples []Sample
		target  string
		want    bool
	}{
		"nothing grows":            {soaked(holds(0, 0, 0), still), "router: memory flat", true},
		"memory within its bounds": {soaked(holds(2.5e7, 0, 0), still), "router: memory flat", true}, // 12.5 MB from quarter to quarter
		"memory grows":             {soaked(holds(4e7, 0, 0), still), "router: memory flat", false},
		"memory of a start":        {soaked(func(share float64) Holding { return Holding{Memory: 1e8 * min(1, 5*share)} }, still), "router: memory flat", true},
		"files leak":               {soaked(holds(0, 20, 0), still), "stream: open files flat", false},
		"a few files":              {soaked(holds(0, 10, 0), still), "stream: open files flat", true},
		"goroutines leak":          {soaked(holds(0, 0, 30), still), "watcher: goroutines flat", false},
		"goroutines end":           {soaked(holds(0, 0, -30), still), "watcher: goroutines flat", false},
		"consumers leak":           {soaked(holds(0, 0, 0), func(share float64) int { return 70 + int(20*share) }), "consumers flat", false},
		"consumers stay":           {soaked(holds(0, 0, 0), still), "consumers flat", true},
		"streams are trimmed":      {soaked(holds(0, 0, 0), still), "KS_LIVE: at most 90 % of its limit", true},
		"nothing was seen":         {nil, "router: memory flat", false},
	} {
		if got := met(t, c.samples, c.target); got != c.want {
			t.Errorf("%s: %s is met: %t", name, c.target, got)
		}
	}
	over := soaked(holds(0, 0, 0), still)
	over[7].Streams[subject.Write] = Stored{Share: 0.91}
	if met(t, over, "KS_WRITE: at most 90 % of its limit") {
		t.Error("a stream that was too full once is none")
	}
	all, besides := soakVerdicts(soaked(holds(2.5e7, 0, 0), still), time.Hour)
	if all[0].Target != "git-writer: memory flat" || all[0].Value != "101.3 → 123.8 MB (+25.0 MB/h)" || len(all) != 3*len(roles)+4 || len(besides) != 5 {
		t.Errorf("it says %+v, and %d beside %d", all[0], len(besides), len(all))
	}
}
