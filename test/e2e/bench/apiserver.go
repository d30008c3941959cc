package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// firstVersion is the resourceVersion of the first object of a kind, listVersion
	// that of the state as it was generated.
	firstVersion = 1_000_000
	listVersion  = 2_000_000
)

// apiServer serves a state that is generated anew for each request, so that no
// number of objects is in memory: as much of an API server as a watcher asks for.
type apiServer struct {
	size int
	http *http.Server
	url  string

	mu     sync.Mutex
	events []changed      // in order: the n-th is the n-th version behind listVersion; guarded by mu
	newest map[object]int // which event that is of an object; guarded by mu
	next   chan struct{}  // closed at the next change; guarded by mu
}

// changed is an object that has become another revision.
type changed struct {
	object
	revision int
}

// serveState serves a state of size objects until close.
func serveState(size int) (*apiServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serving a generated state: %w", err)
	}
	s := &apiServer{size: size, url: "http://" + listener.Addr().String(), newest: map[object]int{}, next: make(chan struct{})}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.http.Serve(listener) }() // always fails, with ErrServerClosed after close
	return s, nil
}

func (s *apiServer) close() error { return s.http.Close() }

// kubeconfig writes a file by which the server is reached.
func (s *apiServer) kubeconfig(file string) error {
	return os.WriteFile(file, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: generated, cluster: {server: %q}}]
users: [{name: anybody, user: {}}]
contexts: [{name: generated, context: {cluster: generated, user: anybody}}]
current-context: generated
`, s.url), 0o600)
}

// touch changes every object once.
func (s *apiServer) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range objects(s.size) {
		s.change(o, 2)
	}
	s.tell()
}

// change has an object be another revision, with mu held.
func (s *apiServer) change(o object, revision int) {
	s.events = append(s.events, changed{o, revision})
	s.newest[o] = len(s.events)
}

// tell has watches look at what changed, with mu held.
func (s *apiServer) tell() {
	close(s.next)
	s.next = make(chan struct{})
}

// version is which version an object is at.
func (s *apiServer) version(o object) version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.versionOf(o)
}

// versionOf is version with mu held.
func (s *apiServer) versionOf(o object) version {
	if n := s.newest[o]; n > 0 {
		return version{revision: s.events[n-1].revision, rv: listVersion + n}
	}
	return version{revision: 1, rv: firstVersion + o.n}
}

func (s *apiServer) routes() http.Handler {
	mux := http.NewServeMux()
	say := func(pattern, body string) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, _ *http.Request) { answer(w, body) })
	}
	say("/api/v1/namespaces/kube-system", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"generated"}}`)
	say("/api", `{"kind":"APIVersions","versions":["v1"]}`)
	served := map[string][]string{}
	var groups []string
	for _, k := range kinds {
		base := "/apis/" + k.apiVersion()
		if k.group == "" {
			base = "/api/v1"
		}
		if served[base] == nil && k.group != "" {
			groups = append(groups, fmt.Sprintf(`{"name":%q,"versions":[{"groupVersion":%[2]q,"version":"v1"}],"preferredVersion":{"groupVersion":%[2]q,"version":"v1"}}`, k.group, k.apiVersion()))
		}
		served[base] = append(served[base], fmt.Sprintf(`{"name":%q,"namespaced":true,"kind":%q,"verbs":["get","list","watch"]}`, k.resource, k.name))
		mux.HandleFunc("GET "+base+"/"+k.resource, func(w http.ResponseWriter, r *http.Request) { s.collection(w, r, k) })
		mux.HandleFunc("GET "+base+"/namespaces/{namespace}/"+k.resource, func(w http.ResponseWriter, r *http.Request) { s.collection(w, r, k) })
		mux.HandleFunc("GET "+base+"/namespaces/{namespace}/"+k.resource+"/{name}", func(w http.ResponseWriter, r *http.Request) { s.one(w, r, k) })
		mux.HandleFunc("PUT "+base+"/namespaces/{namespace}/"+k.resource+"/{name}", func(w http.ResponseWriter, r *http.Request) { s.put(w, r, k) })
	}
	say("/apis", `{"kind":"APIGroupList","apiVersion":"v1","groups":[`+strings.Join(groups, ",")+`]}`)
	for base, resources := range served {
		gv := strings.TrimPrefix(strings.TrimPrefix(base, "/apis/"), "/api/")
		say(base, fmt.Sprintf(`{"kind":"APIResourceList","apiVersion":"v1","groupVersion":%q,"resources":[%s]}`, gv, strings.Join(resources, ",")))
	}
	return mux
}

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body)) // the reader may be gone
}

// asked is the object that is asked for, if there is one.
func (s *apiServer) asked(r *http.Request, k kind) (object, bool) {
	count, each := objectsOf(k, s.size)
	var n int
	if _, err := fmt.Sscanf(r.PathValue("name"), "app-%06d-", &n); err != nil || n < 0 || n >= count {
		return object{}, false
	}
	o := object{k, n, each}
	return o, o.namespace() == r.PathValue("namespace") && o.objectName() == r.PathValue("name")
}

// one answers with an object.
func (s *apiServer) one(w http.ResponseWriter, r *http.Request, k kind) {
	o, ok := s.asked(r, k)
	if !ok {
		http.NotFound(w, r)
		return
	}
	answer(w, string(o.appendJSON(nil, s.version(o))))
}

// put has an object be the revision that its annotation says, and nothing else.
func (s *apiServer) put(w http.ResponseWriter, r *http.Request, k kind) {
	var is struct {
		Metadata struct{ Annotations map[string]string }
	}
	o, ok := s.asked(r, k)
	if !ok {
		http.NotFound(w, r)
		return
	}
	err := json.NewDecoder(r.Body).Decode(&is)
	var revision int
	if err == nil {
		revision, err = strconv.Atoi(is.Metadata.Annotations[revisionAnnotation])
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.change(o, revision)
	s.tell()
	now := s.versionOf(o)
	s.mu.Unlock()
	answer(w, string(o.appendJSON(nil, now)))
}

// collection answers with a page of a list, or follows it.
func (s *apiServer) collection(w http.ResponseWriter, r *http.Request, k kind) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("watch") == "true" {
		s.watch(w, r, k)
		return
	}
	from := 0
	to, each := objectsOf(k, s.size)
	if ns := r.PathValue("namespace"); ns != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(ns, "team-"))
		if err != nil {
			n = namespaces // has none
		}
		from, to = min(n*each, to), min((n+1)*each, to)
	}
	if next, err := strconv.Atoi(r.URL.Query().Get("continue")); err == nil {
		from = next
	}
	end := to
	if limit, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil && limit > 0 {
		end = min(from+limit, to)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := ""
	if end < to {
		next = strconv.Itoa(end)
	}
	b := fmt.Appendf(nil, `{"apiVersion":%q,"kind":"%sList","metadata":{"resourceVersion":"%d","continue":%q},"items":[`, k.apiVersion(), k.name, listVersion+len(s.events), next)
	for n := from; n < end; n++ {
		if n > from {
			b = append(b, ',')
		}
		o := object{k, n, each}
		b = o.appendJSON(b, s.versionOf(o))
	}
	_, _ = w.Write(append(b, "]}"...)) // the reader may be gone
}

// markEvery is how often a watch is told where it stands, at most.
const markEvery = time.Second

// watch tells what changes, and where it stands.
func (s *apiServer) watch(w http.ResponseWriter, r *http.Request, k kind) {
	at, ns := listVersion, r.PathValue("namespace")
	if v, err := strconv.Atoi(r.URL.Query().Get("resourceVersion")); err == nil {
		at = max(at, v)
	}
	seconds, err := strconv.Atoi(r.URL.Query().Get("timeoutSeconds"))
	if err != nil {
		seconds = 600
	}
	end := time.NewTimer(time.Duration(seconds) * time.Second)
	defer end.Stop()
	flush := http.NewResponseController(w)
	var marked time.Time
	for {
		s.mu.Lock()
		next, events := s.next, s.events
		s.mu.Unlock()
		for i := at - listVersion; i < len(events); i++ {
			if e := events[i]; e.resource == k.resource && (ns == "" || e.namespace() == ns) {
				b := append([]byte(`{"type":"MODIFIED","object":`), e.appendJSON(nil, version{e.revision, listVersion + i + 1})...)
				_, _ = w.Write(append(b, "}\n"...)) // the reader may be gone
			}
		}
		at = listVersion + len(events)
		var mark <-chan time.Time
		if wait := markEvery - time.Since(marked); wait > 0 {
			mark = time.After(wait)
		} else {
			_, _ = fmt.Fprintf(w, `{"type":"BOOKMARK","object":{"apiVersion":%q,"kind":%q,"metadata":{"resourceVersion":"%d"}}}`+"\n", k.apiVersion(), k.name, at) // the reader may be gone
			marked = time.Now()
		}
		if flush.Flush() != nil {
			return
		}
		select {
		case <-next:
		case <-mark:
		case <-end.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}
