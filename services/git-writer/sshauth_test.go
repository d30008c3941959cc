package gitwriter

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/gittest"
)

// sshRemote is an empty repository behind an SSH server that has keys of several
// types, an agent that may write to it, and a known_hosts file.
type sshRemote struct {
	t      *testing.T
	server *gittest.SSHServer
	hosts  map[string]gittest.Key // by type
	client gittest.Key
	bare   string
	known  string

	credentials Credentials
}

func newKey(t *testing.T, algorithm string) gittest.Key {
	t.Helper()
	key, err := gittest.NewKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// agentWith is the socket of an agent with those keys.
func agentWith(t *testing.T, keys ...gittest.Key) (socket string) {
	t.Helper()
	agent, err := gittest.ServeAgent(keys...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.Close(); err != nil { // waits: a session that kept its connection would hang it
			t.Error(err)
		}
	})
	return agent.Socket
}

func newSSHRemote(t *testing.T) *sshRemote {
	t.Helper()
	r := &sshRemote{t: t, hosts: map[string]gittest.Key{}, client: newKey(t, ssh.KeyAlgoED25519), known: filepath.Join(t.TempDir(), "known_hosts")}
	opts := gittest.SSHOptions{Dir: t.TempDir(), Client: r.client.PublicKey()}
	for _, algorithm := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA} {
		r.hosts[algorithm] = newKey(t, algorithm)
		opts.HostKeys = append(opts.HostKeys, r.hosts[algorithm])
	}
	var err error
	if r.server, err = gittest.ServeSSH(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.server.Close(); err != nil {
			t.Error(err)
		}
	})
	r.bare = filepath.Join(opts.Dir, "team", "live.git")
	if err := gittest.InitBare(r.bare, "main"); err != nil {
		t.Fatal(err)
	}
	r.credentials = Credentials{AgentSocket: agentWith(t, newKey(t, ssh.KeyAlgoED25519), r.client), KnownHosts: r.known}
	return r
}

// trust makes those all that known_hosts holds.
func (r *sshRemote) trust(keys ...gittest.Key) {
	r.t.Helper()
	if err := os.WriteFile(r.known, []byte(r.server.KnownHosts(keys...)), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// auth opens a repository of the server, as a destination's without a Secret.
func (r *sshRemote) auth(repository string) func(context.Context) (repo.Access, error) {
	return func(ctx context.Context) (repo.Access, error) {
		return opener{Config: Config{Credentials: r.credentials}}.access(ctx, nil, r.server.URL(repository), "")
	}
}

func (r *sshRemote) branch(name string) *repo.Branch {
	b := repo.New(repo.Config{URL: r.server.URL("team/live.git"), Branch: name, Dir: r.t.TempDir(), Auth: r.auth("team/live.git"), Timeout: 20 * time.Second})
	r.t.Cleanup(b.Close)
	return b
}

func (r *sshRemote) put(b *repo.Branch, position uint64, path string) {
	r.t.Helper()
	who := repo.Signature{Name: "Jane Doe", Email: "jane@example.com", When: time.Unix(1_770_000_000, 0)}
	changed, err := b.Commit(repo.Commit{
		Ops: []repo.Op{{Path: path, Content: []byte(path)}}, Author: who, Committer: who, Position: position,
		Message: func([]repo.Change) string { return "put " + path },
	})
	if !changed || err != nil {
		r.t.Fatal(changed, err)
	}
}

// TestSSH is the life of a branch over SSH.
func TestSSH(t *testing.T) {
	r := newSSHRemote(t)
	r.trust(r.hosts[ssh.KeyAlgoED25519])
	b := r.branch("main")
	if _, err := b.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.put(b, 1, "a.yaml")
	if res, err := b.Push(t.Context()); err != nil || res.Landed != 1 {
		t.Fatalf("result %+v, %v", res, err)
	}

	// Somebody else pushes first.
	work := t.TempDir()
	for _, args := range [][]string{{"clone", "--quiet", r.bare, "."}, {"commit", "--quiet", "--allow-empty", "-m", "theirs"}, {"push", "--quiet"}} {
		if _, err := gittest.Git(work, args...); err != nil {
			t.Fatal(err)
		}
	}
	r.put(b, 2, "b.yaml")
	if res, err := b.Push(t.Context()); err != nil || res.Landed != 1 || res.Rebuilt != 1 {
		t.Errorf("result %+v, %v", res, err)
	}

	if err := gittest.InstallHook(r.bare, "pre-receive", gittest.RefuseWith("no deploys on Friday")); err != nil {
		t.Fatal(err)
	}
	r.put(b, 3, "c.yaml")
	if _, err := b.Push(t.Context()); !errors.Is(err, repo.ErrRefused) || !strings.Contains(err.Error(), "no deploys on Friday") {
		t.Errorf("error %v", err)
	}
	if err := gittest.InstallHook(r.bare, "pre-receive", ""); err != nil {
		t.Fatal(err)
	}
	if res, err := b.Push(t.Context()); err != nil || res.Landed != 1 {
		t.Errorf("result %+v, %v", res, err)
	}
	if err := gittest.Fsck(r.bare); err != nil {
		t.Error(err)
	}
	log, err := gittest.Log(r.bare, "main")
	var got []string
	for _, c := range log {
		got = append(got, c.Subject())
	}
	if want := "put c.yaml,put b.yaml,theirs,put a.yaml"; err != nil || strings.Join(got, ",") != want {
		t.Errorf("log %v, %v", got, err)
	}
}

// TestKnownHostsOfOneType: whatever type of key is known of a host that has
// several, that one is asked for.
func TestKnownHostsOfOneType(t *testing.T) {
	r := newSSHRemote(t)
	for algorithm, key := range r.hosts {
		r.trust(key)
		if _, err := r.branch("main").Fetch(t.Context()); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	// Where users keep it.
	r.trust(r.hosts[ssh.KeyAlgoECDSA256])
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.known, filepath.Join(home, ".ssh", "known_hosts")); err != nil {
		t.Fatal(err)
	}
	r.credentials.KnownHosts = ""
	t.Setenv("HOME", home)
	if _, err := r.branch("main").Fetch(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSSHErrors: each says what a person can do.
func TestSSHErrors(t *testing.T) {
	ed25519 := func(r *sshRemote) gittest.Key { return r.hosts[ssh.KeyAlgoED25519] }
	for name, test := range map[string]struct {
		spoil func(t *testing.T, r *sshRemote)
		kind  error
		says  func(r *sshRemote) []string
	}{
		"no agent": {
			func(_ *testing.T, r *sshRemote) { r.credentials.AgentSocket = "" },
			repo.ErrNoCredentials,
			func(*sshRemote) []string { return []string{"SSH_AUTH_SOCK is not set", "ssh-add"} },
		},
		"an agent that is gone": {
			func(t *testing.T, r *sshRemote) { r.credentials.AgentSocket = filepath.Join(t.TempDir(), "gone") },
			repo.ErrNoCredentials,
			func(*sshRemote) []string { return []string{"no SSH agent answers", "gone"} },
		},
		"an agent without keys": {
			func(t *testing.T, r *sshRemote) { r.credentials.AgentSocket = agentWith(t) },
			repo.ErrNoCredentials,
			func(*sshRemote) []string { return []string{"holds no key", "ssh-add"} },
		},
		"keys that the host does not know": {
			func(t *testing.T, r *sshRemote) {
				r.client = newKey(t, ssh.KeyAlgoRSA)
				r.credentials.AgentSocket = agentWith(t, r.client)
			},
			repo.ErrSSHKeys,
			func(r *sshRemote) []string {
				return []string{"as git, with ssh-rsa " + ssh.FingerprintSHA256(r.client.PublicKey())}
			},
		},
		"no known_hosts": {
			func(t *testing.T, r *sshRemote) {
				if err := os.Remove(r.known); err != nil {
					t.Fatal(err)
				}
			},
			repo.ErrNoCredentials,
			func(r *sshRemote) []string {
				return []string{"no known_hosts file", "ssh-keyscan -p ", ">> " + r.known}
			},
		},
		"known_hosts that cannot be read": {
			func(t *testing.T, r *sshRemote) {
				if err := os.WriteFile(r.known, []byte("host key\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			repo.ErrNoCredentials,
			func(r *sshRemote) []string { return []string{"reading known_hosts", r.known + ":1"} },
		},
		"an unknown host": {
			func(_ *testing.T, r *sshRemote) { r.trust() },
			repo.ErrHostKey,
			func(r *sshRemote) []string {
				return []string{"does not name " + r.server.Address(), "SHA256:", "documentation", "ssh-keyscan -p ", " 127.0.0.1 >> " + r.known}
			},
		},
		"a changed host key": {
			func(t *testing.T, r *sshRemote) { r.trust(newKey(t, ssh.KeyAlgoED25519)) },
			repo.ErrHostKey,
			func(r *sshRemote) []string {
				return []string{"HAS CHANGED", "attack", ssh.FingerprintSHA256(ed25519(r).PublicKey()), r.known + ":1"}
			},
		},
		"a revoked host key": {
			func(t *testing.T, r *sshRemote) {
				line := r.server.KnownHosts(ed25519(r)) + "@revoked " + r.server.KnownHosts(ed25519(r))
				if err := os.WriteFile(r.known, []byte(line), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			repo.ErrHostKey,
			func(r *sshRemote) []string { return []string{"revokes", r.known + ":2"} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSSHRemote(t)
			r.trust(ed25519(r))
			test.spoil(t, r)
			_, err := r.branch("main").Fetch(t.Context())
			if !errors.Is(err, test.kind) || errors.Is(err, repo.ErrAuth) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v", err)
			}
			for _, says := range test.says(r) {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q is not in: %v", says, err)
				}
			}
			t.Log(err)
		})
	}
}

// TestHostKeyTypeIsGone: the host has no key of a type that is known of it.
func TestHostKeyTypeIsGone(t *testing.T) {
	r := newSSHRemote(t)
	other, err := gittest.ServeSSH(gittest.SSHOptions{Dir: filepath.Dir(filepath.Dir(r.bare)), HostKeys: []gittest.Key{newKey(t, ssh.KeyAlgoECDSA256)}, Client: r.client.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	r.server = other
	r.trust(r.hosts[ssh.KeyAlgoED25519])
	if _, err := r.branch("main").Fetch(t.Context()); !errors.Is(err, repo.ErrHostKey) || !strings.Contains(err.Error(), "ssh-ed25519") || !strings.Contains(err.Error(), "ecdsa-sha2-nistp256") {
		t.Errorf("error %v", err)
	}
}

// TestRepositoryNotFoundOverSSH: the host is fine, the path is not.
func TestRepositoryNotFoundOverSSH(t *testing.T) {
	r := newSSHRemote(t)
	r.trust(r.hosts[ssh.KeyAlgoED25519])
	b := repo.New(repo.Config{URL: r.server.URL("none.git"), Branch: "main", Dir: t.TempDir(), Auth: r.auth("none.git")})
	if _, err := b.Fetch(t.Context()); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

// TestNotLetInOverSSH: a host says who may read and who may write in words of its own, for
// a fetch as for a push.
func TestNotLetInOverSSH(t *testing.T) {
	for service, does := range map[string]func(b *repo.Branch, r *sshRemote) error{
		"git-upload-pack": func(b *repo.Branch, r *sshRemote) error {
			_, err := b.Fetch(r.t.Context())
			return err
		},
		"git-receive-pack": func(b *repo.Branch, r *sshRemote) error {
			if _, err := b.Fetch(r.t.Context()); err != nil {
				return err
			}
			r.put(b, 1, "a.yaml")
			_, err := b.Push(r.t.Context())
			return err
		},
	} {
		for says, kind := range map[string]error{
			"ERROR: Permission to team/live.git denied to deploy key": repo.ErrForbidden,
			"ERROR: Repository not found.":                            repo.ErrNotFound,
		} {
			t.Run(service+" "+says, func(t *testing.T) {
				r := newSSHRemote(t)
				server, err := gittest.ServeSSH(gittest.SSHOptions{
					Dir: filepath.Dir(filepath.Dir(r.bare)), HostKeys: []gittest.Key{r.hosts[ssh.KeyAlgoED25519]}, Client: r.client.PublicKey(),
					Refuse: func(s string) string {
						if s == service {
							return says
						}
						return ""
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = server.Close() })
				r.server = server
				r.trust(r.hosts[ssh.KeyAlgoED25519])
				if err := does(r.branch("main"), r); !errors.Is(err, kind) || !strings.Contains(strings.ToLower(says), strings.ToLower(lastPart(err))) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

// lastPart is what an error ends with.
func lastPart(err error) string {
	all := strings.Split(err.Error(), ": ")
	return all[len(all)-1]
}

// TestSSHAddress: known_hosts is asked for what is connected to.
func TestSSHAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"ssh://git@Git.example.com/x.git":      "git.example.com:22",
		"ssh://git@git.example.com:2222/x.git": "git.example.com:2222",
		"git@git.example.com:x.git":            "git.example.com:22",
		"ssh://git@[2001:db8::1]/x.git":        "[2001:db8::1]:22",
		"ssh://git@[2001:db8::1]:2222/x.git":   "[2001:db8::1]:2222",
	} {
		end, err := transport.NewEndpoint(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := repo.SSHAddress(end); got != want {
			t.Errorf("%s is %s, want %s", raw, got, want)
		}
	}
}
