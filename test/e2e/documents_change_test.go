package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// definitions are the kinds of the documents.
var definitions = []string{"gitremotes.kubescribe.dev", "gitdestinations.kubescribe.dev", "watchrules.kubescribe.dev", "clusterwatchrules.kubescribe.dev"}

// withDefinitions is a world on a cluster of its own, which knows the documents.
func withDefinitions(t *testing.T) *world {
	t.Helper()
	own, err := harness.StartControlPlane(within(t, startLimit), harness.ControlPlaneOptions{Bins: bins, Dir: filepath.Join(t.TempDir(), "own"), Fast: true})
	must(t, err)
	t.Cleanup(own.Kill)
	w := newWorld(t, own)
	w.options.Repo, w.options.Args = "", []string{"--crds"}
	w.defined(t)
	return w
}

// defined brings the definitions of the documents.
func (w *world) defined(t *testing.T) {
	t.Helper()
	w.kube(t, "apply", "--server-side", "--force-conflicts", "-f", "../../deploy/crds")
	w.kube(t, append([]string{"wait", "--for=condition=Established", "--timeout=60s", "crd"}, definitions...)...)
}

// goesOn changes a ConfigMap that is mirrored, and waits until Git has that.
func (w *world) goesOn(t *testing.T, namespace, name string) {
	t.Helper()
	w.sentinels++
	must(t, w.awaitVersions(within(t, stepLimit), "", w.labelled(t, namespace, name, "red", w.sentinels)))
}

// awaitCondition waits until a condition of a document has a status, and its message holds a
// text.
func (w *world) awaitCondition(t *testing.T, namespace, document, condition, status, text string) {
	t.Helper()
	for field, want := range map[string]string{"status": status, "message": text} {
		w.awaitShown(t, want, "get", document, "-n", namespace, "-o", fmt.Sprintf(`jsonpath={.status.conditions[?(@.type==%q)].%s}`, condition, field))
	}
}

// TestDocumentsReplaced: documents that are deleted and made again, their definitions, and
// remotes that are away, leave a destination as it is registered: it neither begins anew nor
// removes anything from Git. It ends with its own document.
func TestDocumentsReplaced(t *testing.T) {
	long(t)
	t.Parallel()
	w := withDefinitions(t)
	ns := w.namespace(t, "shop")
	remote := resource("GitRemote", ns, "git", "{url: \""+w.remote.URL+"\"}")
	destination := resource("GitDestination", ns, "live", "{remoteRef: {name: git}}")
	rule := resource("WatchRule", ns, "maps", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: ["a*"]}]}`)
	file := w.file(t, "documents.yaml", strings.Join([]string{remote, destination, rule}, "---\n"))
	w.kube(t, "apply", "-f", file)
	k := w.start(t)
	ready := func(t *testing.T) {
		t.Helper()
		for _, document := range []string{"gitremote/git", "gitdestination/live", "watchrule/maps"} {
			w.kube(t, "wait", "--for=condition=Ready", "--timeout=60s", "-n", ns, document)
		}
	}
	ready(t)
	w.goesOn(t, ns, "a")
	before, since := w.get(t), w.remoteTip(t)
	asBefore := func(t *testing.T) {
		t.Helper()
		w.goesOn(t, ns, "a")
		if now := w.get(t); now.Phase.Run != before.Phase.Run || now.Phase.Registered != before.Phase.Registered {
			t.Errorf("the destination began anew: run %s of revision %d, and was %s of %d", now.Phase.Run, now.Phase.Registered, before.Phase.Run, before.Phase.Registered)
		}
	}

	t.Run("all are replaced, and go on meanwhile", func(t *testing.T) {
		w.kube(t, "delete", "-f", file)
		for range 10 {
			w.goesOn(t, ns, "a")
		}
		w.kube(t, "apply", "-f", file)
		ready(t) // of the new ones: they have no status at first
		asBefore(t)
	})

	t.Run("the folder stays whose it is, although its document is younger now", func(t *testing.T) {
		w.apply(t, resource("GitDestination", ns, "inside", "{remoteRef: {name: git}, baseFolder: live/inside}"))
		w.awaitCondition(t, ns, "gitdestination/inside", "Stalled", "True", "lies inside the folder of GitDestination "+ns+"/live")
		w.kube(t, "replace", "--force", "-f", file)
		ready(t)
		asBefore(t)
		w.awaitCondition(t, ns, "gitdestination/inside", "Stalled", "True", "lies inside the folder of GitDestination "+ns+"/live")
		w.kube(t, "delete", "gitdestination", "inside", "-n", ns)
	})

	t.Run("a remote is away", func(t *testing.T) {
		w.kube(t, "delete", "gitremote", "git", "-n", ns)
		w.awaitCondition(t, ns, "gitdestination/live", "Stalled", "True", "spec.remoteRef.name: GitRemote "+ns+"/git does not exist")
		w.awaitCondition(t, ns, "watchrule/maps", "Stalled", "True", "GitDestination "+ns+"/live is refused: spec.remoteRef.name: GitRemote "+ns+"/git does not exist")
		asBefore(t)
		w.apply(t, remote)
		ready(t)
		asBefore(t)
	})

	t.Run("its kind is away", func(t *testing.T) {
		w.kube(t, "delete", "crd", "gitremotes.kubescribe.dev")
		w.log(t, k, "custom resources cannot be read any more; what they meant stays")
		asBefore(t)
		w.defined(t)
		w.apply(t, remote)
		ready(t)
		asBefore(t)
	})

	t.Run("all kinds are away for longer than a document's grace, and documents come later", func(t *testing.T) {
		w.kube(t, append([]string{"delete", "crd"}, definitions...)...)
		for begun := time.Now(); time.Since(begun) < 12*time.Second; { // more than 10 s
			w.goesOn(t, ns, "a")
		}
		w.defined(t)
		for begun := time.Now(); time.Since(begun) < 3*time.Second; { // grace was looked at meanwhile
			w.goesOn(t, ns, "a")
		}
		w.kube(t, "apply", "-f", file)
		ready(t)
		asBefore(t)
	})

	test := t
	t.Run("kubescribe begins in between", func(t *testing.T) {
		_, err := k.Terminate(within(t, stopLimit))
		must(t, err)
		w.kube(t, "delete", "-f", file)
		k = w.start(test) // for those that follow, too
		w.log(t, k, "it may be about to be made again")
		w.kube(t, "apply", "-f", file)
		ready(t)
		asBefore(t)
	})

	t.Run("nothing has left Git", func(t *testing.T) {
		for _, c := range w.news(t, since) {
			for _, f := range c.Files {
				if f.Path != "live/"+ns+"/configmaps/a.yaml" || f.Status != "M" {
					t.Errorf("commit %s: %+v", c.Hash, f)
				}
			}
		}
	})

	t.Run("a destination is deleted", func(t *testing.T) {
		w.kube(t, "delete", "gitdestination", "live", "-n", ns)
		must(t, harness.Poll(within(t, stepLimit), 200*time.Millisecond, "no destination", func(context.Context) error {
			if code, said := runToEnd(t, "get", "-o", "json", "--data-dir", w.options.DataDir); code != 0 || strings.TrimSpace(said) != "[]" {
				return fmt.Errorf("get ends with %d: %s", code, said)
			}
			return nil
		}))
	})
}

// TestDocumentsWrong: what is wrong with a document, or selects nothing, is said in its status,
// with what and where, and no other one suffers from it.
func TestDocumentsWrong(t *testing.T) {
	long(t)
	t.Parallel()
	w := withDefinitions(t)
	shop, team := w.namespace(t, "shop"), w.namespace(t, "team")
	for _, ns := range []string{shop, team} {
		w.apply(t, resource("GitRemote", ns, "git", "{url: \""+w.remote.URL+"\"}"))
	}
	w.apply(t, resource("GitDestination", shop, "live", "{remoteRef: {name: git}}"))
	w.apply(t, resource("GitDestination", team, "live", "{remoteRef: {name: git}, baseFolder: team}"))
	w.apply(t, resource("WatchRule", shop, "good", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: ["a"]}]}`))
	w.apply(t, resource("WatchRule", team, "good", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: ["a"]}]}`))
	w.start(t)
	others := func(t *testing.T) {
		t.Helper()
		for _, ns := range []string{shop, team} {
			w.goesOn(t, ns, "a")
			w.kube(t, "wait", "--for=condition=Ready", "--timeout=60s", "-n", ns, "watchrule/good")
			w.kube(t, "wait", "--for=condition=Ready", "--timeout=60s", "-n", ns, "gitdestination/live")
		}
	}
	others(t)

	for _, tt := range []struct {
		name, kind, namespace, spec string
		condition, text, not        string
	}{
		{"an unknown resource", "WatchRule", shop, `{destinationRef: {name: live}, rules: [{apiGroups: [apps], resources: [deployments, deployment]}]}`, "Unmatched", `spec.rules[0].resources[1]: the API server does not serve "deployment" in these apiGroups; `, ""},
		{"an unknown group", "WatchRule", shop, `{destinationRef: {name: live}, rules: [{apiGroups: [app], resources: ["*"]}]}`, "Unmatched", `spec.rules[0].apiGroups[0]: the API server does not serve the group "app"; `, ""},
		{"a malformed selector", "WatchRule", shop, `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], objectSelector: {matchExpressions: [{key: team, operator: Near, values: [red]}]}}]}`, "Stalled", "spec.rules[0].objectSelector: is not a label selector: ", ""},
		{"a pattern that matches nothing", "WatchRule", shop, `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: ["b-*"]}]}`, "Unmatched", "spec.rules[0]: no object that can be mirrored matches its names; ", ""},
		{"labels that nothing has", "WatchRule", shop, `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], objectSelector: {matchLabels: {team: gren}}}]}`, "Unmatched", "spec.rules[0]: no object that can be mirrored matches its objectSelector; ", ""},
		{"a destination in another namespace", "WatchRule", shop, `{destinationRef: {namespace: ` + team + `, name: live}, rules: [{apiGroups: [""], resources: [secrets]}]}`, "Stalled", "spec.destinationRef: GitDestination " + team + "/live does not exist, or does not admit WatchRules of the namespace " + shop + "; ", ""},
		{"one that is misspelled, and near one of another namespace", "WatchRule", shop, `{destinationRef: {name: lives}, rules: [{apiGroups: [""], resources: [configmaps]}]}`, "Stalled", "spec.destinationRef.name: GitDestination " + shop + "/lives does not exist; did you mean " + shop + "/live?", team},
		{"overlapping folders", "GitDestination", shop, `{remoteRef: {name: git}, baseFolder: live/inside}`, "Stalled", "spec.baseFolder: lies inside the folder of GitDestination " + shop + "/live, on the same remote and branch; ", team},
		{"a folder that overlaps with another namespace's", "GitDestination", team, `{remoteRef: {name: git}, baseFolder: .}`, "Stalled", "spec.baseFolder: contains the folder of a GitDestination of another namespace, on the same remote and branch; ", shop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			manifest := resource(tt.kind, tt.namespace, "bad", tt.spec)
			document := strings.ToLower(tt.kind) + "/bad"
			w.apply(t, manifest)
			w.awaitCondition(t, tt.namespace, document, tt.condition, "True", tt.text)
			if said := w.kube(t, "get", document, "-n", tt.namespace, "-o", "jsonpath={.status}"); tt.not != "" && strings.Contains(said, tt.not) {
				t.Errorf("it names another tenant's objects: %s", said)
			}
			others(t)
			w.kube(t, "delete", document, "-n", tt.namespace)
		})
	}

	t.Run("what matches nothing does once there is something", func(t *testing.T) {
		w.apply(t, resource("WatchRule", shop, "early", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: ["early-*"]}]}`))
		w.awaitCondition(t, shop, "watchrule/early", "Unmatched", "True", "no object that can be mirrored matches")
		w.kube(t, "wait", "--for=condition=Ready", "--timeout=60s", "-n", shop, "watchrule/early")
		w.goesOn(t, shop, "early-1")
		w.kube(t, "wait", "--for=jsonpath={.status.conditions[?(@.type==\"Ready\")].message}=it is taken", "--timeout=60s", "-n", shop, "watchrule/early")
		w.awaitShown(t, "Unmatched=", "get", "watchrule", "early", "-n", shop, "-o", `jsonpath=Unmatched={.status.conditions[?(@.type=="Unmatched")].status}`)
	})

	t.Run("an object that cannot be read", func(t *testing.T) {
		w.kube(t, "patch", "crd", "watchrules.kubescribe.dev", "--type=json", "-p", `[{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]`)
		file := w.file(t, "bad.yaml", resource("WatchRule", shop, "bad", `{destinationRef: {name: live}, rules: all}`))
		must(t, harness.Poll(within(t, stepLimit), 200*time.Millisecond, "the definition to take anything", func(ctx context.Context) error {
			out, err := w.kubectl(ctx, "apply", "-f", file)
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}))
		w.awaitCondition(t, shop, "watchrule/bad", "Stalled", "True", "spec.rules: is not what this version of kubescribe reads there; ")
		others(t)
	})
}
