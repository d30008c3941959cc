package mutants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// verdict is what a test did.
type verdict int

const (
	notRun   verdict = iota // there is no such test, or it was skipped
	passed                  //
	failed                  // by what it checks
	unbuilt                 // does not compile
	overtime                // was still running when its time was over
	panicked                //
)

// event is a line of go test -json: see go doc cmd/test2json.
type event struct{ Action, Test, Output string }

// judgement is what a run of go test says of a test.
type judgement struct {
	verdict
	words string // that go test has printed, as far as they explain it
}

// judge reads what go test -json has printed. A test that hangs or panics has not failed:
// nobody knows then whether what it checks would have.
func judge(printed []byte, test string) judgement {
	j := judgement{}
	ended := false // in a way that go test makes a failure of
	var build, said strings.Builder
	for line := range bytes.Lines(printed) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			build.Write(line) // go's own words, before there was anything to run
			continue
		}
		of := e.Test == test || strings.HasPrefix(e.Test, test+"/")
		switch e.Action {
		case "build-output":
			build.WriteString(e.Output)
		case "build-fail":
			j.verdict, ended = unbuilt, true
		case "output":
			switch {
			case strings.HasPrefix(e.Output, "panic: test timed out"):
				j.verdict, ended = overtime, true
			case !ended && (strings.HasPrefix(e.Output, "panic: ") || strings.HasPrefix(e.Output, "fatal error: ")):
				j.verdict, ended = panicked, true
			}
			if of || ended {
				said.WriteString(e.Output)
			}
		case "pass", "fail":
			if e.Test == test && !ended {
				j.verdict = map[string]verdict{"pass": passed, "fail": failed}[e.Action]
			}
		}
	}
	if j.words = said.String(); j.verdict == unbuilt || j.words == "" {
		j.words = build.String()
	}
	return j
}

// noticed is nil if a test has noticed a mutant; else it says what is to be done.
func (j judgement) noticed(m Mutant) error {
	switch j.verdict {
	case failed:
		return nil
	case passed:
		return fmt.Errorf("%s passes with it, so nothing holds the code to this: write a test that fails, or name the one that does", m.Test)
	case unbuilt:
		return fmt.Errorf("it does not compile: replace the text of %s by some that does\n%s", m.File, j.words)
	case overtime:
		return fmt.Errorf("%s hangs with it: have it fail, or name one that does\n%s", m.Test, tail(j.words))
	case panicked:
		return fmt.Errorf("%s panics with it: choose a breakage that shows in what comes out, or a test that says what is wrong\n%s", m.Test, tail(j.words))
	case notRun:
	}
	return fmt.Errorf("%s was not run: name a test of %s that is there, and not skipped\n%s", m.Test, m.Package, tail(j.words))
}

// sound is nil if a test passes without a mutant.
func (j judgement) sound(test string) error {
	if j.verdict == passed {
		return nil
	}
	what := map[verdict]string{notRun: "is not there, or is skipped", failed: "fails", unbuilt: "does not compile", overtime: "hangs", panicked: "panics"}[j.verdict]
	return fmt.Errorf("%s %s without any mutant: see to that first\n%s", test, what, tail(j.words))
}

// tail is the last lines of what was printed.
func tail(words string) string {
	const lines = 20
	all := strings.Split(strings.TrimRight(words, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
