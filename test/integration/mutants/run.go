package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// testLimit bounds the tests of one run, far above what they take.
const testLimit = 3 * time.Minute

// ErrUnnoticed says that there are mutants which no test has noticed, or which are none.
var ErrUnnoticed = errors.New("not every mutant was noticed")

// Runner runs tests on mutants.
type Runner struct {
	Root string // of the repository
	Out  io.Writer
}

// Run runs the tests of all mutants as the code is, and then each on its own. It prints a
// line for each, and what is to be done about those that were not noticed: ErrUnnoticed.
func (r Runner) Run(ctx context.Context, all []Mutant) error {
	dir, err := os.MkdirTemp("", "kubescribe-mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	begun := time.Now()
	overlays := map[string]string{} // by name
	var wrong []string
	fault := func(name string, err error) {
		wrong = append(wrong, name)
		r.say("%s: %v", name, err)
	}
	for _, m := range all {
		if overlays[m.Name], err = r.overlay(dir, m); err != nil {
			fault(m.Name, err)
		}
	}
	if err := r.unmutated(ctx, all); err != nil {
		return err
	}
	r.say("%d mutants; their tests pass without them (%s)", len(all), time.Since(begun).Round(time.Second))
	for _, m := range all {
		if overlays[m.Name] == "" {
			continue
		}
		begun := time.Now()
		printed, err := r.test(ctx, m.Package, pattern(m.Test), "-overlay", overlays[m.Name])
		if err != nil {
			return err
		}
		err = judge(printed, m.Test).noticed(m)
		word := "noticed"
		if err != nil {
			word = "NOT NOTICED"
		}
		r.say("%-11s %5.1f s  %s: %s", word, time.Since(begun).Seconds(), m.Name, m.Test)
		if err != nil {
			fault(m.Name, err)
		}
	}
	r.say("%d of %d mutants were noticed, in %s", len(all)-len(wrong), len(all), time.Since(begun).Round(time.Second))
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s", ErrUnnoticed, strings.Join(wrong, ", "))
	}
	return nil
}

// unmutated runs the tests as the code is: all of a package in one go.
func (r Runner) unmutated(ctx context.Context, all []Mutant) error {
	tests := map[string][]string{} // by package
	var packages []string
	for _, m := range all {
		if tests[m.Package] == nil {
			packages = append(packages, m.Package)
		}
		if !slices.Contains(tests[m.Package], m.Test) {
			tests[m.Package] = append(tests[m.Package], m.Test)
		}
	}
	for _, p := range packages {
		var patterns []string
		for _, t := range tests[p] {
			patterns = append(patterns, pattern(t))
		}
		printed, err := r.test(ctx, p, strings.Join(patterns, "|"))
		if err != nil {
			return err
		}
		for _, t := range tests[p] {
			if err := judge(printed, t).sound(t); err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
		}
	}
	return nil
}

// overlay writes the file with the breakage in it, and what makes go take it for the one
// that stands there; the path of the latter.
func (r Runner) overlay(dir string, m Mutant) (string, error) {
	path, err := filepath.Abs(filepath.Join(r.Root, m.File))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	broken, err := m.apply(string(source))
	if err != nil {
		return "", err
	}
	base := filepath.Join(dir, regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(m.Name), "-"))
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {path: base + ".go"}})
	if err != nil {
		return "", err
	}
	return base + ".json", errors.Join(os.WriteFile(base+".go", []byte(broken), 0o600), os.WriteFile(base+".json", replaced, 0o600))
}

// test runs tests of a package, many at once: those that take long wait. That they fail is no error.
func (r Runner) test(ctx context.Context, pkg, tests string, args ...string) (printed []byte, err error) {
	args = append([]string{"test", "-json", "-count=1", "-vet=off", "-parallel=12", "-timeout", testLimit.String(), "-run", tests}, append(args, pkg)...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.Root
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && (ctx.Err() != nil || !errors.As(err, new(*exec.ExitError))) {
		return nil, errors.Join(fmt.Errorf("running go test: %w", err), ctx.Err())
	}
	return out.Bytes(), nil
}

func (r Runner) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.Out, format+"\n", args...) // nobody may be there to read it
}
