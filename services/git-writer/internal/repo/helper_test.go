package repo

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// epoch is when the commits of these tests are made.
var epoch = time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", 2*3600))

// remoteRepo is a bare repository behind a real server.
type remoteRepo struct {
	t      *testing.T
	server *gittest.Server
	dir    string
	name   string
	reach  reach

	mu   sync.Mutex
	wrap func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

// long leaves out what takes long where that is asked for: make test has no time for it.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes long: make long plays it, for make verify too")
	}
}

// newRemoteRepo serves an empty repository. Its requests can be meddled with by meddle.
func newRemoteRepo(t *testing.T, opts gittest.Options) *remoteRepo {
	t.Helper()
	r := &remoteRepo{t: t, name: "team/cluster.git"}
	opts.Dir = t.TempDir()
	opts.Wrap = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			r.mu.Lock()
			wrap := r.wrap
			r.mu.Unlock()
			if wrap == nil {
				next.ServeHTTP(w, req)
				return
			}
			wrap(w, req, next)
		})
	}
	var err error
	if r.server, err = gittest.Serve(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.server.Close() })
	if r.dir, err = r.server.Init(r.name, "main"); err != nil {
		t.Fatal(err)
	}
	return r
}

// meddle puts f in front of the server from now on; nil takes it away.
func (r *remoteRepo) meddle(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrap = f
}

// url is where the repository is reached.
func (r *remoteRepo) url() string {
	if r.reach.url != "" {
		return r.reach.url
	}
	return r.server.URL(r.name)
}

func (r *remoteRepo) git(args ...string) string {
	r.t.Helper()
	out, err := gittest.Git(r.dir, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// tip is where the branch stands; empty if it does not exist.
func (r *remoteRepo) tip(branch string) string {
	r.t.Helper()
	return r.git("for-each-ref", "--format=%(objectname)", "refs/heads/"+branch)
}

// files lists a branch by path, with contents.
func (r *remoteRepo) files(branch string) map[string]string {
	r.t.Helper()
	out := make(map[string]string)
	for line := range strings.SplitSeq(r.git("ls-tree", "-r", "-z", branch), "\x00") {
		meta, path, ok := strings.Cut(line, "\t")
		if !ok {
			continue
		}
		f := strings.Fields(meta)
		if f[1] == "commit" {
			out[path] = "submodule " + f[2]
			continue
		}
		content, err := gittest.Git(r.dir, "cat-file", "blob", f[2])
		if err != nil {
			r.t.Fatal(err)
		}
		out[path] = content
	}
	return out
}

func (r *remoteRepo) log(args ...string) []gittest.Commit {
	r.t.Helper()
	log, err := gittest.Log(r.dir, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return log
}

func (r *remoteRepo) subjects(args ...string) (out []string) {
	r.t.Helper()
	for _, c := range r.log(args...) {
		out = append(out, c.Subject())
	}
	return out
}

// check is what has to be true of the remote whatever happened.
func (r *remoteRepo) check() {
	r.t.Helper()
	if err := gittest.Fsck(r.dir); err != nil {
		r.t.Errorf("fsck: %v", err)
	}
}

// foreign is a commit by somebody else, made by stock git right in the
// repository: of files by path, where the value is the content; with a prefix
// "120000 " and the like it says the mode; "-" deletes.
func (r *remoteRepo) foreign(branch, message string, files map[string]string) string {
	r.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "commit refs/heads/%s\ncommitter Somebody Else <else@example.com> %d +0000\ndata %d\n%s\n", branch, epoch.Unix(), len(message), message)
	if tip := r.tip(branch); tip != "" {
		fmt.Fprintf(&b, "from %s\n", tip)
	}
	var paths []string
	for p := range files {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		content, mode := files[p], "100644"
		if content == "-" {
			fmt.Fprintf(&b, "D %s\n", p)
			continue
		}
		for _, m := range []string{"100755", "120000", "160000"} {
			if rest, ok := strings.CutPrefix(content, m+" "); ok {
				mode, content = m, rest
			}
		}
		if mode == "160000" {
			fmt.Fprintf(&b, "M 160000 %s %s\n", content, p)
			continue
		}
		fmt.Fprintf(&b, "M %s inline %s\ndata %d\n%s\n", mode, p, len(content), content)
	}
	if _, err := gittest.GitInput(r.dir, b.String(), "fast-import", "--quiet", "--force"); err != nil {
		r.t.Fatal(err)
	}
	return r.tip(branch)
}

// foreignMany is n commits by somebody else, to one file, a second apart.
func (r *remoteRepo) foreignMany(branch string, n int) {
	r.t.Helper()
	var b strings.Builder
	tip := r.tip(branch)
	for i := range n {
		message, content := fmt.Sprintf("theirs %d", i), fmt.Sprint(i)
		fmt.Fprintf(&b, "commit refs/heads/%s\ncommitter Somebody Else <else@example.com> %d +0000\ndata %d\n%s\n", branch, epoch.Unix()+int64(i), len(message), message)
		if i == 0 && tip != "" {
			fmt.Fprintf(&b, "from %s\n", tip)
		}
		fmt.Fprintf(&b, "M 100644 inline many.yaml\ndata %d\n%s\n", len(content), content)
	}
	if _, err := gittest.GitInput(r.dir, b.String(), "fast-import", "--quiet"); err != nil {
		r.t.Fatal(err)
	}
}

// branch opens a Branch with a cache of its own.
func (r *remoteRepo) branch(change ...func(*Config)) *Branch {
	r.t.Helper()
	cfg := Config{URL: r.url(), Branch: "main", Dir: filepath.Join(r.t.TempDir(), "cache"), Auth: r.reach.auth, Timeout: 20 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	b := New(cfg)
	r.t.Cleanup(b.Close)
	return b
}

// fetched is branch after a fetch.
func (r *remoteRepo) fetched(change ...func(*Config)) *Branch {
	r.t.Helper()
	b := r.branch(change...)
	if _, err := b.Fetch(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return b
}

// put commits one file.
func put(t *testing.T, b *Branch, position uint64, path, content string) {
	t.Helper()
	commit(t, b, position, Op{Path: path, Content: []byte(content)})
}

func remove(t *testing.T, b *Branch, position uint64, path string) {
	t.Helper()
	commit(t, b, position, Op{Path: path, Delete: true})
}

func commit(t *testing.T, b *Branch, position uint64, ops ...Op) {
	t.Helper()
	changed, err := b.Commit(newCommit(position, ops...))
	if err != nil {
		t.Fatal(err)
	}
	if !changed {
		t.Fatalf("commit %d changed nothing", position)
	}
}

// newCommit is a commit whose message lists what it did, and its position.
func newCommit(position uint64, ops ...Op) Commit {
	when := epoch.Add(time.Duration(position) * time.Second)
	return Commit{
		Ops:       ops,
		Author:    Signature{"Jane Doe", "jane@example.com", when},
		Committer: Signature{"kubescribe", "kubescribe@example.com", when.UTC()},
		Position:  position,
		Message: func(changes []Change) string {
			var did []string
			for _, c := range changes {
				did = append(did, fmt.Sprintf("%s %s", c.What, c.Path))
			}
			return fmt.Sprintf("%s\n\nPosition: %d", strings.Join(did, ", "), position)
		},
	}
}

// push pushes and wants it to succeed.
func push(t *testing.T, b *Branch) Result {
	t.Helper()
	r, err := b.Push(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := b.Pending(); n != 0 {
		t.Fatalf("%d commits pending after a push", n)
	}
	return r
}

func waiting(b *Branch) int {
	n, _ := b.Pending()
	return n
}

// listed is what List yields.
func listed(t *testing.T, b *Branch, folder string) (out []Entry) {
	t.Helper()
	for e, err := range b.List(context.Background(), folder) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// isPush says whether a request carries a pack to the server.
func isPush(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack")
}

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}
