package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

// TestLoad: what was asked for is answered though the time is over, no content comes twice, and
// what an API server refuses ends it.
func TestLoad(t *testing.T) {
	const enough = 100
	while, over := context.WithCancel(t.Context())
	var (
		mu       sync.Mutex
		contents = map[string]bool{}
		requests int
		refuse   atomic.Bool
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPut || !strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/team-000/configmaps/app-") {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		if refuse.Load() {
			http.Error(w, "not today", http.StatusForbidden)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if contents[string(body)] {
			t.Errorf("once more: %s", body)
		}
		contents[string(body)] = true
		requests++
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"metadata":{"resourceVersion":"%d"}}`, requests)
		if requests == enough {
			over()
		}
	}))
	defer server.Close()
	var revision atomic.Int64
	l, err := newLoad(&rest.Config{Host: server.URL, QPS: -1}, changingObjects(0, 1), full, &revision)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.during(t.Context(), while); err != nil {
		t.Fatal(err)
	}
	if n := len(l.answered()); n < enough || n != requests || n > enough+loadClients {
		t.Errorf("%d answered, of %d", n, requests)
	}
	versions := map[string]bool{}
	for _, w := range l.answered() {
		versions[w.Version] = true
		if !strings.HasPrefix(w.Resource, "v1 configmaps team-000/app-") || w.At.IsZero() {
			t.Errorf("%+v", w)
		}
	}
	if len(versions) != requests {
		t.Errorf("%d versions, want %d", len(versions), requests)
	}
	refuse.Store(true)
	if err := l.during(t.Context(), t.Context()); err == nil || !strings.Contains(err.Error(), "not today") {
		t.Errorf("what is refused is no error: %v", err)
	}
}
