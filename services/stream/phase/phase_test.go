package phase

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

var (
	old   = Epoch{"run-0", 1}
	first = Epoch{"run-1", 1}
	again = Epoch{"run-1", 2}
	next  = Epoch{"run-2", 1}
)

// holding and drifting are runs of the lanes 0 and 2.
func holding(e Epoch) Run  { return Run{Epoch: e, Parts: []int{0, 2}, Hold: true} }
func drifting(e Epoch) Run { return Run{Epoch: e, Parts: []int{0, 2}} }

// mark is a lane's MARK of the run that is asked for.
func mark(part int, r Run) Mark {
	return Mark{Part: part, Of: r.Epoch, Seq: uint64(100 + part), Current: r}
}

func done(taken int) Applied { return Applied{Taken: taken, Last: true} }
func more(taken int) Applied { return Applied{Taken: taken, Last: true, Continues: true} }

// machine feeds inputs and tells, in words, what came of each.
func machine(s State, inputs ...Input) (State, []string) {
	var story []string
	for _, in := range inputs {
		var fx Effects
		s, fx = Next(s, in)
		story = append(story, words(s, fx))
	}
	return s, story
}

func words(s State, fx Effects) string {
	w := []string{[]string{"idle", "marking", "waiting", "applying"}[s.Step], string(s.Phase())}
	for _, e := range []struct {
		set  bool
		name string
	}{
		{fx.Forward, "forward"},
		{fx.Remember, "remember"},
		{fx.Hold, "hold"},
		{fx.Drop, "drop"},
		{fx.Barrier, "barrier"},
		{fx.Apply, "apply"},
		{fx.Forget, "forget"},
		{fx.Request, "request"},
		{fx.Show, "show"},
	} {
		if e.set {
			w = append(w, e.name)
		}
	}
	return strings.Join(w, " ")
}

func TestBehind(t *testing.T) {
	running := event.PhaseRecord{Run: first.Run, Attempt: first.Attempt}
	closed := running
	closed.Closed = time.Unix(1, 0)
	waiting, _ := machine(State{}, mark(0, holding(first)), mark(2, holding(first)))
	over, _ := machine(waiting, Results{Of: first}, done(1))
	other, _ := machine(State{}, mark(0, holding(again)))
	for _, tt := range []struct {
		name string
		s    State
		rec  event.PhaseRecord
		want bool
	}{
		{"under way", waiting, running, false},
		{"closed by another", waiting, closed, true},
		{"closed", over, closed, false},
		{"another attempt", other, closed, false},
		{"nothing known", State{}, event.PhaseRecord{}, false},
	} {
		if got := tt.s.Behind(tt.rec); got != tt.want {
			t.Errorf("%s: behind: %v", tt.name, got)
		}
	}
}

func TestMachine(t *testing.T) {
	const startup, live, parked = "STARTUP_RECONCILE", "LIVE_PROCESSING", "PARKED"
	run, drift := holding(first), drifting(next)
	started := []Input{mark(0, run), mark(2, run), Results{Of: first}, done(3)}
	for _, tt := range []struct {
		name   string
		before []Input
		inputs []Input
		want   []string
	}{
		{"nothing yet: changes go on", nil, []Input{Change{0}}, []string{"idle " + startup + " forward"}},
		{"a run that holds", nil, []Input{Change{0}, mark(0, run), Change{0}, Change{1}, Change{2}, mark(2, run), Change{0}, Results{Of: first}, Applied{Taken: 2}, Change{2}, done(1), Change{2}}, []string{
			"idle " + startup + " forward",
			"marking " + startup + " forget show",
			"marking " + startup + " forward remember", // behind its MARK
			"marking " + startup + " forward",
			"marking " + startup + " forward",
			"waiting " + startup + " barrier",
			"waiting " + startup + " hold",
			"applying " + startup + " apply",
			"applying " + startup + " apply",
			"applying " + startup + " hold",
			"idle " + live + " forget show",
			"idle " + live + " forward",
		}},
		{"one that does not, once live", started, []Input{mark(2, drift), Change{2}, Change{0}, mark(0, drift), Change{0}, Results{Of: next}, Change{2}, done(0), Change{0}}, []string{
			"marking " + live + " forget show",
			"marking " + live + " forward remember",
			"marking " + live + " forward",
			"waiting " + live + " barrier",
			"waiting " + live + " forward remember",
			"applying " + live + " apply",
			"applying " + live + " forward remember",
			"idle " + live + " forget show",
			"idle " + live + " forward",
		}},
		{"a run that holds, once live", started, []Input{mark(0, holding(next)), mark(2, holding(next))}, []string{
			"marking " + startup + " forget show", "waiting " + startup + " barrier",
		}},
		{"MARKs again", []Input{mark(0, run)}, []Input{mark(0, run), mark(2, run), mark(2, run), mark(0, run)}, []string{
			"marking " + startup, "waiting " + startup + " barrier", "waiting " + startup, "waiting " + startup,
		}},
		{"a MARK of a lane that was not asked", []Input{mark(0, run)}, []Input{mark(1, run)}, []string{"marking " + startup}},
		{"a MARK of a former run", started, []Input{Mark{Part: 0, Of: old, Current: run}}, []string{"idle " + live}},
		{"a MARK once the run is closed", started, []Input{mark(0, run)}, []string{"idle " + live}},
		{"a MARK of a former attempt", []Input{mark(0, holding(again))}, []Input{Mark{Part: 2, Of: first, Current: holding(again)}}, []string{"marking " + startup}},
		{"no run is asked for", nil, []Input{Mark{Part: 0, Of: first}}, []string{"idle " + startup}},
		{"results before the barrier", []Input{mark(0, run)}, []Input{Results{Of: first}}, []string{"marking " + startup}},
		{"results of another attempt", []Input{mark(0, run), mark(2, run)}, []Input{Results{Of: again}}, []string{"waiting " + startup}},
		{"results again, after a restart", []Input{mark(0, run), mark(2, run), Results{Of: first}, Applied{Taken: 2}}, []Input{Results{Of: first}}, []string{"applying " + startup + " apply"}},
		{"results once the run is closed", started, []Input{Results{Of: first}, done(1)}, []string{"idle " + live, "idle " + live}},
		{"a run that another continues", nil, []Input{mark(0, run), mark(2, run), Results{Of: first}, more(3), Change{0}, mark(0, holding(next)), mark(2, holding(next)), Results{Of: next}, done(1)}, []string{
			"marking " + startup + " forget show", "waiting " + startup + " barrier", "applying " + startup + " apply",
			"idle " + startup + " forget show", "idle " + startup + " forward",
			"marking " + startup + " forget show", "waiting " + startup + " barrier", "applying " + startup + " apply", "idle " + live + " forget show",
		}},
		{"a drift check that another continues", append(started[:4:4], mark(0, drift), mark(2, drift), Results{Of: next}), []Input{more(3), Change{0}}, []string{
			"idle " + live + " forget show", "idle " + live + " forward",
		}},
		{"superseded while it holds", []Input{mark(0, run), mark(2, run)}, []Input{Superseded{first}, Superseded{again}, Change{0}, Results{Of: first}, mark(0, holding(again))}, []string{
			"waiting " + startup, "idle " + startup + " forget show", "idle " + startup + " forward", "idle " + startup, "marking " + startup + " forget show",
		}},
		{"superseded in a drift check", append(started[:4:4], mark(0, drift), mark(2, drift)), []Input{Superseded{again}, Change{0}}, []string{
			"idle " + live + " forget show", "idle " + live + " forward",
		}},
		{"superseded while nothing is under way", started, []Input{Superseded{next}}, []string{"idle " + live}},
		{"begun anew without a word", []Input{mark(0, run), mark(2, run), Results{Of: first}}, []Input{mark(0, holding(again)), Results{Of: first}}, []string{
			"marking " + startup + " forget show", "marking " + startup,
		}},
		{"overtaken", []Input{mark(0, run), mark(2, run), Results{Of: first}}, []Input{Overtaken{}, Change{0}, Overtaken{}}, []string{
			"idle " + startup + " forget request show", "idle " + startup + " forward", "idle " + startup,
		}},
		{"overtaken in a drift check", append(started[:4:4], mark(0, drift), mark(2, drift), Results{Of: next}), []Input{Overtaken{}}, []string{
			"idle " + live + " forget request show",
		}},
		{"a comparison", append(started[:4:4], mark(0, drift), mark(2, drift)), []Input{Results{next, true}, Results{next, true}, Change{0}}, []string{
			"idle " + live + " forget show", "idle " + live, "idle " + live + " forward",
		}},
		{"a comparison settles nothing", []Input{mark(0, run), mark(2, run), Results{Of: first}, Overtaken{}, mark(0, drift), Change{0}, mark(2, drift)}, []Input{Change{0}, Results{next, true}}, []string{
			"waiting " + startup + " forward remember", "idle " + startup + " forget show",
		}},
		{"a comparison before the barrier", []Input{mark(0, run)}, []Input{Results{first, true}}, []string{"marking " + startup}},
		{"cut, and reconciled", started, []Input{Cut{}, Change{0}, mark(0, holding(next)), mark(2, holding(next)), Results{Of: next}, done(0)}, []string{
			"idle " + parked + " forget show", "idle " + parked + " forward",
			"marking " + startup + " forget show", "waiting " + startup + " barrier", "applying " + startup + " apply", "idle " + live + " forget show",
		}},
		{"cut, and compared before it is reconciled", started, []Input{Cut{}, mark(0, drift), Change{0}, mark(2, drift), Change{2}, Results{next, true}, mark(0, holding(again))}, []string{
			"idle " + parked + " forget show",
			"marking " + parked + " forget show", "marking " + parked + " forward remember", "waiting " + parked + " barrier", "waiting " + parked + " forward remember",
			"idle " + parked + " forget show",
			"marking " + startup + " forget show",
		}},
		{"cut, and a drift check left for the run", started, []Input{Cut{}, mark(0, drift), Superseded{again}, mark(0, holding(again))}, []string{
			"idle " + parked + " forget show", "marking " + parked + " forget show", "idle " + parked + " forget show", "marking " + startup + " forget show",
		}},
		{"cut, and mended by a drift check", started, []Input{Cut{}, mark(0, drift), mark(2, drift), Results{Of: next}, done(0)}, []string{
			"idle " + parked + " forget show", "marking " + parked + " forget show", "waiting " + parked + " barrier", "applying " + parked + " apply", "idle " + live + " forget show",
		}},
		{"lost, and reconciled", started, []Input{Lost{first}, Change{0}, mark(0, holding(next)), Change{0}, Change{2}, Change{1}, mark(2, holding(next)), Change{0}, Results{Of: next}, done(0), Change{2}}, []string{
			"idle " + startup + " forget show", "idle " + startup + " drop",
			"marking " + startup + " forget show",
			"marking " + startup + " forward remember", // behind its MARK it is new
			"marking " + startup + " drop", "marking " + startup + " drop",
			"waiting " + startup + " barrier", "waiting " + startup + " hold",
			"applying " + startup + " apply", "idle " + live + " forget show", "idle " + live + " forward",
		}},
		{"lost in a run, whose MARKs count no more", []Input{mark(0, run)}, []Input{Lost{first}, mark(2, run), Results{Of: first}, Change{0}}, []string{
			"idle " + startup + " forget show", "idle " + startup, "idle " + startup, "idle " + startup + " drop",
		}},
		{"lost before the run that is asked for had begun", started, []Input{Lost{next}, mark(0, holding(next)), Change{0}}, []string{
			"idle " + startup + " forget show", "idle " + startup, "idle " + startup + " drop",
		}},
		{"lost until every lane of a run is marked", started, []Input{
			Lost{first},
			mark(0, run), mark(0, holding(again)),
			Superseded{next},
			Change{0},
			Cut{},
			Change{0},
			mark(0, drift),
			Change{2},
			mark(2, drift),
			Change{2},
		}, []string{
			"idle " + startup + " forget show", "idle " + startup, "marking " + startup + " forget show", "idle " + startup + " forget show", "idle " + startup + " drop",
			"idle " + parked + " forget show", "idle " + parked + " drop",
			"marking " + parked + " forget show", "marking " + parked + " drop", "waiting " + parked + " barrier", "waiting " + parked + " forward remember",
		}},
		{"lost, and the run is a comparison", started, []Input{Lost{first}, mark(0, drift), mark(2, drift), Results{next, true}, Change{0}}, []string{
			"idle " + startup + " forget show", "marking " + startup + " forget show", "waiting " + startup + " barrier", "idle " + startup + " forget show", "idle " + startup + " forward",
		}},
		{"lost, and another run continues", started, []Input{Lost{first}, mark(0, holding(next)), mark(2, holding(next)), Change{0}, Results{Of: next}, more(3), Change{0}, Change{1}}, []string{
			"idle " + startup + " forget show", "marking " + startup + " forget show", "waiting " + startup + " barrier", "waiting " + startup + " hold",
			"applying " + startup + " apply", "idle " + startup + " forget show", "idle " + startup + " forward", "idle " + startup + " forward",
		}},
		{"lost, and superseded while it holds", started, []Input{Lost{first}, mark(0, holding(next)), mark(2, holding(next)), Change{0}, Superseded{again}, Change{0}}, []string{
			"idle " + startup + " forget show", "marking " + startup + " forget show", "waiting " + startup + " barrier", "waiting " + startup + " hold",
			"idle " + startup + " forget show", "idle " + startup + " forward",
		}},
		{"lost, and overtaken", started, []Input{Lost{first}, mark(0, drift), mark(2, drift), Results{Of: next}, Overtaken{}, Change{0}}, []string{
			"idle " + startup + " forget show", "marking " + startup + " forget show", "waiting " + startup + " barrier", "applying " + startup + " apply",
			"idle " + startup + " forget request show", "idle " + startup + " forward",
		}},
		{"lost behind the last MARK", started, []Input{Lost{first}, mark(0, holding(next)), mark(2, holding(next)), Lost{next}, Change{0}}, []string{
			"idle " + startup + " forget show", "marking " + startup + " forget show", "waiting " + startup + " barrier", "idle " + startup + " forget show", "idle " + startup + " drop",
		}},
		{"cut in a run", []Input{mark(0, run), mark(2, run)}, []Input{Cut{}, Results{Of: first}}, []string{"idle " + parked + " forget show", "idle " + parked}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := machine(State{}, tt.before...)
			_, got := machine(s, tt.inputs...)
			for i, w := range tt.want {
				if got[i] != w {
					t.Errorf("%d: %+v gave %q, want %q", i, tt.inputs[i], got[i], w)
				}
			}
		})
	}
}

// chaos is inputs of any kind in any order, around a few runs.
func chaos(r *rand.Rand, n int) []Input {
	runs := []Run{holding(first), holding(again), drifting(next), drifting(old)}
	current := runs[0]
	var all []Input
	for range n {
		of := runs[r.IntN(len(runs))]
		switch r.IntN(12) {
		case 0:
			current = of
			all = append(all, Superseded{of.Epoch})
		case 1:
			all = append(all, Mark{Part: r.IntN(4), Of: of.Epoch, Seq: r.Uint64N(1000), Current: current})
		case 2, 3, 4:
			all = append(all, mark(2*r.IntN(2), current))
		case 5, 6:
			all = append(all, Results{current.Epoch, r.IntN(3) == 0})
		case 7:
			all = append(all, Applied{Taken: r.IntN(9), Late: r.IntN(2), Last: r.IntN(2) == 0, Continues: r.IntN(3) == 0})
		case 8:
			all = append(all, []Input{Overtaken{}, Cut{}, Lost{current.Epoch}, Results{Of: of.Epoch}}[r.IntN(4)])
		default:
			all = append(all, Change{r.IntN(4)})
		}
	}
	return all
}

// TestChaos holds what is true of any order of inputs.
func TestChaos(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		s, mayBeOld := State{}, false
		for n, in := range chaos(r, 60) {
			was := s
			var fx Effects
			s, fx = Next(s, in)
			bad := func(what string) {
				t.Helper()
				t.Fatalf("seed %d, input %d %#v: %s: %q to %q, %+v", seed, n, in, what, was, s, fx)
			}
			_, change := in.(Change)
			applied, _ := in.(Applied)
			_, lost := in.(Lost)
			switch {
			case fx.Forward && fx.Hold, fx.Drop && (fx.Forward || fx.Hold), change != (fx.Forward || fx.Hold || fx.Drop):
				bad("a change is forwarded, held or dropped, and nothing else is")
			case fx.Drop != (change && mayBeOld && !fx.Remember):
				bad("it drops what may be old, and nothing else")
			case fx.Hold != (change && was.Holds()):
				bad("it holds when it is to")
			case fx.Hold && s != was:
				bad("holding changed it")
			case fx.Barrier != (s.Step == Waiting && (was.Step != Waiting || was.Epoch != s.Epoch)):
				bad("a barrier stands where the last MARK was seen")
			case s.Holds() && s.Phase() != event.StartupReconcile:
				bad("it holds in another phase")
			case was.Parked && !s.Parked && !lost && !s.Hold && !s.Settled:
				bad("it leaves PARKED, and no run mends what is missing")
			case was.Phase() != s.Phase() && !fx.Show:
				bad("a phase nobody is shown")
			case s.Phase() == event.LiveProcessing && was.Phase() != event.LiveProcessing && !(was.Step == Applying && s.Closed):
				bad("live without results")
			case applied.Continues && s.Phase() != was.Phase():
				bad("another run is to follow, and the phase is over")
			case s.Epoch != was.Epoch && !fx.Forget:
				bad("what had passed in another run is still remembered")
			}
			if lost || fx.Barrier {
				mayBeOld = lost // what comes behind the MARKs of every lane is not
			}
			if back, err := Parse(s.String()); back != s || err != nil {
				t.Fatalf("seed %d: %q reads back as %q, %v", seed, s, back, err)
			}
		}
	}
}

// TestDeterministic: recorded inputs, fed twice, give the same transitions and
// effects (I12); also when the second machine is stopped after each input and goes
// on from what was written of its state.
func TestDeterministic(t *testing.T) {
	for seed := range uint64(200) {
		inputs := chaos(rand.New(rand.NewPCG(seed, 4)), 100)
		_, once := machine(State{}, inputs...)
		s := State{}
		for n, in := range inputs {
			var story []string
			s, story = machine(s, in)
			if story[0] != once[n] {
				t.Fatalf("seed %d, input %d: %q, then %q", seed, n, once[n], story[0])
			}
			var err error
			if s, err = Parse(s.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestBegan: what was remembered since a run's first MARK is the same when its
// changes and MARKs are fed again from there.
func TestBegan(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		run := []Run{holding(first), drifting(first)}[seed%2]
		s, _ := machine(State{}, mark(0, holding(old)), mark(2, holding(old)), Results{Of: old}, done(0))
		if seed%3 == 0 {
			s, _ = machine(s, Cut{})
		}
		inputs := []Input{mark(2*r.IntN(2), run)}
		for range 20 {
			inputs = append(inputs, []Input{mark(0, run), mark(2, run), Change{0}, Change{1}, Change{2}, Change{2}}[r.IntN(6)])
		}
		var want, got []int
		fed := 0
		for i, in := range inputs {
			var fx Effects
			if s, fx = Next(s, in); fx.Hold {
				break
			}
			if fed = i + 1; fx.Remember {
				want = append(want, i)
			}
		}
		again, was := s.Began()
		for i, in := range inputs[:fed] {
			if m, is := in.(Mark); is {
				m.Current = again
				in = m
			}
			var fx Effects
			if was, fx = Next(was, in); fx.Remember {
				got = append(got, i)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || was != s {
			t.Fatalf("seed %d: it remembers %v and is %q; fed again %v and %q", seed, want, s, got, was)
		}
	}
}

func TestPassed(t *testing.T) {
	var p Passed
	if p.Has("a") || p.Full() {
		t.Error("it begins with something")
	}
	p.Add("a")
	if !p.Has("a") || p.Has("b") {
		t.Error("it does not remember what passed, and no more")
	}
	for i := range maxPassed {
		p.Add(fmt.Sprint(i))
	}
	if !p.Full() {
		t.Error("it remembers without a bound")
	}
	p.Add("a") // and stays full
	if !p.Full() {
		t.Error("it forgot that it is full")
	}
}

// TestStateIsFixed: states stand in KS_WRITE and are read by later versions.
func TestStateIsFixed(t *testing.T) {
	waiting, _ := machine(State{}, mark(0, holding(first)), mark(2, holding(first)))
	live, _ := machine(waiting, Results{Of: first}, Applied{Taken: 7, Late: 1, Last: true})
	cut, _ := machine(State{}, Cut{})
	lost, _ := machine(live, Lost{first})
	for want, s := range map[string]State{
		"": {},
		"STARTUP_RECONCILE run-1 1 2 -h 100 5/5 0 0": waiting,
		"LIVE_PROCESSING run-1 1 0 -lcs 0 0/0 7 1":   live,
		"PARKED _ 0 0 -p 0 0/0 0 0":                  cut,
		"STARTUP_RECONCILE run-1 1 0 -x 0 0/0 0 0":   lost,
	} {
		if got := s.String(); got != want {
			t.Errorf("%+v is written %q, was %q", s, got, want)
		}
		if got, err := Parse(want); got != s || err != nil {
			t.Errorf("%q is read as %+v, %v", want, got, err)
		}
	}
}

// FuzzParse: what is read is written the same, and what is not is malformed.
func FuzzParse(f *testing.F) {
	f.Add("STARTUP_RECONCILE run-1 1 2 -h 100 5/5 0 0")
	f.Add("LIVE_PROCESSING run-1 1 0 -lcs 0 0/0 7 1")
	f.Add("PARKED _ 0 0 -p 0 0/0 0 0")
	f.Add("STARTUP_RECONCILE run-1 1 0 -x 0 0/0 0 0")
	f.Add("LIVE_PROCESSING run-1 1 ff")
	f.Add(" ")
	f.Fuzz(func(t *testing.T, v string) {
		s, err := Parse(v)
		if err != nil {
			if !errors.Is(err, event.ErrMalformed) {
				t.Errorf("%q: %v", v, err)
			}
			return
		}
		if got := s.String(); got != v {
			t.Errorf("%q reads as %+v, which is written %q", v, s, got)
		}
	})
}
