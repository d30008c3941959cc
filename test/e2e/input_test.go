package e2e_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// deadKubeconfig names an API server at a port that nobody listens on.
const deadKubeconfig = `
apiVersion: v1
kind: Config
current-context: dead
contexts: [{name: dead, context: {cluster: dead, user: nobody}}]
clusters: [{name: dead, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
`

// TestUsage: what was typed wrong is told once, by the name of the flag or the
// line of the file, with exit code 2; what else keeps kubescribe from starting,
// with exit code 1.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	kubeconfig := file("kubeconfig", deadKubeconfig)
	const repo = "http://127.0.0.1:1/live.git"
	const remote = "apiVersion: kubescribe.dev/v1alpha1\nkind: GitRemote\nmetadata: {name: r}\nspec: {url: /srv/r.git}\n---\n"
	for _, test := range []struct {
		name string
		args []string
		code int
		want []string // in the message
		not  string   // not in the message
	}{
		{"no destination", nil, 2, []string{"--repo", "--config"}, ""},
		{"an unknown flag", []string{"--repository", repo}, 2, []string{"--repository", "--help"}, ""},
		{"an argument too many", []string{"--repo", repo, "more"}, 2, []string{`"more"`}, ""},
		{"no URL", []string{"--repo", "git.example.com:x y"}, 2, []string{"--repo", "space"}, ""},
		{"a scheme nobody knows", []string{"--repo", "ftp://git.example.com/x"}, 2, []string{"--repo", "https://"}, ""},
		{"a host that is none", []string{"--repo", "https:///x"}, 2, []string{"--repo", "host"}, ""},
		{"a password in the URL", []string{"--repo", "https://scribe:" + password + "@git.example.com/x.git"}, 2, []string{"--repo", "KUBESCRIBE_GIT_PASSWORD_FILE"}, password},
		{"a token in the URL", []string{"--repo", "https://" + password + "@git.example.com/x.git"}, 2, []string{"--repo", "KUBESCRIBE_GIT_PASSWORD_FILE"}, password},
		{"a branch git refuses", []string{"--repo", repo, "--branch", "a..b"}, 2, []string{"--branch", ".."}, ""},
		{"a ref as a branch", []string{"--repo", repo, "--branch", "refs/heads/main"}, 2, []string{"--branch", "refs/heads/"}, ""},
		{"a folder above", []string{"--repo", repo, "--base-folder", "../x"}, 2, []string{"--base-folder", ".."}, ""},
		{"an absolute folder", []string{"--repo", repo, "--base-folder", "/abs"}, 2, []string{"--base-folder", "slash"}, ""},
		{"a folder in .git", []string{"--repo", repo, "--base-folder", "a/.git"}, 2, []string{"--base-folder", ".git"}, ""},
		{"a namespace that is none", []string{"--repo", repo, "--namespace", "A_b"}, 2, []string{"--namespace", "A_b"}, ""},
		{"a flag beside a file", []string{"--config", file("rules.yaml", remote), "--branch", "x"}, 2, []string{"--branch", "--config"}, ""},
		{"an unknown field", []string{"--config", file("field.yaml", remote+"apiVersion: kubescribe.dev/v1alpha1\nkind: GitDestination\nmetadata: {name: d}\nspec:\n  remoteRef: {name: r}\n  brunch: main\n")}, 2, []string{"field.yaml:11", "brunch"}, ""},
		{"an unknown kind", []string{"--config", file("kind.yaml", remote+"apiVersion: kubescribe.dev/v1alpha1\nkind: GitDestiny\nmetadata: {name: d}\n")}, 2, []string{"kind.yaml:7", "GitDestiny", "GitDestination"}, ""},
		{"no such file", []string{"--config", filepath.Join(dir, "none.yaml")}, 2, []string{"none.yaml"}, ""},
		{"no such kubeconfig", []string{"--repo", repo, "--kubeconfig", filepath.Join(dir, "none")}, 2, []string{"kubeconfig", "none"}, ""},
		{"no such context", []string{"--repo", repo, "--context", "elsewhere"}, 2, []string{"elsewhere"}, ""},
		{"a file as data directory", []string{"--repo", repo, "--data-dir", file("file", "")}, 1, []string{"--data-dir", filepath.Join(dir, "file")}, ""},
		{"a data directory of another version", []string{"--repo", repo, "--data-dir", filepath.Dir(file("newer/VERSION", "layout 999\n"))}, 1, []string{"layout 999", "--data-dir"}, ""},
		{"a directory with something else", []string{"--repo", repo, "--data-dir", filepath.Dir(file("photos/cat.jpg", ""))}, 1, []string{"cat.jpg", "--data-dir"}, ""},
		{"an address that is none", []string{"--repo", repo, "--listen", "nowhere:http-alt-alt"}, 2, []string{"--listen", "http-alt-alt"}, ""},
		{"a port that is none", []string{"--repo", repo, "--listen", ":99999"}, 2, []string{"--listen", "99999"}, ""},
		{"an address in use", []string{"--repo", repo, "--listen", inUse(t)}, 1, []string{"--listen", "in use"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"run"}, test.args...)
			for flag, value := range map[string]string{"--kubeconfig": kubeconfig, "--data-dir": filepath.Join(t.TempDir(), "data"), "--listen": "127.0.0.1:0"} {
				if !strings.Contains(strings.Join(args, " "), flag) {
					args = append(args, flag, value)
				}
			}
			code, said := runToEnd(t, args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d: %s", code, test.code, said)
			}
			for _, want := range test.want {
				if !strings.Contains(said, want) {
					t.Errorf("the message does not say %q: %s", want, said)
				}
			}
			if test.not != "" && strings.Contains(said, test.not) {
				t.Errorf("the message says %q: %s", test.not, said)
			}
			t.Log(strings.TrimSpace(said))
			if n := strings.Count(said, "kubescribe run: "); n != 1 {
				t.Errorf("%d messages, want one: %s", n, said)
			}
		})
	}
}

// inUse is an address that this test listens on.
func inUse(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// runToEnd runs kubescribe until it exits, and returns what it printed besides
// its log.
func runToEnd(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	p, err := harness.StartProcess(harness.Command{Bins: bins, Program: "kubescribe", Args: args, Log: log})
	must(t, err)
	t.Cleanup(p.Kill)
	code, err = p.Exit(within(t, stepLimit))
	must(t, err)
	return code, words(p)
}

// TestNoKubeconfig: what $KUBECONFIG names and is not there was typed wrong, for
// every program that reads it.
func TestNoKubeconfig(t *testing.T) {
	dir := t.TempDir()
	missing, config := filepath.Join(dir, "none"), filepath.Join(dir, "config.yaml")
	must(t, os.WriteFile(config, []byte(`apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: r}
spec: {url: /srv/r.git}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: d}
spec: {remoteRef: {name: r}}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: all}
spec:
  destinationRef: {name: d, namespace: default}
  rules: [{apiGroups: ["*"], resources: ["*"]}]
`), 0o600))
	for program, args := range map[string][]string{
		"kubescribe": {"run", "--config", config, "--data-dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0"},
		"watcher":    {"--config", config, "--listen", "127.0.0.1:0"},
	} {
		p, err := harness.StartProcess(harness.Command{
			Bins: bins, Program: program, Args: args, Env: []string{"KUBECONFIG=" + missing}, Log: filepath.Join(dir, program+".log"),
		})
		must(t, err)
		t.Cleanup(p.Kill)
		code, err := p.Exit(within(t, stepLimit))
		if said := words(p); err != nil || code != 2 || !strings.Contains(said, missing) || !strings.Contains(said, "$KUBECONFIG") {
			t.Errorf("%s: exit code %d, %v: %s", program, code, err, said)
		}
	}
}

// words are the lines of a process that are no records of its log.
func words(p *harness.Process) string {
	var b bytes.Buffer
	for line := range bytes.Lines(p.Output()) {
		if !bytes.HasPrefix(line, []byte("{")) {
			b.Write(line)
		}
	}
	return b.String()
}

// TestDataDirInUse: two on one data directory would lose messages.
func TestDataDirInUse(t *testing.T) {
	w := newWorld(t, cluster)
	w.options.Kubeconfig = w.file(t, "dead", deadKubeconfig)
	w.start(t)
	code, said := runToEnd(t, w.options.Command().Args...)
	if code != 1 || !strings.Contains(said, "in use") || !strings.Contains(said, w.options.DataDir) || !strings.Contains(said, "--data-dir") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// TestStoreIsGone: what stands in Git says how far a store had come, so another in
// its place is not taken for it.
func TestStoreIsGone(t *testing.T) {
	w := newWorld(t, cluster)
	w.options.Kubeconfig = w.file(t, "dead", deadKubeconfig)
	stop(t, w.start(t))
	stop(t, w.start(t))
	must(t, os.RemoveAll(filepath.Join(w.options.DataDir, "nats")))
	code, said := runToEnd(t, w.options.Command().Args...)
	if code != 1 || !strings.Contains(said, "another install") || !strings.Contains(said, w.options.DataDir) || !strings.Contains(said, "--data-dir") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// TestDataDirOfAnotherCluster: a cluster that goes by another name would leave what
// the data directory holds of the first behind.
func TestDataDirOfAnotherCluster(t *testing.T) {
	w := newWorld(t, cluster)
	w.options.Kubeconfig = w.file(t, "dead", deadKubeconfig)
	stop(t, w.start(t))
	code, said := runToEnd(t, append(w.options.Command().Args, "--cluster", "renamed")...)
	if code != 1 || !strings.Contains(said, w.options.DataDir) || !strings.Contains(said, "renamed") || !strings.Contains(said, "--data-dir") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// TestDataDirNotWritable: where nothing can be kept, nothing begins.
func TestDataDirNotWritable(t *testing.T) {
	w := newWorld(t, cluster)
	w.options.Kubeconfig = w.file(t, "dead", deadKubeconfig)
	shut := filepath.Join(w.dir, "shut")
	must(t, os.Mkdir(shut, 0o500))
	for _, dir := range []string{shut, filepath.Join(shut, "data")} {
		w.options.DataDir = dir
		cmd, err := w.options.Command().Exec()
		must(t, err)
		if os.Geteuid() == 0 { // whom modes do not stop, as long as it has root's capabilities
			env := cmd.Env
			cmd = exec.CommandContext(within(t, stepLimit), "setpriv", append([]string{"--bounding-set=-all"}, append([]string{cmd.Path}, cmd.Args[1:]...)...)...)
			cmd.Env = env
		}
		out, err := cmd.CombinedOutput()
		if said := string(out); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, dir) || !strings.Contains(said, "permission denied") || !strings.Contains(said, "--data-dir") {
			t.Errorf("exit code %d, %v: %s", cmd.ProcessState.ExitCode(), err, said)
		}
	}
}

// TestAdopt: a folder that holds manifests and no marker is refused, and taken
// over when told so.
func TestAdopt(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "adopt")
	others := newOthers(t, w)
	stale := "live/" + ns + "/configmaps/stale.yaml"
	others.commit(t, map[string]string{stale: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stale, namespace: " + ns + "}\n", "apps/x.yaml": "a: b\n"})
	others.push(t)
	before := w.tip(t)
	w.options.Args = []string{"--namespace", ns}

	p, err := harness.StartProcess(w.options.Command())
	must(t, err)
	watchOver(t, p)
	code, err := p.Exit(within(t, stepLimit))
	must(t, err)
	if said := words(p); code != 1 || !strings.Contains(said, "--adopt") || !strings.Contains(said, "live") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if w.tip(t) != before {
		t.Error("something was pushed")
	}

	w.options.Args = append(w.options.Args, "--adopt")
	w.apply(t, configMap(ns, "settings", "x"))
	w.startReady(t)
	w.settle(t, scope(ns)) // without the orphan
	delete(others.files, stale)
	others.check(t, w)
}

// TestAdoptInstall: a folder of another install, or of one whose data directory
// is gone, is refused too, until told otherwise.
func TestAdoptInstall(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "install")
	w.options.Args = []string{"--namespace", ns}
	k := w.startReady(t)
	w.sentinel(t, ns)
	stop(t, k)
	w.options.DataDir = filepath.Join(w.dir, "another")

	p, err := harness.StartProcess(w.options.Command())
	must(t, err)
	watchOver(t, p)
	code, err := p.Exit(within(t, stepLimit))
	must(t, err)
	if said := words(p); code != 1 || !strings.Contains(said, "--adopt") || !strings.Contains(said, "another kubescribe install") {
		t.Errorf("exit code %d: %s", code, said)
	}
	w.options.Args = append(w.options.Args, "--adopt")
	w.startReady(t)
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	w.history(t)
}

// TestVersion: the version is told.
func TestVersion(t *testing.T) {
	path, err := bins.Program("kubescribe")
	must(t, err)
	out, err := exec.CommandContext(within(t, stepLimit), path, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "kubescribe ") {
		t.Errorf("%q, %v", out, err)
	}
}
