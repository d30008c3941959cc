package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// script runs one of the Makefile's scripts and returns its exit code and what it
// says.
func script(t *testing.T, env []string, name string, args ...string) (code int, said string) {
	t.Helper()
	return scriptIn(t, "", env, filepath.Join("..", "scripts", name), args...)
}

// scriptIn is script, of a path, in a directory.
func scriptIn(t *testing.T, dir string, env []string, path string, args ...string) (code int, said string) {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(within(t, stepLimit), "/bin/sh", append([]string{path}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestNeed: on a machine that has nothing, everything is named at once, with the
// command that installs it.
func TestNeed(t *testing.T) {
	for _, test := range []struct {
		what []string
		want []string
	}{
		{nil, []string{"missing: git\n", "missing: make\n", "missing: a C compiler", "missing: Go", "apt-get install -y git make ", " gcc libc6-dev", "curl -fsSL https://go.dev/dl/go1.", ".tar.gz | tar -xz -C /usr/local"}},
		{[]string{"build"}, []string{"missing: git\n", "missing: make\n", "missing: Go"}},
		{[]string{"docker", "compose"}, []string{"missing: docker\n", "missing: docker-compose\n", "apt-get install -y docker.io docker-compose"}},
	} {
		code, said := script(t, []string{"PATH="}, "need", test.what...)
		if code != 1 {
			t.Errorf("need %v exits with %d", test.what, code)
		}
		for _, want := range test.want {
			if !strings.Contains(said, want) {
				t.Errorf("need %v does not say %q: %s", test.what, want, said)
			}
		}
	}
}

// TestProgress: what a build says besides the names of packages is not lost, nor
// its exit status.
func TestProgress(t *testing.T) {
	build := `n=0; while [ $n -lt 250 ]; do n=$((n + 1)); echo "example.com/p/$n"; done >&2; echo "x.go:1: boom" >&2; exit 3`
	code, said := script(t, nil, "progress", "/bin/sh", "-c", build)
	if want := "  0 modules fetched, 250 packages compiled\nx.go:1: boom\n"; code != 3 || said != want {
		t.Errorf("exit code %d, want 3; it says\n%s, want\n%s", code, said, want)
	}
}

// TestCovered: go test's own words and exit status are kept, a stack trace whole, and no
// profile of a run before counts.
func TestCovered(t *testing.T) {
	test := `printf 'ok  \tgithub.com/k/a\t1.2s\tcoverage: 12.0%% of statements in github.com/k/...\n\tgithub.com/k/b\t\tcoverage: 0.0%% of statements\n'
printf 'ok  \tgithub.com/k/c\t(cached)\tcoverage: [no statements]\ncoverage: 3.1%% of statements in github.com/k/d\n'
printf 'WARNING: DATA RACE\n  github.com/k/a.(*T).run()\n      a.go:1 +0x44\n\n'
echo "$*" >&2
exit `
	root := t.TempDir()
	profile := filepath.Join(root, "bin", "cover", "all.out")
	if err := errors.Join(os.MkdirAll(filepath.Dir(profile), 0o700), os.CopyFS(filepath.Join(root, "test", "scripts"), os.DirFS("../scripts"))); err != nil {
		t.Fatal(err)
	}
	for status, want := range map[string]int{"0": 0, "1": 1} {
		goTool := filepath.Join(root, "go"+status)
		err := os.WriteFile(goTool, []byte("#!/bin/sh\n"+test+status+"\n"), 0o700) //nolint:gosec // it is to be run
		if err = errors.Join(err, os.WriteFile(profile, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		code, said := scriptIn(t, root, []string{"PATH=/usr/bin:/bin", "GO=" + goTool}, filepath.Join(root, "test", "scripts", "covered"), "all", "-count=1", "./...")
		says := "ok  \tgithub.com/k/a\t1.2s\nok  \tgithub.com/k/c\t(cached)\n" +
			"WARNING: DATA RACE\n  github.com/k/a.(*T).run()\n      a.go:1 +0x44\n\n" +
			"test -race -coverprofile=" + profile + " -count=1 ./...\n"
		if code != want || said != says {
			t.Errorf("of exit code %s it makes %d, and says\n%s, want\n%s", status, code, said, says)
		}
		if _, err := os.Stat(profile); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the profile of a run before is there: %v", err)
		}
	}
}

// TestCoverTable: of each package and of all, a block counts once however many profiles
// reach it, and too little of either fails.
func TestCoverTable(t *testing.T) {
	const head = "statements reached (in a browser: go tool cover -html=bin/cover.out)\n"
	block := func(file string, statements, reached int) string {
		return fmt.Sprintf("github.com/kubescribe/kubescribe/%s:%d.1,%d.2 %d %d", file, statements, statements, statements, reached)
	}
	good := [][]string{{block("shared/a/x.go", 95, 0), block("shared/a/x.go", 5, 0)}, {block("shared/a/x.go", 95, 1)}}
	and := func(lines ...string) [][]string { return append(slices.Clone(good), lines) }
	for name, test := range map[string]struct {
		profiles [][]string
		code     int
		want     string
	}{
		"enough":      {good, 0, " 95.0 %  shared/a\n 95.0 %  all 100 statements\n"},
		"a package":   {and(block("b/y.go", 7, 1), block("b/y.go", 3, 0)), 1, " 70.0 %  b  (under 80 %)\n 95.0 %  shared/a\n 92.7 %  all 110 statements\n"},
		"the floor":   {and(block("b/y.go", 8, 1), block("b/y.go", 2, 0)), 0, " 80.0 %  b\n 95.0 %  shared/a\n 93.6 %  all 110 statements\n"},
		"all":         {[][]string{{block("b/y.go", 9, 1), block("b/y.go", 1, 0)}}, 1, " 90.0 %  b\n 90.0 %  all 10 statements  (not over 90 %)\n"},
		"left out":    {and(block("shared/z.go", 900, 0), block("services/x/cmd/x/main.go", 900, 0), block("shared/bustest/x.go", 900, 0)), 0, " 95.0 %  shared/a\n 95.0 %  all 100 statements\n"},
		"none at all": {[][]string{{}}, 1, "  0.0 %  all 0 statements  (not over 90 %)\n"},
	} {
		root := t.TempDir()
		write := func(content, name string) {
			path := filepath.Join(root, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		write("// Code generated by a program. DO NOT EDIT.\n", "shared/z.go")
		write("package x\n", "services/x.go")
		for i, lines := range test.profiles {
			write(strings.Join(append([]string{"mode: atomic"}, lines...), "\n")+"\n", fmt.Sprintf("bin/cover/%d.out", i))
		}
		code, said := scriptIn(t, root, []string{"PATH=/usr/bin:/bin"}, filepath.Join("..", "scripts", "cover-table"))
		if want := head + test.want; code != test.code || said != want {
			t.Errorf("%s: exit code %d, want %d; it says\n%s, want\n%s", name, code, test.code, said, want)
		}
	}
}

// TestCompose: what make up must be told is the cluster and the documents. Remotes
// that are open or reached by ssh need no user and no password.
func TestCompose(t *testing.T) {
	compose, err := exec.LookPath("docker-compose")
	if err != nil {
		t.Skip("docker-compose is not installed here")
	}
	needed := []string{"KUBECONFIG=/dev/null", "CONFIG=/dev/null"}
	for _, test := range []struct {
		env     []string
		missing string
	}{
		{needed, ""},
		{append(needed[:2:2], "KUBESCRIBE_GIT_USERNAME=me", "KUBESCRIBE_GIT_PASSWORD_FILE=/run/password"), ""},
		{append(needed[:2:2], "KUBESCRIBE_GIT_CREDENTIALS_DIR=/run/git"), ""},
		{append(needed[:2:2], "KUBESCRIBE_CREDENTIALS_RECIPIENT=age1", "KUBESCRIBE_CREDENTIALS_IDENTITY_FILE=/run/identity"), ""},
		{append(needed[:2:2], "KUBESCRIBE_GIT_SIGNING_KEY_FILE=/run/key", "KUBESCRIBE_GIT_SIGNING_PASSPHRASE_FILE=/run/passphrase"), ""},
		{append(needed[:2:2], "SSH_AUTH_SOCK=/run/agent", "SSH_KNOWN_HOSTS=/run/known_hosts"), ""},
		{needed[:1], "CONFIG"},
		{needed[1:], "KUBECONFIG"},
	} {
		cmd := exec.CommandContext(within(t, stepLimit), compose, "-f", filepath.Join("..", "..", "docker-compose.yaml"), "config", "-q")
		cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}, test.env...)
		out, err := cmd.CombinedOutput()
		if (err == nil) != (test.missing == "") || !strings.Contains(string(out), test.missing) {
			t.Errorf("with %v: %v\n%s", test.env, err, out)
		}
	}
}
