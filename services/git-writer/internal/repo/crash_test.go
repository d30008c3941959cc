package repo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// childEnv makes this test binary a writer to be killed: URL, cache directory
// and how many commits to have in the end, separated by newlines. Over SSH it has
// the keys of the agent that SSH_AUTH_SOCK names.
const childEnv = "REPO_TEST_CHILD"

func TestMain(m *testing.M) {
	for env, run := range map[string]func(string) error{childEnv: child, builderEnv: builder} {
		job := os.Getenv(env)
		if job == "" {
			continue
		}
		if err := run(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child resumes behind what the branch's history says, as a writer does. It says on a line
// of its own when it begins to push.
func child(job string) error {
	var url, dir string
	var total uint64
	if _, err := fmt.Sscanf(job, "%s\n%s\n%d", &url, &dir, &total); err != nil {
		return err
	}
	ctx := context.Background()
	cfg := Config{URL: url, Branch: "main", Dir: dir}
	if strings.HasPrefix(url, "ssh:") {
		cfg.Auth = func(context.Context) (Access, error) {
			auth, err := gitssh.NewSSHAgentAuth("git")
			if err == nil {
				auth.HostKeyCallback = ssh.InsecureIgnoreHostKey()
			}
			return Access{Method: auth}, err
		}
	}
	b := New(cfg)
	if _, err := b.Fetch(ctx); err != nil {
		return err
	}
	var at uint64
	_, err := b.Walk(ctx, plumbing.ZeroHash, func(c CommitInfo) bool {
		_, trailer, ok := strings.Cut(c.Message, "Position: ")
		if ok {
			_, _ = fmt.Sscan(trailer, &at)
		}
		return !ok
	})
	if err != nil {
		return err
	}
	for at < total {
		for range min(1+at*7919%60, total-at) { // pushes of all sizes
			at++
			path := fmt.Sprintf("shop/file-%d.yaml", at%10)
			if _, err := b.Commit(newCommit(at, Op{Path: path, Content: fmt.Append(nil, at)})); err != nil {
				return err
			}
		}
		fmt.Fprintln(os.Stdout, "push")
		if _, err := b.Push(ctx); err != nil && !errors.Is(err, ErrMoved) {
			return err
		}
	}
	_, err = b.Push(ctx)
	return err
}

// A writer is killed again and again while others push, too: every commit is
// there once, in order.
func TestKilledAtAnyTime(t *testing.T) {
	long(t)
	onEach(t, killedAtAnyTime)
}

func killedAtAnyTime(t *testing.T, r *remoteRepo) {
	const total, leastKills, mostKills = 3000, 10, 40
	if err := gittest.AllowFilter(r.dir, true); err != nil {
		t.Fatal(err)
	}
	r.foreign("main", "start", map[string]string{"x": "1"})
	job := fmt.Sprintf("%s\n%s\n%d", r.url(), filepath.Join(t.TempDir(), "cache"), total)
	rnd := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+job, "SSH_AUTH_SOCK="+r.reach.agent)
		var failed strings.Builder
		cmd.Stderr = &failed
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		pushes := bufio.NewScanner(out)
		for n := rnd.IntN(4); pushes.Scan(); n-- {
			if n == 0 && kills < mostKills {
				time.Sleep(time.Duration(rnd.IntN(1000<<rnd.IntN(8))) * time.Microsecond) //nolint:forbidigo // at some time of this push, or of the next one
				_ = cmd.Process.Kill()                                                    // or it has ended
			}
		}
		err = cmd.Wait()
		hung := ctx.Err() != nil
		cancel()
		if err == nil {
			break
		}
		if is, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !is.Signaled() || hung {
			t.Fatalf("%v: %s", err, failed.String())
		}
		kills++
		other := r.fetched()
		theirs := newCommit(1, Op{Path: "other.yaml", Content: fmt.Append(nil, kills)})
		theirs.Message = func([]Change) string { return "theirs" }
		if _, err := other.Commit(theirs); err != nil {
			t.Fatal(err)
		}
		push(t, other)
		other.Close()
	}
	t.Logf("it was killed %d times", kills)
	if kills < leastKills {
		t.Errorf("that is less than %d", leastKills)
	}
	r.check()
	var got, want []string
	for _, c := range r.log("--reverse", "main", "--", "shop") {
		_, position, _ := strings.Cut(strings.TrimSpace(c.Message), "Position: ")
		got = append(got, position)
	}
	for i := range total {
		want = append(want, fmt.Sprint(i+1))
	}
	equal(t, "positions", got, want)
}

// A peer that accepts a connection and says nothing, below the layer where
// go-git looks at contexts.
func TestSilentPeer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 16)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	defer func() {
		_ = listener.Close()
		for conn := range accepted {
			_ = conn.Close()
		}
	}()
	address := listener.Addr().String()
	for _, url := range []string{"ssh://git@" + address + "/org/repo", "http://" + address + "/org/repo"} {
		cfg := Config{URL: url, Branch: "main", Dir: t.TempDir(), Timeout: 200 * time.Millisecond}
		if strings.HasPrefix(url, "ssh") {
			cfg.Auth = func(context.Context) (Access, error) {
				return Access{Method: &gitssh.Password{
					User: "git", Password: "s3cr3t",
					HostKeyCallbackHelper: gitssh.HostKeyCallbackHelper{HostKeyCallback: ssh.InsecureIgnoreHostKey()},
				}}, nil
			}
		}
		b := New(cfg)
		_, err := b.Fetch(t.Context())
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "200ms") {
			t.Errorf("%s: %v", url, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := b.Fetch(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", url, err)
		}
		cancel()
	}
}

// Something that must stand alone does not overwrite what somebody else put
// there meanwhile.
func TestNewOnly(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"x": "1"})
	b := r.fetched()
	commit(t, b, 1, Op{Path: "base/marker", Content: []byte("ours"), New: true})
	r.foreign("main", "theirs", map[string]string{"base/marker": "theirs"})
	_, err := b.Push(t.Context())
	var blocked *PathConflictError
	if !errors.As(err, &blocked) || blocked.Path != "base/marker" || blocked.Position != 1 {
		t.Fatalf("error %v", err)
	}
	if !b.Skip(1, "base/marker") {
		t.Error("nothing to skip")
	}
	if res := push(t, b); res.Landed != 0 || res.Position != 1 {
		t.Errorf("result %+v", res)
	}
	if got := r.files("main")["base/marker"]; got != "theirs" {
		t.Errorf("marker %q", got)
	}
	same := r.fetched()
	commit(t, same, 1, Op{Path: "base/two", Content: []byte("same"), New: true})
	r.foreign("main", "same", map[string]string{"base/two": "same"})
	if res := push(t, same); res.Landed != 0 || res.Position != 1 {
		t.Errorf("result %+v", res)
	}

	// What was seen there may be replaced, and nothing that came after it.
	seen := hashObject(blobObject, []byte("theirs"))
	replacing := r.fetched()
	commit(t, replacing, 1, Op{Path: "base/marker", Content: []byte("ours"), New: true, Replaces: seen})
	r.foreign("main", "a third's", map[string]string{"base/marker": "a third's"})
	if _, err := replacing.Push(t.Context()); !errors.As(err, &blocked) {
		t.Fatalf("error %v", err)
	}
	r.foreign("main", "theirs again", map[string]string{"base/marker": "theirs"})
	if res := push(t, replacing); res.Landed != 1 {
		t.Errorf("result %+v", res)
	}
	if got := r.files("main")["base/marker"]; got != "ours" {
		t.Errorf("marker %q", got)
	}
}

func TestSHA256Repository(t *testing.T) {
	dir := t.TempDir()
	if _, err := gittest.Git(dir, "init", "--quiet", "--bare", "--object-format=sha256", "."); err != nil {
		t.Fatal(err)
	}
	b := New(Config{URL: dir, Branch: "main", Dir: t.TempDir()})
	// An empty repository does not tell what it is when it is read.
	if _, err := b.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, b, 1, "a", "1")
	if _, err := b.Push(t.Context()); !errors.Is(err, ErrBadURL) || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("error %v", err)
	}
}
