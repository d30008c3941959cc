package e2e_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// The limits of waiting. None is a measure of anything but burstLimit.
const (
	startLimit = 90 * time.Second
	stepLimit  = 60 * time.Second
	stopLimit  = 10 * time.Second // what SIGTERM is promised to take at most
	burstLimit = 30 * time.Second // from the last answer to the last commit
)

// The credentials that every remote asks for. The password is one that would be
// found anywhere.
const (
	user     = "scribe"
	password = "hunter2-n0t-in-any-l0g" //nolint:gosec // made up, for loopback
)

// world is what a test has to itself: a repository, a namespace of the shared
// cluster and a data directory.
type world struct {
	cluster *harness.ControlPlane
	cfg     *rest.Config
	objects *harness.Objects
	remote  *harness.Remote
	dir     string
	options harness.KubescribeOptions

	gate      gate
	sentinels int
}

// newWorld makes a world on a cluster. Nothing of kubescribe runs yet.
func newWorld(t *testing.T, cp *harness.ControlPlane) *world {
	t.Helper()
	w := &world{cluster: cp, dir: t.TempDir()}
	var err error
	if w.cfg, err = cp.REST(); err != nil {
		t.Fatal(err)
	}
	if w.objects, err = harness.NewObjects(w.cfg); err != nil {
		t.Fatal(err)
	}
	w.serve(t, "")
	w.options = harness.KubescribeOptions{
		Bins: bins, Kubeconfig: cp.Kubeconfig(), Repo: w.remote.URL, Cluster: "e2e",
		Username: user, Password: w.file(t, "password", password+"\n"), DataDir: filepath.Join(w.dir, "data"),
	}
	return w
}

// serve serves the world's repository, at an address if one is given.
func (w *world) serve(t *testing.T, address string) {
	t.Helper()
	remote, err := harness.ServeRemote(harness.RemoteOptions{
		Dir: filepath.Join(w.dir, "remote"), User: user, Password: password, Address: address, Wrap: w.gate.wrap,
	})
	must(t, err)
	w.remote = remote
	t.Cleanup(func() { _ = remote.Close() }) // again, maybe
}

// file writes a file into the world's directory.
func (w *world) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start starts kubescribe. It is killed when the test ends; a failed test shows
// the end of its log, and every test that the password is not in it.
func (w *world) start(t *testing.T) *harness.Daemon {
	t.Helper()
	k, err := harness.StartKubescribe(within(t, startLimit), w.options)
	if err != nil {
		t.Fatal(err)
	}
	watchOver(t, k.Process)
	return k
}

// startReady is start, and waits until it is ready.
func (w *world) startReady(t *testing.T) *harness.Daemon {
	t.Helper()
	k := w.start(t)
	must(t, k.AwaitReady(within(t, startLimit)))
	return k
}

// watchOver kills a process when the test ends, shows the end of its log if the
// test failed, and checks that its log holds no password.
func watchOver(t *testing.T, p *harness.Process) {
	t.Helper()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the log of %s (%d) ends with:\n%s", p.Name, p.PID(), p.Tail(40))
		}
		checkNoPassword(t, "the log of "+p.Name, string(p.Output()))
	})
}

// checkNoPassword fails the test if a text holds the remotes' password.
func checkNoPassword(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, password) {
		t.Errorf("%s holds the password", where)
	}
}

// namespace makes a namespace that no other test has.
func (w *world) namespace(t *testing.T, prefix string) string {
	t.Helper()
	name := prefix + "-" + strings.ToLower(rand.Text()[:6])
	w.apply(t, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "+name+"\n")
	return name
}

// apply brings an object to what a manifest says.
func (w *world) apply(t *testing.T, manifest string) harness.Written {
	t.Helper()
	written, err := w.objects.Apply(within(t, stepLimit), manifest)
	must(t, err)
	return written
}

// remove deletes an object.
func (w *world) remove(t *testing.T, manifest string) harness.Written {
	t.Helper()
	written, err := w.objects.Delete(within(t, stepLimit), manifest)
	must(t, err)
	return written
}

// configMap is a manifest.
func configMap(namespace, name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  namespace: %s\ndata:\n  value: %q\n", name, namespace, value)
}

// settle waits until Git equals the cluster for what kubescribe mirrors.
func (w *world) settle(t *testing.T, scope harness.Scope) harness.Comparison {
	t.Helper()
	c, err := harness.AwaitEqual(within(t, stepLimit), w.cfg, w.remote.Repository, scope)
	must(t, err)
	return c
}

// scope is the folder that kubescribe writes to by default.
func scope(namespaces ...string) harness.Scope {
	return harness.Scope{Folder: "live", Namespaces: namespaces}
}

// sentinel writes one more object to a namespace and waits for its commit. What
// was written to objects of its type before it has landed then.
func (w *world) sentinel(t *testing.T, namespace string) harness.Commit {
	t.Helper()
	w.sentinels++
	written := w.apply(t, configMap(namespace, "sentinel", fmt.Sprint(w.sentinels)))
	must(t, w.awaitVersions(within(t, stepLimit), "", written))
	history := w.history(t)
	for _, c := range history {
		if c.Resource == written.Resource && c.Version == written.Version {
			return c
		}
	}
	t.Fatalf("no commit of %s at %s", written.Resource, written.Version)
	return harness.Commit{}
}

// awaitVersions waits until each write has its commit behind a commit of the
// branch, "" for any.
func (w *world) awaitVersions(ctx context.Context, since string, writes ...harness.Written) error {
	missing := map[string]bool{}
	for _, written := range writes {
		if written.Deleted {
			continue // its commit names a version that was not answered
		}
		missing[written.Resource+" at "+written.Version] = true
	}
	return harness.Poll(ctx, 25*time.Millisecond, "a commit of each version", func(context.Context) error {
		tip, err := w.remote.Tip()
		if err != nil {
			return err
		}
		if tip == "" {
			return errors.New("there is no branch yet")
		}
		if tip != since {
			var revisions []string
			if since != "" {
				revisions = []string{since + ".." + tip}
			}
			news, err := w.remote.History(revisions...)
			if err != nil {
				return err
			}
			for _, c := range news {
				delete(missing, c.Resource+" at "+c.Version)
			}
			since = tip
		}
		if len(missing) > 0 {
			for one := range missing {
				return fmt.Errorf("%d are missing, among them %s", len(missing), one)
			}
		}
		return nil
	})
}

// history is what stock git says is in the branch, and fails the test if it is
// wrong in itself.
func (w *world) history(t *testing.T) []harness.Commit {
	t.Helper()
	history, err := w.remote.History()
	must(t, err)
	report(t, harness.Doubles(history))
	return history
}

// count is how many commits the branch has.
func (w *world) count(t *testing.T) int {
	t.Helper()
	n, err := w.remote.Count()
	must(t, err)
	return n
}

// tip is the newest commit of the branch.
func (w *world) tip(t *testing.T) string {
	t.Helper()
	tip, err := w.remote.Tip()
	must(t, err)
	return tip
}

// report fails the test for each problem, up to a readable number.
func report(t *testing.T, problems []string) {
	t.Helper()
	for i, p := range problems {
		if i == 20 {
			t.Errorf("and %d more", len(problems)-i)
			return
		}
		t.Error(p)
	}
}

// within is a context that ends with the test, or after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// long leaves out what takes long where that is asked for: make test has no time for it.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes long: make long plays it, for make verify too")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
