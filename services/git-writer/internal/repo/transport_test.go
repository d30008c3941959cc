package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// The cases that any writer to Git has to survive, and the tests that hold them. Those
// without a remark run over smart HTTP, over SSH and on a path (onEach), against
// canonical git.
//
//	 1  another pusher between advertisement and push   TestForeignCommitBeforePush
//	 2  the answer lost, others on top                  TestAnswerLostOnEach, and TestAnswerLost (HTTP)
//	 3  moved, refused by a hook, protected             TestForeignCommitBeforePush, TestRefused
//	 4  a shallow clone of a server with bitmaps        TestBitmaps
//	 5  a peer that says nothing                        TestSilentPeer (HTTP, SSH), TestSilentSSHHostLeavesNothing,
//	                                                    TestRemoteThatSaysNothing (HTTP), TestSilentProgram (path)
//	 6  known_hosts with one type of key                TestKnownHostsOfOneType in services/git-writer (SSH)
//	 7  kill -9 at any time, a damaged cache            TestKilledAtAnyTime, and TestCacheDirectory (HTTP)
//	 8  multi_ack is required                           TestMultiAck
//	 9  an empty repository, an unborn HEAD             TestPushIntoEmptyRepository, TestPushCreatesBranch
//	10  history rewritten, branch deleted               TestHistoryRewritten
//	11  several branches at once                        TestBranchesAtOnce
//	12  names                                           TestNames, TestPaths (HTTP)
//	13  authors                                         TestSignatures (HTTP)
//	14  what else stands in a tree                      TestForeignEntriesStay, TestOddModesStay, TestEmptiedDirectoriesGo,
//	                                                    TestTreesAgainstGit (HTTP)
//	15  many pushes, rotation, 401, 403, 429            TestManyPushes, and TestPushIsOneRequest, TestCredentialsRotate,
//	                                                    TestStatusErrors (HTTP); what it costs: the benchmarks

// reach is how a repository is reached, if not over HTTP.
type reach struct {
	url   string
	auth  func(ctx context.Context) (Access, error)
	agent string // socket of an agent with the key that the SSH server lets in
}

// onEach runs a test with an empty repository that is reached over smart HTTP, over
// SSH, and by its path, each time through canonical git's own programs.
func onEach(t *testing.T, test func(t *testing.T, r *remoteRepo)) {
	t.Run("http", func(t *testing.T) { test(t, newRemoteRepo(t, gittest.Options{})) })
	t.Run("ssh", func(t *testing.T) {
		r := newRemoteRepo(t, gittest.Options{})
		r.reach = overSSH(t, r)
		test(t, r)
	})
	t.Run("path", func(t *testing.T) {
		r := newRemoteRepo(t, gittest.Options{})
		r.reach.url = r.dir
		test(t, r)
	})
}

// overSSH serves a repository over SSH.
func overSSH(t *testing.T, r *remoteRepo) reach {
	t.Helper()
	var keys [2]gittest.Key
	for i := range keys {
		var err error
		if keys[i], err = gittest.NewKey(ssh.KeyAlgoED25519); err != nil {
			t.Fatal(err)
		}
	}
	host, client := keys[0], keys[1]
	server, err := gittest.ServeSSH(gittest.SSHOptions{Dir: r.server.Dir, HostKeys: []gittest.Key{host}, Client: client.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	agent, err := gittest.ServeAgent(client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Close() })
	return reach{server.URL(r.name), func(context.Context) (Access, error) {
		return Access{Method: &gitssh.PublicKeys{
			User: "git", Signer: client,
			HostKeyCallbackHelper: gitssh.HostKeyCallbackHelper{HostKeyCallback: ssh.FixedHostKey(host.PublicKey())},
		}}, nil
	}, agent.Socket}
}

// during has the server's git do something the first time that it runs a hook for a
// push: at that moment, whatever the transport.
func (r *remoteRepo) during(hook, do string) {
	r.t.Helper()
	script := "#!/bin/sh\ncat >/dev/null\n" +
		"if [ \"$1\" = prepared ] || [ \"$1\" = aborted ] || [ -e was-here ]; then exit 0; fi\n: >was-here\n" +
		// Git lets no hook that decides on a push change branches. Somebody else does.
		"unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n" + do + "\n"
	if err := gittest.InstallHook(r.dir, hook, script); err != nil {
		r.t.Fatal(err)
	}
}

// moveTo is the command by which main becomes a commit of somebody else's on top of
// what it is now.
func (r *remoteRepo) moveTo(message string, files map[string]string) string {
	r.t.Helper()
	r.git("branch", "next", "main")
	next := r.foreign("next", message, files)
	r.git("update-ref", "refs/next", next)
	r.git("branch", "--quiet", "-D", "next")
	return "git update-ref refs/heads/main " + next
}

// TestAnswerLostOnEach: the server dies right after a push has landed, before it can
// say so, and others may have pushed on top. Each commit is there once.
func TestAnswerLostOnEach(t *testing.T) {
	const onTop = `git update-ref refs/heads/main $(git commit-tree -p main -m theirs main^{tree})`
	for name, test := range map[string]struct {
		then     string
		subjects []string
	}{
		"alone":                      {"", []string{"Create b.yaml", "Create a.yaml", "start"}},
		"with another commit on top": {onTop, []string{"theirs", "Create b.yaml", "Create a.yaml", "start"}},
		"and set back":               {"git update-ref refs/heads/main main~2", []string{"Create b.yaml", "Create a.yaml", "start"}},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, r *remoteRepo) {
				for key, value := range map[string]string{"user.name": "Somebody Else", "user.email": "else@example.com"} {
					if err := gittest.Configure(r.dir, key, value); err != nil {
						t.Fatal(err)
					}
				}
				r.foreign("main", "start", map[string]string{"x.yaml": "1"})
				b := r.fetched()
				put(t, b, 1, "a.yaml", "1")
				put(t, b, 2, "b.yaml", "1")
				r.during("reference-transaction", test.then+"\nkill -9 $PPID")
				landed := 0
				for {
					res, err := b.Push(t.Context())
					landed += res.Landed
					if err == nil {
						if res.Position != 2 || res.Rebuilt != 0 {
							t.Errorf("result %+v", res)
						}
						break
					}
					if !errors.Is(err, ErrUnreachable) {
						t.Fatal(err)
					}
				}
				if _, err := os.Stat(filepath.Join(r.dir, "was-here")); err != nil {
					t.Error("no answer was lost")
				}
				if landed != 2 || waiting(b) != 0 {
					t.Errorf("%d landed, %d pending", landed, waiting(b))
				}
				r.check()
				equal(t, "log", r.subjects("main"), test.subjects)
				put(t, b, 3, "later.yaml", "1")
				push(t, b)
				if n := len(r.log("main", "--", "a.yaml")); n != 1 {
					t.Errorf("a.yaml was committed %d times", n)
				}
			})
		})
	}
}

// TestBitmaps: what is fetched from a server that answers from bitmaps, one commit
// deep, is whole; and what is pushed on it leaves the server whole, bitmaps or not.
func TestBitmaps(t *testing.T) {
	for _, filter := range []bool{true, false} {
		t.Run(fmt.Sprintf("filter %v", filter), func(t *testing.T) {
			onEach(t, func(t *testing.T, r *remoteRepo) {
				if err := gittest.AllowFilter(r.dir, filter); err != nil {
					t.Fatal(err)
				}
				files := map[string]string{}
				for i := range 300 {
					files[fmt.Sprintf("base/shop/configmaps/%d.yaml", i)] = fmt.Sprintf("n: %d\n", i)
				}
				r.foreign("main", "start", files)
				r.foreignMany("main", 120)
				repack := func() {
					t.Helper()
					r.git("repack", "-a", "-d", "-q", "--write-bitmap-index")
					if bitmaps, err := filepath.Glob(filepath.Join(r.dir, "objects", "pack", "*.bitmap")); err != nil || len(bitmaps) != 1 {
						t.Fatalf("bitmaps %v, %v", bitmaps, err)
					}
				}
				repack()
				b := r.fetched()
				for i := range 3 {
					put(t, b, uint64(2*i+1), "base/shop/configmaps/7.yaml", fmt.Sprint(i))
					put(t, b, uint64(2*i+2), fmt.Sprintf("base/new/%d.yaml", i), "1")
					push(t, b)
					r.check()
					repack()
					r.foreign("main", "theirs", map[string]string{"base/shop/configmaps/8.yaml": fmt.Sprint(i)})
				}
				b = r.fetched()
				n := 0
				if _, err := b.Walk(t.Context(), plumbing.ZeroHash, func(CommitInfo) bool { n++; return true }); err != nil || n != 130 {
					t.Errorf("visited %d commits, %v", n, err)
				}
				e, ok, err := b.Entry("base/shop/configmaps/8.yaml")
				if err != nil || !ok {
					t.Fatal(ok, err)
				}
				if got, err := b.ReadBlob(t.Context(), e.Hash); err != nil || string(got) != "2" {
					t.Errorf("blob %q, %v", got, err)
				}
				// Somebody clones it.
				clone := t.TempDir()
				if _, err := gittest.Git(clone, "clone", "--quiet", "--bare", "file://"+r.dir, "."); err != nil {
					t.Fatal(err)
				}
				if err := gittest.Fsck(clone); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestBranchesAtOnce: branches of one repository do not get into each other's way.
func TestBranchesAtOnce(t *testing.T) {
	long(t)
	onEach(t, func(t *testing.T, r *remoteRepo) {
		const branches, commits = 5, 20
		r.foreign("branch-0", "start", map[string]string{"x.yaml": "1"}) // the others do not exist
		done := make(chan error, branches)
		for i := range branches {
			b := r.fetched(func(c *Config) { c.Branch = fmt.Sprintf("branch-%d", i) })
			go func() {
				for n := range commits {
					if _, err := b.Commit(newCommit(uint64(n+1), Op{Path: fmt.Sprintf("%d/a.yaml", i), Content: fmt.Append(nil, n)})); err != nil {
						done <- err
						return
					}
					if _, err := b.Push(t.Context()); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range branches {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		r.check()
		for i := range branches {
			name := fmt.Sprintf("branch-%d", i)
			want := commits
			if i == 0 {
				want++
			}
			if got := len(r.log(name)); got != want {
				t.Errorf("%s has %d commits", name, got)
			}
			if got := r.files(name)[fmt.Sprintf("%d/a.yaml", i)]; got != fmt.Sprint(commits-1) {
				t.Errorf("%s holds %q", name, got)
			}
		}
	})
}

// TestManyPushes: however many there are, nothing of them stays open.
func TestManyPushes(t *testing.T) {
	long(t)
	onEach(t, func(t *testing.T, r *remoteRepo) {
		b := r.fetched()
		pushes := func(from, n int) {
			for i := range n {
				put(t, b, uint64(from+i), "a.yaml", fmt.Sprint(from+i))
				push(t, b)
				if i%10 == 9 {
					r.foreign("main", "theirs", map[string]string{"b.yaml": fmt.Sprint(from + i)})
				}
			}
		}
		pushes(1, 10)
		goroutines, files := runtime.NumGoroutine(), openFiles(t)
		pushes(11, 60)
		// What ended is gone a moment later.
		late := time.NewTimer(20 * time.Second)
		defer late.Stop()
		again := time.NewTicker(10 * time.Millisecond)
		defer again.Stop()
		for runtime.NumGoroutine() > goroutines+5 || openFiles(t) > files+5 {
			select {
			case <-again.C:
			case <-late.C:
				t.Fatalf("%d goroutines and %d files were open, and are %d and %d", goroutines, files, runtime.NumGoroutine(), openFiles(t))
			}
		}
		if n := r.server.Connections(); n > 3 {
			t.Errorf("%d connections", n)
		}
		r.check()
	})
}

// openFiles is how many files and connections this process has.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc here")
	}
	return len(entries)
}

// TestMultiAck: a server may refuse who does not ask for multi_ack, as Azure DevOps does.
func TestMultiAck(t *testing.T) {
	life := func(t *testing.T, r *remoteRepo) {
		b := r.fetched()
		put(t, b, 1, "a.yaml", "1")
		push(t, b)
		r.foreign("main", "theirs", map[string]string{"x.yaml": "2"})
		put(t, b, 2, "a.yaml", "2")
		push(t, b)
		n := 0
		if _, err := b.Walk(t.Context(), plumbing.ZeroHash, func(CommitInfo) bool { n++; return true }); err != nil || n != 4 {
			t.Errorf("visited %d commits, %v", n, err)
		}
		r.check()
	}
	t.Run("http", func(t *testing.T) {
		r := newRemoteRepo(t, gittest.Options{})
		r.foreign("main", "start", map[string]string{"x.yaml": "1"})
		r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			if strings.HasSuffix(req.URL.Path, "/git-upload-pack") {
				asked, _ := io.ReadAll(req.Body)
				if !strings.Contains(string(asked), " multi_ack") {
					http.Error(w, "multi_ack is required", http.StatusBadRequest)
					return
				}
				req.Body = io.NopCloser(bytes.NewReader(asked))
			}
			next.ServeHTTP(w, req)
		})
		life(t, r)
	})
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	for name, over := range map[string]struct {
		reach   func(t *testing.T, r *remoteRepo) reach
		program string // that the transport runs
		script  string // of it, which keeps what it is asked in a file
	}{
		"ssh": {
			overSSH, "git", "if [ \"$1\" = upload-pack ]; then tee -a ASKED | " + git + " \"$@\"; else exec " + git + " \"$@\"; fi\n",
		},
		"path": {
			func(_ *testing.T, r *remoteRepo) reach { return reach{url: r.dir} },
			"git-upload-pack", "tee -a ASKED | " + git + " upload-pack \"$@\"\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRemoteRepo(t, gittest.Options{})
			r.foreign("main", "start", map[string]string{"x.yaml": "1"})
			r.reach = over.reach(t, r)
			asked := filepath.Join(t.TempDir(), "asked")
			firstInPath(t, map[string]string{over.program: "#!/bin/sh\n" + strings.ReplaceAll(over.script, "ASKED", asked)})
			life(t, r)
			said, err := os.ReadFile(asked)
			if wants := strings.Count(string(said), " multi_ack"); err != nil || wants == 0 || wants != strings.Count(string(said), "done\n") {
				t.Errorf("it asked %q, %v", said, err)
			}
		})
	}
}

// firstInPath makes programs the first ones in PATH, so that a repository's path is
// reached by them.
func firstInPath(t *testing.T, programs map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// TestSilentProgram: a repository's path is reached by git's programs. One that says
// nothing, of a file system that hangs say, is given up.
func TestSilentProgram(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"x.yaml": "1"})
	b := r.fetched(func(c *Config) { c.URL, c.Timeout = r.dir, 300*time.Millisecond })
	put(t, b, 1, "a.yaml", "1")
	t.Run("silent", func(t *testing.T) {
		pids := filepath.Join(t.TempDir(), "pids")
		script := "#!/bin/sh\necho $$ >>" + pids + "\nexec sleep 600\n"
		firstInPath(t, map[string]string{"git-upload-pack": script, "git-receive-pack": script, "git": script})
		for name, do := range map[string]func(context.Context) (Result, error){"fetch": b.Fetch, "push": b.Push} {
			if _, err := do(t.Context()); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "nothing came or went for 300ms") {
				t.Errorf("%s: %v", name, err)
			}
		}
		started, err := os.ReadFile(pids)
		if err != nil || len(strings.Fields(string(started))) < 2 {
			t.Fatalf("started %q, %v", started, err)
		}
		late := time.NewTimer(20 * time.Second)
		defer late.Stop()
		again := time.NewTicker(10 * time.Millisecond)
		defer again.Stop()
		for _, pid := range strings.Fields(string(started)) {
			for {
				if _, err := os.Stat("/proc/" + pid); err != nil {
					break
				}
				select {
				case <-again.C:
				case <-late.C:
					t.Fatalf("process %s runs still", pid)
				}
			}
		}
	})
	push(t, b)
}

// TestNoProgram: it is said that git is missing.
func TestNoProgram(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched(func(c *Config) { c.URL = r.dir })
	put(t, b, 1, "a.yaml", "1")
	t.Run("none", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		for name, do := range map[string]func(context.Context) (Result, error){"fetch": b.Fetch, "push": b.Push} {
			if _, err := do(t.Context()); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "git is not installed, or not in PATH") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	push(t, b)
}

// TestNames: what the paths of objects look like can be pushed to a server that
// checks what it gets, and stands beside what differs in case only.
func TestNames(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	for _, key := range []string{"receive.fsckObjects", "core.protectHFS", "core.protectNTFS"} {
		if err := gittest.Configure(r.dir, key, "true"); err != nil {
			t.Fatal(err)
		}
	}
	b := r.fetched()
	want := map[string]string{}
	for i, p := range []string{
		"base/_cluster/rbac.authorization.k8s.io/clusterroles/system%3Anode.yaml",
		"base/shop/configmaps/" + strings.Repeat("a", 250) + ".yaml",
		"base/shop/configmaps/git%7E1.yaml", "base/shop/configmaps/.g%E2%80%8Cit.yaml", "base/shop/configmaps/%2Egit.yaml",
		"base/shop/configmaps/web.yaml", "base/shop/configmaps/Web.yaml", "base/shop/configmaps/WEB.yaml", "base/Shop/configmaps/web.yaml",
	} {
		put(t, b, uint64(i+1), p, fmt.Sprint(i))
		want[p] = fmt.Sprint(i)
	}
	for _, p := range []string{"base/git~1/x.yaml", "base/.g\u200cit/x.yaml", "base/.GIT/x.yaml"} {
		if _, err := b.Commit(newCommit(100, Op{Path: p, Content: []byte("1")})); !errors.Is(err, ErrBadPath) {
			t.Errorf("%s: %v", p, err)
		}
	}
	push(t, b)
	r.check()
	if got := r.files("main"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("files %v", got)
	}
}
