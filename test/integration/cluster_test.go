package integration

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// cluster is an API server of a few namespaced types, as far as a watcher talks to
// one. The end-to-end tests run it on a real one.
type cluster struct {
	mu        sync.Mutex
	moved     *sync.Cond // a version was written, or the server ends
	ended     bool
	rv        int
	types     map[string]string // resource → group
	forbidden map[string]bool   // resources, or resource/namespace, that may not be listed or watched; with /watch behind that, only not watched
	broken    map[string]bool   // resources that are watched, and cannot be listed or read
	hidden    map[string]bool   // resources that are served, and not named by discovery
	failing   map[string]bool   // groups that discovery gets no answer from
	objects   map[string]map[string]any
	history   []written
	oldest    int            // versions before it are answered with 410
	secrets   []string       // requests for Secrets
	listed    map[string]int // resource → how often it was listed
	upTo      map[string]int // resource → the version up to which watches are told of it; none: all
}

// written is one version, of the type that path names.
type written struct {
	rv     int
	path   string // of the collection, in all namespaces
	op     string
	object map[string]any
}

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// newCluster serves resources: "configmaps", or "widgets.example.com".
func newCluster(t *testing.T, resources ...string) (*cluster, *rest.Config) {
	t.Helper()
	c := &cluster{rv: 100, types: map[string]string{}, forbidden: map[string]bool{}, broken: map[string]bool{}, hidden: map[string]bool{}, failing: map[string]bool{}, objects: map[string]map[string]any{}, listed: map[string]int{}, upTo: map[string]int{}}
	c.moved = sync.NewCond(&c.mu)
	for _, r := range resources {
		c.serve(r)
	}
	s := httptest.NewServer(c)
	t.Cleanup(func() {
		c.change(func() { c.ended = true })
		s.CloseClientConnections()
		s.Close()
	})
	return c, &rest.Config{Host: s.URL}
}

// change changes something under the lock, and lets watches see it.
func (c *cluster) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.moved.Broadcast()
}

// serve makes the server serve a type.
func (c *cluster) serve(typ string) {
	resource, group, _ := strings.Cut(typ, ".")
	c.change(func() { c.types[resource] = group })
}

// announce tells those who watch the definitions that one has changed.
func (c *cluster) announce() {
	c.change(func() {
		c.rv++
		c.history = append(c.history, written{c.rv, definitions, "MODIFIED", map[string]any{
			"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": map[string]any{"name": "x", "resourceVersion": strconv.Itoa(c.rv)},
		}})
	})
}

func collection(group, resource string) string {
	if group == "" {
		return "/api/v1/" + resource
	}
	return "/apis/" + group + "/v1/" + resource
}

// put writes an object of a type, and returns its version.
func (c *cluster) put(resource, namespace, name, text string) (rv int) {
	return c.putData(resource, namespace, name, map[string]any{"text": text})
}

// putSecret writes a Secret of pairs of keys and values.
func (c *cluster) putSecret(namespace, name string, pairs ...string) {
	data := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i]] = base64.StdEncoding.EncodeToString([]byte(pairs[i+1]))
	}
	c.putData("secrets", namespace, name, data)
}

func (c *cluster) putData(resource, namespace, name string, data map[string]any) (rv int) {
	c.change(func() {
		c.rv++
		rv = c.rv
		group := c.types[resource]
		version := "v1"
		if group != "" {
			version = group + "/v1"
		}
		o := map[string]any{
			"apiVersion": version, "kind": kindOf(resource),
			"metadata": map[string]any{
				"name": name, "namespace": namespace, "uid": "u-" + resource + "-" + namespace + "-" + name, "resourceVersion": strconv.Itoa(rv),
			},
			"data": data,
		}
		key := resource + "/" + namespace + "/" + name
		op := "MODIFIED"
		if c.objects[key] == nil {
			op = "ADDED"
		}
		c.objects[key] = o
		c.history = append(c.history, written{rv, collection(group, resource), op, o})
	})
	return rv
}

func (c *cluster) remove(resource, namespace, name string) {
	c.change(func() {
		key := resource + "/" + namespace + "/" + name
		old := c.objects[key]
		if old == nil {
			return
		}
		c.rv++
		delete(c.objects, key)
		meta := map[string]any{"name": name, "namespace": namespace, "uid": "u-" + resource + "-" + namespace + "-" + name, "resourceVersion": strconv.Itoa(c.rv)}
		c.history = append(c.history, written{c.rv, collection(c.types[resource], resource), "DELETED", map[string]any{
			"apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": meta, "data": old["data"],
		}})
	})
}

// forget ends the history: whoever watches from before is told 410.
func (c *cluster) forget() {
	c.change(func() { c.rv++; c.oldest, c.history = c.rv, nil })
}

// tells has watches of a resource told of what was written up to a version, of all by default.
func (c *cluster) tells(resource string, upTo ...int) {
	c.change(func() {
		delete(c.upTo, resource)
		for _, rv := range upTo {
			c.upTo[resource] = rv
		}
	})
}

// lists is how often a resource was listed.
func (c *cluster) lists(resource string) (n int) {
	c.change(func() { n = c.listed[resource] })
	return n
}

func kindOf(resource string) string {
	return strings.ToUpper(resource[:1]) + strings.TrimSuffix(resource[1:], "s")
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("watch") == "true" {
		c.watch(w, r)
		return
	}
	c.mu.Lock()
	if resource, _, _, ok := c.find(r.URL.Path); ok && resource == "secrets" {
		c.secrets = append(c.secrets, r.Method+" "+r.URL.String())
	}
	code, answer := c.answer(r.URL.Path, selected(r))
	body, err := json.Marshal(answer)
	c.mu.Unlock()
	if err != nil {
		code = http.StatusInternalServerError
	}
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

func refusal(code int, reason metav1.StatusReason) (int, any) {
	return code, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: reason, Code: int32(code), Message: string(reason)}
}

// selected is the one name that a request selects, "" if it does not.
func selected(r *http.Request) string {
	return strings.TrimPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
}

// answer is called with the lock held; only is the name that is selected, "" for all.
func (c *cluster) answer(path, only string) (int, any) {
	groups := map[string][]string{}
	for resource, group := range c.types {
		if !c.hidden[resource] {
			groups[group] = append(groups[group], resource)
		}
	}
	switch path {
	case "/api/v1/namespaces/kube-system":
		return http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kube-system", "uid": "cluster-uid"}}
	case "/api":
		return http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	case "/apis":
		all := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for group := range groups {
			if group != "" {
				v := metav1.GroupVersionForDiscovery{GroupVersion: group + "/v1", Version: "v1"}
				all.Groups = append(all.Groups, metav1.APIGroup{Name: group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
			}
		}
		return http.StatusOK, all
	case "/api/v1":
		return http.StatusOK, resourceList("v1", groups[""])
	}
	if group, ok := strings.CutPrefix(path, "/apis/"); ok && strings.Count(group, "/") == 1 {
		group = strings.TrimSuffix(group, "/v1")
		switch {
		case groups[group] == nil:
			return refusal(http.StatusNotFound, metav1.StatusReasonNotFound)
		case c.failing[group]:
			return refusal(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
		}
		return http.StatusOK, resourceList(group+"/v1", groups[group])
	}
	resource, namespace, name, ok := c.find(path)
	switch {
	case !ok:
		return refusal(http.StatusNotFound, metav1.StatusReasonNotFound)
	case c.forbidden[resource] || c.forbidden[resource+"/"+namespace]:
		return refusal(http.StatusForbidden, metav1.StatusReasonForbidden)
	case c.broken[resource]:
		return refusal(http.StatusInternalServerError, metav1.StatusReasonInternalError)
	case name != "":
		if o := c.objects[resource+"/"+namespace+"/"+name]; o != nil {
			return http.StatusOK, o
		}
		return refusal(http.StatusNotFound, metav1.StatusReasonNotFound)
	}
	c.listed[resource]++
	items := []map[string]any{}
	for key, o := range c.objects {
		if only != "" && !strings.HasSuffix(key, "/"+only) {
			continue
		}
		if strings.HasPrefix(key, resource+"/"+namespace) && (namespace == "" || strings.HasPrefix(key, resource+"/"+namespace+"/")) {
			items = append(items, o)
		}
	}
	slices.SortFunc(items, func(a, b map[string]any) int {
		return cmp.Compare(fmt.Sprint(a["metadata"]), fmt.Sprint(b["metadata"]))
	})
	return http.StatusOK, map[string]any{
		"apiVersion": "v1", "kind": kindOf(resource) + "List", "metadata": map[string]any{"resourceVersion": strconv.Itoa(c.rv)}, "items": items,
	}
}

func resourceList(gv string, resources []string) metav1.APIResourceList {
	l := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv}
	for _, r := range resources {
		verbs := metav1.Verbs{"get", "list", "watch"}
		if r == "readings" {
			verbs = metav1.Verbs{"get", "list"}
		}
		l.APIResources = append(l.APIResources, metav1.APIResource{Name: r, Kind: kindOf(r), Namespaced: true, Verbs: verbs})
	}
	return l
}

// find takes the path of a collection or an object apart.
func (c *cluster) find(path string) (resource, namespace, name string, ok bool) {
	for res, group := range c.types {
		all := collection(group, res)
		base := strings.TrimSuffix(all, res)
		switch rest, in := strings.CutPrefix(path, base); {
		case !in:
		case rest == res:
			return res, "", "", true
		default:
			t := strings.Split(rest, "/")
			if len(t) >= 3 && t[0] == "namespaces" && t[2] == res {
				return res, t[1], strings.Join(t[3:], "/"), true
			}
		}
	}
	return "", "", "", false
}

func (c *cluster) watch(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	path, namespace, kind, only := r.URL.Path, "", "X", selected(r)
	resource, ns, _, ok := c.find(path)
	if path != definitions {
		if !ok || c.forbidden[resource] || c.forbidden[resource+"/"+ns] || c.forbidden[resource+"/"+ns+"/watch"] {
			code, body := refusal(http.StatusForbidden, metav1.StatusReasonForbidden)
			if !ok {
				code, body = refusal(http.StatusNotFound, metav1.StatusReasonNotFound)
			}
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(body)
			return
		}
		if resource == "secrets" {
			c.secrets = append(c.secrets, "WATCH "+r.URL.String())
		}
		path, namespace, kind = collection(c.types[resource], resource), ns, kindOf(resource)
	}
	at, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil {
		at = c.rv
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() { // wakes the watch when its client has left
		select {
		case <-r.Context().Done():
			c.change(func() {})
		case <-stop:
		}
	}()
	w.WriteHeader(http.StatusOK)
	send := func(op string, object any) {
		_ = json.NewEncoder(w).Encode(map[string]any{"type": op, "object": object})
	}
	for r.Context().Err() == nil && !c.ended {
		if at < c.oldest {
			_, gone := refusal(http.StatusGone, metav1.StatusReasonExpired)
			send("ERROR", gone)
			return
		}
		now, behind := c.upTo[resource]
		if !behind {
			now = c.rv
		}
		for _, h := range c.history {
			if h.rv > at && h.rv <= now && h.path == path && (namespace == "" || h.object["metadata"].(map[string]any)["namespace"] == namespace) &&
				(only == "" || h.object["metadata"].(map[string]any)["name"] == only) {
				send(h.op, h.object)
			}
		}
		if at < now && path != definitions { // a bookmark, of one that is up to date
			send("BOOKMARK", map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"resourceVersion": strconv.Itoa(now)}})
		}
		at = max(at, now)
		w.(http.Flusher).Flush()
		c.moved.Wait()
	}
}
