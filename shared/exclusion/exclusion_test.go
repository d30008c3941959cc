package exclusion

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestList: each has a name of its own that a person can write, in order, says what and why,
// and is of types or of objects.
func TestList(t *testing.T) {
	shape := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	last := ""
	for _, e := range All() {
		if e.Name <= last || !shape.MatchString(e.Name) || e.What == "" || e.Why == "" || (len(e.Types) > 0) == (e.holds != nil) {
			t.Errorf("%+v", e)
		}
		last = e.Name
	}
	if Lifts("pods") {
		t.Error("an exclusion is lifted that is none")
	}
}

func TestTypes(t *testing.T) {
	for _, tt := range []struct {
		group, resource string
		out             bool
	}{
		{"", "secrets", false},
		{"", "events", true},
		{"events.k8s.io", "events", true},
		{"coordination.k8s.io", "leases", true},
		{"", "endpoints", true},
		{"discovery.k8s.io", "endpointslices", true},
		{"", "nodes", true},
		{"apps", "controllerrevisions", true},
		{"", "configmaps", false},
		{"", "pods", false},
		{"", "namespaces", false},
		{"", "serviceaccounts", false},
		{"apps", "deployments", false},
		{"rbac.authorization.k8s.io", "clusterroles", false},
		{"apiextensions.k8s.io", "customresourcedefinitions", false},
		// A type of the same name in another group is another type.
		{"example.com", "secrets", false},
		{"example.com", "events", false},
		{"metrics.k8s.io", "nodes", false},
		{"", "leases", false},
		{"secrets", "", false},
		{"", "", false},
	} {
		of := schema.GroupResource{Group: tt.group, Resource: tt.resource}
		if out := slices.Contains(Types(nil), of.String()); out != tt.out {
			t.Errorf("%s is left out: %v", of, out)
		}
		var all []string
		for _, e := range All() {
			all = append(all, e.Name)
		}
		if slices.Contains(Types(all), of.String()) {
			t.Errorf("%s is left out where all is lifted", of)
		}
	}
	if types := Types([]string{"leases"}); !slices.IsSorted(types) || slices.Contains(types, "leases.coordination.k8s.io") || !slices.Contains(types, "events.events.k8s.io") {
		t.Errorf("%q", types)
	}
}

// owner is one owner reference.
func owner(controller any) []any {
	ref := map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u-1"}
	if controller != nil {
		ref["controller"] = controller
	}
	return []any{ref}
}

func TestObject(t *testing.T) {
	type fields = map[string]any
	for _, tt := range []struct {
		name            string
		group, resource string
		metadata        fields
		more            fields
		out             bool
	}{
		{"plain", "", "configmaps", fields{"name": "web"}, nil, false},
		{"controlled", "", "pods", fields{"name": "web", "ownerReferences": owner(true)}, nil, true},
		{"owned, not controlled", "", "configmaps", fields{"name": "web", "ownerReferences": owner(false)}, nil, false},
		{"owned, nothing said", "", "configmaps", fields{"name": "web", "ownerReferences": owner(nil)}, nil, false},
		{"owned, wrong shape", "", "configmaps", fields{"name": "web", "ownerReferences": owner("true")}, nil, false},
		{"owners of a wrong shape", "", "configmaps", fields{"name": "web", "ownerReferences": "none"}, nil, false},
		{"an owner of a wrong shape", "", "configmaps", fields{"name": "web", "ownerReferences": []any{"none"}}, nil, false},
		{"second owner controls", "", "configmaps", fields{"name": "web", "ownerReferences": append(owner(nil), owner(true)...)}, nil, true},
		{"root certificate", "", "configmaps", fields{"name": "kube-root-ca.crt"}, nil, true},
		{"a Secret", "", "secrets", fields{"name": "db"}, fields{"type": "Opaque"}, false},
		{"a Secret of no type", "", "secrets", fields{"name": "db"}, nil, false},
		{"a token", "", "secrets", fields{"name": "ci"}, fields{"type": "kubernetes.io/service-account-token"}, true},
		{"a release of Helm", "", "secrets", fields{"name": "sh.helm.release.v1.web.v3"}, fields{"type": "helm.sh/release.v1"}, true},
		{"what Helm has as another type", "example.com", "secrets", fields{"name": "x"}, fields{"type": "helm.sh/release.v1"}, false},
		{"root certificate, as another type", "example.com", "configmaps", fields{"name": "kube-root-ca.crt"}, nil, false},
		{"default ServiceAccount", "", "serviceaccounts", fields{"name": "default"}, nil, true},
		{"another ServiceAccount", "", "serviceaccounts", fields{"name": "web"}, nil, false},
		{"default ServiceAccount, labelled", "", "serviceaccounts", fields{"name": "default", "labels": fields{"a": "b"}}, nil, false},
		{"default ServiceAccount, annotated", "", "serviceaccounts", fields{"name": "default", "annotations": fields{"a": "b"}}, nil, false},
		{"default ServiceAccount, with pull secrets", "", "serviceaccounts", fields{"name": "default"}, fields{"imagePullSecrets": []any{fields{"name": "pull"}}}, false},
		{"default of another type", "", "configmaps", fields{"name": "default"}, nil, false},
		{"the API server's Service", "", "services", fields{"name": "kubernetes", "namespace": "default"}, nil, true},
		{"another Service", "", "services", fields{"name": "kubernetes", "namespace": "shop"}, nil, false},
		{"bootstrapped role", "rbac.authorization.k8s.io", "clusterroles", fields{"name": "admin", "labels": fields{"kubernetes.io/bootstrapping": "rbac-defaults"}}, nil, true},
		{"somebody's role", "rbac.authorization.k8s.io", "clusterroles", fields{"name": "mine"}, nil, false},
		{"flow schema, kept by the server", "flowcontrol.apiserver.k8s.io", "flowschemas", fields{"name": "system-nodes", "annotations": fields{"apf.kubernetes.io/autoupdate-spec": "true"}}, nil, true},
		{"flow schema, taken over", "flowcontrol.apiserver.k8s.io", "flowschemas", fields{"name": "system-nodes", "annotations": fields{"apf.kubernetes.io/autoupdate-spec": "false"}}, nil, false},
		{"APIService, made by the server", "apiregistration.k8s.io", "apiservices", fields{"name": "v1.apps", "labels": fields{"kube-aggregator.kubernetes.io/automanaged": "onstart"}}, nil, true},
		{"APIService, somebody's", "apiregistration.k8s.io", "apiservices", fields{"name": "v1beta1.metrics.k8s.io"}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &unstructured.Unstructured{Object: fields{"apiVersion": "v1", "kind": "Thing", "metadata": tt.metadata}}
			for k, v := range tt.more {
				o.Object[k] = v
			}
			of := schema.GroupResource{Group: tt.group, Resource: tt.resource}
			names := Object(of, o)
			if len(names) > 1 || (len(names) == 1) != tt.out || Allows(names, nil) == tt.out {
				t.Errorf("left out by %q", names)
			}
			if !Allows(names, names) {
				t.Errorf("it is left out where %q are lifted", names)
			}
		})
	}
}

// TestNamed: each exclusion of objects is one that an object can meet.
func TestNamed(t *testing.T) {
	var names []string
	for _, e := range All() {
		if e.holds != nil {
			names = append(names, e.Name)
		}
	}
	if got := strings.Join(names, " "); got != "api-server-service api-services bootstrapped controlled default-service-accounts flow-control helm-releases root-certificates service-account-tokens" {
		t.Errorf("there are others than are tested here: %s", got)
	}
}
