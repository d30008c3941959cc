package bench

import (
	"fmt"
	"hash/fnv"
	"iter"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"

	"github.com/kubescribe/kubescribe/shared/manifest"
)

// kind is a type of the objects, and how many of ten objects are of it.
type kind struct {
	group, resource, name string
	of10                  int
	body                  string // the fields beside metadata, as JSON; APP is its name
}

// kinds are served by any API server, are nobody's to reconcile, and lie in
// several lanes.
var kinds = []kind{
	{"", "configmaps", "ConfigMap", 6, `"data":{"LOG_LEVEL":"info","UPSTREAM":"http://APP.internal.example.com:8080","settings.yaml":"cache:\n  size: 128Mi\n  ttl: 5m\nfeatures:\n- search\n- checkout-v2\nowner: APP\n","TIMEOUT":"30s"}`},
	{"", "serviceaccounts", "ServiceAccount", 1, `"automountServiceAccountToken":false`},
	{"networking.k8s.io", "networkpolicies", "NetworkPolicy", 2, `"spec":{"podSelector":{"matchLabels":{"app":"APP"}},"policyTypes":["Ingress"],"ingress":[{"from":[{"podSelector":{}}],"ports":[{"protocol":"TCP","port":8080}]}]}`},
	{"rbac.authorization.k8s.io", "roles", "Role", 1, `"rules":[{"apiGroups":[""],"resources":["configmaps"],"resourceNames":["APP"],"verbs":["get","watch"]}]`},
}

func (k kind) apiVersion() string {
	if k.group == "" {
		return "v1"
	}
	return k.group + "/v1"
}

// namespaces is over how many the objects are spread.
const namespaces = 100

func namespaceName(n int) string { return fmt.Sprintf("team-%03d", n) }

// object is number n of the objects of a kind.
type object struct {
	kind
	n, each int // each: how many are in one namespace
}

// objectsOf are the objects of a kind in a state of size objects: in the order of
// namespace and name.
func objectsOf(k kind, size int) (count, each int) {
	count = size * k.of10 / 10
	return count, spread(count)
}

// spread is how many of so many objects are in one namespace.
func spread(count int) int { return (count + namespaces - 1) / namespaces }

// objects are all objects of a state of that size.
func objects(size int) iter.Seq[object] {
	return func(yield func(object) bool) {
		for _, k := range kinds {
			count, each := objectsOf(k, size)
			for n := range count {
				if !yield(object{k, n, each}) {
					return
				}
			}
		}
	}
}

func (o object) namespace() string { return namespaceName(o.n / o.each) }

// objectName begins with the number, so that the order of numbers is that of names,
// and ends as names that are generated do.
func (o object) objectName() string { return fmt.Sprintf("app-%06d-%s", o.n, o.suffix()) }

func (o object) suffix() string {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s/%d", o.resource, o.n) // never fails: hash.Hash
	return fmt.Sprintf("%08x", h.Sum32())
}

// version is which of its versions an object is at, and the resourceVersion of that;
// without one it is as somebody would create it.
type version struct{ revision, rv int }

// revisionAnnotation says which revision an object is at.
const revisionAnnotation = "example.com/revision"

// appendJSON appends the object as an API server gives it.
func (o object) appendJSON(b []byte, v version) []byte {
	name := o.objectName()
	b = fmt.Appendf(b, `{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":%q,`, o.apiVersion(), o.name, name, o.namespace())
	if v.rv > 0 {
		b = fmt.Appendf(b, `"uid":"5f0c8f6e-%s-4000-8000-%012d","resourceVersion":"%d","creationTimestamp":"2026-01-01T00:00:00Z","managedFields":[{"manager":"deployer","operation":"Update","apiVersion":%q,"time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:app":{},"f:team":{}},"f:annotations":{".":{},"f:example.com/revision":{}}},"f:data":{".":{},"f:LOG_LEVEL":{},"f:UPSTREAM":{},"f:settings.yaml":{},"f:TIMEOUT":{}}}}],`,
			o.suffix()[:4], o.n, v.rv, o.apiVersion())
	}
	b = fmt.Appendf(b, `"labels":{"app":%q,"team":%q,"app.kubernetes.io/managed-by":"deployer"},"annotations":{%q:"%d"}},`, name, o.namespace(), revisionAnnotation, v.revision)
	b = append(b, strings.ReplaceAll(o.body, "APP", name)...)
	return append(b, '}')
}

// rendered is the object's file, as the watcher makes it: where it stands below the
// base folder, and its content.
func (o object) rendered(v version) (path string, content []byte, err error) {
	var decoded map[string]any
	if err := json.Unmarshal(o.appendJSON(nil, v), &decoded); err != nil {
		return "", nil, fmt.Errorf("decoding a generated object: %w", err)
	}
	clean, err := manifest.Sanitize(decoded, manifest.Policy{})
	if err == nil {
		content, err = manifest.Encode(clean)
	}
	if err != nil {
		return "", nil, fmt.Errorf("rendering a generated object: %w", err)
	}
	return o.path(), content, nil
}

func (o object) path() string {
	return manifest.Identity{Group: o.group, Resource: o.resource, Namespace: o.namespace(), Name: o.objectName()}.Path()
}
