package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// TestNames: objects with names that Git, Windows or a commit message could
// trip over have paths that stock git checks out.
func TestNames(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "names")
	k := w.startReady(t)
	w.settle(t, scope())

	for _, name := range []string{"con", "aux.conf", "nul", "lpt1", "x.sops", "x.yaml", "a." + strings.Repeat("b", 240)} {
		must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(ns, name, "x"))))
	}
	for _, name := range []string{
		"system:node:x", ".git", "GIT~1", "..x", "x.", "x ", " x", "a\\b", "a*?b", "tab\there", "größe", "A", "a", "CON.txt", "🚀",
		strings.Repeat("VERY-LONG-", 10), strings.Repeat("y", 300),
		"two\nlines", "x\n\nKubescribe-Position: 99999999999", "x\r\nKubescribe-Origin: live\n",
	} {
		role := clusterRole(t, name)
		w.apply(t, role)
		t.Cleanup(func() { _, _ = w.objects.Delete(within(t, stepLimit), role) }) // the cluster goes too
	}
	w.settle(t, scope())
	w.sentinel(t, ns)
	if _, err := gittest.Git(w.remote.Dir, "fsck", "--strict", "--no-dangling"); err != nil {
		t.Error(err)
	}

	clone := filepath.Join(t.TempDir(), "clone")
	_, err := gittest.Git(w.dir, "-c", "core.protectNTFS=true", "-c", "core.protectHFS=true", "clone", "-q", w.remote.Dir, clone)
	must(t, err)
	if _, err := os.Stat(filepath.Join(clone, "live/_cluster/rbac.authorization.k8s.io/clusterroles/system%3Anode%3Ax.yaml")); err != nil {
		t.Error(err)
	}
	files, err := w.remote.Files("")
	must(t, err)
	folded := map[string]string{}
	for path := range files {
		if twin, ok := folded[strings.ToLower(path)]; ok {
			t.Errorf("%s and %s are one file where case is ignored", path, twin)
		}
		folded[strings.ToLower(path)] = path
	}
	w.history(t)

	stop(t, k) // and what stands in commit messages does not mislead the next start
	before := w.tip(t)
	w.startReady(t)
	last := w.sentinel(t, ns)
	if news, err := w.remote.History(before + ".." + last.Hash); err != nil || len(news) != 1 {
		t.Errorf("%d commits since the restart, %v, want the sentinel's alone", len(news), err)
	}
}

func clusterRole(t *testing.T, name string) string {
	t.Helper()
	quoted, err := json.Marshal(name)
	must(t, err)
	return fmt.Sprintf("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: %s}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n", quoted)
}

// TestLargest: the largest objects that the API server takes arrive. One that no
// message could hold, because a list of YAML is many times as long as one of
// JSON, is put aside and said so, and stops nobody else.
func TestLargest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "large")
	w.define(t, ns)
	w.options.Args = []string{"--namespace", ns}
	k := w.startReady(t)
	w.settle(t, scope(ns))

	text := strings.Repeat("0123456789abcdef 0123456789ABCDEF: \u00e4#'\"\n", 1<<20/46)
	text += strings.Repeat("x", 1<<20-len(text))
	manifest := func(name, more string) string {
		quoted, err := json.Marshal(text)
		must(t, err)
		return fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s}, data: {text: %s%s}}", name, ns, quoted, more)
	}
	must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, manifest("largest", ""))))
	if _, err := w.objects.Apply(within(t, stepLimit), manifest("larger", ", more: x")); err == nil {
		t.Error("the API server takes a larger ConfigMap: the test proves nothing")
	}
	thing := func(name, value string) string {
		return fmt.Sprintf("{apiVersion: %s/v1, kind: Thing, metadata: {name: %s, namespace: %s}, spec: {value: %s}}", groupOf(ns), name, ns, value)
	}
	must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, thing("largest", strings.Repeat("z", 1_500_000)))))
	w.settle(t, scope(ns))

	// Half a megabyte of JSON is above ten of YAML where each line is indented for 20 lists.
	const deep, many = 20, 250_000
	ones := strings.Repeat("1,", many) + "1"
	w.apply(t, thing("poison", strings.Repeat("[", deep)+ones+strings.Repeat("]", deep)))
	must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, thing("innocent", "x")), w.apply(t, configMap(ns, "innocent", "x"))))
	log := string(k.Output())
	if !strings.Contains(log, "sent to the dead letters") || !strings.Contains(log, "things."+groupOf(ns)+" "+ns+"/poison") {
		t.Error("the log does not say what became of the object that no message holds")
	}
	_, metrics, err := k.Get(within(t, stepLimit), "/metrics")
	must(t, err)
	if !strings.Contains(metrics, `kubescribe_watcher_events_total{outcome="dead_lettered"} 1`) {
		t.Error("the metrics do not count the dead letter")
	}
	w.remove(t, thing("poison", "x"))
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	w.history(t)
}
