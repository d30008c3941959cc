package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestNoAPIServer: without an API server kubescribe goes on trying, and says so,
// but for a password in the server's URL.
func TestNoAPIServer(t *testing.T) {
	w := newWorld(t, cluster)
	w.options.Kubeconfig = w.file(t, "dead", strings.Replace(deadKubeconfig, "https://", "https://joe:"+password+"@", 1))
	k := w.start(t)
	awaitNotReady(t, k, "watcher", "https://127.0.0.1:1", "connection refused")
	if log := string(k.Output()); !strings.Contains(log, "https://127.0.0.1:1") || !strings.Contains(log, "connection refused") {
		t.Error("the log does not say which API server does not answer")
	}
	checkNoPassword(t, "the log", string(k.Output()))
	_, metrics, err := k.Get(within(t, stepLimit), "/metrics")
	must(t, err)
	if !strings.Contains(metrics, "\nkubescribe_watcher_up 0\n") || strings.Contains(metrics, "\nkubescribe_watcher_interruptions_total 0\n") {
		t.Error("the metrics do not say that the cluster is not watched")
	}
	if code, body, err := k.Get(within(t, stepLimit), "/healthz"); err != nil || code != http.StatusOK {
		t.Errorf("/healthz: %d %s, %v", code, body, err)
	}
	stop(t, k)
}

// TestNoRemote: what happens while the remote cannot be reached, or does not
// know the password, waits, and /readyz says which branch and why. The password
// is told to nobody but the remote.
func TestNoRemote(t *testing.T) {
	for _, test := range []struct {
		name string
		// broken makes the remote unusable and returns what mends it.
		broken func(t *testing.T, w *world) (mend func())
		why    []string // in /readyz
	}{
		{"unreachable", func(t *testing.T, w *world) func() {
			must(t, w.remote.Close())
			l, err := net.Listen("tcp", "127.0.0.1:0") // a port that stays the test's own
			must(t, err)
			address := l.Addr().String()
			must(t, l.Close())
			w.options.Repo = "http://" + address + "/live.git"
			return func() { w.serve(t, address) }
		}, []string{"branch main of http://127.0.0.1:", "/live.git", "connection refused"}},
		{"wrong password", func(_ *testing.T, w *world) func() {
			w.options.Password = w.file(t, "password", "wrong-"+password)
			return func() { w.file(t, "password", password) }
		}, []string{"branch main of http://127.0.0.1:", "/live.git", "authentication failed"}},
		{"refusing hook", func(t *testing.T, w *world) func() {
			must(t, gittest.InstallHook(w.remote.Dir, "pre-receive", gittest.RefuseWith("this branch is frozen until Monday")))
			return func() { must(t, gittest.InstallHook(w.remote.Dir, "pre-receive", "")) }
		}, []string{"branch main of http://127.0.0.1:", "/live.git", "this branch is frozen until Monday"}},
		{"quota", func(t *testing.T, w *world) func() {
			must(t, gittest.Configure(w.remote.Dir, "receive.maxInputSize", "100"))
			return func() { must(t, gittest.Configure(w.remote.Dir, "receive.maxInputSize", "0")) }
		}, []string{"branch main of http://127.0.0.1:", "/live.git", "it has no room for it", "make room on the remote"}},
		{"no credentials", func(_ *testing.T, w *world) func() {
			w.options.Username = ""
			return nil
		}, []string{"branch main of http://127.0.0.1:", "/live.git", "authentication failed"}},
		{"no such repository", func(_ *testing.T, w *world) func() {
			w.options.Repo = strings.Replace(w.options.Repo, "live.git", "other.git", 1)
			return nil
		}, []string{"branch main of http://127.0.0.1:", "/other.git", "not found"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, cluster)
			ns := w.namespace(t, "outage")
			w.options.Args = []string{"--namespace", ns}
			w.apply(t, configMap(ns, "before", "something to push"))
			mend := test.broken(t, w)
			k := w.start(t)
			awaitNotReady(t, k, append(test.why, "git-writer")...)
			awaitWatching(t, k)
			var writes []harness.Written
			for n := range 10 {
				writes = append(writes, w.apply(t, configMap(ns, "kept", fmt.Sprint(n))))
			}
			var metrics string
			waits := regexp.MustCompile(`(?m)^kubescribe_git_writer_lag_messages\{[^}]*\} [1-9]`)
			must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the metrics to count what waits", func(ctx context.Context) (err error) {
				if _, metrics, err = k.Get(ctx, "/metrics"); err == nil && !waits.MatchString(metrics) {
					err = errors.New("they count nothing")
				}
				return err
			}))
			if !strings.Contains(metrics, "kubescribe_git_writer_stalls_total") {
				t.Error("the metrics do not count stalls")
			}
			checkNoPassword(t, "/metrics", metrics)
			if mend == nil {
				return
			}
			mend()
			must(t, k.AwaitReady(within(t, stepLimit)))
			must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
			w.settle(t, scope(ns))
			w.history(t)
			checkAbsent(t, w.options.DataDir, password)
		})
	}
}

// awaitWatching waits until the watcher has nothing to complain of.
func awaitWatching(t *testing.T, k *harness.Daemon) {
	t.Helper()
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the watcher to be ready", func(ctx context.Context) error {
		_, body, err := k.Get(ctx, "/readyz")
		if err == nil && strings.Contains(body, "watcher: ") {
			err = errors.New(body)
		}
		return err
	}))
}
