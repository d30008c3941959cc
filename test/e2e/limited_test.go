package e2e_test

import (
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestLimited: a user who may read two namespaces mirrors those two, and needs no
// more right than to see the namespace kube-system.
func TestLimited(t *testing.T) {
	w := newWorld(t, cluster)
	a, b, c := w.namespace(t, "limited-a"), w.namespace(t, "limited-b"), w.namespace(t, "limited-c")
	for _, ns := range []string{a, b} {
		for _, manifest := range []string{`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NS}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [get, list, watch]}]
`, `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: USER}]
`} {
			w.apply(t, strings.NewReplacer("NS", ns, "USER", harness.LimitedUser).Replace(manifest))
		}
	}
	for _, manifest := range []string{`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS-identify}
rules: [{apiGroups: [""], resources: [namespaces], resourceNames: [kube-system], verbs: [get]}]
`, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NS-identify}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-identify}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: USER}]
`} {
		w.apply(t, strings.NewReplacer("NS", a, "USER", harness.LimitedUser).Replace(manifest))
	}
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
