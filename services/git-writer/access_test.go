package gitwriter

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/gittest"
)

// guarded is an https server with one repository, whose clients may need a certificate and
// an Authorization header, and a directory of Secrets.
type guarded struct {
	*testing.T
	server    *gittest.Server
	authority *gittest.Authority
	want      atomic.Pointer[string] // the Authorization header; nil: any
	secrets   string
}

func newGuarded(t *testing.T, clients tls.ClientAuthType) *guarded {
	t.Helper()
	g := &guarded{T: t, authority: newAuthority(t), secrets: t.TempDir()}
	config, err := g.authority.Serves(clients)
	if err != nil {
		t.Fatal(err)
	}
	g.server, err = gittest.Serve(gittest.Options{Dir: t.TempDir(), TLS: config, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if want := g.want.Load(); want != nil && r.Header.Get("Authorization") != *want {
				http.Error(w, "you said "+r.Header.Get("Authorization"), http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.server.Close() })
	if _, err := g.server.Init("live.git", "main"); err != nil {
		t.Fatal(err)
	}
	return g
}

func newAuthority(t *testing.T) *gittest.Authority {
	t.Helper()
	a, err := gittest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *gittest.Authority) (certificate, key string) {
	t.Helper()
	crt, private, err := a.Issue("writer")
	if err != nil {
		t.Fatal(err)
	}
	return string(crt), string(private)
}

func (g *guarded) wants(header string) { g.want.Store(&header) }

// secret writes the Secret that the branch is opened with.
func (g *guarded) secret(pairs ...string) { writeSecret(g.T, g.secrets, "prod/shop/git", pairs...) }

// open is a branch that names a Secret; a helper or an agent that is asked for it fails
// the test.
func open(t *testing.T, url, secrets string) *repo.Branch {
	t.Helper()
	cfg := Config{CacheDir: t.TempDir(), Credentials: Credentials{Dir: secrets, Username: "nobody", PasswordFile: "/nonexistent", AgentSocket: "/nonexistent", KnownHosts: "/nonexistent"}}
	b := repo.New(repo.Config{
		URL: url, Branch: "main", Dir: filepath.Join(cfg.CacheDir, "branch"),
		Auth: func(ctx context.Context) (repo.Access, error) {
			return opener{Config: cfg}.access(ctx, nil, url, "prod/shop/git")
		},
	})
	t.Cleanup(b.Close)
	return b
}

func commit(t *testing.T, b *repo.Branch, position uint64) {
	t.Helper()
	who := repo.Signature{Name: "Jane Doe", Email: "jane@example.com", When: time.Unix(1_770_000_000, 0)}
	changed, err := b.Commit(repo.Commit{
		Ops: []repo.Op{{Path: "a.yaml", Content: fmt.Append(nil, position)}}, Author: who, Committer: who, Position: position,
		Message: func([]repo.Change) string { return "a" },
	})
	if !changed || err != nil {
		t.Fatal(changed, err)
	}
}

// pushes fetches and pushes a commit.
func pushes(t *testing.T, b *repo.Branch, position uint64) error {
	t.Helper()
	if _, err := b.Fetch(t.Context()); err != nil {
		return err
	}
	commit(t, b, position)
	_, err := b.Push(t.Context())
	return err
}

// TestWebSecrets: each kind of Secret opens the remote that wants it, one that does not is
// an error that shows nothing of it, and what replaces it is used at once.
func TestWebSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wants       string
		right       []string
		wrong       []string
		certificate bool
	}{
		"a user":       {"Basic bWU6aHVzaC1odXNo", []string{"username", "me", "password", "hush-hush\n"}, []string{"username", "me", "password", "wr0ng"}, false},
		"an empty one": {"Basic Omh1c2gtaHVzaA==", []string{"username", "", "password", "hush-hush"}, []string{"password", "wr0ng"}, false},
		"a token":      {"Bearer hush-hush", []string{"bearerToken", "hush-hush"}, []string{"bearerToken", "wr0ng"}, false},
		"a certificate and a user": {
			"Basic bWU6aHVzaC1odXNo", []string{"username", "me", "password", "hush-hush"}, []string{"username", "me", "password", "wr0ng"}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clients := tls.NoClientCert
			if c.certificate {
				clients = tls.RequireAndVerifyClientCert
			}
			g := newGuarded(t, clients)
			g.wants(c.wants)
			trust := []string{"ca.crt", string(g.authority.PEM)}
			if c.certificate {
				crt, key := issue(t, g.authority)
				trust = append(trust, "tls.crt", crt, "tls.key", key)
			}
			g.secret(append(trust, c.wrong...)...)
			b := open(t, g.server.URL("live.git"), g.secrets)
			err := pushes(t, b, 1)
			if !errors.Is(err, repo.ErrAuth) {
				t.Errorf("with another one: %v", err)
			}
			checkHushed(t, fmt.Sprint(err))
			g.secret(append(trust, c.right...)...)
			if err := pushes(t, b, 1); err != nil {
				t.Fatal(err)
			}
			g.secret(append(trust, c.wrong...)...)
			commit(t, b, 2)
			if _, err := b.Push(t.Context()); !errors.Is(err, repo.ErrAuth) {
				t.Errorf("once it is replaced: %v", err)
			}
			g.secret(append(trust, c.right...)...)
			if res, err := b.Push(t.Context()); err != nil || res.Landed != 1 {
				t.Errorf("result %+v, %v", res, err)
			}
			if n := g.server.Connections(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// checkHushed looks for secrets, in the forms in which they go over the wire.
func checkHushed(t *testing.T, text string) {
	t.Helper()
	for _, s := range []string{"hush", "wr0ng", "aHVzaC1odXNo", "d3IwbmcK", "bWU6", "Omh1c2g", "OndyMG5n"} {
		if strings.Contains(text, s) {
			t.Errorf("%q is in: %s", s, text)
		}
	}
}

// TestAuthorityIsTheRemotes: what one Secret lets a remote trust is trusted by no other.
func TestAuthorityIsTheRemotes(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, tls.NoClientCert)
	g.secret("ca.crt", string(g.authority.PEM))
	if err := pushes(t, open(t, g.server.URL("live.git"), g.secrets), 1); err != nil {
		t.Fatal(err)
	}
	g.secret("ca.crt", string(newAuthority(t).PEM))
	if err := pushes(t, open(t, g.server.URL("live.git"), g.secrets), 2); !errors.Is(err, repo.ErrUnreachable) || !strings.Contains(err.Error(), "x509:") {
		t.Errorf("error %v", err)
	}
}

// TestSSHSecrets: keys of each type, as Kubernetes, Flux and Argo CD call them, encrypted
// or not.
func TestSSHSecrets(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoRSA} {
		for name, c := range map[string]struct{ key, passphrase string }{
			"Kubernetes":            {key: "ssh-privatekey"},
			"Flux":                  {key: "identity"},
			"Flux, with passphrase": {"identity", "hush-hush"},
			"Argo CD":               {key: "sshPrivateKey"},
		} {
			t.Run(algorithm+" "+name, func(t *testing.T) {
				t.Parallel()
				s := newSSHStand(t, algorithm)
				s.secret(c.key, s.pem(c.passphrase), "password", c.passphrase+"\n", "known_hosts", s.server.KnownHosts(s.host))
				if err := pushes(t, open(t, s.server.URL("live.git"), s.secrets), 1); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// sshStand is an SSH server with one repository, which a key opens, and a directory of
// Secrets.
type sshStand struct {
	*testing.T
	server       *gittest.SSHServer
	host, key    gittest.Key
	dir, secrets string
}

func newSSHStand(t *testing.T, algorithm string) *sshStand {
	t.Helper()
	s := &sshStand{T: t, host: newKey(t, ssh.KeyAlgoED25519), key: newKey(t, algorithm), dir: t.TempDir(), secrets: t.TempDir()}
	var err error
	if s.server, err = gittest.ServeSSH(gittest.SSHOptions{Dir: s.dir, HostKeys: []gittest.Key{s.host}, Client: s.key.PublicKey()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.server.Close() })
	if err := gittest.InitBare(filepath.Join(s.dir, "live.git"), "main"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sshStand) pem(passphrase string) string {
	s.Helper()
	out, err := s.key.PEM(passphrase)
	if err != nil {
		s.Fatal(err)
	}
	return string(out)
}

func (s *sshStand) secret(pairs ...string) { writeSecret(s.T, s.secrets, "prod/shop/git", pairs...) }

// TestSSHSecretErrors: a host that is unknown, or another one than it was, is not talked
// to, and each error names the Secret. Once that is put right, it goes on.
func TestSSHSecretErrors(t *testing.T) {
	t.Parallel()
	s := newSSHStand(t, ssh.KeyAlgoED25519)
	known, strange := s.server.KnownHosts(s.host), newKey(t, ssh.KeyAlgoED25519)
	elsewhere := strings.Replace(known, "127.0.0.1", "127.0.0.2", 1)
	other, err := newKey(t, ssh.KeyAlgoED25519).PEM("")
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, s.server.URL("live.git"), s.secrets)
	for name, c := range map[string]struct {
		secret []string
		kind   error
		says   []string
	}{
		"an unknown host":     {[]string{"identity", s.pem(""), "known_hosts", elsewhere}, repo.ErrHostKey, []string{"does not name " + s.server.Address(), "ssh-keyscan -p ", "into known_hosts of the Secret prod/shop/git"}},
		"a changed host":      {[]string{"identity", s.pem(""), "known_hosts", elsewhere + s.server.KnownHosts(strange)}, repo.ErrHostKey, []string{"HAS CHANGED", "known_hosts:2 of the Secret prod/shop/git"}},
		"a revoked key":       {[]string{"identity", s.pem(""), "known_hosts", known + "@revoked " + known}, repo.ErrHostKey, []string{"known_hosts:2 of the Secret prod/shop/git revokes"}},
		"no known_hosts":      {[]string{"identity", s.pem("")}, repo.ErrNoCredentials, []string{"Secret prod/shop/git: no SSH host is trusted"}},
		"an unknown key":      {[]string{"identity", string(other), "known_hosts", known}, repo.ErrSSHKeys, []string{"as git, with ssh-ed25519 SHA256:"}},
		"another passphrase":  {[]string{"identity", s.pem("hush-hush"), "password", "wr0ng", "known_hosts", known}, repo.ErrNoCredentials, []string{"Secret prod/shop/git: password is not the passphrase of identity"}},
		"a marker of no kind": {[]string{"identity", s.pem(""), "known_hosts", "@what " + known}, repo.ErrNoCredentials, []string{"known_hosts:1"}},
	} {
		s.secret(c.secret...)
		_, err := b.Fetch(t.Context())
		if !errors.Is(err, c.kind) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "PRIVATE KEY") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q is not in: %v", name, says, err)
			}
		}
		checkHushed(t, err.Error())
	}
	s.secret("identity", s.pem(""), "known_hosts", known)
	if err := pushes(t, b, 1); err != nil {
		t.Error(err)
	}
}

// TestSecretOfAPath: a bare path needs none, and takes one.
func TestSecretOfAPath(t *testing.T) {
	t.Parallel()
	dir, secrets := t.TempDir(), t.TempDir()
	if err := gittest.InitBare(dir, "main"); err != nil {
		t.Fatal(err)
	}
	writeSecret(t, secrets, "prod/shop/git", "password", "hush")
	if err := pushes(t, open(t, dir, secrets), 1); err != nil {
		t.Error(err)
	}
}

// proxiedEnv makes this test binary a git-writer's session in a process of its own: the
// URL and the directory of Secrets. Go reads the proxies of the environment once.
const proxiedEnv = "GITWRITER_TEST_PROXIED"

// TestProxiedChild pushes as TestProxy says.
func TestProxiedChild(t *testing.T) {
	url, secrets, ok := strings.Cut(os.Getenv(proxiedEnv), "\n")
	if !ok {
		t.Skip("it is for TestProxy")
	}
	b := open(t, url, secrets)
	for position := range uint64(2) {
		if err := pushes(t, b, position+1); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProxy: with authorities and without, HTTPS_PROXY is gone through, but not for who
// stands in NO_PROXY.
func TestProxy(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, tls.RequireAndVerifyClientCert)
	crt, key := issue(t, g.authority)
	g.secret("ca.crt", string(g.authority.PEM), "tls.crt", crt, "tls.key", key)
	var tunnels atomic.Int64
	proxy := serveProxy(t, "user", "hush", &tunnels)
	// Go uses no proxy for a loopback address. This is one to Linux, and none to Go.
	url := strings.Replace(g.server.URL("live.git"), "127.0.0.1", "0.0.0.0", 1)
	for name, c := range map[string]struct {
		no    string
		wants int64
	}{
		"by the proxy":     {"example.com", 1},
		"past it":          {"example.com,0.0.0.0", 0},
		"past it, all are": {"*", 0},
	} {
		tunnels.Store(0)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxiedChild$", "-test.count=1")
		cmd.Env = append(os.Environ(), proxiedEnv+"="+url+"\n"+g.secrets, "HTTPS_PROXY=http://user:hush@"+proxy, "NO_PROXY="+c.no)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if n := tunnels.Load(); n != c.wants {
			t.Errorf("%s: %d tunnels", name, n)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxiedChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), proxiedEnv+"="+url+"\n"+g.secrets, "HTTPS_PROXY=http://user:wrong@"+proxy, "NO_PROXY=example.com")
	out, err := cmd.CombinedOutput()
	if says := string(out); err == nil || !strings.Contains(says, repo.ErrProxy.Error()) || strings.Contains(says, "wrong") {
		t.Errorf("with another password: %v\n%s", err, says)
	}
}

// serveProxy is an HTTP proxy that opens tunnels (RFC 9110, 9.3.6) for one user, and counts
// them.
func serveProxy(t *testing.T, user, password string, tunnels *atomic.Int64) (address string) {
	t.Helper()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // by Close
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				req, err := http.ReadRequest(in)
				if err != nil || req.Method != http.MethodConnect {
					return
				}
				if req.Header.Get("Proxy-Authorization") != want {
					_, _ = io.WriteString(conn, "HTTP/1.1 407 Who are you?\r\n\r\n")
					return
				}
				to, err := net.Dial("tcp", req.Host)
				if err != nil {
					return
				}
				defer to.Close()
				tunnels.Add(1)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				go func() {
					_, _ = io.Copy(to, in)
					_ = to.Close()
				}()
				_, _ = io.Copy(conn, to)
			}()
		}
	}()
	return listener.Addr().String()
}
