package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Extension is an API server for the Pets of a group, which a cluster's own one may
// aggregate. It can fail and be mended, and keeps what it has.
type Extension struct {
	Group string
	Port  string

	server *httptest.Server

	mu      sync.Mutex
	down    chan struct{}             // closed while it fails; guarded by mu, as are the rest
	changed chan struct{}             // closed and replaced when something is written
	version int                       // the newest
	pets    map[string]map[string]any // by namespace/name
	events  []petEvent                // all there were
}

type petEvent struct {
	Type    string         `json:"type"`
	Object  map[string]any `json:"object"`
	version int
}

// ServeExtension serves one without Pets, until Close.
func ServeExtension(group string) *Extension {
	x := &Extension{Group: group, version: 1, down: make(chan struct{}), changed: make(chan struct{}), pets: map[string]map[string]any{}}
	x.server = httptest.NewUnstartedServer(x)
	x.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	x.server.StartTLS()
	x.Port = x.server.URL[strings.LastIndex(x.server.URL, ":")+1:]
	return x
}

// Close ends the server.
func (x *Extension) Close() {
	x.Fail()
	x.server.Close()
}

// Put gives a Pet a size, and makes it if it is not there. It returns what became of it.
func (x *Extension) Put(namespace, name string, size int) Written {
	x.mu.Lock()
	defer x.mu.Unlock()
	before, had := x.pets[namespace+"/"+name]
	pet := map[string]any{"apiVersion": x.Group + "/v1", "kind": "Pet", "spec": map[string]any{"size": size}}
	metadata := map[string]any{"name": name, "namespace": namespace, "uid": fmt.Sprintf("pet-%d", x.version), "creationTimestamp": time.Now().UTC().Format(time.RFC3339)}
	what := "ADDED"
	if had {
		what = "MODIFIED"
		metadata = maps.Clone(before["metadata"].(map[string]any))
	}
	pet["metadata"] = metadata
	x.pets[namespace+"/"+name] = pet
	return x.note(what, pet, namespace, name)
}

// Delete removes a Pet.
func (x *Extension) Delete(namespace, name string) Written {
	x.mu.Lock()
	defer x.mu.Unlock()
	pet := maps.Clone(x.pets[namespace+"/"+name])
	pet["metadata"] = maps.Clone(pet["metadata"].(map[string]any))
	delete(x.pets, namespace+"/"+name)
	written := x.note("DELETED", pet, namespace, name)
	written.Deleted, written.Version = true, ""
	return written
}

// note gives what became of a Pet a version. It is called with mu held.
func (x *Extension) note(what string, pet map[string]any, namespace, name string) Written {
	x.version++
	version := strconv.Itoa(x.version)
	pet["metadata"].(map[string]any)["resourceVersion"] = version
	x.events = append(x.events, petEvent{what, pet, x.version})
	close(x.changed)
	x.changed = make(chan struct{})
	return Written{Resource: "v1 " + Identity{x.Group, "pets", namespace, name}.String(), Version: version, At: time.Now()}
}

// Fail has it answer nothing but errors from here on, and break off what it was saying.
func (x *Extension) Fail() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.failing() {
		close(x.down)
	}
}

// Mend ends that.
func (x *Extension) Mend() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.down = make(chan struct{})
}

// failing is called with mu held.
func (x *Extension) failing() bool {
	select {
	case <-x.down:
		return true
	default:
		return false
	}
}

// ServeHTTP answers as far as it takes to be discovered, listed and watched.
func (x *Extension) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	down, failing := x.down, x.failing()
	x.mu.Unlock()
	if failing {
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	}
	base := "/apis/" + x.Group + "/v1"
	rest, inside := strings.CutPrefix(r.URL.Path, base+"/")
	parts := strings.Split(rest, "/")
	switch {
	case r.URL.Path == base:
		answerJSON(w, http.StatusOK, map[string]any{
			"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": x.Group + "/v1",
			"resources": []any{map[string]any{
				"name": "pets", "singularName": "pet", "kind": "Pet", "namespaced": true, "verbs": []any{"get", "list", "watch"},
			}},
		})
	case !inside || r.Method != http.MethodGet:
		refuse(w, http.StatusNotFound, "NotFound")
	case rest == "pets":
		x.collection(w, r, "", down)
	case len(parts) == 3 && parts[0] == "namespaces" && parts[2] == "pets":
		x.collection(w, r, parts[1], down)
	case len(parts) == 4 && parts[0] == "namespaces" && parts[2] == "pets":
		x.get(w, parts[1]+"/"+parts[3])
	default:
		refuse(w, http.StatusNotFound, "NotFound")
	}
}

func (x *Extension) get(w http.ResponseWriter, key string) {
	x.mu.Lock()
	pet, ok := x.pets[key]
	x.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "NotFound")
		return
	}
	answerJSON(w, http.StatusOK, pet) // never changed once it is noted
}

// collection lists or watches all Pets, or those of a namespace.
func (x *Extension) collection(w http.ResponseWriter, r *http.Request, namespace string, down <-chan struct{}) {
	if watch := r.URL.Query().Get("watch"); watch == "true" || watch == "1" {
		x.watch(w, r, namespace, down)
		return
	}
	x.mu.Lock()
	items, version := []any{}, strconv.Itoa(x.version)
	for _, key := range slices.Sorted(maps.Keys(x.pets)) {
		if namespace == "" || strings.HasPrefix(key, namespace+"/") {
			items = append(items, x.pets[key])
		}
	}
	x.mu.Unlock()
	answerJSON(w, http.StatusOK, map[string]any{
		"apiVersion": x.Group + "/v1", "kind": "PetList", "metadata": map[string]any{"resourceVersion": version}, "items": items,
	})
}

// watch tells what happens until the time is up that was asked for, the client goes, or it
// fails.
func (x *Extension) watch(w http.ResponseWriter, r *http.Request, namespace string, down <-chan struct{}) {
	from, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest")
		return
	}
	seconds, err := strconv.Atoi(r.URL.Query().Get("timeoutSeconds"))
	if err != nil {
		seconds = 600
	}
	over := time.After(time.Duration(seconds) * time.Second)
	w.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(w)
	for {
		x.mu.Lock()
		events, changed, version := x.events, x.changed, x.version
		x.mu.Unlock()
		for _, e := range events {
			in := namespace == "" || e.Object["metadata"].(map[string]any)["namespace"] == namespace
			if e.version > from && in {
				_ = out.Encode(e) // a client that is gone ends the request
			}
		}
		from = version
		_ = out.Encode(petEvent{Type: "BOOKMARK", Object: map[string]any{
			"apiVersion": x.Group + "/v1", "kind": "Pet", "metadata": map[string]any{"resourceVersion": strconv.Itoa(version)},
		}})
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-changed:
		case <-over:
			return
		case <-r.Context().Done():
			return
		case <-down:
			panic(http.ErrAbortHandler) // no clean end
		}
	}
}

func refuse(w http.ResponseWriter, code int, reason string) {
	answerJSON(w, code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code})
}

func answerJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // a client that is gone needs no answer
}
