package repo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// Access is what a session with the remote is opened with; the zero value is nothing.
type Access struct {
	Method transport.AuthMethod // nil: none
	TLS    TLS                  // of https
}

func (a Access) equal(other Access) bool {
	return a.TLS.equal(other.TLS) && reflect.DeepEqual(a.Method, other.Method)
}

// TLS is what a remote needs of TLS that the machine does not know.
type TLS struct {
	Authorities []*x509.Certificate // trusted for this remote, beside the machine's own
	Certificate *tls.Certificate    // shown to the remote, if it asks for one
}

func (t TLS) isZero() bool { return len(t.Authorities) == 0 && t.Certificate == nil }

// equal compares certificates alone: each has one private key.
func (t TLS) equal(other TLS) bool {
	if (t.Certificate == nil) != (other.Certificate == nil) {
		return false
	}
	return slices.EqualFunc(t.Authorities, other.Authorities, (*x509.Certificate).Equal) &&
		(t.Certificate == nil || reflect.DeepEqual(t.Certificate.Certificate, other.Certificate.Certificate))
}

func (t TLS) config() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(t.Authorities) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil { // the machine has none that can be read
			pool = x509.NewCertPool()
		}
		for _, a := range t.Authorities {
			pool.AddCert(a)
		}
		c.RootCAs = pool
	}
	if t.Certificate != nil {
		c.Certificates = []tls.Certificate{*t.Certificate}
	}
	return c
}

// common carries the requests of remotes that need no TLS of their own. It tells a proxy that
// opens no tunnel (RFC 9110, 9.3.6) without other credentials by its status.
var common = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone() // with the proxies of the environment
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
		if res.StatusCode == http.StatusProxyAuthRequired {
			return ErrProxy
		}
		return nil
	}
	return t
}()

// carriers are what carries the requests of sessions: common, or one of the remote's own
// where it needs a TLS of its own. That keeps its connections from
// one session to the next, until another TLS is needed.
type carriers struct {
	mu  sync.Mutex
	tls TLS             // of own; guarded by mu
	own *http.Transport // nil: there is none; guarded by mu
}

// pick is the carrier of a session that needs t.
func (c *carriers) pick(t TLS) http.RoundTripper {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own != nil && !c.tls.equal(t) {
		c.drop()
	}
	if t.isZero() {
		return common
	}
	if c.own == nil {
		c.own, c.tls = common.Clone(), t
		c.own.TLSClientConfig = t.config()
	}
	return c.own
}

// close gives up connections that nobody else uses.
func (c *carriers) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own != nil {
		c.drop()
	}
}

// drop closes idle connections, and others once they are idle. mu is held.
func (c *carriers) drop() {
	c.own.CloseIdleConnections()
	c.own, c.tls = nil, TLS{}
}
