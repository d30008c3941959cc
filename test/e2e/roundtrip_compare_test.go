package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// assigned is all in which an object may differ from one cluster to the other: what an API
// server, or a controller in it, puts there by itself. Paths are JSON pointers, * stands
// for each item of a list, and what is below a path goes with it.
var assigned = []struct {
	kind   string // as kind.group; "" for every kind
	path   string
	unless string // a path at which the corpus says that somebody chose the value
}{
	{path: "/status"}, // what controllers say
	{path: "/metadata/uid"},
	{path: "/metadata/resourceVersion"},
	{path: "/metadata/creationTimestamp"},
	{path: "/metadata/generation"}, // counts updates
	{path: "/metadata/managedFields"},
	// What kubectl apply keeps of itself, in the first cluster alone.
	{path: "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"},
	// They count updates, too.
	{kind: "Deployment.apps", path: "/metadata/annotations/deployment.kubernetes.io~1revision"},
	{kind: "DaemonSet.apps", path: "/metadata/annotations/deprecated.daemonset.template.generation"},
	// Allocated, one by one.
	{kind: "Service", path: "/spec/clusterIP", unless: "/spec/clusterIP"},
	{kind: "Service", path: "/spec/clusterIPs", unless: "/spec/clusterIP"},
	{kind: "Service", path: "/spec/ports/*/nodePort", unless: "/spec/ports/*/nodePort"},
	{kind: "Service", path: "/spec/healthCheckNodePort", unless: "/spec/healthCheckNodePort"},
	// Made of the uid.
	{kind: "Job.batch", path: "/spec/selector", unless: "/spec/manualSelector"},
	{kind: "Job.batch", path: "/spec/template/metadata/labels/controller-uid", unless: "/spec/manualSelector"},
	{kind: "Job.batch", path: "/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid", unless: "/spec/manualSelector"},
	{kind: "Job.batch", path: "/metadata/labels/controller-uid", unless: "/spec/manualSelector"},
	{kind: "Job.batch", path: "/metadata/labels/batch.kubernetes.io~1controller-uid", unless: "/spec/manualSelector"},
}

// objectKey tells the objects of a cluster apart, whatever version serves them.
type objectKey struct{ kind, namespace, name string } // kind as kind.group

func (k objectKey) String() string {
	return k.kind + " " + strings.TrimPrefix(k.namespace+"/"+k.name, "/")
}

func keyOfObject(object map[string]any) objectKey {
	o := unstructured.Unstructured{Object: object}
	return objectKey{o.GroupVersionKind().GroupKind().String(), o.GetNamespace(), o.GetName()}
}

// leftOut are the kinds that the corpus has nothing of. But for the last ones, kubescribe
// leaves them out by default.
var leftOut = []string{
	"CSINode.storage.k8s.io", "CSIStorageCapacity.storage.k8s.io", "CertificateSigningRequest.certificates.k8s.io",
	"ComponentStatus", "ControllerRevision.apps", "EndpointSlice.discovery.k8s.io", "Endpoints", "Event", "Event.events.k8s.io",
	"IPAddress.networking.k8s.io", "Lease.coordination.k8s.io", "Node", "VolumeAttachment.storage.k8s.io",
	"APIService.apiregistration.k8s.io",         // one that is not the API server's takes a server of its own
	"PodCertificateRequest.certificates.k8s.io", // of a kubelet, for a Pod that it runs
}

// checkKinds checks that the corpus has each kind that is served and not [leftOut], be it
// one that comes with another version of Kubernetes.
func checkKinds(t *testing.T, corpus map[objectKey]map[string]any, served []string) {
	t.Helper()
	for _, kind := range served {
		has := slices.Contains(leftOut, kind)
		for key := range corpus {
			has = has || key.kind == kind
		}
		if !has {
			t.Errorf("the corpus has no %s", kind)
		}
	}
}

// everyObject lists all objects of all kinds that a cluster serves and lets one list.
func everyObject(ctx context.Context, cfg *rest.Config) (all map[objectKey]map[string]any, kinds []string, err error) {
	cfg = rest.CopyConfig(cfg)
	cfg.WarningHandler = rest.NoWarnings{} // some types are deprecated
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client: %w", err)
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client: %w", err)
	}
	lists, err := d.ServerPreferredResources()
	if err != nil {
		return nil, nil, fmt.Errorf("asking which types are served: %w", err)
	}
	all = map[objectKey]map[string]any{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, nil, fmt.Errorf("asking which types are served: %w", err)
		}
		for _, r := range l.APIResources {
			if !slices.Contains(r.Verbs, "list") {
				continue
			}
			kinds = append(kinds, gv.WithKind(r.Kind).GroupKind().String())
			objects, err := client.Resource(gv.WithResource(r.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, nil, fmt.Errorf("listing %s: %w", r.Name, err)
			}
			for _, o := range objects.Items {
				all[keyOfObject(o.Object)] = o.Object
			}
		}
	}
	return all, kinds, nil
}

// sameClusters says where two clusters differ in the objects of the corpus, and where one
// has an object of its types and namespaces that the other one has not.
func sameClusters(corpus, there, here map[objectKey]map[string]any) error {
	var wrong []error
	kinds, namespaces := map[string]bool{}, map[string]bool{"": true}
	for key, object := range corpus {
		kinds[key.kind], namespaces[key.namespace] = true, true
		first, ok := there[key]
		second, is := here[key]
		switch {
		case !ok:
			wrong = append(wrong, fmt.Errorf("%s: is not in the first cluster", key))
		case !is:
			wrong = append(wrong, fmt.Errorf("%s: is not in the second cluster", key))
		default:
			if diff := cmp.Diff(chosen(object, first), chosen(object, second)); diff != "" {
				wrong = append(wrong, fmt.Errorf("%s: (-first +second)\n%s", key, diff))
			}
		}
	}
	// What a controller makes of an object has a name by chance.
	alone := func(cluster, other map[objectKey]map[string]any, which string) {
		for key, object := range cluster {
			_, is := other[key]
			_, known := corpus[key]
			controlled := metav1.GetControllerOf(&unstructured.Unstructured{Object: object}) != nil
			if kinds[key.kind] && namespaces[key.namespace] && !is && !known && !controlled {
				wrong = append(wrong, fmt.Errorf("%s: is in the %s cluster alone", key, which))
			}
		}
	}
	alone(there, here, "first")
	alone(here, there, "second")
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(wrong...)
}

// chosen is an object without what is assigned: each value by its JSON pointer.
func chosen(corpus, object map[string]any) map[string]any {
	kind := keyOfObject(object).kind
	values, said := flatten(object), flatten(corpus)
	for at := range values {
		for _, a := range assigned {
			if (a.kind == "" || a.kind == kind) && leads(a.path, at) && !says(said, a.unless, at) {
				delete(values, at)
			}
		}
	}
	return values
}

// leads reports whether a pointer is that of a path, or of something below.
func leads(path, pointer string) bool {
	steps, at := strings.Split(path, "/"), strings.Split(pointer, "/")
	if len(at) < len(steps) {
		return false
	}
	for i, step := range steps {
		if step != "*" && step != at[i] {
			return false
		}
	}
	return true
}

// says reports whether an object of the corpus has a value at a path, where * stands for
// the item that another pointer goes through.
func says(said map[string]any, path, pointer string) bool {
	if path == "" {
		return false
	}
	steps, at := strings.Split(path, "/"), strings.Split(pointer, "/")
	for i := range steps {
		if steps[i] == "*" {
			steps[i] = at[i]
		}
	}
	_, ok := said[strings.Join(steps, "/")]
	return ok
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// flatten is an object's values by their JSON pointers. An empty map or list is a value,
// and so is null.
func flatten(object map[string]any) map[string]any {
	values := map[string]any{}
	var walk func(at string, value any)
	walk = func(at string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for key, inner := range v {
				walk(at+"/"+escapePointer.Replace(key), inner)
			}
			if len(v) > 0 {
				return
			}
		case []any:
			for i, inner := range v {
				walk(at+"/"+strconv.Itoa(i), inner)
			}
			if len(v) > 0 {
				return
			}
		}
		values[at] = value
	}
	walk("", object)
	return values
}

// TestRoundTripComparison: the comparison sees what it is there for.
func TestRoundTripComparison(t *testing.T) {
	t.Parallel()
	service := func(spec string) map[string]any {
		return readDocument(t, "a test", "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec: "+spec)
	}
	for name, test := range map[string]struct {
		corpus, first, second string // specs of a Service; "" for none
		want                  string // in what is wrong; "" for nothing
	}{
		"equal":                    {"{a: [1, {}]}", "{a: [1, {}]}", "{a: [1, {}]}", ""},
		"other value":              {"{a: 1}", "{a: 1}", "{a: 2}", `"/spec/a"`},
		"other type":               {"{a: 1}", "{a: 1}", `{a: "1"}`, `"/spec/a"`},
		"value lost":               {"{a/b: 1, c: 1}", "{a/b: 1, c: 1}", "{c: 1}", `"/spec/a~1b"`},
		"null lost":                {"{a: null, c: 1}", "{a: null, c: 1}", "{c: 1}", `"/spec/a"`},
		"empty map lost":           {"{a: {}, c: 1}", "{a: {}, c: 1}", "{c: 1}", `"/spec/a"`},
		"value more":               {"{c: 1}", "{c: 1}", "{a: 1, c: 1}", `"/spec/a"`},
		"missing":                  {"{}", "{}", "", "is not in the second cluster"},
		"never there":              {"{}", "", "{}", "is not in the first cluster"},
		"allocated address":        {"{}", "{clusterIP: 1.1.1.1, clusterIPs: [1.1.1.1]}", "{clusterIP: 1.1.1.2, clusterIPs: [1.1.1.2]}", ""},
		"chosen address":           {"{clusterIP: 1.1.1.1}", "{clusterIP: 1.1.1.1}", "{clusterIP: 1.1.1.2}", `"/spec/clusterIP"`},
		"list of a chosen address": {"{clusterIP: 1.1.1.1}", "{clusterIPs: [1.1.1.1]}", "{clusterIPs: [1.1.1.2]}", `"/spec/clusterIPs/0"`},
		"allocated port":           {"{ports: [{nodePort: 1}, {port: 2}]}", "{ports: [{nodePort: 1}, {nodePort: 2}]}", "{ports: [{nodePort: 1}, {nodePort: 3}]}", ""},
		"chosen port":              {"{ports: [{port: 2}, {nodePort: 1}]}", "{ports: [{nodePort: 2}, {nodePort: 1}]}", "{ports: [{nodePort: 3}, {nodePort: 4}]}", `"/spec/ports/1/nodePort"`},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := func(spec string) map[objectKey]map[string]any {
				if spec == "" {
					return nil
				}
				object := service(spec)
				return map[objectKey]map[string]any{keyOfObject(object): object}
			}
			err := sameClusters(cluster(test.corpus), cluster(test.first), cluster(test.second))
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
