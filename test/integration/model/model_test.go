package model

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// Longer proofs: MODEL_STATES is how many states each exhaustive play may have, and
// has the larger ones played too; MODEL_WALKS is how many ways are gone at random.
const (
	envStates = "MODEL_STATES"
	envWalks  = "MODEL_WALKS"
)

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
	{"two lanes, the stream dies", two(func(s *scene) { s.left = budget{writes: 1, stream: 1} })},
	{"two lanes, the reconciler dies", two(func(s *scene) { s.left = budget{writes: 1, reconciler: 1} })},
	{"two lanes, the git-writer dies", two(func(s *scene) { s.left = budget{writes: 1, writer: 1} })},
	{"two lanes, an answer is lost", two(func(s *scene) { s.left = budget{writes: 1, lost: 1} })},
	{"one lane, the watcher dies", one(func(s *scene) { s.left = budget{writes: 2, watcher: 1} })},
	{"one lane, each role dies", one(func(s *scene) { s.left = budget{watcher: 1, stream: 1, reconciler: 1, writer: 1} })},
	{"another attempt, and the watcher was paused", one(func(s *scene) { s.left = budget{watcher: 1, paused: 1, impatient: 1} })},
	{"another attempt, and the git-writer was paused", one(func(s *scene) { s.left = budget{writes: 1, writer: 1, paused: 1, impatient: 1} })},
	{"two owners of the stream", one(func(s *scene) { s.owners, s.left = 2, budget{writes: 1, stream: 1} })},
	{"a drift check", settled(func(s *scene) { s.left = budget{writes: 2, drifts: 1, stream: 1} })},
	{"a drift check and others' commits", settled(func(s *scene) { s.left = budget{foreign: 1, watcher: 1, stream: 1} })},
	{"a gap in the watch", one(func(s *scene) { s.left = budget{writes: 2, forget: 1} })},
	{"narrower rules, and a router that lags", two(func(s *scene) {
		s.rules, s.routers = append(s.rules, []string{"configmaps"}), true
		s.before = []step{{clusterWrite, 0, 'b'}}
		s.left = budget{writes: 1, changes: 1}
	})},
}

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
	{"requests and gaps", settled(func(s *scene) { s.left = budget{requests: 2, writes: 1, watcher: 1, forget: 1} })},
	{"a drift check, others' commits and versions", settled(func(s *scene) {
		s.left = budget{foreign: 1, writes: 1, watcher: 1, stream: 1}
	})},
}

// TestEveryOrder plays small scenes in every order there is.
func TestEveryOrder(t *testing.T) {
	limit, more := number(t, envStates)
	scenes := small
	if more {
		scenes = append(scenes[:len(scenes):len(scenes)], large...)
	} else {
		limit = 1 << 30
	}
	states := 0
	for _, tt := range scenes {
		t.Run(tt.name, func(t *testing.T) {
			begun := time.Now()
			f := explore(tt.scene, limit)
			states += f.states
			say(t, begun, f)
			if f.broken != nil || f.ends == 0 && !f.cut {
				t.Error("the protocol is broken")
			}
		})
	}
	fmt.Printf("model: %d states of %d scenes explored\n", states, len(scenes))
}

// TestBroken leaves out one part of the protocol after the other: each is missed.
func TestBroken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		broken breakage
		scene
	}{
		{"the lane is frozen behind its MARK", noMark, one(func(s *scene) { s.left.writes = 2 })},
		{"the repository is looked at before what was forwarded has landed", noBarrier, two(func(s *scene) {
			s.objects[1] = object{typ: 1}
			s.rules = append(s.rules, []string{"configmaps"})
			s.before = []step{{clusterWrite, 0, 'b'}}
			s.left = budget{writes: 1, changes: 1}
		})},
		{"what passed is not remembered", noPassed, two(func(s *scene) {
			s.objects[1] = object{typ: 1}
			s.left.writes = 1
		})},
		{"results come behind what should be held back", resultsLast, one(func(s *scene) { s.left.writes = 1 })},
		{"what should be held back is passed over", noHold, one(func(s *scene) { s.left.writes = 1 })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begun := time.Now()
			if f := explore(tt.scene, 1<<30); f.broken != nil {
				t.Fatalf("it is broken as it is: %v", f)
			}
			tt.scene.broken = tt.broken
			f := explore(tt.scene, 1<<20)
			say(t, begun, f)
			if f.broken == nil {
				t.Error("nobody misses it")
			}
		})
	}
}

// crowd is three types in two lanes, five objects, eight versions, and several runs.
func crowd(change func(*scene)) scene {
	s := scene{
		types: []string{"configmaps", "services", "resourcequotas"}, rules: [][]string{{"configmaps", "services", "resourcequotas"}}, routers: true,
		objects: []object{{typ: 0, cluster: 'a'}, {typ: 1, cluster: 'a', file: 'a'}, {typ: 2}, {typ: 0, cluster: 'a', file: 'b'}, {typ: 1, file: 'b', orphan: true}},
		left:    budget{writes: 8, watcher: 2, stream: 2, reconciler: 2, writer: 2, lost: 2, paused: 2, foreign: 1, drifts: 2, requests: 1, impatient: 1},
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
	steps := 0
	for _, tt := range []struct {
		name string
		scene
	}{
		{"everything dies", crowd(func(*scene) {})},
		{"nobody else commits", crowd(func(s *scene) { s.left.foreign = 0 })},
		{"two owners of the stream", crowd(func(s *scene) { s.owners = 2 })},
		{"the rules change", crowd(func(s *scene) {
			s.rules = append(s.rules, []string{"configmaps", "resourcequotas"}, []string{"services"}, []string{"configmaps", "services"})
			s.left.changes = 3
		})},
		{"gaps in the watch", crowd(func(s *scene) { s.left.foreign, s.left.forget = 0, 2 })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begun := time.Now()
			all := found{}
			for seed := range uint64(walks) {
				f := walk(tt.scene, seed)
				all.states, all.ends = all.states+f.states, all.ends+f.ends
				if f.broken != nil {
					t.Fatalf("seed %d: %v", seed, f)
				}
			}
			steps += all.states
			say(t, begun, all)
		})
	}
	fmt.Printf("model: %d steps gone at random\n", steps)
}
