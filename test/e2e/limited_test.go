package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// asReader has kubescribe come as a user who may read the whole cluster, and no more.
func (w *world) asReader(t *testing.T) {
	t.Helper()
	for _, manifest := range []string{`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [get, list, watch]}]
`, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ` + harness.LimitedUser + `}]
`} {
		w.apply(t, manifest)
	}
	w.options.Kubeconfig = w.cluster.LimitedKubeconfig()
}

// TestLimited: the rights of docs/rbac.yaml, for two namespaces, are all that it
// takes to mirror those two.
func TestLimited(t *testing.T) {
	w := newWorld(t, cluster)
	a, b, c := w.namespace(t, "limited-a"), w.namespace(t, "limited-b"), w.namespace(t, "limited-c")
	w.grant(t, a, b)
	for _, ns := range []string{a, b, c} {
		w.apply(t, configMap(ns, "before", "x"))
	}

	w.options.Kubeconfig = w.cluster.LimitedKubeconfig()
	w.options.Args = []string{"--namespace", a, "--namespace", b}
	k := w.startReady(t)
	w.settle(t, scope(a, b))
	w.apply(t, configMap(c, "after", "not for Git"))
	for _, ns := range []string{a, b} {
		must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(ns, "after", "x"))))
	}
	w.settle(t, scope(a, b))
	since := time.Now()
	w.define(t, a)
	w.apply(t, thing(a, "v1", 0, 1))
	w.awaitFiles(t, "live/"+a+"/"+groupOf(a), "live/"+a+"/"+groupOf(a)+"/things/t-0.yaml")
	checkPrompt(t, "a type", since)
	w.settle(t, scope(a, b))
	files, err := w.remote.Files("")
	must(t, err)
	for path := range files {
		if !strings.HasPrefix(path, "live/"+a+"/") && !strings.HasPrefix(path, "live/"+b+"/") && path != "live/.kubescribe.yaml" {
			t.Errorf("%s is in Git", path)
		}
	}
	for _, complaint := range []string{`"level":"ERROR"`, `"level":"WARN"`} {
		for line := range strings.Lines(string(k.Output())) {
			if strings.Contains(line, complaint) {
				t.Errorf("the log complains: %s", line)
			}
		}
	}
	w.history(t)
}

// grant gives the limited user the rights of docs/rbac.yaml in namespaces.
func (w *world) grant(t *testing.T, namespaces ...string) {
	t.Helper()
	rights, err := os.ReadFile(filepath.Join("..", "..", "docs", "rbac.yaml"))
	must(t, err)
	for _, ns := range namespaces {
		mine := strings.NewReplacer("namespace: shop\n", "namespace: "+ns+"\n", "name: kubescribe\n", "name: "+harness.LimitedUser+"\n").Replace(string(rights))
		for manifest := range strings.SplitSeq(mine, "\n---\n") {
			w.apply(t, manifest)
		}
	}
}
