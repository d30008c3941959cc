package repo

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// dated is a commit of the tree of main with that date, in seconds, by stock git.
func (r *remoteRepo) dated(message string, when int, parents ...string) string {
	r.t.Helper()
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "tree %s\n", r.git("rev-parse", "main^{tree}"))
	for _, p := range parents {
		_, _ = fmt.Fprintf(&b, "parent %s\n", p)
	}
	who := fmt.Sprintf("Somebody Else <else@example.com> %d +0000", when)
	_, _ = fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s\n", who, who, message)
	hash, err := gittest.GitInput(r.dir, b.String(), "hash-object", "-w", "-t", "commit", "--stdin")
	if err != nil {
		r.t.Fatal(err)
	}
	return hash
}

// A walk down to a commit leaves nothing out that git log lists, whatever the
// clocks said and whoever merged.
func TestWalkSince(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreignMany("main", 3)
	root := r.tip("main")
	at := int(epoch.Unix())
	old := r.dated("old", at+10, root)
	since := r.dated("since", at+1000, old) // its clock is ahead
	left := r.dated("left", at+20, since)   // looks older than since
	fork := r.dated("fork", at+5, old)      // forked off below since
	side := r.dated("side", at+2000, fork)
	merge := r.dated("merge", at+30, left, side)
	tip := r.dated("tip", at+40, merge)
	r.git("update-ref", "refs/heads/main", tip)

	b := r.fetched()
	for _, from := range []string{since, left, fork, side, old, tip, ""} {
		got := map[string]bool{}
		met, err := b.Walk(t.Context(), plumbing.NewHash(from), func(c CommitInfo) bool {
			got[c.Hash.String()] = true
			return true
		})
		if err != nil || met != (from != "") {
			t.Errorf("since %s: met %v, %v", from, met, err)
		}
		args := []string{"rev-list", tip}
		if from != "" {
			args = append(args, "^"+from)
		}
		want := strings.Fields(r.git(args...))
		for _, hash := range want {
			if !got[hash] {
				t.Errorf("since %s: %s was left out", from, r.git("log", "-1", "--format=%s", hash))
			}
		}
	}
	if met, err := b.Walk(t.Context(), plumbing.Hash{1}, func(CommitInfo) bool { return true }); met || err != nil {
		t.Errorf("an unknown commit: met %v, %v", met, err)
	}
}

// What is below the commit is not fetched.
func TestWalkSinceIsLazy(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	if err := gittest.AllowFilter(r.dir, true); err != nil {
		t.Fatal(err)
	}
	r.foreignMany("main", 300)
	commits := r.log("main")
	// A branch that forked off a little below is followed to the fork.
	tree := r.git("rev-parse", "main^{tree}")
	side := r.git("commit-tree", "-p", commits[20].Hash, "-m", "side", tree)
	merge := r.git("commit-tree", "-p", commits[0].Hash, "-p", side, "-m", "merge", tree)
	r.git("update-ref", "refs/heads/merged", merge)

	for _, test := range []struct {
		branch       string
		since, visit int
		fetches      int64
	}{
		{"main", 0, 0, 0},
		{"main", 1, 1, 0},
		{"main", 2, 2, 1},
		{"main", 16, 16, 1},
		{"main", 17, 17, 2},
		{"main", 256, 256, 2},
		{"merged", 10, 12, 2},
	} {
		b := r.fetched(func(c *Config) { c.Branch = test.branch })
		var fetches atomic.Int64
		r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			if req.Method == http.MethodPost {
				fetches.Add(1)
			}
			next.ServeHTTP(w, req)
		})
		n := 0
		met, err := b.Walk(t.Context(), plumbing.NewHash(commits[test.since].Hash), func(CommitInfo) bool {
			n++
			return true
		})
		if !met || err != nil || n != test.visit || fetches.Load() != test.fetches {
			t.Errorf("%+v: met %v, visited %d with %d fetches, %v", test, met, n, fetches.Load(), err)
		}
		r.meddle(nil)
	}
}
