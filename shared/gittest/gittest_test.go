package gittest

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clone is a working copy of url with one commit more than it had.
func clone(t *testing.T, url string, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	steps := [][]string{
		{"clone", "--quiet", url, "."},
		{"checkout", "--quiet", "-B", "main"},
		{"add", "file"},
		{"commit", "--quiet", "-m", "one\n\nwith a body"},
	}
	for _, args := range steps {
		if args[0] == "add" {
			if err := os.WriteFile(filepath.Join(dir, "file"), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Git(dir, args...); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func serve(t *testing.T, opts Options) (s *Server, bare string) {
	t.Helper()
	s, err := Serve(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	bare, err = s.Init("a/b.git", "main")
	if err != nil {
		t.Fatal(err)
	}
	return s, bare
}

func TestStockGitClonesAndPushes(t *testing.T) {
	// More than git sends in one piece.
	content := bytes.Repeat([]byte("0123456789abcdef\n"), 200_000)
	for i := range content {
		content[i] ^= byte(i * 7919 >> 8)
	}
	requests := 0
	s, bare := serve(t, Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			next.ServeHTTP(w, r)
		})
	}})
	dir := clone(t, s.URL("a/b.git"), content)
	if _, err := Git(dir, "push", "--quiet", "origin", "main"); err != nil {
		t.Fatal(err)
	}
	log, err := Log(bare, "main")
	if err != nil || len(log) != 1 {
		t.Fatalf("log %v, %v", log, err)
	}
	c := log[0]
	if c.Subject() != "one" || c.Message != "one\n\nwith a body\n" || c.Author != "Somebody Else <else@example.com>" || len(c.Parents) != 0 || len(c.Hash) != 40 {
		t.Errorf("commit %+v", c)
	}
	if err := Fsck(bare); err != nil {
		t.Error(err)
	}
	if requests == 0 || s.Connections() == 0 {
		t.Errorf("%d requests, %d connections", requests, s.Connections())
	}
}

func TestBasicAuth(t *testing.T) {
	s, _ := serve(t, Options{User: "u", Password: "p"})
	with := strings.Replace(s.URL("a/b.git"), "://", "://u:p@", 1)
	if _, err := Git(".", "ls-remote", with); err != nil {
		t.Error(err)
	}
	for _, userinfo := range []string{"", "u:q@", "v:p@"} {
		if _, err := Git(".", "ls-remote", strings.Replace(s.URL("a/b.git"), "://", "://"+userinfo, 1)); err == nil {
			t.Errorf("%q was let in", userinfo)
		}
	}
}

func TestHook(t *testing.T) {
	s, bare := serve(t, Options{})
	dir := clone(t, s.URL("a/b.git"), []byte("1"))
	if err := InstallHook(bare, "pre-receive", RefuseWith("it's Friday, $HOME")); err != nil {
		t.Fatal(err)
	}
	if _, err := Git(dir, "push", "origin", "main"); err == nil || !strings.Contains(err.Error(), "remote: it's Friday, $HOME") {
		t.Errorf("error %v", err)
	}
	for range 2 { // taking away what is not there is no error
		if err := InstallHook(bare, "pre-receive", ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Git(dir, "push", "--quiet", "origin", "main"); err != nil {
		t.Error(err)
	}
}

func TestAllowFilter(t *testing.T) {
	s, bare := serve(t, Options{})
	dir := clone(t, s.URL("a/b.git"), []byte("1"))
	if _, err := Git(dir, "push", "--quiet", "origin", "main"); err != nil {
		t.Fatal(err)
	}
	for _, allow := range []bool{true, false} {
		if err := AllowFilter(bare, allow); err != nil {
			t.Fatal(err)
		}
		partial := t.TempDir()
		if _, err := Git(partial, "clone", "--quiet", "--bare", "--filter=blob:none", s.URL("a/b.git"), "."); err != nil {
			t.Fatal(err)
		}
		missing, err := Git(partial, "rev-list", "--objects", "--missing=print", "main")
		if err != nil || strings.Contains(missing, "?") != allow {
			t.Errorf("with filter %v: %s, %v", allow, missing, err)
		}
	}
}

func TestTemporaryDirectoryGoes(t *testing.T) {
	s, err := Serve(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Init("x.git", "main"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
		t.Errorf("%s is there still: %v", s.Dir, err)
	}
}

// TestBodyCutShort: git does not wait for the rest of a request whose sender was killed.
func TestBodyCutShort(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	s, _ := serve(t, Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			next.ServeHTTP(w, r)
		})
	}})
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Write([]byte("POST /a/b.git/git-receive-pack HTTP/1.1\r\nHost: localhost\r\n" +
		"Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 1000\r\n\r\n0000"))
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("git goes on")
	}
}
