package model

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Longer proofs: MODEL_STATES has the larger scenes played too, each up to so many
// states; MODEL_WALKS is how many ways are gone at random.
const (
	envStates = "MODEL_STATES"
	envWalks  = "MODEL_WALKS"
)

// whole is more states than any scene has that is to be played whole.
const whole = 1 << 20

// number is what a variable of the environment says.
func number(t *testing.T, name string) (n int, set bool) {
	t.Helper()
	word, set := os.LookupEnv(name)
	if !set {
		return 0, false
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n, true
}

func say(t *testing.T, begun time.Time, f found) {
	t.Helper()
	t.Logf("%v, in %v", f, time.Since(begun).Round(time.Millisecond))
}

// one is a lane with one object, whose file is another's.
func one(change func(*scene)) scene {
	s := scene{
		types: []string{"configmaps"}, rules: [][]string{{"configmaps"}}, listed: true,
		objects: []object{{cluster: 'a', file: 'b'}},
	}
	change(&s)
	return s
}

// two is two lanes with an object each: one is not in the repository, one is there as
// it should be; and a file whose object never was.
func two(change func(*scene)) scene {
	s := scene{
		types: []string{"configmaps", "services"}, rules: [][]string{{"configmaps", "services"}}, listed: true,
		objects: []object{{typ: 0, cluster: 'a'}, {typ: 1, cluster: 'a', file: 'a'}},
	}
	change(&s)
	return s
}

// settled is a lane with one object, after a run and a live change.
func settled(change func(*scene)) scene {
	return one(func(s *scene) {
		s.before = []step{{clusterWrite, 0, 'b'}}
		change(s)
	})
}

// cut is two lanes that want two contents and one, where a run has room for one; and a
// file whose object never was.
func cut(change func(*scene)) scene {
	return two(func(s *scene) {
		s.objects, s.room = []object{{typ: 0, cluster: 'a'}, {typ: 0, cluster: 'a', file: 'b'}, {typ: 1, cluster: 'a'}, {typ: 1, file: 'b', orphan: true}}, 1
		change(s)
	})
}

var small = []struct {
	name string
	scene
}{
	{"a first list, three versions", one(func(s *scene) { s.listed, s.left.writes = false, 3 })},
	{"two lanes, two versions", two(func(s *scene) { s.left.writes = 2 })},
	{"two lanes, an orphan, the watcher dies", two(func(s *scene) {
		s.objects = append(s.objects, object{typ: 1, file: 'b', orphan: true})
		s.left.watcher = 1
	})},
	{"two lanes, one object, the watcher dies", two(func(s *scene) { s.objects = s.objects[:1]; s.left = budget{writes: 1, watcher: 1} })},
	{"two lanes, the stream dies", two(func(s *scene) { s.left = budget{writes: 1, stream: 1} })},
	{"two lanes, the reconciler dies", two(func(s *scene) { s.left = budget{writes: 1, reconciler: 1} })},
	{"two lanes, the git-writer dies", two(func(s *scene) { s.left = budget{writes: 1, writer: 1} })},
	{"two lanes, an answer is lost", two(func(s *scene) { s.left = budget{writes: 1, lost: 1} })},
	{"one lane, the watcher dies", one(func(s *scene) { s.left = budget{writes: 2, watcher: 1} })},
	{"one lane, each role dies", one(func(s *scene) { s.left = budget{watcher: 1, stream: 1, reconciler: 1, writer: 1} })},
	{"another attempt, and the watcher was paused", one(func(s *scene) { s.left = budget{watcher: 1, paused: 1, impatient: 1} })},
	{"two owners of a lane", one(func(s *scene) { s.left = budget{writes: 1, watcher: 1, paused: 1} })},
	{"another attempt, and the git-writer was paused", one(func(s *scene) { s.left = budget{writes: 1, writer: 1, paused: 1, impatient: 1} })},
	{"two owners of the stream", one(func(s *scene) { s.owners, s.left = 2, budget{writes: 1, stream: 1} })},
	{"two reconcilers", one(func(s *scene) { s.plans, s.left = 2, budget{writes: 1} })},
	{"two reconcilers, a run is asked for", settled(func(s *scene) { s.plans, s.left = 2, budget{requests: 1, drifts: 1} })},
	{"two reconcilers, and one is impatient", one(func(s *scene) { s.plans, s.left = 2, budget{impatient: 1} })},
	{"two git-writers", one(func(s *scene) { s.pushes, s.left = 2, budget{writes: 1} })},
	{"two git-writers, and changes join", settled(func(s *scene) {
		s.objects = append(s.objects, object{cluster: 'a', file: 'a'})
		s.pushes, s.window, s.left = 2, time.Hour, budget{writes: 2, writer: 1}
	})},
	{"two git-writers, and one dies", settled(func(s *scene) { s.pushes, s.left = 2, budget{writes: 2, writer: 1} })},
	{"two git-writers, drift checks and others' commits", settled(func(s *scene) { s.pushes, s.left = 2, budget{drifts: 1, foreign: 1} })},
	{"two git-writers, a version and others' commits", settled(func(s *scene) { s.pushes, s.left = 2, budget{writes: 1, foreign: 1} })},
	{"a drift check", settled(func(s *scene) { s.left = budget{writes: 2, drifts: 1, stream: 1} })},
	{"a drift check and others' commits", settled(func(s *scene) { s.left = budget{foreign: 1, watcher: 1, stream: 1} })},
	{"a comparison while a run is asked for", settled(func(s *scene) { s.left = budget{compares: 1, requests: 1, foreign: 1} })},
	{"a comparison while a change passes", settled(func(s *scene) { s.left = budget{writes: 2, compares: 1, stream: 1} })},
	{"a type is late", one(func(s *scene) { s.left = budget{watcher: 1, late: 1, lost: 1} })},
	{"a comparison while a type is late", one(func(s *scene) { s.left = budget{watcher: 1, late: 1, compares: 1} })},
	{"a gap in the watch", one(func(s *scene) { s.left = budget{writes: 2, forget: 1} })},
	{"a run is cut in a lane", cut(func(s *scene) { s.objects = s.objects[:2]; s.left = budget{writes: 1, reconciler: 1} })},
	{"a run is cut in a lane, and the watcher dies", cut(func(s *scene) { s.objects = s.objects[:2]; s.left.watcher = 1 })},
	{"a run is cut between two lanes, and removes an orphan", cut(func(s *scene) { s.left.reconciler = 1 })},
	{"a run is cut between two lanes, and the stream dies", cut(func(s *scene) { s.objects = s.objects[1:3]; s.left.stream = 1 })},
	{"a drift check is cut", settled(func(s *scene) {
		s.objects, s.room = append(s.objects, object{cluster: 'a', file: 'a'}), 1
		s.left.foreign = 2
	})},
	{"wider rules, and a router that lags", settled(func(s *scene) {
		s.types, s.routers = append(s.types, "services"), true
		s.rules, s.left = append(s.rules, s.types), budget{writes: 1, changes: 1}
	})},
	{"a change of rules in the middle of a run", one(func(s *scene) { s.rules, s.left = append(s.rules, s.rules...), budget{writes: 1, changes: 1} })},
	{"narrower rules, and a router that lags", two(func(s *scene) {
		s.rules, s.routers = append(s.rules, []string{"configmaps"}), true
		s.before = []step{{clusterWrite, 0, 'b'}}
		s.left = budget{writes: 1, changes: 1}
	})},
	{"rules that take a type in again, and others' commits", takenIn},
}

// takenIn is a lane with one object that the rules have left out, so that a run has
// removed its file; and may take in again.
var takenIn = one(func(s *scene) {
	s.types = append(s.types, "services")
	s.rules = append(s.rules, []string{"services"}, s.rules[0])
	s.before = []step{{what: rulesChange}}
	s.left = budget{writes: 1, changes: 1, foreign: 1}
})

var large = []struct {
	name string
	scene
}{
	{"two lanes, three versions", two(func(s *scene) { s.left.writes = 3 })},
	{"two lanes, the watcher dies", two(func(s *scene) { s.left = budget{writes: 1, watcher: 1} })},
	{"two lanes, two versions, the stream dies", two(func(s *scene) { s.left = budget{writes: 2, stream: 1} })},
	{"two lanes, two versions, the reconciler dies", two(func(s *scene) { s.left = budget{writes: 2, reconciler: 1} })},
	{"two lanes, two versions, the git-writer dies", two(func(s *scene) { s.left = budget{writes: 2, writer: 1} })},
	{"two lanes, two versions, an answer is lost", two(func(s *scene) { s.left = budget{writes: 2, lost: 1} })},
	{"one lane, each role dies, two versions", one(func(s *scene) {
		s.left = budget{writes: 2, watcher: 1, stream: 1, reconciler: 1, writer: 1}
	})},
	{"another attempt, and who was paused", one(func(s *scene) {
		s.left = budget{writes: 1, watcher: 1, writer: 1, paused: 1, impatient: 1}
	})},
	{"two owners of a lane, and a gap", one(func(s *scene) { s.left = budget{writes: 2, watcher: 1, paused: 1, forget: 1} })},
	{"two owners of the stream, two lanes", two(func(s *scene) { s.owners, s.left = 2, budget{writes: 1, stream: 1} })},
	{"two owners of the stream, a comparison and a run", settled(func(s *scene) {
		s.owners, s.left = 2, budget{writes: 1, stream: 1, compares: 1, requests: 1}
	})},
	{"two reconcilers, a run is asked for, the watcher dies", one(func(s *scene) { s.plans, s.left = 2, budget{writes: 1, requests: 1, watcher: 1} })},
	{"two reconcilers, two lanes, one dies", two(func(s *scene) { s.plans, s.left = 2, budget{writes: 1, reconciler: 1} })},
	{"two types are late", two(func(s *scene) { s.left = budget{writes: 1, watcher: 1, late: 2} })},
	{"comparisons, requests, others' commits and versions", settled(func(s *scene) {
		s.left = budget{writes: 1, compares: 2, requests: 1, foreign: 1}
	})},
	{"requests and gaps", settled(func(s *scene) { s.left = budget{requests: 2, writes: 1, watcher: 1, forget: 1} })},
	{"a drift check, others' commits and versions", settled(func(s *scene) {
		s.left = budget{foreign: 1, writes: 1, watcher: 1, stream: 1}
	})},
}

// TestEveryOrder plays small scenes in every order there is, and larger ones in as many
// as MODEL_STATES says.
func TestEveryOrder(t *testing.T) {
	scenes := small
	limit, more := number(t, envStates)
	if more {
		scenes = append(scenes[:len(scenes):len(scenes)], large...)
	}
	var states, cut atomic.Int64
	t.Cleanup(func() {
		fmt.Printf("model: %d states of %d scenes explored; %d scenes have more\n", states.Load(), len(scenes), cut.Load())
	})
	for i, tt := range scenes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begun, most := time.Now(), limit
			if i < len(small) {
				most = whole
			}
			f := explore(tt.scene, most)
			states.Add(int64(f.states))
			say(t, begun, f)
			if f.broken != nil || f.ends == 0 && !f.cut {
				t.Error("the protocol is broken")
			}
			if !f.cut {
				return
			}
			cut.Add(1)
			if i < len(small) {
				t.Error("it has become too large to be played whole")
			}
		})
	}
}

// TestBroken leaves out one part of the protocol after the other: each is missed, by the
// invariant that it is for.
func TestBroken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		broken breakage
		breaks string
		scene
	}{
		{"the lane is frozen behind its MARK", noMark, "I6", one(func(s *scene) { s.left.writes = 2 })},
		{"the repository is looked at before what was forwarded has landed", noBarrier, "I5", two(func(s *scene) {
			s.objects[1] = object{typ: 1}
			s.rules = append(s.rules, []string{"configmaps"})
			s.before = []step{{clusterWrite, 0, 'b'}}
			s.left = budget{writes: 1, changes: 1}
		})},
		{"what passed is not remembered", noPassed, "I6", two(func(s *scene) {
			s.objects[1] = object{typ: 1}
			s.left.writes = 1
		})},
		{"results come behind what should be held back", resultsLast, "I3", one(func(s *scene) { s.left.writes = 1 })},
		{"what a run leaves is left for good", noMore, "I5", cut(func(s *scene) { s.left.writes = 1 })},
		{"what should be held back is passed over", noHold, "I5", one(func(s *scene) { s.left.writes = 1 })},
		{"a list is an index before the watch has passed it", earlyIndex, "I5", settled(func(s *scene) { s.left = budget{writes: 1, watcher: 1} })},
		{"types are listed anew when the rules change", listAnew, "I1", settled(func(s *scene) { s.rules, s.left = append(s.rules, s.rules...), budget{writes: 2, changes: 1} })},
		{"nobody asks for what was missing", notOwed, "I5", one(func(s *scene) { s.left = budget{watcher: 1, late: 1} })},
		{"nobody asks for what was skipped before a gap", notSkipped, "I5", one(func(s *scene) { s.left = budget{writes: 2, forget: 1} })},
		{"what was forwarded before a run is remembered behind it", longMemory, "I5", takenIn},
		{"what stood when the git-writer last looked stands now", noLook, "I5", takenIn},
		{"the git-writer goes by its hint alone", noPosition, "I3", settled(func(s *scene) { s.left = budget{writes: 2, writer: 1} })},
		{"a late push replaces the successor's", noCAS, "I7", settled(func(s *scene) { s.pushes, s.left = 2, budget{writes: 2} })},
		{"a push replaces other people's commits", noCAS, "I8", settled(func(s *scene) { s.left = budget{writes: 1, foreign: 1} })},
		{"what another git-writer has pushed is built on", noRival, "I3", settled(func(s *scene) { s.pushes, s.left = 2, budget{writes: 2} })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			if f := explore(tt.scene, whole); f.broken != nil || f.cut {
				t.Fatalf("it is broken as it is, or too large to tell: %v", f)
			}
			tt.scene.broken = tt.broken
			f := explore(tt.scene, whole)
			say(t, begun, f)
			if f.broken == nil || !strings.HasPrefix(f.broken.Error(), tt.breaks) {
				t.Errorf("it does not break %s", tt.breaks)
			}
		})
	}
}

// crowd is three types in two lanes, five objects, eight versions, and several runs.
func crowd(change func(*scene)) scene {
	s := scene{
		types: []string{"configmaps", "services", "resourcequotas"}, rules: [][]string{{"configmaps", "services", "resourcequotas"}}, routers: true,
		objects: []object{{typ: 0, cluster: 'a'}, {typ: 1, cluster: 'a', file: 'a'}, {typ: 2}, {typ: 0, cluster: 'a', file: 'b'}, {typ: 1, file: 'b', orphan: true}},
		left:    budget{writes: 8, watcher: 2, stream: 2, reconciler: 2, writer: 2, lost: 2, paused: 2, foreign: 1, late: 1, drifts: 2, requests: 1, compares: 1, impatient: 1},
	}
	change(&s)
	return s
}

// TestAtRandom plays large scenes in many orders.
func TestAtRandom(t *testing.T) {
	walks, set := number(t, envWalks)
	if !set {
		walks = 500
	}
	var steps atomic.Int64
	t.Cleanup(func() { fmt.Printf("model: %d steps gone at random\n", steps.Load()) })
	for _, tt := range []struct {
		name string
		scene
	}{
		{"everything dies", crowd(func(*scene) {})},
		{"nobody else commits", crowd(func(s *scene) { s.left.foreign = 0 })},
		{"two owners of the stream", crowd(func(s *scene) { s.owners = 2 })},
		{"two reconcilers", crowd(func(s *scene) { s.plans = 2 })},
		{"two git-writers", crowd(func(s *scene) { s.pushes = 2 })},
		{"the rules change", crowd(func(s *scene) {
			s.rules = append(s.rules, []string{"configmaps", "resourcequotas"}, []string{"services"}, []string{"configmaps", "services"})
			s.left.changes = 3
		})},
		{"runs are cut", crowd(func(s *scene) { s.room = 1 })},
		{"gaps in the watch", crowd(func(s *scene) { s.left.foreign, s.left.forget = 0, 2 })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			all := found{}
			for seed := range uint64(walks) {
				f := walk(tt.scene, seed)
				all.states, all.ends = all.states+f.states, all.ends+f.ends
				if f.broken != nil {
					t.Fatalf("seed %d: %v", seed, f)
				}
			}
			steps.Add(int64(all.states))
			say(t, begun, all)
		})
	}
}
