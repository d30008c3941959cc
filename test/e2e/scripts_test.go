package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// script runs one of the Makefile's scripts and returns its exit code and what it
// says.
func script(t *testing.T, env []string, name string, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.CommandContext(within(t, stepLimit), "/bin/sh", append([]string{filepath.Join("..", "scripts", name)}, args...)...)
	cmd.Env = env
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

// TestCoverTable: of each package and of all, a block counts once however many tests
// reach it, and too little of either fails.
func TestCoverTable(t *testing.T) {
	const root = "github.com/kubescribe/kubescribe/"
	profile := func(lines ...string) string {
		path := filepath.Join(t.TempDir(), "profile")
		if err := os.WriteFile(path, []byte(strings.Join(append([]string{"mode: set"}, lines...), "\n"+root)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := []string{"shared/a/x.go:1.1,2.2 95 0", "shared/a/x.go:3.1,4.2 5 0", "shared/a/x.go:1.1,2.2 95 1"}
	for name, test := range map[string]struct {
		lines []string
		skip  []string
		code  int
		want  string
	}{
		"enough":      {good, nil, 0, " 95.0 %  shared/a\n 95.0 %  all 100 statements\n"},
		"a package":   {append(good, "b/y.go:1.1,2.2 7 1", "b/y.go:3.1,4.2 3 0"), nil, 1, " 70.0 %  b  (under 80 %)\n 95.0 %  shared/a\n 92.7 %  all 110 statements\n"},
		"the floor":   {append(good, "b/y.go:1.1,2.2 8 1", "b/y.go:3.1,4.2 2 0"), nil, 0, " 80.0 %  b\n 95.0 %  shared/a\n 93.6 %  all 110 statements\n"},
		"all":         {[]string{"b/y.go:1.1,2.2 9 1", "b/y.go:3.1,4.2 1 0"}, nil, 1, " 90.0 %  b\n 90.0 %  all 10 statements  (not over 90 %)\n"},
		"left out":    {append(good, "b/z_gen.go:1.1,2.2 900 0"), []string{"b/z_gen.go"}, 0, " 95.0 %  shared/a\n 95.0 %  all 100 statements\n"},
		"none at all": {nil, nil, 1, "  0.0 %  all 0 statements  (not over 90 %)\n"},
	} {
		code, said := script(t, []string{"PATH=/usr/bin:/bin"}, "cover-table", append([]string{profile(test.lines...)}, test.skip...)...)
		if code != test.code || said != test.want {
			t.Errorf("%s: exit code %d, want %d; it says\n%s, want\n%s", name, code, test.code, said, test.want)
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
