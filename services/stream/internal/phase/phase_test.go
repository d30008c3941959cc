package phase

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

var (
	old   = Epoch{"run-0", 1}
	first = Epoch{"run-1", 1}
	again = Epoch{"run-1", 2}
	next  = Epoch{"run-2", 1}
)

// input is one MARK, while current is what the reconciler asks for.
type input struct {
	part        int
	of, current Epoch
}

// allMarks is a MARK of each lane, in order.
func allMarks(e Epoch) []input {
	var all []input
	for p := range subject.Parts {
		all = append(all, input{p, e, e})
	}
	return all
}

func after(s State, inputs ...input) State {
	for _, i := range inputs {
		s = s.Mark(i.part, i.of, i.current)
	}
	return s
}

func TestMachine(t *testing.T) {
	most := allMarks(first)[:subject.Parts-1]
	last := allMarks(first)[subject.Parts-1]
	live := after(State{}, allMarks(first)...)
	for _, tt := range []struct {
		name   string
		from   State
		inputs []input
		phase  event.Phase
		epoch  Epoch
		marked int
	}{
		{"nothing yet", State{}, nil, event.StartupReconcile, Epoch{}, 0},
		{"one lane", State{}, most[:1], event.StartupReconcile, first, 1},
		{"all but one", State{}, most, event.StartupReconcile, first, subject.Parts - 1},
		{"all", State{}, append(most[:len(most):len(most)], last), event.LiveProcessing, first, subject.Parts},
		{"one lane, again and again", State{}, []input{last, last, last, last, last, last, last, last, last}, event.StartupReconcile, first, 1},
		{"a former run", State{}, []input{{0, old, first}}, event.StartupReconcile, Epoch{}, 0},
		{"a former run, while one is under way", after(State{}, most...), []input{{subject.Parts - 1, old, first}}, event.StartupReconcile, first, subject.Parts - 1},
		{"a former attempt", after(State{}, most...), []input{{subject.Parts - 1, first, again}}, event.StartupReconcile, first, subject.Parts - 1},
		{"no run is asked for", State{}, []input{{0, first, Epoch{}}}, event.StartupReconcile, Epoch{}, 0},
		{"redelivered once live", live, []input{last}, event.LiveProcessing, first, subject.Parts},
		{"a former run, once live", live, []input{{0, old, first}}, event.LiveProcessing, first, subject.Parts},
		{"a newer run", live, []input{{0, next, next}}, event.StartupReconcile, next, 1},
		{"a newer attempt", live, []input{{0, again, again}}, event.StartupReconcile, again, 1},
		{"a newer run, begun over an unfinished one", after(State{}, most...), []input{{0, next, next}}, event.StartupReconcile, next, 1},
		{"the run it left, late", after(live, input{0, next, next}), []input{last}, event.StartupReconcile, first, 1},
		{"the run it left, late and not asked for", after(live, input{0, next, next}), []input{{3, first, next}}, event.StartupReconcile, next, 1},
		{"through a newer run", live, allMarks(next), event.LiveProcessing, next, subject.Parts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := after(tt.from, tt.inputs...)
			if s.Phase() != tt.phase || s.Epoch != tt.epoch || s.Marked() != tt.marked {
				t.Errorf("%s of %v with %d lanes, want %s of %v with %d", s.Phase(), s.Epoch, s.Marked(), tt.phase, tt.epoch, tt.marked)
			}
		})
	}
}

// TestMachineInAnyOrder: whatever the order of the MARKs, however often each
// comes and whatever of former epochs comes between, a run is live exactly when
// each lane's MARK of it was seen, and stays live.
func TestMachineInAnyOrder(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, seed))
		inputs := allMarks(first)
		for range r.IntN(20) {
			inputs = append(inputs, input{r.IntN(subject.Parts), first, first})
		}
		for range r.IntN(20) {
			inputs = append(inputs, input{r.IntN(subject.Parts), []Epoch{old, {"run-1", 0}, {}}[r.IntN(3)], first})
		}
		r.Shuffle(len(inputs), func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })

		s := after(State{}, allMarks(old)[:r.IntN(subject.Parts)]...)
		seen := map[int]bool{}
		for n, in := range inputs {
			was := s
			s = after(s, in)
			if in.of == first {
				seen[in.part] = true
			} else if s != was {
				t.Fatalf("seed %d: a MARK of %v changed %q to %q", seed, in.of, was, s)
			}
			if want := len(seen) == subject.Parts; s.Live != want {
				t.Fatalf("seed %d: after %d MARKs of %d lanes it is %q", seed, n+1, len(seen), s)
			}
			if again := after(s, in); again != s {
				t.Fatalf("seed %d: a repeated MARK changed %q to %q", seed, s, again)
			}
			if back, err := Parse(s.String()); back != s || err != nil {
				t.Fatalf("seed %d: %q reads back as %q, %v", seed, s, back, err)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, v := range []string{
		" ", "LIVE_PROCESSING", "LIVE_PROCESSING run-1 1", "LIVE_PROCESSING run-1 1 ff x", "PARKED run-1 1 ff",
		"LIVE_PROCESSING run-1 -1 ff", "LIVE_PROCESSING run-1 1 xy", "LIVE_PROCESSING run-1 01 ff", "LIVE_PROCESSING run-1 1 FF",
		"live_processing run-1 1 ff", "STARTUP_RECONCILE  0 0",
	} {
		if s, err := Parse(v); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%q was read as %+v, %v", v, s, err)
		}
	}
}

// TestStateIsFixed: states stand in KS_WRITE and are read by later versions.
func TestStateIsFixed(t *testing.T) {
	for want, s := range map[string]State{
		"":                            {},
		"STARTUP_RECONCILE run-1 1 5": after(State{}, input{0, first, first}, input{2, first, first}),
		"LIVE_PROCESSING run-2 1 ff":  after(State{}, allMarks(next)...),
	} {
		if got := s.String(); got != want {
			t.Errorf("%+v is written %q, was %q", s, got, want)
		}
		if got, err := Parse(want); got != s || err != nil {
			t.Errorf("%q is read as %+v, %v", want, got, err)
		}
	}
}

// FuzzParse: what is read is written the same.
func FuzzParse(f *testing.F) {
	for _, s := range []State{{}, after(State{}, allMarks(first)[:3]...), after(State{}, allMarks(next)...)} {
		f.Add(s.String())
	}
	f.Add("PARKED run-1 1 ff")
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

// FuzzState: what is written is read the same.
func FuzzState(f *testing.F) {
	f.Add("run-1", uint64(1), uint64(0xff))
	f.Add("", uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, run string, attempt, parts uint64) {
		if strings.Contains(run, " ") {
			t.Skip("runs are single words: nuid makes them")
		}
		e := Epoch{run, attempt}
		s := State{}
		for p := range subject.Parts {
			if parts&(1<<p) != 0 {
				s = s.Mark(p, e, e)
			}
		}
		if got, err := Parse(s.String()); got != s || err != nil {
			t.Errorf("%q reads back as %+v, %v", s, got, err)
		}
	})
}
