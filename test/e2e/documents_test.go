package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestResources: with the rights of docs/rbac.yaml, the documents are custom resources, whose
// changes are followed; each says how it stands, and one that is wrong stands in nobody else's
// way.
func TestResources(t *testing.T) {
	t.Parallel()
	own, err := harness.StartControlPlane(within(t, startLimit), harness.ControlPlaneOptions{Bins: bins, Dir: filepath.Join(t.TempDir(), "own"), Fast: true})
	must(t, err)
	t.Cleanup(own.Kill)
	w := newWorld(t, own)
	shop, team := w.namespace(t, "shop"), w.namespace(t, "team")
	w.grant(t, shop, team)
	w.options.Repo, w.options.Args, w.options.Kubeconfig = "", []string{"--crds"}, own.LimitedKubeconfig()
	k := w.start(t)
	w.log(t, k, "kubectl apply -f deploy/crds")

	w.kube(t, "apply", "--server-side", "-f", "../../deploy/crds")
	w.kube(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "gitremotes.kubescribe.dev", "gitdestinations.kubescribe.dev", "watchrules.kubescribe.dev", "clusterwatchrules.kubescribe.dev")
	w.apply(t, resource("GitRemote", shop, "git", "{url: \""+w.remote.URL+"\"}"))
	w.apply(t, resource("GitDestination", shop, "live", "{remoteRef: {name: git}}"))
	w.apply(t, resource("WatchRule", shop, "maps", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], objectSelector: {matchLabels: {team: red}}}]}`))

	t.Run("labels decide", func(t *testing.T) {
		w.labelled(t, shop, "a", "red", 1)
		w.labelled(t, shop, "b", "blue", 1)
		w.inGit(t, "live/"+shop+"/configmaps/a.yaml")
		w.labelled(t, shop, "a", "blue", 1)
		w.labelled(t, shop, "b", "red", 1)
		w.inGit(t, "live/"+shop+"/configmaps/b.yaml")
	})

	t.Run("each says how it stands", func(t *testing.T) {
		for _, r := range []string{"gitremote/git", "gitdestination/live", "watchrule/maps"} {
			w.kube(t, "wait", "--for=condition=Ready", "--timeout=60s", "-n", shop, r)
		}
		w.awaitShown(t, w.remoteTip(t), "get", "gitdestination", "live", "-n", shop, "-o", "jsonpath={.status.lastCommit}")
		w.awaitShown(t, "LIVE_PROCESSING", "get", "gitdestination", "live", "-n", shop, "-o", "jsonpath={.status.phase}")
		w.labelled(t, shop, "b", "red", 2)
		w.awaitShown(t, "Pushed", "get", "events", "-n", shop, "-o", "jsonpath={.items[*].reason}")
	})

	t.Run("a rule is changed", func(t *testing.T) {
		w.apply(t, resource("WatchRule", shop, "maps", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: ["a", "c*"]}]}`))
		w.inGit(t, "live/"+shop+"/configmaps/a.yaml")
		w.labelled(t, shop, "c", "blue", 1)
		w.inGit(t, "live/"+shop+"/configmaps/a.yaml", "live/"+shop+"/configmaps/c.yaml")
	})

	t.Run("what is wrong says so, and the rest goes on", func(t *testing.T) {
		w.apply(t, resource("WatchRule", shop, "astray", `{destinationRef: {name: lives}, rules: [{apiGroups: ["*"], resources: ["*"]}]}`))
		w.awaitShown(t, "did you mean "+shop+"/live?", "get", "watchrule", "astray", "-n", shop, "-o", `jsonpath={.status.conditions[?(@.type=="Stalled")].message}`)
		w.awaitShown(t, "did you mean "+shop+"/live?", "get", "events", "-n", shop, "-o", `jsonpath={.items[?(@.type=="Warning")].message}`)
		w.awaitShown(t, "False", "get", "watchrule", "astray", "-n", shop, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		w.labelled(t, shop, "cc", "blue", 1)
		w.inGit(t, "live/"+shop+"/configmaps/a.yaml", "live/"+shop+"/configmaps/c.yaml", "live/"+shop+"/configmaps/cc.yaml")
	})

	t.Run("a tenant writes where it is admitted", func(t *testing.T) {
		w.labelled(t, team, "t", "red", 1)
		w.apply(t, resource("WatchRule", team, "all", `{destinationRef: {namespace: `+shop+`, name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: ["t*", "c*"]}]}`))
		w.awaitShown(t, "does not admit", "get", "watchrule", "all", "-n", team, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
		w.labelled(t, shop, "cc", "blue", 2)
		w.sentinelFile(t, shop, "cc")
		w.inGit(t, "live/"+shop+"/configmaps/a.yaml", "live/"+shop+"/configmaps/c.yaml", "live/"+shop+"/configmaps/cc.yaml")
		w.apply(t, resource("GitDestination", shop, "live", "{remoteRef: {name: git}, allowedNamespaces: ["+team+"]}"))
		w.inGit(t, "live/"+shop+"/configmaps/a.yaml", "live/"+shop+"/configmaps/c.yaml", "live/"+shop+"/configmaps/cc.yaml", "live/"+team+"/configmaps/t.yaml")
	})

	t.Run("and not any more once it is not", func(t *testing.T) {
		w.apply(t, resource("GitDestination", shop, "live", "{remoteRef: {name: git}, allowedNamespaces: [nobody]}"))
		w.inGit(t, "live/"+shop+"/configmaps/a.yaml", "live/"+shop+"/configmaps/c.yaml", "live/"+shop+"/configmaps/cc.yaml")
	})

	t.Run("a document that goes takes its files along", func(t *testing.T) {
		w.apply(t, resource("WatchRule", shop, "maps", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: ["a"]}]}`))
		w.apply(t, resource("WatchRule", shop, "more", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps], names: ["c*"]}]}`))
		w.kube(t, "wait", "--for=condition=Ready", "--timeout=60s", "-n", shop, "watchrule/more")
		w.inGit(t, "live/"+shop+"/configmaps/a.yaml", "live/"+shop+"/configmaps/c.yaml", "live/"+shop+"/configmaps/cc.yaml")
		w.remove(t, resource("WatchRule", shop, "more", "{}"))
		w.inGit(t, "live/"+shop+"/configmaps/a.yaml")
	})
}

// resource is a document of kubescribe.
func resource(kind, namespace, name, spec string) string {
	return fmt.Sprintf("apiVersion: kubescribe.dev/v1alpha1\nkind: %s\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", kind, name, namespace, spec)
}

// labelled writes a ConfigMap of a team.
func (w *world) labelled(t *testing.T, namespace, name, team string, value int) harness.Written {
	t.Helper()
	return w.apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s, labels: {team: %s}}\ndata: {value: \"%d\"}\n", name, namespace, team, value))
}

// inGit waits until these manifests are all that is in Git.
func (w *world) inGit(t *testing.T, want ...string) {
	t.Helper()
	must(t, harness.Poll(within(t, stepLimit), 100*time.Millisecond, "these files: "+strings.Join(want, " "), func(context.Context) error {
		files, err := w.remote.Files("live")
		if err != nil {
			return err
		}
		var got []string
		for path := range files {
			if strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".kubescribe.yaml") {
				got = append(got, path)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return errors.New("there are " + strings.Join(got, " "))
		}
		return nil
	}))
}

// sentinelFile waits until the newest version of a ConfigMap is in Git.
func (w *world) sentinelFile(t *testing.T, namespace, name string) {
	t.Helper()
	w.sentinels++
	written := w.labelled(t, namespace, name, "blue", 1000+w.sentinels)
	must(t, w.awaitVersions(within(t, stepLimit), "", written))
}

// kube runs kubectl, which has to succeed.
func (w *world) kube(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.kubectl(within(t, stepLimit), args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// awaitShown waits until what kubectl prints holds a text.
func (w *world) awaitShown(t *testing.T, text string, args ...string) {
	t.Helper()
	must(t, harness.Poll(within(t, stepLimit), 200*time.Millisecond, fmt.Sprintf("%q of kubectl %s", text, strings.Join(args, " ")), func(ctx context.Context) error {
		out, err := w.kubectl(ctx, args...)
		if err == nil && !strings.Contains(out, text) {
			err = errors.New(out)
		}
		return err
	}))
}

// remoteTip is the commit that the branch is at.
func (w *world) remoteTip(t *testing.T) string {
	t.Helper()
	tip, err := w.remote.Tip()
	must(t, err)
	return tip
}

// log waits until a process has logged a text.
func (w *world) log(t *testing.T, k *harness.Daemon, text string) {
	t.Helper()
	must(t, harness.Poll(within(t, stepLimit), 100*time.Millisecond, fmt.Sprintf("%q in the log", text), func(context.Context) error {
		if out := string(k.Output()); !strings.Contains(out, text) {
			return errors.New(out)
		}
		return nil
	}))
}
