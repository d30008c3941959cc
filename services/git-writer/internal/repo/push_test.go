package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

func TestPushIntoEmptyRepository(t *testing.T) { onEach(t, pushIntoEmptyRepository) }

func pushIntoEmptyRepository(t *testing.T, r *remoteRepo) {
	b := r.fetched()
	if !b.Base().IsZero() {
		t.Fatalf("base of an empty repository is %s", b.Base())
	}
	put(t, b, 1, "cluster/_cluster/roles/system%3Anode.yaml", "a: 1\n")
	put(t, b, 2, "cluster/shop/configmaps/web.yaml", "b: 1\n")
	put(t, b, 3, "cluster/shop/configmaps/web.yaml", "b: 2\n")
	res := push(t, b)

	if res.Landed != 3 || res.Position != 3 || res.Rebuilt != 0 || res.Tip.String() != r.tip("main") {
		t.Errorf("result %+v, tip %s", res, r.tip("main"))
	}
	r.check()
	equal(t, "log", r.subjects("main"), []string{
		"Update cluster/shop/configmaps/web.yaml",
		"Create cluster/shop/configmaps/web.yaml",
		"Create cluster/_cluster/roles/system%3Anode.yaml",
	})
	c := r.log("-1", "main")[0]
	if c.Author != "Jane Doe <jane@example.com>" || c.Committer != "kubescribe <kubescribe@example.com>" || !c.When.Equal(epoch.Add(3*time.Second)) {
		t.Errorf("commit %+v", c)
	}
	if got := r.git("log", "-1", "--format=%ai", "main"); got != "2026-02-03 04:05:09 +0200" {
		t.Errorf("author date %s", got)
	}
	if got := r.files("main")["cluster/shop/configmaps/web.yaml"]; got != "b: 2\n"[:4] {
		t.Errorf("content %q", got)
	}
	if res := push(t, b); res.Landed != 0 || res.Position != 3 {
		t.Errorf("pushing nothing: %+v", res)
	}
}

func TestPushCreatesBranch(t *testing.T) {
	tests := map[string]func(r *remoteRepo){
		"missing in a repository that has others": func(r *remoteRepo) { r.foreign("other", "theirs", map[string]string{"x": "1"}) },
		"unborn HEAD of another name":             func(r *remoteRepo) { r.git("symbolic-ref", "HEAD", "refs/heads/trunk") },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, r *remoteRepo) {
				prepare(r)
				b := r.fetched()
				put(t, b, 1, "a.yaml", "1")
				push(t, b)
				put(t, b, 2, "b.yaml", "1")
				push(t, b)
				r.check()
				equal(t, "log", r.subjects("main"), []string{"Create b.yaml", "Create a.yaml"})
			})
		})
	}
}

func TestPushOnFilledBranch(t *testing.T) {
	for _, filter := range []bool{true, false} {
		t.Run(fmt.Sprintf("filter %v", filter), func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			if err := gittest.AllowFilter(r.dir, filter); err != nil {
				t.Fatal(err)
			}
			r.foreign("main", "one", map[string]string{"keep/me": "1", "base/old.yaml": "1"})
			r.foreign("main", "two", map[string]string{"README": "hi", "run.sh": "100755 #!/bin/sh"})
			b := r.fetched()
			put(t, b, 1, "base/new.yaml", "1")
			put(t, b, 2, "run.sh", "changed")
			remove(t, b, 3, "base/old.yaml")
			push(t, b)
			r.check()
			want := map[string]string{"keep/me": "1", "base/new.yaml": "1", "README": "hi", "run.sh": "changed"}
			if got := r.files("main"); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("files %v, want %v", got, want)
			}
			if mode := r.git("ls-tree", "main", "run.sh")[:6]; mode != "100755" {
				t.Errorf("mode of the script became %s", mode)
			}
			packs, err := filepath.Glob(filepath.Join(b.dir, "*.pack"))
			if err != nil || len(packs) != 1 {
				t.Errorf("cache holds %v, %v", packs, err)
			}
			blobs := 0
			for _, path := range []string{"keep/me", "README"} {
				e, ok, err := b.Entry(path)
				if err != nil || !ok {
					t.Fatalf("%s: %v, %v", path, ok, err)
				}
				if _, ok, err := b.store.read(e.Hash, 3); err == nil && ok {
					blobs++
				}
			}
			if filter == (blobs > 0) {
				t.Errorf("with filter %v, %d blobs were fetched", filter, blobs)
			}
		})
	}
}

// A foreign commit that arrives at any moment before the push must not be
// overwritten: Old is what was built on.
func TestForeignCommitBeforePush(t *testing.T) {
	theirs := map[string]string{"c.yaml": "theirs", "both.yaml": "theirs", "same.yaml": "same"}
	on := func(which func(*http.Request) bool) func(r *remoteRepo) {
		return func(r *remoteRepo) {
			var once sync.Once
			r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if which(req) {
					once.Do(func() { r.foreign("main", "theirs", theirs) })
				}
				next.ServeHTTP(w, req)
			})
		}
	}
	for name, arrive := range map[string]func(r *remoteRepo){
		"before the push":                    func(r *remoteRepo) { r.foreign("main", "theirs", theirs) },
		"between the advertisement and push": func(r *remoteRepo) { r.during("pre-receive", r.moveTo("theirs", theirs)) },
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, r *remoteRepo) { foreignCommitBeforePush(t, r, arrive) })
		})
	}
	for name, arrive := range map[string]func(r *remoteRepo){
		"before the advertisement":         on(func(r *http.Request) bool { return r.URL.RawQuery == "service=git-receive-pack" }),
		"before the request with the pack": on(isPush),
	} {
		t.Run(name, func(t *testing.T) { foreignCommitBeforePush(t, newRemoteRepo(t, gittest.Options{}), arrive) })
	}
}

func foreignCommitBeforePush(t *testing.T, r *remoteRepo, arrive func(r *remoteRepo)) {
	r.foreign("main", "start", map[string]string{"a.yaml": "1", "both.yaml": "1"})
	b := r.fetched()
	put(t, b, 1, "b.yaml", "ours")
	put(t, b, 2, "both.yaml", "ours")
	put(t, b, 3, "same.yaml", "same")
	if changed, err := b.Commit(newCommit(4, Op{Path: "same.yaml", Content: []byte("same")})); changed || err != nil {
		t.Fatal(changed, err)
	}
	arrive(r)
	res := push(t, b)
	if res.Landed != 2 || res.Rebuilt != 1 || res.Position != 4 {
		t.Errorf("result %+v", res)
	}
	equal(t, "replaced", res.Replaced, []string{"both.yaml"})
	r.check()
	equal(t, "log", r.subjects("main"), []string{"Update both.yaml", "Create b.yaml", "theirs", "start"})
	want := map[string]string{"a.yaml": "1", "b.yaml": "ours", "c.yaml": "theirs", "both.yaml": "ours", "same.yaml": "same"}
	if got := r.files("main"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if c := r.log("-1", "main")[0]; !c.When.Equal(epoch.Add(2 * time.Second)) {
		t.Errorf("the rebuild changed the date to %v", c.When)
	}
}

// dropAnswer lets a request through and loses what came back, after then.
func dropAnswer(w http.ResponseWriter, req *http.Request, next http.Handler, then func()) {
	next.ServeHTTP(httptest.NewRecorder(), req)
	then()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func TestAnswerLost(t *testing.T) {
	tests := map[string]struct {
		then      func(r *remoteRepo) // after the push landed
		landed    int
		subjects  []string
		rewritten bool
	}{
		"alone": {
			func(*remoteRepo) {}, 2, []string{"Create b.yaml", "Create a.yaml", "start"}, false,
		},
		"with another commit on top": {
			func(r *remoteRepo) { r.foreign("main", "theirs", map[string]string{"c.yaml": "1"}) },
			2,
			[]string{"theirs", "Create b.yaml", "Create a.yaml", "start"},
			false,
		},
		"with 40 commits on top": {
			func(r *remoteRepo) {
				r.foreignMany("main", 40)
			},
			2, nil, false,
		},
		"with a merge on top": {
			func(r *remoteRepo) {
				start := r.git("rev-parse", "main~2")
				tree := r.git("rev-parse", "main^{tree}")
				side := r.git("commit-tree", "-p", start, "-m", "side", tree)
				merge := r.git("commit-tree", "-p", side, "-p", r.tip("main"), "-m", "merge", tree)
				r.git("update-ref", "refs/heads/main", merge)
			},
			2, nil, false,
		},
		"and the branch set back": {
			func(r *remoteRepo) { r.git("update-ref", "refs/heads/main", "main~2") },
			2,
			[]string{"Create b.yaml", "Create a.yaml", "start"},
			false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			r.foreign("main", "start", map[string]string{"x.yaml": "1"})
			b := r.fetched()
			put(t, b, 1, "a.yaml", "1")
			put(t, b, 2, "b.yaml", "1")
			var lost atomic.Bool
			r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if isPush(req) && lost.CompareAndSwap(false, true) {
					dropAnswer(w, req, next, func() { test.then(r) })
					return
				}
				next.ServeHTTP(w, req)
			})
			var res Result
			for {
				one, err := b.Push(t.Context())
				res.Landed += one.Landed
				res.Rebuilt += one.Rebuilt
				res.Position = one.Position
				if err == nil {
					break
				}
				if !errors.Is(err, ErrUnreachable) {
					t.Fatal(err)
				}
			}
			if res.Landed != test.landed || res.Position != 2 || res.Rebuilt != 0 || waiting(b) != 0 {
				t.Errorf("result %+v, %d pending", res, waiting(b))
			}
			r.check()
			if test.subjects != nil {
				equal(t, "log", r.subjects("main"), test.subjects)
			}
			put(t, b, 3, "later.yaml", "1")
			push(t, b)
			if n := len(r.log("main", "--", "a.yaml")); n != 1 {
				t.Errorf("a.yaml was committed %d times", n)
			}
		})
	}
}

// TestRefused: what the remote refuses by its own rules is told from a branch that
// moved, with the remote's words, and is pushed once it may be.
func TestRefused(t *testing.T) {
	refusing := gittest.RefuseWith("no deploys on Friday\n\n  come back on Monday")
	for name, c := range map[string]struct {
		forbid, allow func(r *remoteRepo) error
		words, says   string
		detail        string
		kind          error
	}{
		"by a hook before all": {
			func(r *remoteRepo) error { return gittest.InstallHook(r.dir, "pre-receive", refusing) },
			func(r *remoteRepo) error { return gittest.InstallHook(r.dir, "pre-receive", "") },
			"no deploys on Friday\n\n  come back on Monday", ": no deploys on Friday | come back on Monday", "pre-receive hook declined", ErrRefused,
		},
		"by a hook for the branch": {
			func(r *remoteRepo) error { return gittest.InstallHook(r.dir, "update", refusing) },
			func(r *remoteRepo) error { return gittest.InstallHook(r.dir, "update", "") },
			"no deploys on Friday\n\n  come back on Monday", ": no deploys on Friday | come back on Monday", "hook declined", ErrRefused,
		},
		"checked out": {
			func(r *remoteRepo) error {
				return errors.Join(gittest.Configure(r.dir, "core.bare", "false"), gittest.Configure(r.dir, "receive.denyCurrentBranch", "refuse"))
			},
			func(r *remoteRepo) error { return gittest.Configure(r.dir, "core.bare", "true") },
			"refusing to update checked out branch: refs/heads/main", "refusing to update checked out branch", "branch is currently checked out", ErrRefused,
		},
		"hidden": {
			func(r *remoteRepo) error { return gittest.Configure(r.dir, "receive.hideRefs", "refs/heads/main") },
			func(r *remoteRepo) error { return gittest.Configure(r.dir, "receive.hideRefs", "refs/none") },
			"", "deny updating a hidden ref", "deny updating a hidden ref", ErrRefused,
		},
		"protected": {
			func(r *remoteRepo) error {
				return gittest.InstallHook(r.dir, "update", gittest.RefuseWith("You are not allowed to push code to protected branches"))
			},
			func(r *remoteRepo) error { return gittest.InstallHook(r.dir, "update", "") },
			"not allowed to push code", "the branch is protected", "hook declined", ErrProtected,
		},
		"too much": {
			func(r *remoteRepo) error { return gittest.Configure(r.dir, "receive.maxInputSize", "100") },
			func(r *remoteRepo) error { return gittest.Configure(r.dir, "receive.maxInputSize", "0") },
			"", "no room for it", "unpack", ErrNoRoom,
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, r *remoteRepo) {
				start := r.foreign("main", "start", map[string]string{"x.yaml": "1"})
				b := r.fetched()
				put(t, b, 1, "a.yaml", "1")
				if err := c.forbid(r); err != nil {
					t.Fatal(err)
				}
				_, err := b.Push(t.Context())
				var e *RemoteError
				if !errors.Is(err, ErrRefused) || !errors.As(err, &e) || e.Kind.Error() != c.kind.Error() {
					t.Fatalf("error %v", err)
				}
				if !strings.Contains(e.Words, c.words) || !strings.Contains(err.Error(), c.says) || !strings.Contains(e.Detail, c.detail) {
					t.Errorf("words %q, detail %q: %v", e.Words, e.Detail, err)
				}
				if waiting(b) != 1 || r.tip("main") != start {
					t.Errorf("%d pending", waiting(b))
				}
				put(t, b, 2, "b.yaml", "1") // a batch of its own
				if err := c.allow(r); err != nil {
					t.Fatal(err)
				}
				if res := push(t, b); res.Landed != 2 {
					t.Errorf("result %+v", res)
				}
				r.check()
				equal(t, "log", r.subjects("main"), []string{"Create b.yaml", "Create a.yaml", "start"})
			})
		})
	}
}

// What a post-receive hook says, how much of it and how long it takes does not
// matter, and it is not cut off.
func TestPostReceiveHookFinishes(t *testing.T) { onEach(t, postReceiveHookFinishes) }

func postReceiveHookFinishes(t *testing.T, r *remoteRepo) {
	mark := filepath.Join(t.TempDir(), "mark")
	hook := "#!/bin/sh\ncat >/dev/null\necho thanks >&2\nsleep 0.5\nhead -c 300000 /dev/zero | tr '\\0' 'x' | fold -w 70 >&2 || exit 1\necho done >" + mark + "\n"
	if err := gittest.InstallHook(r.dir, "post-receive", hook); err != nil {
		t.Fatal(err)
	}
	b := r.fetched()
	put(t, b, 1, "a.yaml", "1")
	push(t, b)
	if _, err := os.Stat(mark); err != nil {
		t.Error("the hook had not ended when Push returned")
	}
}

// One that does not end is given up. The push has landed.
func TestPostReceiveHookHangs(t *testing.T) {
	onEach(t, func(t *testing.T, r *remoteRepo) {
		b := r.fetched(func(c *Config) { c.Timeout = time.Second })
		release := filepath.Join(t.TempDir(), "release")
		t.Cleanup(func() { _ = os.WriteFile(release, nil, 0o600) })
		hook := "#!/bin/sh\ncat >/dev/null\nn=0\nwhile [ ! -e " + release + " ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done\n"
		if err := gittest.InstallHook(r.dir, "post-receive", hook); err != nil {
			t.Fatal(err)
		}
		put(t, b, 1, "a.yaml", "1")
		push(t, b)
		if err := gittest.InstallHook(r.dir, "post-receive", ""); err != nil {
			t.Fatal(err)
		}
		put(t, b, 2, "a.yaml", "2")
		push(t, b)
		equal(t, "log", r.subjects("main"), []string{"Update a.yaml", "Create a.yaml"})
	})
}

func TestStatusErrors(t *testing.T) {
	tests := []struct {
		status int
		header map[string]string
		kind   error
		after  time.Duration
	}{
		{401, nil, ErrAuth, 0},
		{403, nil, ErrForbidden, 0},
		{404, nil, ErrNotFound, 0},
		{407, nil, ErrProxy, 0},
		{413, nil, ErrNoRoom, 0},
		{429, map[string]string{"Retry-After": "7"}, ErrUnreachable, 7 * time.Second},
		{429, nil, ErrUnreachable, 0},
		{500, nil, ErrUnreachable, 0},
		{503, map[string]string{"Retry-After": "3"}, ErrUnreachable, 3 * time.Second},
		{507, nil, ErrNoRoom, 0},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.status, test.after), func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			b := r.fetched()
			put(t, b, 1, "a.yaml", "1")
			answer := func(w http.ResponseWriter) {
				for k, v := range test.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, "go away")
			}
			check := func(err error) {
				t.Helper()
				var e *RemoteError
				if !errors.Is(err, test.kind) || !errors.As(err, &e) || e.RetryAfter != test.after {
					t.Errorf("error %v, retry after %v", err, e.RetryAfter)
				}
				if !strings.Contains(err.Error(), "go away") {
					t.Errorf("error %v does not repeat the server's words", err)
				}
			}
			// Once for the request with the pack, once for everything.
			r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if isPush(req) {
					answer(w)
					return
				}
				next.ServeHTTP(w, req)
			})
			_, err := b.Push(t.Context())
			check(err)
			r.meddle(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { answer(w) })
			_, err = b.Push(t.Context())
			if !errors.Is(test.kind, ErrRefused) { // a GET that answers 413 says nothing about a push
				check(err)
			}
			if _, err := b.Fetch(t.Context()); err == nil {
				t.Error("fetching succeeded")
			}
			r.meddle(nil)
			if res := push(t, b); res.Landed != 1 {
				t.Errorf("result %+v", res)
			}
		})
	}
}

// TestStatusWithWords: a host that says no by a status of HTTP says in its words which.
func TestStatusWithWords(t *testing.T) {
	for words, kind := range map[string]error{
		"Your push to this repository has been rejected because the namespace has reached its storage limit": ErrNoRoom,
		"You are not allowed to push code to protected branches on this project.":                            ErrProtected,
		"You are not allowed to push code to this project.":                                                  ErrForbidden,
	} {
		r := newRemoteRepo(t, gittest.Options{})
		b := r.fetched()
		put(t, b, 1, "a.yaml", "1")
		r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			if !isPush(req) {
				next.ServeHTTP(w, req)
				return
			}
			http.Error(w, words, http.StatusForbidden)
		})
		if _, err := b.Push(t.Context()); !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v, want %v", err, kind)
		}
	}
}

func TestRemoteThatSaysNothing(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched(func(c *Config) { c.Timeout = 1500 * time.Millisecond })
	put(t, b, 1, "a.yaml", "1")
	hang := make(chan struct{})
	defer close(hang)
	r.meddle(func(_ http.ResponseWriter, req *http.Request, _ http.Handler) {
		select {
		case <-hang:
		case <-req.Context().Done():
		}
	})
	begin := time.Now()
	_, err := b.Push(t.Context())
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "1.5s") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Push(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	r.meddle(nil)
	push(t, b)
	equal(t, "log", r.subjects("main"), []string{"Create a.yaml"})
}

// A push that goes on after its deadline lands in the end; commits that were made
// meanwhile are built on it.
func TestPushLandsAfterDeadline(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"x.yaml": "1"})
	b := r.fetched(func(c *Config) { c.Timeout = 1500 * time.Millisecond })
	put(t, b, 1, "a.yaml", "1")
	proceed, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		late := false
		if isPush(req) {
			once.Do(func() { late = true })
		}
		if !late {
			next.ServeHTTP(w, req)
			return
		}
		body, _ := io.ReadAll(req.Body)
		<-proceed
		again := req.Clone(context.WithoutCancel(req.Context()))
		again.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(httptest.NewRecorder(), again)
		close(done)
	})
	if _, err := b.Push(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("error %v", err)
	}
	put(t, b, 2, "b.yaml", "1")
	close(proceed)
	<-done
	if res := push(t, b); res.Landed != 2 || res.Rebuilt != 0 {
		t.Errorf("result %+v", res)
	}
	r.check()
	equal(t, "log", r.subjects("main"), []string{"Create b.yaml", "Create a.yaml", "start"})
}

func TestHistoryRewritten(t *testing.T) {
	tests := map[string]func(r *remoteRepo){
		"amended": func(r *remoteRepo) {
			c := r.git("commit-tree", "-p", r.git("rev-parse", "main~1"), "-m", "amended", r.git("rev-parse", "main^{tree}"))
			r.git("update-ref", "refs/heads/main", c)
		},
		"set back": func(r *remoteRepo) { r.git("update-ref", "refs/heads/main", "main~1") },
		"unrelated": func(r *remoteRepo) {
			r.git("update-ref", "refs/heads/main", r.git("commit-tree", "-m", "unrelated", r.git("rev-parse", "main^{tree}")))
		},
		"deleted": func(r *remoteRepo) { r.git("update-ref", "-d", "refs/heads/main") },
	}
	for name, rewrite := range tests {
		for _, filter := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, filter %v", name, filter), func(t *testing.T) {
				onEach(t, func(t *testing.T, r *remoteRepo) {
					if err := errors.Join(gittest.AllowFilter(r.dir, filter),
						gittest.Configure(r.dir, "receive.denyNonFastForwards", "true"), gittest.Configure(r.dir, "receive.denyDeletes", "true")); err != nil {
						t.Fatal(err)
					}
					r.foreignMany("main", 20)
					b := r.fetched()
					put(t, b, 1, "a.yaml", "1")
					rewrite(r)
					tip := r.tip("main")
					res, err := b.Push(t.Context())
					if !errors.Is(err, ErrHistoryRewritten) {
						t.Fatalf("error %v", err)
					}
					if waiting(b) != 1 || r.tip("main") != tip || res.Landed != 0 {
						t.Errorf("%d pending, result %+v", waiting(b), res)
					}
					push(t, b)
					r.check()
					if got := r.subjects("-1", "main"); got[0] != "Create a.yaml" {
						t.Errorf("log %v", got)
					}
					if tip != "" && r.git("rev-parse", "main~1") != tip {
						t.Error("the pending commit was not built on the new tip")
					}
				})
			})
		}
	}
}

// Somebody puts something in the way of a pending commit.
func TestConflictOnTheWay(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"x.yaml": "1"})
	b := r.fetched()
	put(t, b, 1, "a.yaml", "1")
	commit(t, b, 2, Op{Path: "shop/web.yaml", Content: []byte("1")}, Op{Path: "other.yaml", Content: []byte("1")})
	put(t, b, 3, "c.yaml", "1")
	r.foreign("main", "theirs", map[string]string{"shop": "120000 /etc"})

	for range 2 {
		_, err := b.Push(t.Context())
		var blocked *PathConflictError
		if !errors.As(err, &blocked) || !errors.Is(err, ErrPathConflict) {
			t.Fatalf("error %v", err)
		}
		if blocked.Path != "shop/web.yaml" || blocked.At != "shop" || blocked.Position != 2 || waiting(b) != 3 {
			t.Errorf("conflict %+v, %d pending", blocked, waiting(b))
		}
	}
	put(t, b, 4, "d.yaml", "1") // work goes on
	if b.Skip(2, "none") || !b.Skip(2, "shop/web.yaml") {
		t.Error("skipping")
	}
	if res := push(t, b); res.Landed != 4 || res.Position != 4 {
		t.Errorf("result %+v", res)
	}
	r.check()
	equal(t, "log", r.subjects("main"), []string{"Create d.yaml", "Create c.yaml", "Create other.yaml", "Create a.yaml", "theirs", "start"})
}

func TestTwoWritersAtOnce(t *testing.T) {
	const each, group = 100, 5
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"x.yaml": "1"})
	if err := gittest.AllowFilter(r.dir, true); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var rebuilt atomic.Int64
	writers := []string{"left", "right"}
	for _, who := range writers {
		b := r.fetched()
		wg.Go(func() {
			landed := 0
			for i := range each {
				// Both write shared.yaml: the one that is rebuilt comes later.
				if _, err := b.Commit(newCommit(uint64(i+1),
					Op{Path: fmt.Sprintf("%s/f%d.yaml", who, i%7), Content: fmt.Append(nil, i)},
					Op{Path: "shared.yaml", Content: fmt.Append(nil, who, i)})); err != nil {
					t.Errorf("%s: %v", who, err)
				}
				for i%group == group-1 && waiting(b) > 0 {
					res, err := b.Push(t.Context())
					if err != nil && !errors.Is(err, ErrMoved) {
						t.Errorf("%s: %v", who, err)
						return
					}
					landed += res.Landed
					rebuilt.Add(int64(res.Rebuilt))
				}
			}
			if landed != each {
				t.Errorf("%s landed %d", who, landed)
			}
		})
	}
	wg.Wait()
	t.Logf("rebuilt %d times", rebuilt.Load())
	r.check()
	if log := r.log("main"); len(log) != 2*each+1 {
		t.Errorf("%d commits", len(log))
	}
	for _, who := range writers {
		var got []string
		for _, c := range r.log("--reverse", "main", "--", who) {
			_, position, _ := strings.Cut(strings.TrimSpace(c.Message), "Position: ")
			got = append(got, position)
		}
		var want []string
		for i := range each {
			want = append(want, fmt.Sprint(i+1))
		}
		equal(t, "positions of "+who, got, want)
	}
}

// While a push is in flight, commits and reads go on.
func TestCommitDuringPush(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched()
	put(t, b, 1, "a.yaml", "1")
	arrived, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if isPush(req) {
			once.Do(func() { close(arrived); <-proceed })
		}
		next.ServeHTTP(w, req)
	})
	done := make(chan Result)
	go func() {
		res, err := b.Push(t.Context())
		if err != nil {
			t.Error(err)
		}
		done <- res
	}()
	<-arrived
	for i := range 60 {
		put(t, b, uint64(2+i), "dir/b.yaml", fmt.Sprint(i))
	}
	if got := listed(t, b, ""); len(got) != 2 {
		t.Errorf("listing %v", got)
	}
	close(proceed)
	if res := <-done; res.Landed != 1 || res.Position != 1 {
		t.Errorf("result %+v", res)
	}
	if waiting(b) != 60 {
		t.Errorf("%d pending", waiting(b))
	}
	if res := push(t, b); res.Landed != 60 || res.Position != 61 {
		t.Errorf("result %+v", res)
	}
	r.check()
	if n := len(r.log("main")); n != 61 {
		t.Errorf("%d commits", n)
	}
}

// One request a push, on connections that are used again, whatever has to be
// escaped in the URL.
func TestPushIsOneRequest(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	dir, err := r.server.Init("my team/100%/q?.git", "main")
	if err != nil {
		t.Fatal(err)
	}
	r.dir = dir
	b := r.fetched(func(c *Config) {
		c.URL = r.server.URL("my%20team/100%25/q%3F.git")
	})
	var requests atomic.Int64
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		requests.Add(1)
		next.ServeHTTP(w, req)
	})
	const pushes = 20
	for i := range pushes {
		put(t, b, uint64(i+1), "a.yaml", fmt.Sprint(i))
		push(t, b)
	}
	if n := requests.Load(); n != pushes+1 {
		t.Errorf("%d requests for %d pushes", n, pushes)
	}
	r.foreign("main", "theirs", map[string]string{"b.yaml": "1"})
	put(t, b, pushes+1, "a.yaml", "last")
	push(t, b)
	if n := len(r.log("main")); n != pushes+2 {
		t.Errorf("%d commits", n)
	}
	for range 10 {
		r.foreignMany("main", 1)
		if _, err := b.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.server.Connections(); n > 2 {
		t.Errorf("%d connections", n)
	}
}

// TestBackAndForth: a directory that becomes again what the remote has is taken by a server
// that indexes packs, as it does from 100 objects on; also where that comes with the next
// push, or after one that failed.
func TestBackAndForth(t *testing.T) {
	files := make(map[string]string)
	for i := range 50 {
		files[fmt.Sprintf("dir/file-%02d.yaml", i)] = "0"
	}
	for name, between := range map[string]func(t *testing.T, b *Branch, refuse *atomic.Bool){
		"in one push": func(*testing.T, *Branch, *atomic.Bool) {},
		"behind one that failed": func(t *testing.T, b *Branch, refuse *atomic.Bool) {
			refuse.Store(true)
			if _, err := b.Push(t.Context()); err == nil {
				t.Fatal("a push came through")
			}
			refuse.Store(false)
		},
		"in the next one": func(t *testing.T, b *Branch, _ *atomic.Bool) { push(t, b) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			r.git("config", "receive.unpackLimit", "1")
			r.foreign("main", "start", files)
			var pushes atomic.Int64
			var refuse atomic.Bool
			r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				switch {
				case isPush(req) && refuse.Load():
					w.WriteHeader(http.StatusBadGateway)
					return
				case isPush(req):
					pushes.Add(1)
				}
				next.ServeHTTP(w, req)
			})
			b := r.fetched()
			put(t, b, 1, "dir/file-07.yaml", "1")
			put(t, b, 2, "dir/file-08.yaml", "1")
			between(t, b, &refuse)
			before := pushes.Load()
			put(t, b, 3, "dir/file-08.yaml", "0")
			put(t, b, 4, "dir/file-07.yaml", "0")
			push(t, b)
			if n := pushes.Load() - before; n != 1 || b.noThin {
				t.Errorf("it took %d pushes, complete packs: %t", n, b.noThin)
			}
			r.check()
			if n := len(r.subjects("main")); n != 5 {
				t.Errorf("there are %d commits", n)
			}
		})
	}
}

// A server that cannot read a thin pack gets complete ones.
func TestThinPackRefused(t *testing.T) {
	big := func(n int) map[string]string {
		files := make(map[string]string)
		for i := range 50 {
			files[fmt.Sprintf("dir/file-%02d.yaml", i)] = fmt.Sprint(n)
		}
		return files
	}
	prepare := func(t *testing.T) (*remoteRepo, *Branch, func() bool) {
		r := newRemoteRepo(t, gittest.Options{})
		r.foreign("main", "start", big(0))
		b := r.fetched()
		for i := range 70 {
			put(t, b, uint64(i+1), "dir/file-07.yaml", fmt.Sprint("x", i))
		}
		var last []byte
		r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			if isPush(req) {
				last, _ = io.ReadAll(req.Body)
				req.Body = io.NopCloser(bytes.NewReader(last))
			}
			next.ServeHTTP(w, req)
		})
		// Whether stock git can read the last pack without anything else.
		return r, b, func() bool {
			empty := t.TempDir()
			if err := gittest.InitBare(empty, "main"); err != nil {
				t.Fatal(err)
			}
			_, err := gittest.GitInput(empty, string(last[bytes.Index(last, []byte("PACK")):]), "index-pack", "--stdin")
			return err == nil
		}
	}
	t.Run("taken", func(t *testing.T) {
		r, b, complete := prepare(t)
		push(t, b)
		r.check()
		if complete() {
			t.Error("the pack was not thin")
		}
	})
	t.Run("advertised", func(t *testing.T) {
		r, b, complete := prepare(t)
		inner := r.wrap
		r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			if req.URL.RawQuery != "service=git-receive-pack" {
				inner(w, req, next)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, req)
			// The first line after the service's announcement ends in the capabilities.
			head, rest, _ := strings.Cut(rec.Body.String(), "0000")
			var n int
			if _, err := fmt.Sscanf(rest[:4], "%04x", &n); err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/x-git-receive-pack-advertisement")
			_, _ = fmt.Fprintf(w, "%s0000%04x%s no-thin\n%s", head, n+8, rest[4:n-1], rest[n:])
		})
		push(t, b)
		r.check()
		if !complete() {
			t.Error("the pack was thin")
		}
		// What is committed while a push is in flight does not rest on what it carries.
		put(t, b, 100, "dir/file-07.yaml", "before")
		advertising := r.wrap
		var once sync.Once
		r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			if isPush(req) {
				once.Do(func() { put(t, b, 101, "dir/file-07.yaml", "meanwhile") })
			}
			advertising(w, req, next)
		})
		if res, err := b.Push(t.Context()); err != nil || res.Landed != 1 {
			t.Errorf("result %+v, %v", res, err)
		}
		push(t, b)
		r.check()
		if !complete() {
			t.Error("the pack was thin")
		}
	})
	t.Run("found out", func(t *testing.T) {
		r, b, complete := prepare(t)
		inner := r.wrap
		var once sync.Once
		r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			failed := false
			if isPush(req) {
				once.Do(func() {
					failed = true
					report := "0020unpack unresolved deltas left\n" // its length is set right below
					report = fmt.Sprintf("%04x%s", len(report), report[4:]) + "002dng refs/heads/main unpacker error oh dear\n"
					report = strings.Replace(report, "002d", fmt.Sprintf("%04x", len("002dng refs/heads/main unpacker error oh dear\n")), 1) + "0000"
					_, _ = fmt.Fprintf(w, "%04x\x01%s0000", len(report)+5, report)
				})
			}
			if !failed {
				inner(w, req, next)
			}
		})
		push(t, b)
		r.check()
		if !complete() {
			t.Error("the pack was thin")
		}
		if n := len(r.log("main")); n != 71 {
			t.Errorf("%d commits", n)
		}
	})
}
