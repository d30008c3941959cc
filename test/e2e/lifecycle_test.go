package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestLifecycle: what becomes of objects in other ways than by a write of a person's
// alone, and of whole types, on a cluster in which nothing else happens: so each commit is
// accounted for.
func TestLifecycle(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, ownCluster(t))
	ns := w.namespace(t, "lifecycle")
	k := w.startReady(t)
	w.settle(t, scope())

	t.Run("one object changes 100 times in a second", func(t *testing.T) { hundredVersions(t, w, ns) })
	t.Run("a collection is deleted", func(t *testing.T) { deleteCollection(t, w, ns) })
	t.Run("a Deployment is scaled", func(t *testing.T) { scaleDeployment(t, w, ns) })
	t.Run("an object waits for its finalizers", func(t *testing.T) { awaitFinalizers(t, w, ns) })
	t.Run("a namespace waits for what is in it", func(t *testing.T) { awaitNamespace(t, w, ns) })
	t.Run("a definition changes, goes and comes again", func(t *testing.T) { changeDefinition(t, w) })
	t.Run("a definition gains a default and a field", func(t *testing.T) { changeSchema(t, w) })
	t.Run("an aggregated API fails and comes back", func(t *testing.T) { failExtension(t, w, k, ns) })
	w.history(t)
}

// news are the commits behind one.
func (w *world) news(t *testing.T, since string) []harness.Commit {
	t.Helper()
	news, err := w.remote.History(since + "..HEAD")
	must(t, err)
	return news
}

// checkNews fails the test unless what was written is what the commits behind one tell:
// with one commit for each, in this order.
func (w *world) checkNews(t *testing.T, since string, writes ...string) {
	t.Helper()
	var got []string
	for _, c := range w.news(t, since) {
		got = append(got, told(c))
	}
	if !slices.Equal(got, writes) {
		t.Errorf("the commits are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(writes, "\n  "))
	}
}

// toldOf is what [told] says of the commit of a write.
func toldOf(written harness.Written) string {
	if written.Deleted {
		return written.Resource + " deleted"
	}
	return written.Resource + " at " + written.Version
}

// last is what the last commit of a sentinel tells.
func (w *world) last(t *testing.T, namespace string) string {
	t.Helper()
	return told(w.sentinel(t, namespace))
}

func hundredVersions(t *testing.T, w *world, ns string) {
	const versions = 100
	client, err := kubernetes.NewForConfig(w.cfg)
	must(t, err)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "busy"}}
	ctx := within(t, stepLimit)
	_, err = client.CoreV1().ConfigMaps(ns).Create(ctx, object, metav1.CreateOptions{FieldManager: harness.UserAgent})
	must(t, err)
	w.sentinel(t, ns)
	since := w.tip(t)

	var writes []string
	begun := time.Now()
	for n := range versions {
		object.Data = map[string]string{"value": fmt.Sprintf("number-%d", n)}
		answer, err := client.CoreV1().ConfigMaps(ns).Update(ctx, object, metav1.UpdateOptions{FieldManager: harness.UserAgent})
		must(t, err)
		writes = append(writes, "v1 configmaps "+ns+"/busy at "+answer.ResourceVersion)
	}
	t.Logf("%d versions in %s", versions, time.Since(begun).Round(time.Millisecond))
	w.checkNews(t, since, append(writes, w.last(t, ns))...)
	for n, c := range w.news(t, since)[:versions] {
		content, err := gittest.Git(w.remote.Dir, "show", c.Hash+":live/"+ns+"/configmaps/busy.yaml")
		must(t, err)
		if !strings.HasSuffix(content+"\n", fmt.Sprintf("value: number-%d\n", n)) {
			t.Errorf("version %d is\n%s", n, content)
		}
	}
}

func deleteCollection(t *testing.T, w *world, ns string) {
	const objects = 200
	var all errgroup.Group
	all.SetLimit(8)
	ctx := within(t, stepLimit)
	for n := range objects {
		all.Go(func() error {
			_, err := w.objects.Apply(ctx, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: batch-%03d, namespace: %s, labels: {of: batch}}}", n, ns))
			return err
		})
	}
	must(t, all.Wait())
	w.apply(t, configMap(ns, "batch-of-its-own", "x"))
	w.sentinel(t, ns)
	since := w.tip(t)

	client, err := kubernetes.NewForConfig(w.cfg)
	must(t, err)
	must(t, client.CoreV1().ConfigMaps(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "of=batch"}))
	var want, got []string
	for n := range objects {
		want = append(want, fmt.Sprintf("v1 configmaps %s/batch-%03d deleted", ns, n))
	}
	want = append(want, w.last(t, ns))
	for _, c := range w.news(t, since) { // the API server deletes them side by side
		got = append(got, told(c))
	}
	report(t, apart(got, want))
	w.settle(t, scope())
}

func scaleDeployment(t *testing.T, w *world, ns string) {
	w.apply(t, sample(sampleDeployment, ns, 0))
	w.settle(t, scope())
	since := w.tip(t)

	client, err := kubernetes.NewForConfig(w.cfg)
	must(t, err)
	scaled, err := client.AppsV1().Deployments(ns).UpdateScale(within(t, stepLimit), "d-0", &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "d-0"}, Spec: autoscalingv1.ScaleSpec{Replicas: 2},
	}, metav1.UpdateOptions{FieldManager: "scaler"})
	must(t, err)
	last := w.apply(t, sample(sampleDeployment, ns, 1))
	must(t, w.awaitVersions(within(t, stepLimit), since, last))
	w.checkNews(t, since, "v1 deployments.apps "+ns+"/d-0 at "+scaled.ResourceVersion, toldOf(last))
	w.settle(t, scope())
	files, err := w.remote.Files("live/" + ns + "/apps")
	must(t, err)
	if file := files["live/"+ns+"/apps/deployments/d-0.yaml"].Content; !strings.Contains(file, "\n  replicas: 2\n") {
		t.Errorf("the Deployment is\n%s", file)
	}
}

// held is a manifest of a ConfigMap with finalizers.
func held(namespace, value string, finalizers ...string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: held, namespace: %s, finalizers: [%s]}, data: {value: %q}}",
		namespace, strings.Join(finalizers, ", "), value)
}

func awaitFinalizers(t *testing.T, w *world, ns string) {
	const a, b = "example.com/a", "example.com/b"
	must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, held(ns, "1", a, b))))
	since := w.tip(t)
	deleted := w.remove(t, held(ns, "1")) // and is there until both have gone
	want := []string{w.last(t, ns)}
	for _, manifest := range []string{held(ns, "2", a, b), held(ns, "2", b)} {
		want = append(want, toldOf(w.apply(t, manifest)))
	}
	want = append(want, w.last(t, ns))
	w.checkNews(t, since, want...)
	w.settle(t, scope())
	w.apply(t, held(ns, "2"))
	want = append(want, toldOf(deleted), w.last(t, ns))
	w.checkNews(t, since, want...)
	w.settle(t, scope())
}

func awaitNamespace(t *testing.T, w *world, ns string) {
	doomed := w.namespace(t, "doomed")
	w.apply(t, held(doomed, "1", "example.com/a"))
	for n := range 20 {
		w.apply(t, sample(sampleConfigMap, doomed, n))
	}
	w.apply(t, sample(sampleService, doomed, 0))
	w.apply(t, strings.Replace(sample(sampleDeployment, doomed, 0), "replicas: 0", "replicas: 2", 1))
	w.settle(t, scope())
	before, err := w.remote.Files("live/" + doomed)
	must(t, err)
	since := w.tip(t)

	own := "live/_cluster/namespaces/" + doomed + ".yaml"
	kept := "live/" + doomed + "/configmaps/held.yaml"
	w.remove(t, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "+doomed+"\n")
	w.awaitFiles(t, "live/"+doomed, kept)
	w.sentinel(t, ns)
	w.awaitFiles(t, "live/"+doomed, kept)
	w.awaitFiles(t, own, own)
	w.settle(t, scope())
	w.apply(t, held(doomed, "1"))
	w.awaitFiles(t, "live/"+doomed)
	w.awaitFiles(t, own)
	w.settle(t, scope())

	gone := map[string]int{}
	for _, c := range w.news(t, since) {
		if c.Origin != "live" || len(c.Files) != 1 {
			t.Errorf("%.8s %s: is of %s and changes %d files, want 1", c.Hash, c.Subject, c.Origin, len(c.Files))
		}
		for _, f := range c.Files {
			if f.Status == "D" {
				gone[f.Path]++
			}
		}
	}
	for path := range before {
		if gone[path] != 1 {
			t.Errorf("%s was deleted %d times", path, gone[path])
		}
	}
	if gone[own] != 1 || len(gone) != len(before)+1 {
		t.Errorf("%d files were deleted, want %d and %s", len(gone), len(before), own)
	}
}

// awaitFiles waits until these are all files of a folder, or this is the file.
func (w *world) awaitFiles(t *testing.T, folder string, paths ...string) {
	t.Helper()
	must(t, harness.Poll(within(t, stepLimit), 25*time.Millisecond, fmt.Sprintf("%s to have %q", folder, paths), func(context.Context) error {
		files, err := w.remote.Files("live")
		if err != nil {
			return err
		}
		var got []string
		for path := range files {
			if path == folder || strings.HasPrefix(path, folder+"/") {
				got = append(got, path)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, paths) {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	}))
}

// reconcile asks for a run, and waits until what it wrote is on the remote.
func (w *world) reconcile(t *testing.T) {
	t.Helper()
	code, said := runToEnd(t, "reconcile", w.get(t).Destination.Key.Name, "--data-dir", w.options.DataDir)
	if code != 0 {
		t.Fatalf("reconcile ends with %d: %s", code, said)
	}
}
