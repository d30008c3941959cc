package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/service"
)

// running is a kubescribe run that is under way.
type running struct {
	*testing.T
	stop   context.CancelFunc
	code   chan int
	mu     sync.Mutex
	stderr bytes.Buffer // guarded by mu
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.Write(p)
}

func (r *running) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

// start begins a kubescribe run on a port of its own.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{T: t, stop: cancel, code: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.code <- Main(ctx, Env{
			Args: append([]string{"run", "--listen", "127.0.0.1:0"}, args...), Stdout: io.Discard, Stderr: r,
			Getenv: func(string) string { return "" }, Version: "v1.2.3", Owner: "test",
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Log(r.said())
		}
	})
	return r
}

// until waits for a condition; the deadline is there to fail, not to measure.
func (r *running) until(what string, met func() bool) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			r.Fatalf("still not: %s", what)
		case <-tick.C:
		}
	}
}

// ends waits for the exit code.
func (r *running) ends(want int) {
	r.Helper()
	select {
	case got := <-r.code:
		if got != want {
			r.Errorf("it ends with %d, want %d", got, want)
		}
	case <-time.After(time.Minute):
		r.Fatal("it does not end")
	}
}

// logged is a field of a line of the log, "" if there is no such line yet.
func (r *running) logged(msg, field string) string {
	for line := range strings.Lines(r.said()) {
		var l map[string]any
		if json.Unmarshal([]byte(line), &l) == nil && l["msg"] == msg {
			s, _ := l[field].(string)
			return s
		}
	}
	return ""
}

// newRepo is an empty bare repository.
func newRepo(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "live.git")
	if err := gittest.InitBare(dir, "main"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// push commits files as somebody else does: with a text of "", one is removed.
func push(t *testing.T, repo string, files map[string]string) {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "tree")
	if _, err := gittest.Git("", "clone", "-q", repo, tree); err != nil {
		t.Fatal(err)
	}
	for path, text := range files {
		path = filepath.Join(tree, path)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil && text == "" {
			err = os.Remove(path)
		} else if err == nil {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", "theirs"}, {"push", "-q", "origin", "HEAD:main"}} {
		if _, err := gittest.Git(tree, args...); err != nil {
			t.Fatal(err)
		}
	}
}

// content is the file of a config map on the remote, "" if there is none.
func content(repo, name string) string {
	out, err := gittest.Git(repo, "show", "main:live/shop/configmaps/"+name+".yaml")
	if err != nil {
		return ""
	}
	return out
}

// TestRun: what the cluster holds and what changes in it comes to the repository;
// the process says that it is ready, ends well when it is told to, and the next
// start on the same data directory goes on.
func TestRun(t *testing.T) {
	a, kubeconfig := newAPI(t)
	repo, data := newRepo(t), filepath.Join(t.TempDir(), "data")
	args := []string{"--repo", repo, "--kubeconfig", kubeconfig, "--data-dir", data}
	a.put("web", "one")

	r := start(t, args...)
	r.until("what there was is in the repository", func() bool { return strings.Contains(content(repo, "web"), "text: one") })
	a.put("web", "two")
	r.until("what changed is in the repository", func() bool { return strings.Contains(content(repo, "web"), "text: two") })
	if dir := r.logged("kubescribe is running", "data_dir"); dir != data {
		t.Errorf("it says that it keeps its bus in %q", dir)
	}
	r.until("it is ready", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.logged("kubescribe is running", "listen")+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		return resp.StatusCode == http.StatusOK
	})

	beside := start(t, args...)
	beside.ends(service.ExitError)
	if said := beside.said(); !strings.Contains(said, "in use") || !strings.Contains(said, "--data-dir") {
		t.Errorf("a second one beside it says %q", said)
	}

	r.stop()
	r.ends(service.ExitOK)
	if said := r.said(); !strings.Contains(said, "kubescribe has stopped") || strings.Contains(said, `"level":"ERROR"`) {
		t.Errorf("it says %s", said)
	}
	before, err := gittest.Log(repo, "main")
	if err != nil {
		t.Fatal(err)
	}
	a.put("db", "meanwhile")
	r = start(t, args...)
	r.until("what happened meanwhile is in the repository", func() bool { return strings.Contains(content(repo, "db"), "text: meanwhile") })
	r.stop()
	r.ends(service.ExitOK)
	after, err := gittest.Log(repo, "main")
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before)+1 {
		t.Errorf("one change while nobody looked made %d commits of %d", len(after), len(before))
	}

	other := start(t, append(slices.Clone(args), "--cluster", "staging")...)
	other.ends(service.ExitError)
	if said := other.said(); !strings.Contains(said, "--cluster 'prod'") {
		t.Errorf("with the data of another cluster it says %q", said)
	}
	for _, said := range []string{r.said(), beside.said(), other.said()} {
		if strings.Contains(said, "s3cret") {
			t.Errorf("it shows the password: %s", said)
		}
	}
}

// TestRunRefused: whoever named the one destination on the command line is told
// that it may not be written to, and how it could be.
func TestRunRefused(t *testing.T) {
	a, kubeconfig := newAPI(t)
	a.put("web", "one")
	repo := newRepo(t)
	push(t, repo, map[string]string{"live/mine.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\n"})
	args := []string{"--repo", repo, "--kubeconfig", kubeconfig, "--data-dir", filepath.Join(t.TempDir(), "data")}
	r := start(t, args...)
	r.ends(service.ExitError)
	if said := r.said(); !strings.Contains(said, errRefused.Error()) || !strings.Contains(said, "--adopt") {
		t.Errorf("it says %s", said)
	}
	if log, err := gittest.Log(repo, "main"); err != nil || len(log) != 1 {
		t.Errorf("the branch has %d commits now, %v", len(log), err)
	}
	// With what it names it is not refused any more, whatever the data directory remembers.
	r = start(t, append(args, "--adopt")...)
	r.until("the folder is adopted", func() bool { return strings.Contains(content(repo, "web"), "text: one") })
	r.stop()
	r.ends(service.ExitOK)
}

// TestRunFails: what a start meets is said with what helps, and what had started by
// then is given back: the next start finds the data directory free.
func TestRunFails(t *testing.T) {
	a, kubeconfig := newAPI(t)
	a.put("web", "one")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	repo, data := newRepo(t), filepath.Join(t.TempDir(), "data")
	args := []string{"--repo", repo, "--kubeconfig", kubeconfig, "--data-dir", data}
	for name, tt := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"address in use": {[]string{"--listen", l.Addr().String()}, service.ExitError, []string{l.Addr().String(), "--listen"}},
		"no address":     {[]string{"--listen", "8080"}, service.ExitUsage, []string{"8080", "127.0.0.1:8080"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, append(slices.Clone(args), tt.args...)...)
			r.ends(tt.code)
			for _, want := range tt.says {
				if !strings.Contains(r.said(), want) {
					t.Errorf("%q does not name %s", r.said(), want)
				}
			}
		})
	}
	r := start(t, args...)
	r.until("the next start writes", func() bool { return strings.Contains(content(repo, "web"), "text: one") })
	r.stop()
	r.ends(service.ExitOK)
}

// TestRunDocuments: with documents, one destination that is refused is said, and
// ends nothing: the others go on.
func TestRunDocuments(t *testing.T) {
	a, kubeconfig := newAPI(t)
	a.put("web", "one")
	taken, repo := newRepo(t), newRepo(t)
	push(t, taken, map[string]string{"live/mine.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\n"})
	config := file(t, "config.yaml", strings.NewReplacer("TAKEN", taken, "FREE", repo).Replace(`
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: taken, namespace: shop}
spec: {url: TAKEN}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: taken, namespace: shop}
spec: {remoteRef: {name: taken}}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: free, namespace: shop}
spec: {url: FREE}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: free, namespace: shop}
spec: {remoteRef: {name: free}}
---
apiVersion: kubescribe.dev/v1alpha1
kind: WatchRule
metadata: {name: taken, namespace: shop}
spec: {destinationRef: {name: taken}, rules: [{apiGroups: [""], resources: [configmaps]}]}
---
apiVersion: kubescribe.dev/v1alpha1
kind: WatchRule
metadata: {name: free, namespace: shop}
spec: {destinationRef: {name: free}, rules: [{apiGroups: [""], resources: [configmaps]}]}
`))
	r := start(t, "--config", config, "--kubeconfig", kubeconfig, "--data-dir", filepath.Join(t.TempDir(), "data"))
	r.until("the refusal is said", func() bool { return strings.Contains(r.logged("destination refused", "err"), "adopt: true") })
	r.until("the other one is written", func() bool { return strings.Contains(content(repo, "web"), "text: one") })
	a.put("web", "two")
	r.until("changes go on to it", func() bool { return strings.Contains(content(repo, "web"), "text: two") })
	if log, err := gittest.Log(taken, "main"); err != nil || len(log) != 1 {
		t.Errorf("the refused branch has %d commits now, %v", len(log), err)
	}
	r.stop()
	r.ends(service.ExitOK)
}
