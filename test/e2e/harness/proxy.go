package harness

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

// Proxy stands before an API server, where whoever comes is one user, and can break off
// watches: by itself, an API server lets one go on whose rights are gone.
type Proxy struct {
	URL string

	server *httptest.Server

	mu      sync.Mutex
	watches map[*http.Request]context.CancelFunc // guarded by mu
}

// ServeProxy serves one until Close. The client configuration must have the right to
// impersonate the user.
func ServeProxy(cfg *rest.Config, user string) (*Proxy, error) {
	target, err := url.Parse(cfg.Host)
	if err != nil {
		return nil, fmt.Errorf("serving a proxy: %w", err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.Impersonate.UserName = user
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("serving a proxy: %w", err)
	}
	p := &Proxy{watches: map[*http.Request]context.CancelFunc{}}
	quiet := log.New(io.Discard, "", 0)
	behind := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport, FlushInterval: -1, ErrorLog: quiet,
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		r = r.WithContext(ctx)
		if r.URL.Query().Has("watch") {
			p.mu.Lock()
			p.watches[r] = cancel
			p.mu.Unlock()
			defer func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				delete(p.watches, r)
			}()
		}
		behind.ServeHTTP(w, r)
	}))
	p.server.Config.ErrorLog = quiet
	p.server.Start()
	p.URL = p.server.URL
	return p, nil
}

// Cut breaks off the watches of a resource, and returns how many there were.
func (p *Proxy) Cut(resource string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r, cancel := range p.watches {
		if strings.HasSuffix(r.URL.Path, "/"+resource) {
			cancel()
			n++
		}
	}
	return n
}

// Close ends it, and all that goes through it.
func (p *Proxy) Close() {
	p.mu.Lock()
	for _, cancel := range p.watches {
		cancel()
	}
	p.mu.Unlock()
	p.server.Close()
}

// Kubeconfig is what leads to it.
func (p *Proxy) Kubeconfig() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: proxy
contexts: [{name: proxy, context: {cluster: proxy, user: nobody}}]
clusters: [{name: proxy, cluster: {server: %q}}]
users: [{name: nobody, user: {}}]
`, p.URL)
}
