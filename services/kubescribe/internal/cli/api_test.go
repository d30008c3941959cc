package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// api is an API server of config maps in the namespace shop, as far as kubescribe run talks to one. The
// end-to-end tests run it on a real one.
type api struct {
	mu         sync.Mutex
	moved      *sync.Cond // a version was written, or the server ends
	ended      bool
	rv         int
	configMaps map[string]map[string]any // by name
	written    []map[string]any          // each version of each
}

// newAPI serves config maps, and returns the kubeconfig that leads to them. Its user
// stands in the server's URL too, which nothing may print.
func newAPI(t *testing.T) (a *api, kubeconfig string) {
	t.Helper()
	a = &api{rv: 100, configMaps: map[string]map[string]any{}}
	a.moved = sync.NewCond(&a.mu)
	s := httptest.NewServer(a)
	t.Cleanup(func() {
		a.change(func() { a.ended = true })
		s.CloseClientConnections()
		s.Close()
	})
	return a, file(t, "kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: prod, user: me}}]
clusters: [{name: prod, cluster: {server: %q}}]
users: [{name: me, user: {username: joe, password: s3cret}}]
`, s.URL))
}

func (a *api) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	a.moved.Broadcast()
}

// put writes a config map.
func (a *api) put(name, text string) {
	a.change(func() {
		a.rv++
		a.configMaps[name] = map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": name, "namespace": "shop", "uid": "u-" + name, "resourceVersion": strconv.Itoa(a.rv)},
			"data":     map[string]any{"text": text},
		}
		a.written = append(a.written, a.configMaps[name])
	})
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	answer := func(code int, body map[string]any) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}
	all := r.URL.Path == "/api/v1/configmaps" || r.URL.Path == "/api/v1/namespaces/shop/configmaps"
	name, one := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/shop/configmaps/")
	switch {
	case r.URL.Path == "/api/v1/namespaces/kube-system":
		answer(http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kube-system", "uid": "cluster-uid"}})
	case r.URL.Path == "/api/v1/namespaces/shop":
		answer(http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop", "uid": "shop-uid"}})
	case r.URL.Path == "/api":
		answer(http.StatusOK, map[string]any{"kind": "APIVersions", "versions": []string{"v1"}})
	case r.URL.Path == "/apis":
		answer(http.StatusOK, map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{}})
	case r.URL.Path == "/api/v1":
		answer(http.StatusOK, map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{
			map[string]any{"name": "configmaps", "kind": "ConfigMap", "namespaced": true, "verbs": []string{"get", "list", "watch"}},
		}})
	case all && r.URL.Query().Get("watch") == "true":
		a.watch(w, r)
	case all:
		items := []any{}
		for _, name := range slices.Sorted(maps.Keys(a.configMaps)) {
			items = append(items, a.configMaps[name])
		}
		answer(http.StatusOK, map[string]any{"kind": "ConfigMapList", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": strconv.Itoa(a.rv)}, "items": items})
	case one && a.configMaps[name] != nil:
		answer(http.StatusOK, a.configMaps[name])
	default:
		answer(http.StatusNotFound, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound})
	}
}

// watch is called with the lock held.
func (a *api) watch(w http.ResponseWriter, r *http.Request) {
	at, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil {
		at = a.rv
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() { // wakes the watch when its client has left
		select {
		case <-r.Context().Done():
			a.change(func() {})
		case <-stop:
		}
	}()
	send := func(op string, object map[string]any) {
		_ = json.NewEncoder(w).Encode(map[string]any{"type": op, "object": object})
	}
	for r.Context().Err() == nil && !a.ended {
		for i, o := range a.written {
			if 101+i > at {
				send("MODIFIED", o)
			}
		}
		at = a.rv
		send("BOOKMARK", map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"resourceVersion": strconv.Itoa(at)}})
		w.(http.Flusher).Flush()
		a.moved.Wait()
	}
}
