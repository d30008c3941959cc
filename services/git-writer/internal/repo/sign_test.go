package repo

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// sshKeygen signs as git itself does, by OpenSSH's program, and lets the repository's
// git verify it.
func sshKeygen(t *testing.T, r *remoteRepo) Sign {
	t.Helper()
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed here")
	}
	dir := t.TempDir()
	key, allowed := filepath.Join(dir, "key"), filepath.Join(dir, "allowed")
	if out, err := exec.CommandContext(t.Context(), program, "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(allowed, append([]byte("kubescribe@example.com "), public...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := gittest.Configure(r.dir, "gpg.ssh.allowedSignersFile", allowed); err != nil {
		t.Fatal(err)
	}
	return func(content []byte) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), program, "-Y", "sign", "-n", "git", "-f", key)
		cmd.Stdin = bytes.NewReader(content)
		return cmd.Output()
	}
}

// putSigned commits one file, signed.
func putSigned(t *testing.T, b *Branch, position uint64, path, content string, sign Sign) {
	t.Helper()
	c := newCommit(position, Op{Path: path, Content: []byte(content)})
	c.Sign = sign
	if changed, err := b.Commit(c); err != nil || !changed {
		t.Fatal(changed, err)
	}
}

func TestSigned(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	sign := sshKeygen(t, r)
	b := r.fetched()
	putSigned(t, b, 1, "a.yaml", "1", sign)
	putSigned(t, b, 2, "b.yaml", "1", sign)
	put(t, b, 3, "c.yaml", "1")

	var once sync.Once
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if isPush(req) {
			once.Do(func() { r.foreign("main", "theirs", map[string]string{"x.yaml": "1"}) })
		}
		next.ServeHTTP(w, req)
	})
	if res := push(t, b); res.Rebuilt != 1 {
		t.Errorf("result %+v", res)
	}
	r.check()
	equal(t, "log", r.subjects("main"), []string{"Create c.yaml", "Create b.yaml", "Create a.yaml", "theirs"})
	r.git("verify-commit", "main~1", "main~2")
	if _, err := gittest.Git(r.dir, "verify-commit", "main"); err == nil {
		t.Error("a commit that was not signed verifies")
	}
	if c := r.log("-1", "main~1")[0]; c.Message != "Create b.yaml\n\nPosition: 2\n" {
		t.Errorf("message %q", c.Message)
	}
	if strings.Contains(r.git("cat-file", "commit", "main"), "gpgsig") {
		t.Error("a commit without Sign has a signature")
	}
}

// TestSignFails: nothing has happened then, and what comes after it is whole.
func TestSignFails(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched()
	put(t, b, 1, "shop/a.yaml", "1")
	broken := errors.New("the key is gone")
	c := newCommit(2, Op{Path: "shop/a.yaml", Delete: true}, Op{Path: "shop/configmaps/b.yaml", Content: []byte("1")})
	c.Sign = func([]byte) ([]byte, error) { return nil, broken }
	if _, err := b.Commit(c); !errors.Is(err, broken) || waiting(b) != 1 {
		t.Fatalf("error %v, %d pending", err, waiting(b))
	}
	c.Sign = nil
	if changed, err := b.Commit(c); err != nil || !changed {
		t.Fatal(changed, err)
	}
	push(t, b)
	r.check()
	if got := r.files("main"); len(got) != 1 || got["shop/configmaps/b.yaml"] != "1" {
		t.Errorf("files %v", got)
	}
}
