package credential

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/secret"
)

// ParseWeb is what opens a remote over http or https: a user name, which may be empty, and
// a password; or a bearer token; and a client certificate, and the authorities that are
// trusted for it beside the machine's. Any one of these will do.
func ParseWeb(data map[string][]byte) (repo.Access, error) {
	r := &reader{data: data}
	if err := r.checkRefused(); err != nil {
		return repo.Access{}, err
	}
	// A password beside an SSH key opens that key, and is not for the remote to see.
	if key := r.get(secret.SSHKey); !key.empty() {
		return repo.Access{}, fmt.Errorf("%s is an SSH key, and this remote is reached over http: name another Secret, or use the remote's ssh URL", key.name)
	}
	method, err := r.authorization()
	if err != nil {
		return repo.Access{}, err
	}
	secured, err := r.tls()
	if err != nil {
		return repo.Access{}, err
	}
	if method == nil && len(secured.Authorities) == 0 && secured.Certificate == nil {
		return repo.Access{}, errors.New("nothing in it opens a remote over http: add username and password, or bearerToken, or tls.crt and tls.key, or for a remote that is open to all its authority as ca.crt")
	}
	return repo.Access{Method: method, TLS: secured}, r.err
}

// authorization is what goes with each request; nil for nothing.
func (r *reader) authorization() (transport.AuthMethod, error) {
	user, pass, bearer := r.get(secret.Username), r.get(secret.Password), r.get(secret.BearerToken)
	switch {
	case !bearer.empty() && (!user.empty() || !pass.empty()):
		return nil, errors.New("bearerToken and username or password are two ways to say who this is: remove one of them")
	case !bearer.empty():
		if bytes.ContainsFunc(bearer.data, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }) {
			return nil, errors.New("bearerToken has a space or line break in it: write the token alone")
		}
		return &githttp.TokenAuth{Token: string(bearer.data)}, nil
	case !pass.empty():
		if strings.Contains(string(user.data), ":") {
			return nil, errors.New("username has a colon in it, which no server can tell from that before the password: correct it")
		}
		return &githttp.BasicAuth{Username: string(user.data), Password: string(pass.data)}, nil
	case !user.empty(), r.has(secret.Password):
		return nil, errors.New("password is missing or empty: write the user's password or token there")
	case r.has(secret.BearerToken):
		return nil, errors.New("bearerToken is empty: write the token there")
	}
	return nil, nil //nolint:nilnil // a certificate may do, or nothing
}

// tls is what TLS needs.
func (r *reader) tls() (t repo.TLS, err error) {
	if ca := r.get(secret.Authorities); !ca.empty() {
		if t.Authorities, err = certificates(ca); err != nil {
			return t, err
		}
	}
	cert, key := r.get(secret.Certificate), r.get(secret.CertKey)
	switch {
	case cert.empty() && key.empty():
		return t, nil
	case key.empty():
		return t, fmt.Errorf("%s is there without %s: add the certificate's private key", cert.name, key.name)
	case cert.empty():
		return t, fmt.Errorf("%s is there without %s: add the certificate", key.name, cert.name)
	}
	pair, err := tls.X509KeyPair(cert.data, key.data)
	if err != nil {
		return t, fmt.Errorf("%s and %s are no certificate with its private key: write both in PEM, the key without a passphrase", cert.name, key.name)
	}
	t.Certificate = &pair
	return t, nil
}

// certificates reads all of v.
func certificates(v value) (all []*x509.Certificate, err error) {
	for rest := v.data; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, fmt.Errorf("%s cannot be read, its block %d is no certificate: write certificates in PEM, and nothing else", v.name, len(all)+1)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no certificate: write the authority's in PEM", v.name)
	}
	return all, nil
}
