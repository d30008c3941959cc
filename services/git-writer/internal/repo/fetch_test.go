package repo

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

func TestFetchFollowsTheBranch(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched()
	for i := range 3 {
		tip := r.foreign("main", "theirs", map[string]string{"a.yaml": fmt.Sprint(i)})
		res, err := b.Fetch(t.Context())
		if err != nil || res.Tip.String() != tip || b.Base().String() != tip {
			t.Fatalf("result %+v, %v, base %s, tip %s", res, err, b.Base(), tip)
		}
		e, ok, err := b.Entry("a.yaml")
		if err != nil || !ok || e.Hash.String() != r.git("rev-parse", "main:a.yaml") {
			t.Errorf("entry %v, %v, %v", e, ok, err)
		}
	}
}

// What a push could not report, a fetch does.
func TestFetchFindsWhatLanded(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched()
	put(t, b, 1, "a.yaml", "1")
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if isPush(req) {
			dropAnswer(w, req, next, func() { r.foreign("main", "theirs", map[string]string{"b.yaml": "1"}) })
			return
		}
		if strings.Contains(req.URL.RawQuery, "receive-pack") {
			next.ServeHTTP(w, req)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := b.Push(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("error %v", err)
	}
	put(t, b, 2, "c.yaml", "1")
	r.meddle(nil)
	res, err := b.Fetch(t.Context())
	if err != nil || res.Landed != 1 || res.Rebuilt != 1 || res.Position != 1 || res.Tip.String() != r.tip("main") {
		t.Errorf("result %+v, %v", res, err)
	}
	push(t, b)
	r.check()
	equal(t, "log", r.subjects("main"), []string{"Create c.yaml", "theirs", "Create a.yaml"})
}

func TestNotFetched(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.branch()
	if _, err := b.Commit(newCommit(1, Op{Path: "a", Content: []byte("1")})); !errors.Is(err, ErrNotFetched) {
		t.Errorf("commit: %v", err)
	}
	if _, _, err := b.Entry("a"); !errors.Is(err, ErrNotFetched) {
		t.Errorf("entry: %v", err)
	}
	if _, err := b.Walk(t.Context(), plumbing.ZeroHash, nil); !errors.Is(err, ErrNotFetched) {
		t.Errorf("walk: %v", err)
	}
	if _, err := b.ReadBlob(t.Context(), plumbing.Hash{1}); !errors.Is(err, ErrNotFetched) {
		t.Errorf("blob: %v", err)
	}
	for _, err := range b.List(t.Context(), "") {
		if !errors.Is(err, ErrNotFetched) {
			t.Errorf("list: %v", err)
		}
	}
	if res, err := b.Push(t.Context()); err != nil || res.Landed != 0 {
		t.Errorf("push: %+v, %v", res, err)
	}
}

// The cache is worth one fetch and no more, whatever happened to it.
func TestCacheDirectory(t *testing.T) {
	pack := func(t *testing.T, dir string) string {
		t.Helper()
		packs, err := filepath.Glob(filepath.Join(dir, "*.pack"))
		if err != nil || len(packs) != 1 {
			t.Fatalf("packs %v, %v", packs, err)
		}
		return packs[0]
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		damage  func(t *testing.T, dir string)
		fetches int64
	}{
		"left alone": {func(*testing.T, string) {}, 0},
		"truncated": {func(t *testing.T, dir string) {
			info, err := os.Stat(pack(t, dir))
			must(t, err)
			must(t, os.Truncate(pack(t, dir), info.Size()/2))
		}, 1},
		"emptied": {func(t *testing.T, dir string) { must(t, os.Truncate(pack(t, dir), 0)) }, 1},
		"flipped": {func(t *testing.T, dir string) {
			data, err := os.ReadFile(pack(t, dir))
			must(t, err)
			data[len(data)/2] ^= 1
			must(t, os.WriteFile(pack(t, dir), data, 0o600))
		}, 1},
		"grown": {func(t *testing.T, dir string) {
			data, err := os.ReadFile(pack(t, dir))
			must(t, err)
			must(t, os.WriteFile(pack(t, dir), append(data, 0), 0o600))
		}, 1},
		"of another tip": {func(t *testing.T, dir string) {
			// A whole pack that does not hold what its name says.
			other := newRemoteRepo(t, gittest.Options{})
			other.foreign("main", "other", map[string]string{"z": "1"})
			b := other.fetched()
			data, err := os.ReadFile(pack(t, b.dir))
			must(t, err)
			must(t, os.WriteFile(pack(t, dir), data, 0o600))
		}, 1},
		"left over": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "incoming-123"), []byte("PACK"), 0o600))
			must(t, os.WriteFile(filepath.Join(dir, strings.Repeat("ab", 20)+".pack"), []byte("PACK"), 0o600))
		}, 0},
		"deleted": {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			r.foreign("main", "start", map[string]string{"shop/a.yaml": "1", "shop/b.yaml": "1"})
			dir := filepath.Join(t.TempDir(), "cache")
			same := func(c *Config) { c.Dir = dir }
			r.fetched(same).Close()
			test.damage(t, dir)

			var fetches atomic.Int64
			r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/git-upload-pack") {
					fetches.Add(1)
				}
				next.ServeHTTP(w, req)
			})
			b := r.fetched(same)
			if fetches.Load() != test.fetches {
				t.Errorf("%d fetches", fetches.Load())
			}
			put(t, b, 1, "shop/a.yaml", "2")
			push(t, b)
			r.check()
			if got := listed(t, b, "shop"); len(got) != 2 {
				t.Errorf("listing %v", got)
			}
			pack(t, dir)
			if left, _ := filepath.Glob(filepath.Join(dir, "incoming-*")); left != nil {
				t.Errorf("left %v", left)
			}
		})
	}
}

// Files that are not the cache's own are left alone, should Dir be the wrong one.
func TestCacheDirectoryOfSomebodyElse(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"a": "1"})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letters.pack"), []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.fetched(func(c *Config) { c.Dir = dir })
	if _, err := os.Stat(filepath.Join(dir, "letters.pack")); err != nil {
		t.Error(err)
	}
}

// The cache is damaged under a running Branch: commits fail until the next Fetch.
func TestCacheDamagedWhileInUse(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	files := make(map[string]string)
	for i := range 400 {
		files[fmt.Sprintf("dir-%d/a.yaml", i)] = fmt.Sprint(i)
	}
	r.foreign("main", "start", files)
	b := r.fetched()
	put(t, b, 1, "top.yaml", "1")
	packs, _ := filepath.Glob(filepath.Join(b.dir, "*.pack"))
	if err := os.Truncate(packs[0], 40); err != nil {
		t.Fatal(err)
	}
	var failed error
	for i := range 400 {
		_, err := b.Commit(newCommit(uint64(2+i), Op{Path: "new.yaml", Content: fmt.Append(nil, i)}, Op{Path: fmt.Sprintf("dir-%d/b.yaml", i), Content: []byte("1")}))
		if err != nil {
			failed = err
			break
		}
	}
	if !errors.Is(failed, ErrCache) {
		t.Fatalf("error %v", failed)
	}
	if _, err := b.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		put(t, b, uint64(1000+i), fmt.Sprintf("dir-%d/c.yaml", i), "1")
	}
	push(t, b)
	r.check()
	if got := len(listed(t, b, "")); got < 801 {
		t.Errorf("%d files", got)
	}
}

func TestCacheDirectoryCannotBeMade(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"a": "1"})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := r.branch(func(c *Config) { c.Dir = filepath.Join(file, "cache") })
	if _, err := b.Fetch(t.Context()); err == nil || errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

// A server may offer filters and refuse the one that is asked for.
func TestFilterRefused(t *testing.T) {
	for _, refused := range [][]string{{"tree"}, {"blob:none", "tree"}} {
		t.Run(strings.Join(refused, "+"), func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			if err := gittest.AllowFilter(r.dir, true); err != nil {
				t.Fatal(err)
			}
			for _, filter := range refused {
				if err := gittest.Configure(r.dir, "uploadpackfilter."+filter+".allow", "false"); err != nil {
					t.Fatal(err)
				}
			}
			r.foreign("main", "one", map[string]string{"a.yaml": "1"})
			r.foreign("main", "two", map[string]string{"a.yaml": "2"})
			for _, where := range []string{r.url(), r.dir} {
				b := r.fetched(func(c *Config) { c.URL = where })
				var got []string
				_, err := b.Walk(t.Context(), plumbing.ZeroHash, func(c CommitInfo) bool {
					got = append(got, strings.TrimSpace(c.Message))
					return true
				})
				if err != nil {
					t.Error(err)
				}
				equal(t, "history", got, []string{"two", "one"})
			}
		})
	}
}

func TestWalk(t *testing.T) {
	for _, filter := range []bool{true, false} {
		t.Run(fmt.Sprintf("filter %v", filter), func(t *testing.T) {
			onEach(t, func(t *testing.T, r *remoteRepo) {
				if err := gittest.AllowFilter(r.dir, filter); err != nil {
					t.Fatal(err)
				}
				r.foreignMany("main", 20)
				tree := r.git("rev-parse", "main^{tree}")
				side := r.git("commit-tree", "-p", r.git("rev-parse", "main~5"), "-m", "side", tree)
				r.git("update-ref", "refs/heads/main", r.git("commit-tree", "-p", r.tip("main"), "-p", side, "-m", "merge", tree))

				b := r.fetched()
				put(t, b, 1, "b", "1")
				push(t, b)
				put(t, b, 2, "b", "2") // pending commits are not history

				walk := func(limit int) (out []string) {
					t.Helper()
					_, err := b.Walk(t.Context(), plumbing.ZeroHash, func(c CommitInfo) bool {
						out = append(out, c.Hash.String())
						if len(out) == 1 && (c.Message != "Create b\n\nPosition: 1\n" || !c.When.Equal(epoch.Add(1e9)) || c.Hash != b.Base() || len(c.Parents) != 1) {
							t.Errorf("first is %+v", c)
						}
						return len(out) < limit
					})
					if err != nil {
						t.Fatal(err)
					}
					return out
				}
				if got := walk(3); len(got) != 3 {
					t.Errorf("visited %d", len(got))
				}
				got := walk(1000)
				want := strings.Fields(r.git("rev-list", "main"))
				if len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
					t.Errorf("visited %d of %d:\n%v\n%v", len(got), len(want), got, want)
				}
			})
		})
	}
}

func TestWalkDeepensInSteps(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	if err := gittest.AllowFilter(r.dir, true); err != nil {
		t.Fatal(err)
	}
	const commits = 4200
	r.foreignMany("main", commits)
	b := r.fetched()
	var fetches atomic.Int64
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if req.Method == http.MethodPost {
			fetches.Add(1)
		}
		next.ServeHTTP(w, req)
	})
	for _, step := range []struct {
		visit   int
		fetches int64
	}{{1, 0}, {2, 1}, {16, 1}, {17, 2}, {256, 2}, {257, 3}, {commits + 1, 4}} {
		n, last := 0, ""
		_, err := b.Walk(t.Context(), plumbing.ZeroHash, func(c CommitInfo) bool {
			if want := fmt.Sprintf("theirs %d", commits-1-n); strings.TrimSpace(c.Message) != want {
				t.Fatalf("commit %d is %q", n, c.Message)
			}
			n, last = n+1, c.Message
			return n < step.visit
		})
		if err != nil || n != min(step.visit, commits) || fetches.Load() != step.fetches {
			t.Errorf("visited %d to %q of %d with %d fetches, %v", n, last, step.visit, fetches.Load(), err)
		}
	}
}

func TestWalkAfterRewrite(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "one", map[string]string{"a": "1"})
	b := r.fetched()
	put(t, b, 1, "b", "1")
	push(t, b)
	r.git("update-ref", "refs/heads/main", "main~1")
	if _, err := b.Walk(t.Context(), plumbing.ZeroHash, func(CommitInfo) bool { return true }); !errors.Is(err, ErrHistoryRewritten) {
		t.Errorf("error %v", err)
	}
	b = r.fetched()
	put(t, b, 1, "b", "1")
	push(t, b)
	r.git("update-ref", "-d", "refs/heads/main")
	if _, err := b.Walk(t.Context(), plumbing.ZeroHash, func(CommitInfo) bool { return true }); !errors.Is(err, ErrMoved) {
		t.Errorf("error %v", err)
	}
}

func TestWalkNothing(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched()
	if _, err := b.Walk(t.Context(), plumbing.ZeroHash, func(CommitInfo) bool { t.Error("visited"); return true }); err != nil {
		t.Error(err)
	}
}

func TestReadBlob(t *testing.T) {
	tests := map[string]struct{ filter, anyWant bool }{
		"blobless, any want":   {true, true},
		"blobless":             {true, false},
		"with blobs":           {false, false},
		"with blobs, any want": {false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, r *remoteRepo) {
				if err := errors.Join(gittest.AllowFilter(r.dir, test.filter),
					gittest.Configure(r.dir, "uploadpack.allowAnySHA1InWant", fmt.Sprint(test.anyWant))); err != nil {
					t.Fatal(err)
				}
				r.foreign("main", "start", map[string]string{"base/.kubescribe.yaml": "uid: 1\n", "other": "x"})
				b := r.fetched()
				read := func(path, want string) {
					t.Helper()
					e, ok, err := b.Entry(path)
					if err != nil || !ok {
						t.Fatalf("entry %v, %v", ok, err)
					}
					got, err := b.ReadBlob(t.Context(), e.Hash)
					if err != nil || string(got) != want {
						t.Errorf("%s is %q, %v", path, got, err)
					}
				}
				read("base/.kubescribe.yaml", "uid: 1\n")
				put(t, b, 1, "base/.kubescribe.yaml", "uid: 2\n")
				read("base/.kubescribe.yaml", "uid: 2\n")
				push(t, b)
				read("base/.kubescribe.yaml", "uid: 2\n")
				read("other", "x")
				if _, err := b.ReadBlob(t.Context(), plumbing.Hash{1}); err == nil {
					t.Error("a blob that does not exist was read")
				}
			})
		})
	}
}

func TestFileTransport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bare.git")
	if err := gittest.InitBare(dir, "main"); err != nil {
		t.Fatal(err)
	}
	for i, where := range []string{dir, "file://" + dir} {
		b := New(Config{URL: where, Branch: "main", Dir: t.TempDir()})
		t.Cleanup(b.Close)
		if _, err := b.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		put(t, b, 1, fmt.Sprintf("dir/%d", i), "1")
		push(t, b)
		if err := gittest.InstallHook(dir, "pre-receive", gittest.RefuseWith("not today")); err != nil {
			t.Fatal(err)
		}
		put(t, b, 2, "again", fmt.Sprint(i))
		_, err := b.Push(t.Context())
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "not today") {
			t.Errorf("error %v", err)
		}
		if err := gittest.InstallHook(dir, "pre-receive", ""); err != nil {
			t.Fatal(err)
		}
		push(t, b)
	}
	if err := gittest.Fsck(dir); err != nil {
		t.Error(err)
	}
	log, err := gittest.Log(dir, "main")
	if err != nil || len(log) != 4 {
		t.Errorf("log %v, %v", log, err)
	}
	b := New(Config{URL: filepath.Join(dir, "nowhere"), Branch: "main", Dir: t.TempDir()})
	if _, err := b.Fetch(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

func TestClose(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"a": "1", "d/b": "1"})
	b := r.fetched()
	for range b.List(t.Context(), "") {
		b.Close() // a reader may go on
	}
	b.Close()
	if _, _, err := b.Entry("a"); !errors.Is(err, ErrNotFetched) {
		t.Errorf("error %v", err)
	}
	if _, err := b.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
}

// Blobs that are not there come together, and what cannot be had is an error
// however many others were found.
func TestReadBlobs(t *testing.T) {
	const n = 300
	r := newRemoteRepo(t, gittest.Options{})
	if err := gittest.AllowFilter(r.dir, true); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("base/%d.yaml", i)] = fmt.Sprintf("n: %d\n", i)
	}
	r.foreign("main", "start", files)
	b := r.fetched()
	put(t, b, 1, "base/ours.yaml", "n: ours\n")
	files["base/ours.yaml"] = "n: ours\n"
	want := map[plumbing.Hash]string{}
	var hashes []plumbing.Hash
	for _, e := range listed(t, b, "base") {
		hashes = append(hashes, e.Hash)
		want[e.Hash] = files[e.Path]
	}
	var fetches atomic.Int64
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if req.Method == http.MethodPost {
			fetches.Add(1)
		}
		next.ServeHTTP(w, req)
	})
	read := func(hashes []plumbing.Hash) (map[plumbing.Hash]string, error) {
		got := map[plumbing.Hash]string{}
		err := b.ReadBlobs(t.Context(), hashes, func(hash plumbing.Hash, content []byte) {
			if _, twice := got[hash]; twice {
				t.Errorf("%s comes twice", hash)
			}
			got[hash] = string(content)
		})
		return got, err
	}
	for range 2 {
		if got, err := read(hashes); err != nil || !maps.Equal(got, want) {
			t.Errorf("%d of %d blobs, %v", len(got), len(want), err)
		}
	}
	if got := fetches.Load(); got != 1 {
		t.Errorf("%d fetches", got)
	}
	if got, err := read(nil); err != nil || len(got) != 0 {
		t.Errorf("of none: %v, %v", got, err)
	}
	if _, err := read(append(hashes, plumbing.Hash{1})); !errors.Is(err, plumbing.ErrObjectNotFound) {
		t.Errorf("error %v", err)
	}
}

// TestBlobPacks: however often blobs are read one by one, few files stay open.
func TestBlobPacks(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	if err := gittest.AllowFilter(r.dir, true); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for i := range 2 * maxBlobPacks {
		files[fmt.Sprintf("%d.yaml", i)] = fmt.Sprintf("n: %d\n", i)
	}
	r.foreign("main", "start", files)
	b := r.fetched()
	for range 2 {
		for _, e := range listed(t, b, "") {
			if got, err := b.ReadBlob(t.Context(), e.Hash); err != nil || string(got) != files[e.Path] {
				t.Errorf("%s is %q, %v", e.Path, got, err)
			}
		}
	}
	if n := len(b.store.packs); n != 1+maxBlobPacks {
		t.Errorf("%d packs are open", n)
	}
}

func TestFiles(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"a/b/c": "1", "a/x": "100755 2", "a/link": "120000 x"})
	b := r.fetched()
	put(t, b, 1, "a/new", "3")
	got, err := b.Files([]string{"a/b/c", "a/b", "a/x", "a/x/y", "a/link", "a/new", "a/none", "none/below"})
	want := map[string]plumbing.Hash{}
	for path, content := range map[string]string{"a/b/c": "1", "a/x": "2", "a/new": "3"} {
		want[path] = plumbing.ComputeHash(plumbing.BlobObject, []byte(content))
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("files %v, %v", got, err)
	}
}
