package layout

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sources are all Go files of the repository: of the programs, and of their tests.
func sources(t *testing.T) (programs, tests string) {
	t.Helper()
	var of [2]strings.Builder
	for _, dir := range []string{"services", "shared", "test"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || filepath.Base(path) == "operations_test.go" {
				return err
			}
			b, err := os.ReadFile(path)
			if strings.HasSuffix(path, "_test.go") || dir == "test" {
				of[1].Write(b)
			} else {
				of[0].Write(b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return of[0].String(), of[1].String()
}

// TestOperations: what docs/operations.md names is there, by that name, since nobody who reads
// it at night has the time to look for what it is called now.
func TestOperations(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	programs, tests := sources(t)
	each := func(pattern string, exists func(name string) bool) {
		t.Helper()
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(page, -1)
		if len(found) == 0 {
			t.Errorf("nothing on the page is like %s", pattern)
		}
		for _, m := range found {
			if !exists(m[1]) {
				t.Errorf("docs/operations.md names %q, which is nowhere in the code", m[1])
			}
		}
	}
	in := func(text string, words ...string) bool {
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	}
	declared := func(flag string) bool {
		return regexp.MustCompile(`(Var|VarP|String|Bool)\(([^"\n]+, )?"` + flag + `"`).MatchString(programs)
	}
	each(`\b(kubescribe_[a-z_]*[a-z])\b`, func(metric string) bool {
		own, is := strings.CutPrefix(metric, "kubescribe_reconciler_") // some have that before a name
		return in(programs, `"`+metric+`"`) || is && in(programs, `"kubescribe_reconciler_" + name`, `("`+own+`"`)
	})
	each("`(Test[A-Za-z]+)`", func(test string) bool { return in(tests, "func "+test+"(t *testing.T)") })
	each("`Test[A-Za-z]+` \\(([^)]+)\\)", func(parts string) bool {
		for part := range strings.SplitSeq(parts, ", ") {
			if !in(programs+tests, `"`+part+`":`) {
				return false
			}
		}
		return true
	})
	each(`“([^”]+)”`, func(said string) bool { return in(programs, strings.Split(said, "…")...) })
	each("`([A-Z][a-z]+[A-Z][A-Za-z]+)`", func(word string) bool { // a reason, condition or kind
		return strings.HasPrefix(word, "Test") || in(programs, word)
	})
	each(`\b(KS_[A-Z]+|[A-Z]+_[A-Z]+)\b`, func(word string) bool { return in(programs, `"`+word+`"`) })
	each("(?m)(?:`|^ +)(kubescribe [a-z][^`#\n]*)", func(command string) bool {
		words := strings.Fields(command)
		if !in(programs, `Use: "`+words[1]) {
			return false
		}
		for i, w := range words {
			flag, long := strings.CutPrefix(w, "--")
			group := i == 1 && (w == "dlq" || w == "explain")
			if long && !declared(flag) || group && !in(programs, `Use: "`+words[2]) {
				return false
			}
		}
		return true
	})
	each("`--([a-z-]+)`", declared)
}
