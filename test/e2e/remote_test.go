package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestConfig: documents in a file serve several destinations, of which two share
// a branch, in one process.
func TestConfig(t *testing.T) {
	w := newWorld(t, cluster)
	a, b := w.namespace(t, "config-a"), w.namespace(t, "config-b")
	w.options.Repo = ""
	w.options.Args = []string{"--config", w.file(t, "config.yaml", os.Expand(`
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: "$URL", committer: {name: Scribe, email: scribe@example.com}}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: everything}
spec: {remoteRef: {name: live}, baseFolder: clusters/e2e}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: everything}
spec:
  destinationRef: {name: everything, namespace: default}
  namespaces: [$A, $B]
  rules: [{apiGroups: ["*"], resources: ["*"]}]
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: maps}
spec: {remoteRef: {name: live}, baseFolder: maps}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: maps}
spec:
  destinationRef: {name: maps, namespace: default}
  namespaces: [$A]
  rules: [{apiGroups: [""], resources: [configmaps]}]
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: branch}
spec: {remoteRef: {name: live}, branch: teams/b, baseFolder: .}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: branch}
spec:
  destinationRef: {name: branch, namespace: default}
  namespaces: [$B]
  rules: [{apiGroups: ["*"], resources: ["*"]}]
`, func(name string) string { return map[string]string{"URL": w.remote.URL, "A": a, "B": b}[name] }))}
	w.startReady(t)
	for n := range 20 {
		w.apply(t, sample(sampleConfigMap, a, n))
		w.apply(t, sample(sampleConfigMap, b, n))
		w.apply(t, sample(sampleService, a, n))
	}
	everything := harness.Scope{Folder: "clusters/e2e", Namespaces: []string{a, b}}
	w.settle(t, everything)
	branch := harness.Repository{Dir: w.remote.Dir, Branch: "teams/b"}
	_, err := harness.AwaitEqual(within(t, stepLimit), w.cfg, branch, harness.Scope{Namespaces: []string{b}})
	must(t, err)
	await(t, "the maps", func() bool {
		files, err := w.remote.Files("maps")
		must(t, err)
		return len(files) == 21 // and the marker
	})
	history := w.history(t)
	if last := history[len(history)-1]; last.Trailers["Kubescribe-Destination"] == "" {
		t.Errorf("the last commit names no destination: %s", last.Message)
	}
	author, err := gittest.Git(w.remote.Dir, "log", "-1", "--format=%cn <%ce>", harness.Branch)
	if must(t, err); author != "Scribe <scribe@example.com>" {
		t.Errorf("the committer is %s", author)
	}
}

// TestTwoOnOneBranch: two installs write to folders of their own of one branch at
// the same time, and neither loses anything to the other.
func TestTwoOnOneBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "two")
	w.options.Args = []string{"--namespace", ns}
	second := w.options
	second.DataDir, second.Args = filepath.Join(w.dir, "second"), append([]string{"--base-folder", "second"}, w.options.Args...)
	w.startReady(t)
	k, err := harness.StartKubescribe(within(t, startLimit), second)
	must(t, err)
	watchOver(t, k.Process)
	must(t, k.AwaitReady(within(t, startLimit)))
	w.settle(t, scope(ns))
	w.settle(t, harness.Scope{Folder: "second", Namespaces: []string{ns}})

	burst := &harness.Burst{Namespace: ns, Objects: 100, Clients: 4}
	writes, err := burst.Run(within(t, stepLimit), w.cfg)
	must(t, err)
	w.settle(t, scope(ns))
	w.settle(t, harness.Scope{Folder: "second", Namespaces: []string{ns}})
	w.sentinel(t, ns)
	w.settle(t, harness.Scope{Folder: "second", Namespaces: []string{ns}})
	history := w.history(t)
	commits := map[string]int{}
	for _, c := range history {
		if strings.Contains(c.Resource, ns+"/burst-") {
			commits[c.Placement]++
		}
	}
	if len(commits) != 2 {
		t.Errorf("commits by destination %v, want two destinations", commits)
	}
	for destination, n := range commits {
		if n != len(writes) {
			t.Errorf("%s has %d commits, want %d", destination, n, len(writes))
		}
	}
}

// TestRewritten: when others throw away commits of the branch, or the branch, what
// is missing comes back.
func TestRewritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "rewritten")
	w.options.Args = []string{"--namespace", ns}
	k := w.startReady(t)
	for n := range 10 {
		w.apply(t, sample(sampleConfigMap, ns, n))
	}
	w.settle(t, scope(ns))
	history := w.history(t)

	_, err := gittest.Git(w.remote.Dir, "update-ref", "refs/heads/"+harness.Branch, history[len(history)-5].Hash)
	must(t, err)
	w.apply(t, configMap(ns, "afterwards", "x"))
	w.settle(t, scope(ns))

	stop(t, k)
	_, err = gittest.Git(w.remote.Dir, "update-ref", "-d", "refs/heads/"+harness.Branch)
	must(t, err)
	w.startReady(t)
	w.settle(t, scope(ns))
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
}

// TestBarePath: a repository on this machine needs no server.
func TestBarePath(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "path")
	w.options.Repo, w.options.Username, w.options.Args = w.remote.Dir, "", []string{"--namespace", ns}
	w.startReady(t)
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	w.history(t)
}

// TestCredentialHelper: without credentials of its own, kubescribe asks git's
// helpers.
func TestCredentialHelper(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "helper")
	store := w.file(t, "store", strings.Replace(w.remote.URL, "http://", "http://"+user+":"+password+"@", 1)+"\n")
	w.options.Username, w.options.Args = "", []string{"--namespace", ns}
	w.options.Env = []string{"GIT_CONFIG_GLOBAL=" + w.file(t, "gitconfig", fmt.Sprintf("[credential]\n\thelper = store --file=%s\n", store))}
	w.startReady(t)
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	checkAbsent(t, w.options.DataDir, password)
}
