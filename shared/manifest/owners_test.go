package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
	"sigs.k8s.io/yaml"
)

func TestMatchesManager(t *testing.T) {
	for _, tt := range []struct {
		pattern, manager string
		want             bool
	}{
		{"kubectl-edit", "kubectl-edit", true},
		{"kubectl-*", "kubectl-edit", true},
		{"kubectl-*", "kubectl", false},
		{"kubectl", "kubectl-edit", false},
		{"*", "apiextensions.crossplane.io/composed", true},
		{"apiextensions.crossplane.io/*", "apiextensions.crossplane.io/composed", true},
		{"k?s", "k3s", true},
		{"deploy@node?0", "deploy@node/0", true},
		{"[", "[", false},
		{"Kubectl", "kubectl", false},
		{"*", "", true},
	} {
		if got := MatchesManager(tt.pattern, tt.manager); got != tt.want {
			t.Errorf("%q and %q: %v", tt.pattern, tt.manager, got)
		}
	}
}

func TestIgnoresManager(t *testing.T) {
	for _, tt := range []struct {
		pattern, manager, subresource string
		want                          bool
	}{
		{"robot", "robot", "", true},
		{"robot", "robot", "scale", true},
		{"robot/scale", "robot", "scale", true},
		{"robot/scale", "robot", "", false},
		{"robot/scale", "robot", "status", false},
		{"robot/status", "robot", "status", true},
		{"robot/scale", "robot/scale", "", false},
		{"robot/scal?", "robot/scale", "", true},
		{"robot/scale/scale", "robot/scale", "scale", true},
		{"robot.io/*", "robot.io/composed", "", true},
		{"robot.io/*/scale", "robot.io/composed", "scale", true},
		{"*/scale", "kubectl", "scale", true},
		{"robot/resize", "robot", "resize", false},
		{"robot/resize", "robot/resize", "", true},
	} {
		if got := IgnoresManager([]string{"other", tt.pattern}, tt.manager, tt.subresource); got != tt.want {
			t.Errorf("%q of what %q owns through %q: %v", tt.pattern, tt.manager, tt.subresource, got)
		}
	}
}

// TestIgnoreSubresource: a manager that scales an object, and has made it, is ignored only as the scaler.
func TestIgnoreSubresource(t *testing.T) {
	var obj map[string]any
	if err := yaml.Unmarshal([]byte(`
apiVersion: v1
kind: Thing
metadata:
  name: a
  managedFields:
  - {manager: robot, operation: Update, apiVersion: v1, fieldsV1: {"f:spec": {"f:paused": {}}}}
  - {manager: robot, operation: Update, apiVersion: v1, subresource: scale, fieldsV1: {"f:spec": {"f:replicas": {}}}}
spec: {paused: true, replicas: 5}
`), &obj); err != nil {
		t.Fatal(err)
	}
	got, err := Sanitize(obj, Policy{IgnoreManagers: []string{"robot/scale"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"paused": true}, got["spec"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := Sanitize(obj, Policy{IgnoreManagers: []string{"robot"}}); !errors.Is(err, ErrIgnored) {
		t.Errorf("of all that is its own there is: %v", err)
	}
}

// TestIgnoreManagers: what "robot" and "robot-2" own, and nobody else does, goes.
func TestIgnoreManagers(t *testing.T) {
	const none = "" // nothing of it stands
	for _, tt := range []struct{ name, object, want string }{
		{
			"a field", `
spec: {replicas: 5, paused: true}
managed: {kubectl: {"f:spec": {"f:paused": {}}}, robot: {"f:spec": {"f:replicas": {}}}}`,
			"spec: {paused: true}",
		},
		{
			"a field of several", `
spec: {replicas: 5}
managed: {kubectl: {"f:spec": {"f:replicas": {}}}, robot: {"f:spec": {"f:replicas": {}}}}`,
			"spec: {replicas: 5}",
		},
		{
			"a field of several that are ignored", `
spec: {replicas: 5, paused: true}
managed: {kubectl: {"f:spec": {"f:paused": {}}}, robot: {"f:spec": {"f:replicas": {}}}, robot-2: {"f:spec": {"f:replicas": {}}}}`,
			"spec: {paused: true}",
		},
		{
			"what nobody owns", `
spec: {replicas: 5, paused: true}
data: {a: b}
managed: {kubectl: {"f:data": {"f:a": {}}}, robot: {"f:spec": {"f:replicas": {}}}}`,
			"{data: {a: b}, spec: {paused: true}}",
		},
		{
			"the last field of a map", `
spec: {replicas: 5}
data: {a: b}
managed: {kubectl: {"f:data": {"f:a": {}}}, robot: {"f:spec": {"f:replicas": {}}}}`,
			"data: {a: b}",
		},
		{
			"the last field of a map that is owned", `
spec: {emptyDir: {sizeLimit: 1Gi}}
managed: {kubectl: {"f:spec": {"f:emptyDir": {}}}, robot: {"f:spec": {"f:emptyDir": {"f:sizeLimit": {}}}}}`,
			"spec: {emptyDir: {}}",
		},
		{
			"a map of several", `
data: {a: b, c: d}
managed: {kubectl: {"f:data": {"f:a": {}}}, robot: {"f:data": {".": {}, "f:c": {}}}}`,
			"data: {a: b}",
		},
		{
			"an atomic map", `
spec: {selector: {app: web}, paused: true}
managed: {kubectl: {"f:spec": {"f:paused": {}}}, robot: {"f:spec": {"f:selector": {}}}}`,
			"spec: {paused: true}",
		},
		{
			"an item, with its defaults", `
spec: {containers: [{name: web, image: web:1}, {name: proxy, image: proxy:1, imagePullPolicy: Always}]}
managed:
  kubectl: {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:name": {}, "f:image": {}}}}}
  robot: {"f:spec": {"f:containers": {'k:{"name":"proxy"}': {".": {}, "f:name": {}, "f:image": {}}}}}`,
			"spec: {containers: [{name: web, image: web:1}]}",
		},
		{
			"a field of an item", `
webhooks: [{name: a, clientConfig: {caBundle: x, service: {name: s}}}, {name: b, clientConfig: {caBundle: y}}]
managed:
  kubectl: {"f:webhooks": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:clientConfig": {"f:service": {"f:name": {}}}}, 'k:{"name":"b"}': {".": {}, "f:name": {}}}}
  robot: {"f:webhooks": {'k:{"name":"a"}': {"f:clientConfig": {"f:caBundle": {}}}, 'k:{"name":"b"}': {"f:clientConfig": {"f:caBundle": {}}}}}`,
			"webhooks: [{name: a, clientConfig: {service: {name: s}}}, {name: b}]",
		},
		{
			"what an item is known by", `
spec: {ports: [{port: 80, protocol: TCP, name: http, nodePort: 31000}]}
managed:
  kubectl: {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:nodePort": {}}}}}
  robot: {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:protocol": {}, "f:name": {}}}}}`,
			"spec: {ports: [{port: 80, protocol: TCP, nodePort: 31000}]}",
		},
		{
			"one of two items that share a field", `
spec: {ports: [{port: 53, protocol: TCP}, {port: 53, protocol: UDP}]}
managed:
  kubectl: {"f:spec": {"f:ports": {'k:{"port":53,"protocol":"TCP"}': {".": {}}}}}
  robot: {"f:spec": {"f:ports": {'k:{"port":53,"protocol":"UDP"}': {".": {}}}}}`,
			"spec: {ports: [{port: 53, protocol: TCP}]}",
		},
		{
			"items by the most that is known of them", `
spec: {ports: [{port: 53}, {port: 53, protocol: UDP}]}
managed:
  kubectl: {"f:spec": {"f:ports": {'k:{"port":53,"protocol":"UDP"}': {".": {}}}}}
  robot: {"f:spec": {"f:ports": {'k:{"port":53}': {".": {}}}}}`,
			"spec: {ports: [{port: 53, protocol: UDP}]}",
		},
		{
			"all items", `
spec: {ports: [{port: 53}], paused: true}
managed: {kubectl: {"f:spec": {"f:paused": {}}}, robot: {"f:spec": {"f:ports": {'k:{"port":53}': {".": {}}}}}}`,
			"spec: {paused: true}",
		},
		{
			"an item of a set", `
metadata: {finalizers: [example.com/robot, example.com/us]}
managed:
  kubectl: {"f:metadata": {"f:finalizers": {'v:"example.com/us"': {}}}}
  robot: {"f:metadata": {"f:finalizers": {".": {}, 'v:"example.com/robot"': {}}}}`,
			"metadata: {finalizers: [example.com/us]}",
		},
		{
			"numbers of a set", `
spec: {groups: [1, 2, 300000000000]}
managed: {kubectl: {"f:spec": {"f:groups": {"v:1": {}}}}, robot: {"f:spec": {"f:groups": {"v:2": {}, "v:300000000000": {}}}}}`,
			"spec: {groups: [1]}",
		},
		{
			"items by their place", `
spec: {args: [a, b, c, d]}
managed: {kubectl: {"f:spec": {"f:args": {"i:0": {}, "i:3": {}}}}, robot: {"f:spec": {"f:args": {"i:1": {}, "i:3": {}}}}}`,
			"spec: {args: [a, c, d]}",
		},
		{
			"labels and annotations", `
metadata: {labels: {app: web, robot: x}, annotations: {robot: x}}
managed: {kubectl: {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}}, robot: {"f:metadata": {"f:labels": {"f:robot": {}}, "f:annotations": {".": {}, "f:robot": {}}}}}`,
			"metadata: {labels: {app: web}}",
		},
		{
			"a name with a slash and a dot", `
metadata: {annotations: {example.com/a.b: x, example.com/c: y}}
managed: {kubectl: {"f:metadata": {"f:annotations": {"f:example.com/c": {}}}}, robot: {"f:metadata": {"f:annotations": {"f:example.com/a.b": {}}}}}`,
			"metadata: {annotations: {example.com/c: y}}",
		},
		{
			"all of it", `
spec: {replicas: 5, progressDeadlineSeconds: 600}
managed: {robot: {"f:spec": {"f:replicas": {}}}}`,
			none,
		},
		{
			"all but its status and what is bookkeeping", `
metadata: {annotations: {deployment.kubernetes.io/revision: "3"}}
spec: {replicas: 5}
managed:
  controller: {"f:status": {"f:replicas": {}}, "f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}
  robot: {"f:spec": {"f:replicas": {}}}`,
			none,
		},
		{
			"all but a label", `
metadata: {labels: {team: red}}
spec: {replicas: 5}
managed: {kubectl: {"f:metadata": {"f:labels": {".": {}, "f:team": {}}}}, robot: {"f:spec": {"f:replicas": {}}}}`,
			"metadata: {labels: {team: red}}",
		},
		{
			"all but what stands elsewhere in the version that others wrote", `
spec: {target: 5}
managed: {kubectl@v1alpha1: {"f:spec": {"f:goal": {}}}, robot: {"f:spec": {"f:more": {}}}}`,
			"spec: {target: 5}",
		},
		{
			"nothing but its status", `
spec: {replicas: 5}
managed: {robot: {"f:status": {"f:replicas": {}}}}`,
			"spec: {replicas: 5}",
		},
		{"nothing: no managed fields", "spec: {replicas: 5}", "spec: {replicas: 5}"},
		{
			"nothing: there is no such field", `
spec: {replicas: 5}
managed: {kubectl: {"f:spec": {"f:replicas": {}}}, robot: {"f:spec": {"f:none": {}, "f:replicas": {"f:deep": {}, 'k:{"a":1}': {}}}}}`,
			"spec: {replicas: 5}",
		},
		{
			"what an object is known by", `
spec: {replicas: 5}
managed: {kubectl: {"f:spec": {"f:replicas": {}}}, robot: {".": {}, "f:kind": {}, "f:apiVersion": {}, "f:metadata": {".": {}, "f:name": {}, "f:namespace": {}}}}`,
			"spec: {replicas: 5}",
		},
		{
			"what is no fieldsV1", `
spec: {ports: [{port: 1}], replicas: 5}
managed: {kubectl: {"f:spec": {"f:replicas": {}}}, robot: {"f:spec": {"f:ports": {"k:": {}, "k:{": {}, "k:{}": {}, "k:3": {}, "v:": {}, "x": {}, "i:-1": {}, "": {}, 'k:{"port":1}': 7}}, "f:data": null}}`,
			"spec: {ports: [{port: 1}], replicas: 5}",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obj := managed(t, tt.object)
			before := runtime.DeepCopyJSON(obj)
			got, err := Sanitize(obj, Policy{IgnoreManagers: []string{"robot", "robot-*"}})
			if diff := cmp.Diff(before, obj); diff != "" {
				t.Errorf("input changed (-before +after):\n%s", diff)
			}
			if tt.want == none {
				if got != nil || !errors.Is(err, ErrIgnored) {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(managed(t, tt.want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// managed is an object whose managed fields are written as managed: {MANAGER: FIELDSV1}, of
// the object's own version or MANAGER@VERSION.
func managed(t *testing.T, text string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var obj map[string]any
	if err := json.Unmarshal(data, &obj); err != nil {
		t.Fatal(err)
	}
	metadata, _ := obj["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	obj["apiVersion"], obj["kind"], obj["metadata"] = "example.com/v1", "Widget", metadata
	metadata["name"], metadata["namespace"] = "web", "shop"
	if by, ok := obj["managed"].(map[string]any); ok {
		var entries []any
		for manager, fields := range by {
			name, version, other := bytes.Cut([]byte(manager), []byte("@"))
			entry := map[string]any{"manager": string(name), "apiVersion": "example.com/v1", "fieldsV1": fields}
			if other {
				entry["apiVersion"] = "example.com/" + string(version)
			}
			entries = append(entries, entry)
		}
		metadata["managedFields"] = entries
		delete(obj, "managed")
	}
	return obj
}

// node is a value of a random object, and who owns it. Children of a list are known by key
// or value or place.
type node struct {
	path     fieldpath.Path
	field    string // its name in a map
	leaf     any    // if it has no children
	list     bool
	children []*node
	owners   []string
}

var (
	ignoredOnes = []string{"robot-1", "robot-2"}
	everybody   = append([]string{"alice", "helm"}, ignoredOnes...)
)

// draw makes a random value at a path.
func draw(r *rand.Rand, path fieldpath.Path, field string, depth int) *node {
	n := &node{path: path, field: field}
	if len(path) > 0 && (len(path) > 1 || r.IntN(4) == 0) {
		for _, manager := range everybody {
			if r.IntN(4) == 0 {
				n.owners = append(n.owners, manager)
			}
		}
	}
	at := func(e fieldpath.PathElement) fieldpath.Path { return append(slices.Clone(path), e) }
	kind := r.IntN(7)
	if len(path) == 0 {
		kind = 3
	} else if depth == 0 {
		kind = r.IntN(3)
	}
	switch kind {
	case 0:
		n.leaf = fmt.Sprint("value ", r.IntN(10))
	case 1:
		n.leaf = int64(r.IntN(10))
	case 2: // atomic, or empty
		n.leaf = []any{map[string]any{}, []any{"a", "b"}, map[string]any{"a": []any{"b"}}, nil}[r.IntN(4)]
	case 3, 4:
		for i := range 1 + r.IntN(4) {
			name := fmt.Sprintf("f%d/\"%d", depth, i)
			n.children = append(n.children, draw(r, at(fieldpath.FieldNameElement(name)), name, depth-1))
		}
	case 5:
		n.list = true
		for i := range 1 + r.IntN(3) {
			e := fieldpath.KeyElementByFields("name", fmt.Sprint("i<", i), "port", int64(80+i))
			item := &node{path: at(e)}
			for _, manager := range everybody {
				if r.IntN(4) == 0 {
					item.owners = append(item.owners, manager)
				}
			}
			for _, f := range []struct {
				name string
				of   any
			}{{"name", fmt.Sprint("i<", i)}, {"port", int64(80 + i)}} {
				key := draw(r, append(slices.Clone(item.path), fieldpath.FieldNameElement(f.name)), f.name, 0)
				key.leaf = f.of
				item.children = append(item.children, key)
			}
			for j := range r.IntN(3) {
				name := fmt.Sprint("g", j)
				item.children = append(item.children, draw(r, append(slices.Clone(item.path), fieldpath.FieldNameElement(name)), name, depth-1))
			}
			n.children = append(n.children, item)
		}
	case 6:
		n.list = true
		places := r.IntN(2) == 0
		for i := range 1 + r.IntN(4) {
			of := any(fmt.Sprint("v\"", i))
			if i%2 == 0 {
				of = int64(i)
			}
			e := fieldpath.ValueElement(value.NewValueInterface(of))
			if places {
				e = fieldpath.IndexElement(i)
			}
			item := draw(r, at(e), "", 0)
			item.leaf = of
			n.children = append(n.children, item)
		}
	}
	return n
}

// each visits a value and all in it.
func (n *node) each(f func(*node)) {
	f(n)
	for _, c := range n.children {
		c.each(f)
	}
}

func (n *node) ownedBy(ignored bool) bool {
	return slices.ContainsFunc(n.owners, func(m string) bool { return slices.Contains(ignoredOnes, m) == ignored })
}

// anyOfOthers reports whether others own it or anything in it.
func (n *node) anyOfOthers() (some bool) {
	n.each(func(c *node) { some = some || c.ownedBy(false) })
	return some
}

// build is the value: whole, or what is to be left of it, and whether anything of that is
// others'.
func (n *node) build(whole bool) (v any, left, others bool) {
	if !whole && n.ownedBy(true) && !n.anyOfOthers() {
		return nil, false, false
	}
	others = n.ownedBy(false)
	if n.children == nil {
		return n.leaf, true, others
	}
	fields, items := map[string]any{}, []any{}
	for _, c := range n.children {
		v, ok, some := c.build(whole)
		others = others || some
		if ok {
			fields[c.field] = v
			items = append(items, v)
		}
	}
	if len(items) == 0 && !n.ownedBy(false) {
		return nil, false, false
	}
	if n.list {
		return items, true, others
	}
	if len(n.path) > 0 && n.path[len(n.path)-1].Key != nil {
		for _, key := range n.children[:2] {
			fields[key.field] = key.leaf
		}
	}
	return fields, true, others
}

// managedFields are written down by the library that the API server uses.
func (n *node) managedFields(t *testing.T) (entries []any) {
	t.Helper()
	for _, manager := range everybody {
		set := fieldpath.NewSet()
		n.each(func(c *node) {
			if slices.Contains(c.owners, manager) {
				set.Insert(c.path)
			}
		})
		if set.Empty() {
			continue
		}
		data, err := set.ToJSON()
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, map[string]any{"manager": manager, "apiVersion": "example.com/v1", "fieldsV1": fields})
	}
	return entries
}

// TestIgnoreManagersOfAny: of random objects with random owners what goes is what some ignored
// manager owns and nobody else owns anything in.
func TestIgnoreManagersOfAny(t *testing.T) {
	gone, stay := 0, 0
	for seed := range uint64(2_000) {
		root := draw(rand.New(rand.NewPCG(seed, 1)), nil, "", 3)
		v, _, _ := root.build(true)
		obj := v.(map[string]any)
		obj["apiVersion"], obj["kind"] = "example.com/v1", "Widget"
		obj["metadata"] = map[string]any{"name": "web", "managedFields": root.managedFields(t)}
		before := runtime.DeepCopyJSON(obj)
		got, err := Sanitize(obj, Policy{IgnoreManagers: []string{"robot-*"}})
		if diff := cmp.Diff(before, obj); diff != "" {
			t.Fatalf("seed %d: input changed (-before +after):\n%s", seed, diff)
		}

		ignores := false
		root.each(func(n *node) { ignores = ignores || n.ownedBy(true) })
		left, _, others := root.build(false)
		if ignores && !others {
			gone++
			if !errors.Is(err, ErrIgnored) {
				t.Fatalf("seed %d: nothing of others is left of %v, and it is %v, %v", seed, before, got, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		stay++
		want, _ := left.(map[string]any)
		if want == nil {
			want = map[string]any{}
		}
		want["apiVersion"], want["kind"], want["metadata"] = "example.com/v1", "Widget", map[string]any{"name": "web"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: of %v\n-want +got:\n%s", seed, before, diff)
		}
	}
	if gone < 50 || stay < 50 {
		t.Errorf("%d were left out, %d were not: too few of one", gone, stay)
	}
}
