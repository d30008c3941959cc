package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// The schemas of a definition's versions: one that takes everything, and one that gives
// paint a colour.
const (
	anySchema   = "{type: object, x-kubernetes-preserve-unknown-fields: true}"
	paintSchema = "{type: object, properties: {spec: {type: object, properties: {size: {type: integer}, " +
		"paint: {type: object, properties: {colour: {type: string, default: blue}}}}}}}"
)

// definition is that of a namespace's things, in versions.
func definition(ns string, versions ...string) string {
	head, _, _ := strings.Cut(sample(sampleDefinition, ns, 0), "  versions:\n")
	return head + "  versions: [" + strings.Join(versions, ", ") + "]\n"
}

func definedVersion(name string, served, storage bool, schema string) string {
	return fmt.Sprintf("{name: %s, served: %t, storage: %t, subresources: {status: {}}, schema: {openAPIV3Schema: %s}}", name, served, storage, schema)
}

// thing is one of a namespace's things, in a version of its API.
func thing(ns, version string, n, size int) string {
	return fmt.Sprintf("{apiVersion: %s/%s, kind: Thing, metadata: {name: t-%d, namespace: %s}, spec: {size: %d}}", groupOf(ns), version, n, ns, size)
}

func changeDefinition(t *testing.T, w *world) {
	const things = 5
	ns := w.namespace(t, "changed")
	folder, own := "live/"+ns+"/"+groupOf(ns)+"/things", "live/_cluster/apiextensions.k8s.io/customresourcedefinitions/things."+groupOf(ns)+".yaml"
	var paths []string
	w.define(t, ns)
	for n := range things {
		w.apply(t, thing(ns, "v1", n, 1))
		paths = append(paths, fmt.Sprintf("%s/t-%d.yaml", folder, n))
	}
	w.settle(t, scope())
	w.awaitFiles(t, folder, paths...)
	since := w.tip(t)

	// The server prefers v2 over v1, whichever is stored. That is nobody's intent: it
	// makes one commit of all things, of a run.
	w.apply(t, definition(ns, definedVersion("v1", true, false, anySchema), definedVersion("v2", true, true, anySchema)))
	w.settleIn(t, groupOf(ns)+"/v2")
	runs := slices.DeleteFunc(w.news(t, since), func(c harness.Commit) bool { return c.Origin == "live" && c.Files[0].Path == own })
	if len(runs) != 1 || runs[0].Origin != "reconcile" || len(runs[0].Files) != things {
		t.Errorf("the commits are %+v, want one of %d things", runs, things)
	}
	w.changeThing(t, ns, "v2", 1)
	w.checkThings(t, ns, since, things)

	w.apply(t, definition(ns, definedVersion("v1", false, false, anySchema), definedVersion("v2", true, true, anySchema)))
	w.changeThing(t, ns, "v2", 2)
	w.apply(t, definition(ns, definedVersion("v1", false, false, paintSchema), definedVersion("v2", true, true, paintSchema)))
	w.awaitThing(t, ns, "v2", `{"spec": {"paint": {}}}`, "paint", "colour")
	painted := w.apply(t, strings.Replace(thing(ns, "v2", 3, 1), "{size:", "{paint: {}, size:", 1))
	must(t, w.awaitVersions(within(t, stepLimit), "", painted))
	w.settle(t, scope())
	w.checkThings(t, ns, since, things)
	files, err := w.remote.Files(folder)
	must(t, err)
	if f := files[paths[3]]; !strings.HasPrefix(f.Content, "apiVersion: "+groupOf(ns)+"/v2\n") || !strings.Contains(f.Content, "\n    colour: blue\n") {
		t.Errorf("%s is\n%s", paths[3], f.Content)
	}
	since = w.tip(t)

	w.remove(t, definition(ns))
	w.awaitFiles(t, folder)
	w.awaitFiles(t, own)
	for _, c := range w.news(t, since) {
		if c.Origin != "live" || len(c.Files) != 1 {
			t.Errorf("%.8s %s: is of %s and changes %d files, want 1", c.Hash, c.Subject, c.Origin, len(c.Files))
		}
	}
	w.settle(t, scope())

	w.apply(t, definition(ns, definedVersion("v1", true, true, anySchema)))
	w.apply(t, thing(ns, "v1", 0, 7))
	w.awaitFiles(t, folder, paths[0])
	w.changeThing(t, ns, "v1", 0)
	w.settle(t, scope())
	w.remove(t, definition(ns))
	w.awaitFiles(t, folder)
	w.awaitFiles(t, own)
	w.settle(t, scope())
}

// changeSchema: what a definition gains is in Git without anybody writing the objects.
func changeSchema(t *testing.T, w *world) {
	const things = 5
	ns := w.namespace(t, "gained")
	plain, glossy := strings.Replace(paintSchema, ", default: blue", "", 1), strings.Replace(paintSchema, "size:", "gloss: {type: boolean}, size:", 1)
	folder, own := "live/"+ns+"/"+groupOf(ns)+"/things", "live/_cluster/apiextensions.k8s.io/customresourcedefinitions/things."+groupOf(ns)+".yaml"
	w.apply(t, definition(ns, definedVersion("v1", true, true, plain)))
	for n := range things {
		w.apply(t, strings.Replace(thing(ns, "v1", n, 1), "{size:", "{paint: {}, size:", 1))
	}
	w.settle(t, scope())
	since := w.tip(t)

	// A default is in every object at once, as the API server serves them: one commit, of a run.
	w.apply(t, definition(ns, definedVersion("v1", true, true, paintSchema)))
	w.awaitThing(t, ns, "v1", `{"spec": {"paint": {}}}`, "paint", "colour")
	w.settle(t, scope())
	files, err := w.remote.Files(folder)
	must(t, err)
	for path, f := range files {
		if !strings.Contains(f.Content, "\n    colour: blue\n") {
			t.Errorf("%s is\n%s", path, f.Content)
		}
	}
	w.sentinel(t, ns)
	runs := slices.DeleteFunc(w.news(t, since), func(c harness.Commit) bool {
		return c.Origin == "live" && (c.Files[0].Path == own || strings.HasSuffix(c.Files[0].Path, "/sentinel.yaml"))
	})
	if len(runs) != 1 || runs[0].Origin != "reconcile" || len(runs[0].Files) != things {
		t.Errorf("the commits are %+v, want one of %d things", runs, things)
	}

	// A watch from before may go on for a while without what the schema has gained.
	w.apply(t, definition(ns, definedVersion("v1", true, true, glossy)))
	w.awaitThing(t, ns, "v1", `{"spec": {"gloss": true}}`, "gloss")
	must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, strings.Replace(thing(ns, "v1", 0, 2), "{size:", "{gloss: true, size:", 1))))
	w.settle(t, scope())
}

// changeThing changes a thing, and waits for its commit.
func (w *world) changeThing(t *testing.T, ns, version string, n int) {
	t.Helper()
	w.sentinels++
	must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, thing(ns, version, n, 100+w.sentinels))))
}

// checkThings fails the test if a thing was deleted from Git behind a commit.
func (w *world) checkThings(t *testing.T, ns, since string, things int) {
	t.Helper()
	for _, c := range w.news(t, since) {
		for _, f := range c.Files {
			if f.Status == "D" && strings.HasPrefix(f.Path, "live/"+ns+"/") {
				t.Errorf("%.8s %s: deletes %s", c.Hash, c.Subject, f.Path)
			}
		}
	}
	files, err := w.remote.Files("live/" + ns + "/" + groupOf(ns) + "/things")
	must(t, err)
	if len(files) != things {
		t.Errorf("%d things are in Git, want %d", len(files), things)
	}
}

// awaitThing waits until the API server serves a field of a thing's spec, if it is patched so.
func (w *world) awaitThing(t *testing.T, ns, version, patch string, field ...string) {
	t.Helper()
	client, err := dynamic.NewForConfig(w.cfg)
	must(t, err)
	things := client.Resource(schema.GroupVersionResource{Group: groupOf(ns), Version: version, Resource: "things"}).Namespace(ns)
	must(t, harness.Poll(within(t, stepLimit), 25*time.Millisecond, "the schema to be known", func(ctx context.Context) error {
		o, err := things.Patch(ctx, "t-3", types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		if _, there, _ := unstructured.NestedFieldNoCopy(o.Object, append([]string{"spec"}, field...)...); !there {
			return errors.New("it is not")
		}
		return nil
	}))
}

// settleIn is settle, once the API server prefers a version of a group.
func (w *world) settleIn(t *testing.T, groupVersion string) {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(w.cfg)
	must(t, err)
	must(t, harness.Poll(within(t, stepLimit), 25*time.Millisecond, groupVersion+" to be preferred", func(context.Context) error {
		groups, err := client.ServerGroups()
		if err != nil {
			return err
		}
		for _, g := range groups.Groups {
			if g.PreferredVersion.GroupVersion == groupVersion {
				return nil
			}
		}
		return errors.New("it is not")
	}))
	w.settle(t, scope())
}

func failExtension(t *testing.T, w *world, k *harness.Daemon, ns string) {
	x := harness.ServeExtension("pets.example.com")
	t.Cleanup(x.Close)
	service := fmt.Sprintf("{apiVersion: v1, kind: Service, metadata: {name: pets, namespace: %s}, spec: {type: ExternalName, externalName: localhost}}", ns)
	registration := fmt.Sprintf("{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.pets.example.com}, spec: "+
		"{group: pets.example.com, version: v1, groupPriorityMinimum: 1000, versionPriority: 10, insecureSkipTLSVerify: true, service: {name: pets, namespace: %s, port: %s}}}", ns, x.Port)
	for _, name := range []string{"changed", "deleted", "still"} {
		x.Put(ns, name, 1)
	}
	w.apply(t, service)
	w.apply(t, registration)
	w.awaitExtension(t, x, ns, true)
	w.settle(t, scope())
	must(t, w.awaitVersions(within(t, stepLimit), "", x.Put(ns, "changed", 2))) // by the watch, that is

	w.breakExtension(t, k, x, ns, func() *harness.Daemon { return k })
	must(t, w.awaitVersions(within(t, stepLimit), "", x.Put(ns, "changed", 3)))
	w.breakExtension(t, k, x, ns, func() *harness.Daemon {
		stop(t, k)
		k = w.startReady(t)
		awaitLog(t, k, 0, "an API group does not answer", x.Group)
		return k
	})
	must(t, w.awaitVersions(within(t, stepLimit), "", x.Put(ns, "changed", 4)))
	w.settle(t, scope())
}

// breakExtension has an API fail for a while, in which something happens, and checks that
// nothing is taken for gone, and that all is there in the end.
func (w *world) breakExtension(t *testing.T, k *harness.Daemon, x *harness.Extension, ns string, meanwhile func() *harness.Daemon) {
	t.Helper()
	folder := "live/" + ns + "/" + x.Group
	x.Put(ns, "deleted", 1) // again, maybe
	w.settle(t, scope())
	before, err := w.remote.Files(folder)
	must(t, err)
	same := func() {
		t.Helper()
		must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(ns, "beside", w.tip(t))))) // all else goes on
		now, err := w.remote.Files(folder)
		must(t, err)
		if !maps.Equal(before, now) {
			t.Errorf("%q are there, want %q as they were", slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(before)))
		}
	}
	logged := len(k.Output())
	x.Fail()
	w.awaitExtension(t, x, ns, false)
	noticed := time.Now()
	awaitLog(t, k, logged, "an API group does not answer", x.Group)
	checkPrompt(t, "that it fails", noticed)
	x.Put(ns, "changed", 10+w.sentinels)
	x.Put(ns, "another", 10+w.sentinels)
	x.Delete(ns, "deleted")
	same()
	w.reconcile(t)
	same()
	k = meanwhile()
	same()
	w.reconcile(t)
	same()

	logged = len(k.Output())
	x.Mend()
	w.awaitExtension(t, x, ns, true)
	noticed = time.Now()
	awaitLog(t, k, logged, "an API group does not fail any more", x.Group)
	checkPrompt(t, "that it is back", noticed)
	w.settle(t, scope())
	now, err := w.remote.Files(folder)
	must(t, err)
	if _, there := now[folder+"/pets/deleted.yaml"]; there || len(now) != 3 {
		t.Errorf("%q are there", slices.Sorted(maps.Keys(now)))
	}
}

// promptly is how soon kubescribe sees what the API server has seen of an aggregated API. It
// looks each half a minute anyway.
const promptly = 10 * time.Second

// checkPrompt fails the test if something was seen late.
func checkPrompt(t *testing.T, what string, since time.Time) {
	t.Helper()
	took := time.Since(since)
	t.Logf("it has seen %s after %s", what, took.Round(time.Millisecond))
	if took > promptly {
		t.Errorf("it has seen %s after %s, want within %s", what, took, promptly)
	}
}

// awaitExtension waits until the API server has seen whether an aggregated API answers.
func (w *world) awaitExtension(t *testing.T, x *harness.Extension, ns string, answers bool) {
	t.Helper()
	asked, err := discovery.NewDiscoveryClientForConfig(w.cfg)
	must(t, err)
	client, err := kubernetes.NewForConfig(w.cfg)
	must(t, err)
	gv, touched := schema.GroupVersion{Group: x.Group, Version: "v1"}, 0
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the API server to see how "+gv.String()+" is", func(ctx context.Context) error {
		// It looks each half a minute, and when something happens to the Service.
		touched++
		touch := fmt.Sprintf(`{"status": {"conditions": [{"type": "Touched", "status": "True", "reason": "Touch%d", "message": "", "lastTransitionTime": "2030-01-01T00:00:00Z"}]}}`, touched)
		if _, err := client.CoreV1().Services(ns).Patch(ctx, "pets", types.MergePatchType, []byte(touch), metav1.PatchOptions{}, "status"); err != nil {
			return err
		}
		lists, err := asked.ServerPreferredResources()
		failed, _ := discovery.GroupDiscoveryFailedErrorGroups(err)
		served := slices.ContainsFunc(lists, func(l *metav1.APIResourceList) bool { return l.GroupVersion == gv.String() && len(l.APIResources) > 0 })
		if (served && failed[gv] == nil) != answers {
			return fmt.Errorf("it is served: %t, or fails: %w", served, err)
		}
		return nil
	}))
}

// awaitLog waits until a line of a log, behind so many bytes, has all of these words.
func awaitLog(t *testing.T, k *harness.Daemon, behind int, words ...string) {
	t.Helper()
	await(t, fmt.Sprintf("the log to say %q", words), func() bool {
		for line := range strings.Lines(string(k.Output()[behind:])) {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return true
			}
		}
		return false
	})
}
