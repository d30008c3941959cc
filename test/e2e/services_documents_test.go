package e2e_test

import (
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestServicesDocuments: the watcher service, too, takes the documents from the cluster, follows
// them and says how they stand, by what the other services have put on the bus.
func TestServicesDocuments(t *testing.T) {
	t.Parallel()
	w := withDefinitions(t)
	ns := w.namespace(t, "shop")
	f := newFleet(t, w)
	f.run(t, "watcher", harness.Command{Program: "watcher", Args: []string{"--crds", "--kubeconfig", w.cluster.Kubeconfig(), "--cluster", "e2e"}})
	for _, name := range []string{"router", "stream", "reconciler", "git-writer"} {
		f.start(t, name)
	}
	w.apply(t, resource("GitRemote", ns, "git", "{url: \""+w.remote.URL+"\"}"))
	w.apply(t, resource("GitDestination", ns, "live", "{remoteRef: {name: git}}"))
	w.apply(t, resource("WatchRule", ns, "maps", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: [a]}]}`))
	w.labelled(t, ns, "a", "red", 1)
	w.labelled(t, ns, "b", "red", 1)
	w.inGit(t, "live/"+ns+"/configmaps/a.yaml")
	w.awaitCondition(t, ns, "gitdestination/live", "Ready", "True", "written")
	w.awaitShown(t, w.remoteTip(t), "get", "gitdestination", "live", "-n", ns, "-o", "jsonpath={.status.lastCommit}")
	w.apply(t, resource("WatchRule", ns, "maps", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: [b]}]}`))
	w.inGit(t, "live/"+ns+"/configmaps/b.yaml")
	for name := range f.running {
		stop(t, f.running[name])
	}
}
