package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestClusters: two clusters on one bus, each with a watcher of its own, into two folders of
// one branch: neither has a file of the other's, and what happens in one, or to its watcher, is
// nothing to the other.
func TestClusters(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	f := newFleet(t, w)
	own, err := harness.StartControlPlane(within(t, startLimit), harness.ControlPlaneOptions{Bins: bins, Dir: filepath.Join(t.TempDir(), "other"), Fast: true})
	must(t, err)
	t.Cleanup(own.Kill)
	other := &world{cluster: own, remote: w.remote}
	other.cfg, err = own.REST()
	must(t, err)
	other.objects, err = harness.NewObjects(other.cfg)
	must(t, err)

	ns := w.namespace(t, "clusters")
	other.apply(t, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "+ns+"\n")
	w.apply(t, configMap(ns, "same", "in the first"))
	other.apply(t, configMap(ns, "same", "in the second"))
	for _, name := range []string{"router", "stream", "reconciler", "git-writer"} {
		f.start(t, name)
	}
	f.mirror(t, mirror{"first", []string{ns}})
	f.start(t, "watcher")
	f.mirror(t, mirror{"second", []string{ns}})
	f.startWatcher(t, "watcher of the other", own, "other")
	equal := func(w *world, folder string) {
		t.Helper()
		w.settle(t, harness.Scope{Folder: folder, Namespaces: []string{ns}})
	}
	equal(w, "first")
	equal(other, "second")

	f.running["watcher of the other"].Kill()
	must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(ns, "same", "changed in the first"))))
	missed := other.apply(t, configMap(ns, "same", "changed in the second"))
	f.startWatcher(t, "watcher of the other", own, "other")
	must(t, w.awaitVersions(within(t, stepLimit), "", missed))
	w.remove(t, configMap(ns, "same", ""))
	equal(w, "first")
	equal(other, "second")
}
