package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestLive: what one can see happening to objects that live and die.
func TestLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster)
	ns, doomed := w.namespace(t, "live"), w.namespace(t, "doomed")
	w.options.Args = []string{"--namespace", ns, "--namespace", doomed}
	w.startReady(t)
	all := scope(ns, doomed)

	t.Run("a deletion removes the file and says so", func(t *testing.T) {
		manifest := configMap(ns, "short-lived", "x")
		must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, manifest)))
		before := w.tip(t)
		w.remove(t, manifest)
		w.settle(t, all)
		news, err := w.remote.History(before + "..HEAD")
		must(t, err)
		want := harness.FileChange{Status: "D", Path: "live/" + ns + "/configmaps/short-lived.yaml"}
		if len(news) != 1 || news[0].Subject != "Delete configmaps "+ns+"/short-lived" || len(news[0].Files) != 1 || news[0].Files[0] != want {
			t.Errorf("the deletion is %+v, want one commit that deletes %s", news, want.Path)
		}
	})

	t.Run("going back is a commit too", func(t *testing.T) {
		var writes []harness.Written
		for _, value := range []string{"a", "b", "a"} {
			writes = append(writes, w.apply(t, configMap(ns, "back", value)))
		}
		must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
	})

	t.Run("a namespace takes its files with it", func(t *testing.T) {
		for n := range 20 {
			w.apply(t, configMap(doomed, fmt.Sprintf("c-%d", n), "x"))
		}
		w.apply(t, sample(sampleDeployment, doomed, 1))
		if c := w.settle(t, harness.Scope{Folder: "live", Namespaces: all.Namespaces}); c.Files < 21 {
			t.Fatalf("%d files before, want 21 at least", c.Files)
		}
		w.remove(t, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "+doomed+"\n")
		must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the folder to go", func(context.Context) error {
			files, err := w.remote.Files("live/" + doomed)
			if err == nil && len(files) > 0 {
				err = fmt.Errorf("it has %d files", len(files))
			}
			return err
		}))
		w.settle(t, all)
	})

	t.Run("a Deployment is mirrored, and not what is made of it", func(t *testing.T) {
		manifest := strings.Replace(sample(sampleDeployment, ns, 1), "replicas: 0", "replicas: 2", 1)
		must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, manifest)))
		must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "its Pods", func(ctx context.Context) error {
			out, err := w.kubectl(ctx, "get", "pods,replicasets", "-n", ns, "-o", "name")
			if err == nil && strings.Count(out, "pod/") != 2 {
				err = errors.New(out)
			}
			return err
		}))
		w.sentinel(t, ns)
		w.settle(t, all)
		files, err := w.remote.Files("live/" + ns)
		must(t, err)
		for path := range files {
			if strings.Contains(path, "/replicasets/") || strings.Contains(path, "/pods/") {
				t.Errorf("%s is in Git", path)
			}
		}
	})

	t.Run("what is in Git can be applied and would change nothing", func(t *testing.T) {
		clone := filepath.Join(t.TempDir(), "clone")
		_, err := gittest.Git(w.dir, "clone", "-q", w.remote.Dir, clone)
		must(t, err)
		out, err := w.kubectl(within(t, stepLimit), "diff", "--server-side", "--force-conflicts", "--field-manager", harness.UserAgent,
			"-R", "-f", filepath.Join(clone, "live", ns))
		if err != nil || out != "" {
			t.Errorf("kubectl diff: %v\n%s", err, out)
		}
	})
	w.history(t)
}

// kubectl runs the cluster's own kubectl.
func (w *world) kubectl(ctx context.Context, args ...string) (string, error) {
	return kubectl(ctx, w.cluster, args...)
}

// kubectl runs the kubectl of a cluster, which remembers beside it which types it has.
func kubectl(ctx context.Context, cp *harness.ControlPlane, args ...string) (string, error) {
	path, err := bins.Program("kubectl")
	if err != nil {
		return "", err
	}
	cache := filepath.Join(filepath.Dir(cp.Kubeconfig()), "kubectl")
	args = append([]string{"--kubeconfig", cp.Kubeconfig(), "--cache-dir", cache}, args...)
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(out), err
}

// TestDefinition: a type that is defined while kubescribe runs is mirrored, and
// goes with its objects.
func TestDefinition(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "defined")
	w.startReady(t)
	w.settle(t, scope())

	group := groupOf(ns)
	w.define(t, ns)
	var writes []harness.Written
	for n := range 5 {
		writes = append(writes, w.apply(t, sample(sampleThing, ns, n)))
	}
	c := w.settle(t, scope())
	files, err := w.remote.Files("live/" + ns + "/" + group + "/things")
	must(t, err)
	if len(files) != len(writes) {
		t.Errorf("%d things are in Git, want %d (of %d objects)", len(files), len(writes), c.Objects)
	}

	changed := w.apply(t, strings.Replace(sample(sampleThing, ns, 1), "size: 1", "size: 2", 1))
	must(t, w.awaitVersions(within(t, stepLimit), "", changed)) // by the watch, that is

	w.remove(t, sample(sampleDefinition, ns, 0))
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the things to go", func(context.Context) error {
		files, err := w.remote.Files("live/" + ns + "/" + group)
		if err == nil && len(files) > 0 {
			err = fmt.Errorf("there are %d", len(files))
		}
		return err
	}))
	w.settle(t, scope())
	w.history(t)
}

// TestDefinitionGoneMeanwhile: what went with a type while nobody watched goes from Git, too, once
// somebody does.
func TestDefinitionGoneMeanwhile(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "undefined")
	w.define(t, ns)
	w.apply(t, sample(sampleThing, ns, 1))
	k := w.startReady(t)
	w.settle(t, scope())
	stop(t, k)
	w.remove(t, sample(sampleDefinition, ns, 0))
	w.startReady(t)
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the thing to go", func(context.Context) error {
		files, err := w.remote.Files("live/" + ns + "/" + groupOf(ns))
		if err == nil && len(files) > 0 {
			err = fmt.Errorf("there are %q", files)
		}
		return err
	}))
	w.settle(t, scope())
}
