package repo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// newTLSRepo serves an empty repository over https to clients with a certificate of the
// authority.
func newTLSRepo(t *testing.T) (*remoteRepo, *gittest.Authority) {
	t.Helper()
	a, err := gittest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	config, err := a.Serves(tls.RequireAndVerifyClientCert)
	if err != nil {
		t.Fatal(err)
	}
	return newRemoteRepo(t, gittest.Options{TLS: config}), a
}

// tlsOf trusts an authority, and shows a new certificate of another one.
func tlsOf(t *testing.T, trusted, of *gittest.Authority) TLS {
	t.Helper()
	block, _ := pem.Decode(trusted.PEM)
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := of.Issue("writer")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return TLS{Authorities: []*x509.Certificate{authority}, Certificate: &pair}
}

func withTLS(now *TLS) func(*Config) {
	return func(c *Config) {
		c.Auth = func(context.Context) (Access, error) { return Access{TLS: *now}, nil }
	}
}

// eventually waits for a condition; the deadline is there to fail.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			t.Fatalf("still not: %s", what)
		case <-tick.C:
		}
	}
}

// TestTLSConnections: a connection serves all pushes with the same certificates, is closed
// when they are replaced, and with its branch.
func TestTLSConnections(t *testing.T) {
	t.Parallel()
	r, a := newTLSRepo(t)
	now := tlsOf(t, a, a)
	b := r.fetched(withTLS(&now))
	for i := range uint64(5) {
		put(t, b, i+1, "a", fmt.Sprint(i))
		push(t, b)
		// As whoever reads files anew does.
		now = TLS{Authorities: now.Authorities, Certificate: &tls.Certificate{Certificate: now.Certificate.Certificate, PrivateKey: now.Certificate.PrivateKey}}
	}
	if n := r.server.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	now = tlsOf(t, a, a)
	put(t, b, 6, "a", "new")
	push(t, b)
	if n := r.server.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
	eventually(t, "the old one is closed", func() bool { return r.server.Open() == 1 })
	b.Close()
	eventually(t, "both are closed", func() bool { return r.server.Open() == 0 })
	r.check()
}

// TestTLSRefused: a remote that nobody known has signed is not talked to, and one that
// does not let our certificate in says so; then right ones do.
func TestTLSRefused(t *testing.T) {
	t.Parallel()
	r, a := newTLSRepo(t)
	other, err := gittest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	var now TLS
	b := r.branch(withTLS(&now))
	for name, c := range map[string]struct {
		tls  TLS
		kind error
	}{
		"nothing":               {TLS{}, ErrUnreachable},
		"another authority":     {tlsOf(t, other, a), ErrUnreachable},
		"no certificate":        {TLS{Authorities: tlsOf(t, a, a).Authorities}, ErrClientCertificate},
		"another's certificate": {tlsOf(t, a, other), ErrClientCertificate},
	} {
		now = c.tls
		// The remote's refusal comes after our request has begun, and is overtaken at
		// times by the end of the connection.
		eventually(t, name+" is told", func() bool {
			_, err := b.Fetch(t.Context())
			return errors.Is(err, c.kind)
		})
	}
	now = tlsOf(t, a, a)
	if _, err := b.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
}
