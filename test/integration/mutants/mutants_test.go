package mutants

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../../.."

// TestList: each mutant can be made of the code as it stands, and says all that is asked of it.
func TestList(t *testing.T) {
	names := map[string]bool{}
	for _, m := range List() {
		source, err := os.ReadFile(filepath.Join(root, m.File))
		if err == nil {
			_, err = m.apply(string(source))
		}
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		if names[m.Name] || m.Name == "" || m.Why == "" || m.Test == "" {
			t.Errorf("%s: another one has its name, or it does not say why, or which test", m.Name)
		}
		names[m.Name] = true
		if _, err := os.Stat(filepath.Join(root, m.Package)); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

func TestApply(t *testing.T) {
	m := Mutant{File: "f.go", Find: "a < b", Replace: "a > b"}
	if got, err := m.apply("if a < b {"); got != "if a > b {" || err != nil {
		t.Errorf("it is %q, %v", got, err)
	}
	for source, want := range map[string]error{"if a <= b {": errNotFound, "": errNotFound, "a < b || a < b": errAmbiguous} {
		if got, err := m.apply(source); got != "" || !errors.Is(err, want) || !strings.Contains(err.Error(), "f.go") {
			t.Errorf("of %q it makes %q, %v", source, got, err)
		}
	}
	m.Replace = m.Find
	if _, err := m.apply("a < b"); !errors.Is(err, errSame) {
		t.Errorf("what changes nothing: %v", err)
	}
	if got := pattern("TestBus/fencing"); got != "^TestBus$/^fencing$" {
		t.Errorf("the test is run as %s", got)
	}
}

// TestJudge: a test counts as one that notices only if it has failed by what it checks.
func TestJudge(t *testing.T) {
	const test = "TestBus/fencing"
	m := Mutant{Name: "m", File: "f.go", Package: "./p", Test: test}
	line := func(action, test, output string) string {
		return `{"Action":"` + action + `","Package":"p","Test":"` + test + `","Output":"` + output + `"}` + "\n"
	}
	for name, c := range map[string]struct {
		printed string
		want    verdict
		says    string // when asked whether it has noticed; empty: it has
	}{
		"fails":                 {line("run", test, "") + line("output", test, `    x.go:1: stored 3\n`) + line("fail", test, "") + line("fail", "TestBus", "") + line("fail", "", ""), failed, ""},
		"passes":                {line("pass", test, "") + line("pass", "TestBus", ""), passed, "write a test that fails"},
		"passes, another fails": {line("pass", test, "") + line("fail", "TestBus", ""), passed, "write a test that fails"},
		"does not compile": {
			`{"ImportPath":"p","Action":"build-output","Output":"f.go:7:2: undefined: x\n"}` + "\n" + `{"ImportPath":"p","Action":"build-fail"}` + "\n" + `{"Action":"fail","Package":"p","FailedBuild":"p"}` + "\n",
			unbuilt, "f.go:7:2: undefined: x",
		},
		"hangs": {line("output", test, `panic: test timed out after 3m0s\n`) + line("output", "", `goroutine 1\n`) + line("fail", test, "") + line("fail", "", ""), overtime, "hangs"},
		"panics": {
			line("output", test, `--- FAIL: TestBus/fencing (0.00s)\n`) + line("output", test, `panic: runtime error\n`) + line("fail", test, ""), panicked, "panic: runtime error",
		},
		"a map is raced for": {line("output", test, `fatal error: concurrent map writes\n`) + line("fail", "", ""), panicked, "panics"},
		"is skipped":         {line("skip", test, "") + line("pass", "", ""), notRun, "not skipped"},
		"is not there":       {line("pass", "TestBusy", "") + line("pass", "", ""), notRun, "./p"},
		"no such package":    {"no required module provides package p\n", notRun, "no required module"},
		"prints nothing":     {"", notRun, "was not run"},
	} {
		t.Run(name, func(t *testing.T) {
			j := judge([]byte(c.printed), test)
			err := j.noticed(m)
			if j.verdict != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("it is %d, %v", j.verdict, err)
			}
			if err := j.sound(test); (err == nil) != (c.want == passed) {
				t.Errorf("without a mutant: %v", err)
			}
		})
	}
}

// TestRun plays it with a module of its own, of which one mutant is noticed, and others are none.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":       "module example.com/less\n\ngo 1.26.0\n",
		"less.go":      "package less\n\nfunc Less(a, b int) bool { return a < b }\n\nfunc Same(a, b int) bool { return a == b }\n",
		"less_test.go": "package less\n\nimport \"testing\"\n\nfunc TestLess(t *testing.T) {\n\tif Less(2, 1) {\n\t\tt.Error(\"2 < 1\")\n\t}\n}\n\nfunc TestSame(t *testing.T) { Same(1, 1) }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOWORK", "off")
	noticed := Mutant{Name: "noticed", File: "less.go", Find: "a < b", Replace: "a > b", Package: ".", Test: "TestLess"}
	survives := Mutant{Name: "survives", File: "less.go", Find: "a == b", Replace: "a != b", Package: ".", Test: "TestSame"}
	unbuilt := Mutant{Name: "unbuilt", File: "less.go", Find: "a == b", Replace: "a = b", Package: ".", Test: "TestSame"}
	gone := Mutant{Name: "gone", File: "less.go", Find: "a <= b", Replace: "a > b", Package: ".", Test: "TestLess"}

	var out strings.Builder
	r := Runner{Root: dir, Out: &out}
	if err := r.Run(t.Context(), []Mutant{noticed}); err != nil || !strings.Contains(out.String(), "1 of 1 mutants were noticed") {
		t.Errorf("one that is noticed: %v\n%s", err, out.String())
	}
	out.Reset()
	err := r.Run(t.Context(), []Mutant{survives, unbuilt, noticed, gone})
	if !errors.Is(err, ErrUnnoticed) || !strings.Contains(err.Error(), "gone, survives, unbuilt") || !strings.Contains(out.String(), "1 of 4 mutants were noticed") {
		t.Errorf("three of four: %v\n%s", err, out.String())
	}
	missing := noticed
	missing.Test = "TestMore"
	if err := r.Run(t.Context(), []Mutant{missing}); err == nil || errors.Is(err, ErrUnnoticed) || !strings.Contains(err.Error(), "TestMore is not there") {
		t.Errorf("a test that is not there: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "less.go")); err != nil || !strings.Contains(string(b), "a < b") {
		t.Errorf("the source is %s, %v", b, err)
	}
}
