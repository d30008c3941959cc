package e2e_test

import (
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestDryRun: of two destinations on a branch the one in DryRun says what it would have
// pushed, and moves nothing, while the other one is written to. Once its mode is Write, Git equals
// the cluster; once it is DryRun again, its pushes stop.
func TestDryRun(t *testing.T) {
	t.Parallel()
	w := withDefinitions(t)
	ns, beside := w.namespace(t, "shop"), w.namespace(t, "beside")
	trial := func(mode string) string {
		return resource("GitDestination", ns, "trial", "{remoteRef: {name: git}, baseFolder: live, mode: "+mode+"}")
	}
	rule := func(ns, destination string) string {
		return resource("WatchRule", ns, "maps", "{destinationRef: {name: "+destination+`}, rules: [{apiGroups: [""], resources: [configmaps]}]}`)
	}
	w.apply(t, configMap(ns, "before", "1"))
	for _, document := range []string{
		resource("GitRemote", ns, "git", "{url: \""+w.remote.URL+"\"}"), trial("DryRun"), rule(ns, "trial"),
	} {
		w.apply(t, document)
	}
	w.start(t)
	maps := scope(ns)
	maps.Selects = func(id harness.Identity) bool { return id.Resource == "configmaps" }

	status := func(t *testing.T, field string) string {
		t.Helper()
		return w.kube(t, "get", "gitdestination", "trial", "-n", ns, "-o", "jsonpath={.status."+field+"}")
	}
	shows := func(t *testing.T, text, field string) {
		t.Helper()
		w.awaitShown(t, text, "get", "gitdestination", "trial", "-n", ns, "-o", "jsonpath={.status."+field+"}")
	}

	t.Run("the branch is not made", func(t *testing.T) {
		w.awaitCondition(t, ns, "gitdestination/trial", "Ready", "True", "nothing is pushed")
		shows(t, "Create configmaps "+ns+"/before", "dryRun.newest[*].subject")
		shows(t, "Create live/"+ns+"/configmaps/before.yaml", "dryRun.newest[*].changes")
		w.apply(t, configMap(ns, "a", "1"))
		shows(t, "Create configmaps "+ns+"/a", "dryRun.newest[0].subject")
		if refs, err := gittest.Git(w.remote.Dir, "for-each-ref"); err != nil || refs != "" {
			t.Errorf("the remote has %q: %v", refs, err)
		}
		code, said := runToEnd(t, "diff", "trial", "--data-dir", w.options.DataDir)
		if code != 0 || !strings.Contains(said, "+ "+ns+"/configmaps/a.yaml\n") || !strings.Contains(said, "+ "+ns+"/configmaps/before.yaml\n") {
			t.Errorf("diff ends with %d: %s", code, said)
		}
		code, said = runToEnd(t, "reconcile", "trial", "--data-dir", w.options.DataDir)
		if code != 0 || !strings.Contains(said, "nothing of it is pushed") || strings.Contains(said, "on the remote") {
			t.Errorf("reconcile ends with %d: %s", code, said)
		}
		if _, said = runToEnd(t, "get", "trial", "--data-dir", w.options.DataDir); !strings.Contains(said, "DryRun: ") {
			t.Errorf("get says %s", said)
		}
	})

	t.Run("another one is written to", func(t *testing.T) {
		w.apply(t, resource("GitRemote", beside, "git", "{url: \""+w.remote.URL+"\"}"))
		w.apply(t, resource("GitDestination", beside, "other", "{remoteRef: {name: git}, baseFolder: other}"))
		w.apply(t, rule(beside, "other"))
		w.kube(t, "wait", "--for=condition=Ready", "--timeout=60s", "-n", beside, "gitdestination/other")
		must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(beside, "b", "1"))))
		w.apply(t, configMap(ns, "a", "2"))
		w.apply(t, configMap(ns, "c", "1"))
		shows(t, "Create configmaps "+ns+"/c", "dryRun.newest[0].subject")
		if files, err := w.remote.Files("live"); err != nil || len(files) > 0 {
			t.Errorf("the branch has %v: %v", files, err)
		}
	})

	t.Run("it catches up", func(t *testing.T) {
		w.apply(t, trial("Write"))
		w.settle(t, maps)
		w.awaitCondition(t, ns, "gitdestination/trial", "Ready", "True", "each change is written")
		shows(t, w.remoteTip(t), "lastCommit")
		must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(ns, "a", "3"))))
		if said := status(t, "dryRun"); said != "" {
			t.Errorf("it still shows %s", said)
		}
	})

	t.Run("its pushes stop", func(t *testing.T) {
		w.apply(t, trial("DryRun"))
		w.awaitCondition(t, ns, "gitdestination/trial", "Ready", "True", "nothing is pushed")
		tip := w.remoteTip(t)
		w.apply(t, configMap(ns, "a", "4"))
		w.remove(t, configMap(ns, "before", "1"))
		shows(t, "Delete configmaps "+ns+"/before", "dryRun.newest[*].subject")
		shows(t, "Update configmaps "+ns+"/a", "dryRun.newest[*].subject")
		if now := w.remoteTip(t); now != tip {
			t.Errorf("the branch was at %s, and is at %s", tip, now)
		}
		w.apply(t, trial("Write"))
		w.settle(t, maps)
	})
}
