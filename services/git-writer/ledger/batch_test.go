package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

// writeOf makes a write of a word: l for a live change, r for one of a run, s for one
// of another run, then a destination's and an object's letter, and + if more follow.
func writeOf(word string, seq int) Write {
	path, more := strings.CutSuffix(word[1:], "+")
	w := Write{
		Seq: uint64(seq), Destination: event.DestinationKey{Name: word[1:2]}, Path: path, More: more,
		Origin: event.Reconcile, Run: word[:1], Attempt: 1, Size: 1,
	}
	if w.Run == "l" {
		w.Origin, w.Run, w.Attempt = event.Live, "", 0
	}
	return w
}

// play has a batch take messages from behind a position on: writes, - for one to pass
// and B for a BARRIER. newest is the last one that it took.
func play(at uint64, words ...string) (b Batch[string], newest uint64) {
	b.Through, newest = at, at
	for _, word := range words {
		if b.Full() {
			break
		}
		newest++
		switch word {
		case "-":
			b.Pass(newest, time.Time{})
		case "B":
			b.End(newest, time.Time{})
		default:
			b.Add(writeOf(word, int(newest)), word)
		}
	}
	return b, newest
}

func TestCommits(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"lAx":                       "lAx",
		"lAx lAx lAy":               "lAx | lAx | lAy",
		"rAx rAy rAz":               "rAx rAy rAz",
		"rAx - rAy":                 "rAx rAy",
		"rAx rAy rAx":               "rAx rAy | rAx",
		"rAx lAy rAz":               "rAx | lAy | rAz",
		"rAx rBx rAy":               "rAx | rBx | rAy",
		"rAx sAy sAz":               "rAx | sAy sAz",
		"lAx rAx rAy lAx lBx rBx":   "lAx | rAx rAy | lAx | lBx | rBx",
		"lAx rAx rAy B rAz lAx":     "lAx | rAx rAy",
		"rAx+ rAy+ lAx rAz+ B rAq+": "rAx+ rAy+ | lAx | rAz+",
	} {
		b, _ := play(0, strings.Fields(in)...)
		var got []string
		for _, c := range b.Commits {
			got = append(got, strings.Join(c.Writes, " "))
		}
		if s := strings.Join(got, " | "); s != want {
			t.Errorf("%q: %q, want %q", in, s, want)
		}
	}
	b := Batch[string]{}
	first := writeOf("rAx", 1)
	second := writeOf("rAy", 2)
	second.Attempt = 2
	b.Add(first, "")
	b.Add(second, "")
	if len(b.Commits) != 2 {
		t.Error("two attempts share a commit")
	}
}

// TestWindow: live changes of a destination with a window join the commit that one of them
// began, while the window is open, but for an object that changes again; what is of another
// destination, or a run's, ends it. A batch waits for windows of its own alone.
func TestWindow(t *testing.T) {
	const window = 10
	for in, want := range map[string]struct {
		commits string
		waits   bool
	}{
		"lAx@0 lAy@9":              {"lAx@0 lAy@9", true},
		"lAx@0 lAy@10 lAz@11":      {"lAx@0 lAy@10 | lAz@11", true},
		"lAx@0 lAy@1 lAx@2 lAy@3":  {"lAx@0 lAy@1 | lAx@2 lAy@3", true},
		"lAx@0 lAy@9 lAx@9 lAy@19": {"lAx@0 lAy@9 | lAx@9 lAy@19", true},
		"lAx@0 - lAy@1":            {"lAx@0 lAy@1", true},
		"lAx@0 lBx@1 lAy@2":        {"lAx@0 | lBx@1 | lAy@2", false},
		"lAx@0 rAy@1 lAz@2":        {"lAx@0 | rAy@1 | lAz@2", false},
		"rAx@0 rAy@60":             {"rAx@0 rAy@60", false},
		"-":                        {"", false},
	} {
		var b Batch[string]
		for seq, word := range strings.Fields(in) {
			if word == "-" {
				b.Pass(uint64(seq), time.Time{})
				continue
			}
			what, second, _ := strings.Cut(word, "@")
			at, err := time.ParseDuration(second + "s")
			if err != nil {
				t.Fatal(err)
			}
			w := writeOf(what, seq)
			w.Time, w.Window = time.Unix(0, 0).Add(at), window*time.Second
			b.Add(w, word)
		}
		var got []string
		for _, c := range b.Commits {
			got = append(got, strings.Join(c.Writes, " "))
		}
		if s := strings.Join(got, " | "); s != want.commits {
			t.Errorf("%q: %q, want %q", in, s, want.commits)
		}
		if _, since, waits := b.Of(); waits != want.waits || waits && !since.Equal(time.Unix(0, 0)) {
			t.Errorf("%q: it waits: %t, since %v", in, waits, since)
		}
	}
	var b Batch[string]
	for i := range runFiles + 1 {
		w := writeOf(fmt.Sprintf("lA%d", i), i)
		w.Window = time.Hour
		b.Add(w, "")
	}
	if len(b.Commits) != 2 || len(b.Commits[0].Writes) != runFiles {
		t.Errorf("%d commits", len(b.Commits))
	}
}

// TestBarrier: a BARRIER ends a batch, is answered once what is before it was pushed,
// and is passed only then.
func TestBarrier(t *testing.T) {
	for in, want := range map[string]struct {
		steps   []Step
		through uint64
	}{
		"":        {nil, 7},
		"-":       {nil, 8},
		"lAx":     {[]Step{Push}, 8},
		"lAx -":   {[]Step{Push}, 9},
		"B":       {[]Step{Answer}, 8},
		"- B lAx": {[]Step{Answer}, 9},
		"lAx B B": {[]Step{Push, Answer}, 9},
	} {
		b, taken := play(7, strings.Fields(in)...)
		if strings.Contains(in, "B") && b.Through != taken-1 {
			t.Errorf("%q: through %d before the BARRIER at %d was answered", in, b.Through, taken)
		}
		var steps []Step
		for step := b.Next(); step != Done; step = b.Next() {
			if steps = append(steps, step); step == Push {
				b.Pushed()
			} else {
				b.Answered()
			}
		}
		if fmt.Sprint(steps) != fmt.Sprint(want.steps) || b.Through != want.through {
			t.Errorf("%q: steps %v through %d, want %v through %d", in, steps, b.Through, want.steps, want.through)
		}
	}
}

func TestRunBounds(t *testing.T) {
	var b Batch[string]
	for i := range runFiles + 1 {
		b.Add(writeOf(fmt.Sprintf("rA%d", i), i), "")
	}
	if len(b.Commits) != 2 || len(b.Commits[0].Writes) != runFiles {
		t.Errorf("%d commits", len(b.Commits))
	}
	b = Batch[string]{}
	for i := range 3 {
		w := writeOf(fmt.Sprintf("rA%d", i), i)
		w.Size = runBytes / 2
		b.Add(w, "")
	}
	if len(b.Commits) != 2 || len(b.Commits[0].Writes) != 2 {
		t.Errorf("%d commits by size", len(b.Commits))
	}
}

// TestBounds: a batch is full at its bounds, but for the rest of the commit of
// a run that was begun before.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		live, run int  // so many writes come, in this order
		mixed     bool // the run's are of two destinations by turns
		size      int
		want      int // so many are taken
	}{
		"live":                                {batchWrites + 9, 0, false, 1, batchWrites},
		"large ones":                          {9, 0, false, batchBytes / 4, 4},
		"a run that fits":                     {5, batchWrites, false, 1, 5 + batchWrites},
		"a long run":                          {0, runFiles + 9, false, 1, runFiles},
		"a long run behind others":            {batchWrites - 1, runFiles + 9, false, 1, batchWrites - 1 + runFiles},
		"a run behind a full batch":           {batchWrites, 9, false, 1, batchWrites},
		"runs by turns: nothing is completed": {0, runFiles, true, 1, batchWrites + 1},
	} {
		var b Batch[string]
		taken := 0
		for ; taken < c.live+c.run && !b.Full(); taken++ {
			word := fmt.Sprintf("lA%d", taken)
			if taken >= c.live {
				word = fmt.Sprintf("rA%d", taken)
			}
			if c.mixed && taken%2 == 1 {
				word = fmt.Sprintf("rB%d", taken)
			}
			w := writeOf(word, taken)
			w.Size, w.More = c.size, w.Origin == event.Reconcile && taken < c.live+c.run-1
			b.Add(w, "")
		}
		if taken != c.want {
			t.Errorf("%s: %d writes, want %d", name, taken, c.want)
		}
	}
}

func TestWaits(t *testing.T) {
	for in, want := range map[string]bool{
		"": false, "lAx": false, "rAx": false, "rAx+": true, "lAx rAx+": true, "rAx+ rAy": false, "rAx+ lAy": false,
	} {
		if b, _ := play(0, strings.Fields(in)...); b.Waits() != want {
			t.Errorf("%q: waits for more: %v", in, b.Waits())
		}
	}
}
