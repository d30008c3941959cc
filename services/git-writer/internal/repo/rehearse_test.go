package repo

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// TestObstacle: what is in the way is what Commit finds to be, and nothing happens.
func TestObstacle(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	clone := filepath.Join(t.TempDir(), "clone")
	r.foreign("main", "Begin", map[string]string{"dir/file": "x", "other": "y"})
	r.git("clone", "-q", r.url(), clone)
	if err := os.Symlink("other", filepath.Join(clone, "link")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-qm", "Link"}, {"push", "-q", "origin", "main"}} {
		if _, err := gittest.Git(clone, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"dir/file", "dir/new", "new/one", "dir", "other", "other/below", "link", "link/below", "", "a/../b"} {
		for _, deletes := range []bool{false, true} {
			b := r.fetched()
			op := Op{Path: path, Content: []byte("z"), Delete: deletes}
			got := b.Obstacle(op)
			if n := waiting(b); n > 0 {
				t.Errorf("%d commits wait", n)
			}
			_, want := b.Commit(newCommit(1, op))
			var is, as *PathConflictError
			errors.As(got, &is)
			errors.As(want, &as)
			if (got == nil) != (want == nil) || errors.Is(got, ErrBadPath) != errors.Is(want, ErrBadPath) ||
				(is == nil) != (as == nil) || is != nil && (is.At != as.At || is.Path != as.Path || is.Mode != as.Mode) {
				t.Errorf("%q, deleted %v: it is %v, and to Commit %v", path, deletes, got, want)
			}
		}
	}
	if err := New(Config{URL: r.url(), Branch: "main", Dir: t.TempDir()}).Obstacle(Op{Path: "a"}); !errors.Is(err, ErrNotFetched) {
		t.Errorf("of a branch that nothing is known of it is %v", err)
	}
}

// TestMayPush: whoever may read and not push is told so, and nothing is sent.
func TestMayPush(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "Begin", map[string]string{"a": "x"})
	sent, readOnly := 0, false
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		switch {
		case isPush(req):
			sent++
		case readOnly && req.URL.RawQuery == "service=git-receive-pack":
			http.Error(w, "read only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, req)
	})
	if err := r.fetched().MayPush(t.Context()); err != nil {
		t.Error(err)
	}
	readOnly = true
	if err := r.fetched().MayPush(t.Context()); !errors.Is(err, ErrForbidden) {
		t.Errorf("of who may only read it says %v", err)
	}
	if sent > 0 {
		t.Errorf("%d pushes were sent", sent)
	}
	local := func(dir string) error {
		b := New(Config{URL: dir, Branch: "main", Dir: t.TempDir()})
		defer b.Close()
		return b.MayPush(t.Context())
	}
	before := r.git("for-each-ref")
	if err := local(r.dir); err != nil {
		t.Error(err)
	}
	if err := local(t.TempDir()); err == nil {
		t.Error("of what is no repository it says nothing")
	}
	if now := r.git("for-each-ref"); now != before {
		t.Errorf("refs are\n%s\nand were\n%s", now, before)
	}
}
