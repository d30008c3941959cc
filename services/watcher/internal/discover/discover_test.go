package discover

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// client asks a server that answers paths with JSON, and others with 404. A nil
// answer is 503: an aggregated API that is down.
func client(t *testing.T, paths map[string]any) discovery.DiscoveryInterfaceWithContext {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := paths[r.URL.Path]
		switch {
		case !ok:
			http.NotFound(w, r)
		case answer == nil:
			http.Error(w, "no endpoints available", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer)
		}
	}))
	t.Cleanup(s.Close)
	c, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: s.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func resources(gv string, all ...metav1.APIResource) *metav1.APIResourceList {
	return &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv, APIResources: all}
}

func resource(name, kind string, namespaced bool, verbs ...string) metav1.APIResource {
	return metav1.APIResource{Name: name, Kind: kind, Namespaced: namespaced, Verbs: verbs}
}

func groups(all ...metav1.APIGroup) *metav1.APIGroupList {
	return &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: all}
}

// group serves versions, the first of which the server prefers.
func group(name string, versions ...string) metav1.APIGroup {
	g := metav1.APIGroup{Name: name}
	for _, v := range versions {
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
	}
	g.PreferredVersion = g.Versions[0]
	return g
}

var all = []string{"get", "list", "watch", "create", "delete"}

func server(more map[string]any) map[string]any {
	paths := map[string]any{
		"/api": &metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}},
		"/api/v1": resources("v1",
			resource("secrets", "Secret", true, all...), resource("configmaps", "ConfigMap", true, all...),
			resource("namespaces", "Namespace", false, all...), resource("namespaces/status", "Namespace", false, "get", "update"),
			resource("bindings", "Binding", true, "create"), resource("componentstatuses", "ComponentStatus", false, "get", "list")),
		"/apis": groups(group("apps", "v1"), group("example.com", "v2", "v1")),
		"/apis/apps/v1": resources("apps/v1",
			resource("statefulsets", "StatefulSet", true, all...), resource("deployments", "Deployment", true, all...),
			resource("deployments/scale", "Scale", true, "get", "update")),
		"/apis/example.com/v2": resources("example.com/v2", resource("widgets", "Widget", true, all...)),
		"/apis/example.com/v1": resources("example.com/v1", resource("widgets", "Widget", true, all...), resource("gadgets", "Gadget", false, all...)),
	}
	for path, answer := range more {
		paths[path] = answer
	}
	return paths
}

func typ(g, v, r, kind string, namespaced bool) Type {
	return Type{schema.GroupVersionResource{Group: g, Version: v, Resource: r}, kind, namespaced}
}

// want is what can be watched on server, each type once, in the version that its
// group prefers among those that have it.
var want = []Type{
	typ("", "v1", "configmaps", "ConfigMap", true),
	typ("", "v1", "namespaces", "Namespace", false),
	typ("", "v1", "secrets", "Secret", true),
	typ("apps", "v1", "deployments", "Deployment", true),
	typ("apps", "v1", "statefulsets", "StatefulSet", true),
	typ("example.com", "v1", "gadgets", "Gadget", false),
	typ("example.com", "v2", "widgets", "Widget", true),
}

func TestTypes(t *testing.T) {
	got, err := Types(t.Context(), client(t, server(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Types); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(got.Failed) != 0 {
		t.Errorf("failed: %v", got.Failed)
	}
}

// TestGroupDown: the types of a group that does not answer are unknown; the
// others are there.
func TestGroupDown(t *testing.T) {
	got, err := Types(t.Context(), client(t, server(map[string]any{
		"/apis":                        groups(group("apps", "v1"), group("example.com", "v2", "v1"), group("metrics.k8s.io", "v1beta1")),
		"/apis/metrics.k8s.io/v1beta1": nil,
	})))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Types); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	down := schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1beta1"}
	if len(got.Failed) != 1 || got.Failed[down] == nil {
		t.Errorf("failed: %v, want %v", got.Failed, down)
	}
}

// TestServerDown: without an answer nothing is known, and that is an error:
// otherwise every worker would be stopped.
func TestServerDown(t *testing.T) {
	for name, paths := range map[string]map[string]any{
		"no groups":  {"/api": nil, "/apis": nil},
		"no answers": server(map[string]any{"/api/v1": nil, "/apis/apps/v1": nil, "/apis/example.com/v1": nil, "/apis/example.com/v2": nil}),
		"empty":      {"/api": &metav1.APIVersions{}, "/apis": groups()},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Types(t.Context(), client(t, paths))
			if err == nil || len(got.Types) != 0 {
				t.Errorf("it found %+v", got)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Types(t.Context(), c); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("it says %v", err)
	}
}
