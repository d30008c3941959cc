package gittest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func key(t *testing.T, algorithm string) Key {
	t.Helper()
	k, err := NewKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestStockGitOverSSH(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("stock git speaks SSH through OpenSSH's client, which is not installed here; .ci/run installs it")
	}
	client := key(t, ssh.KeyAlgoED25519)
	hostKeys := []Key{key(t, ssh.KeyAlgoED25519), key(t, ssh.KeyAlgoECDSA256), key(t, ssh.KeyAlgoRSA)}
	dir := t.TempDir()
	s, err := ServeSSH(SSHOptions{Dir: dir, HostKeys: hostKeys, Client: client.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	bare := filepath.Join(dir, "it's", "b!.git")
	if err := InitBare(bare, "main"); err != nil {
		t.Fatal(err)
	}

	known := filepath.Join(t.TempDir(), "known_hosts")
	with := func(a *Agent, dir string, args ...string) error {
		command := "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none -o UserKnownHostsFile=" + known + " -o IdentityAgent=" + a.Socket
		_, err := Git(dir, append([]string{"-c", "core.sshCommand=" + command}, args...)...)
		return err
	}
	agentWith := func(keys ...Key) *Agent {
		a, err := ServeAgent(keys...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
		return a
	}
	a := agentWith(key(t, ssh.KeyAlgoRSA), client)
	work := clone(t, bare, []byte("1"))
	url := s.URL("it's/b!.git")
	// OpenSSH asks for the type that it knows, if that is not RSA.
	for _, k := range hostKeys[:2] {
		if err := os.WriteFile(known, []byte(s.KnownHosts(k)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := with(a, work, "push", "--quiet", url, "main:"+strings.ReplaceAll(k.PublicKey().Type(), "@", "-")); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(known, []byte(s.KnownHosts(hostKeys...)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := with(a, t.TempDir(), "clone", "--quiet", url, "."); err != nil {
		t.Error(err)
	}
	if err := with(a, ".", "ls-remote", s.URL("none.git")); err == nil {
		t.Error("a repository that does not exist was listed")
	}
	if err := with(agentWith(key(t, ssh.KeyAlgoED25519)), ".", "ls-remote", url); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("with another key: %v", err)
	}
	if err := InstallHook(bare, "pre-receive", RefuseWith("not today")); err != nil {
		t.Fatal(err)
	}
	if err := with(a, work, "push", "--quiet", url, "main:more"); err == nil || !strings.Contains(err.Error(), "remote: not today") {
		t.Errorf("refused with %v", err)
	}
	if err := Fsck(bare); err != nil {
		t.Error(err)
	}
}
