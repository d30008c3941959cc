package repo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// What BenchmarkGit is held against.
const (
	benchRuns    = 5 // of which the quickest counts
	benchCommits = 5000
	peakTarget   = 150_000_000 // bytes, at 100,000 files
	pushRatio    = 1.0         // of a push of one commit to git push's
	historyRatio = 1.2         // of a push onto 10,000 commits to one onto a single one
)

// speedups are how many times as fast as git fast-import commits are to be.
var speedups = []struct {
	layout string
	files  int
	target float64
}{{"cluster", 1_000, 5}, {"cluster", 10_000, 5}, {"cluster", 100_000, 4}, {"flat", 10_000, 5}}

// built is what it took to make commits, of one process.
type built struct {
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"packBytes"`
	Head    string  `json:"head"`
	Peak    int64   `json:"peakBytes,omitempty"` // of ours
}

// better is the quicker one, with the higher peak of memory.
func (b built) better(than built) built {
	if than.Seconds == 0 || b.Seconds < than.Seconds {
		b.Peak = max(b.Peak, than.Peak)
		return b
	}
	than.Peak = max(b.Peak, than.Peak)
	return than
}

// verdict is a target, and what was measured.
type verdict struct {
	Target string `json:"target"`
	Value  string `json:"value"`
	Met    bool   `json:"met"`
}

// gitBench collects figures.
type gitBench struct {
	*testing.B `json:"-"`
	dir        string              // of the repositories
	Verdicts   []verdict           `json:"targets"`
	Builds     map[string][2]built `json:"commits"` // ours and git fast-import's, by layout and files
	Pushes     map[string]float64  `json:"pushSeconds"`
}

func (g *gitBench) judge(met bool, value, target string, args ...any) {
	g.Verdicts = append(g.Verdicts, verdict{fmt.Sprintf(target, args...), value, met})
}

// BenchmarkGit compares with stock git, prints one table and the figures as JSON, and is
// to be run once: see make bench-git. Neither side syncs anything to disk.
func BenchmarkGit(b *testing.B) {
	g := &gitBench{B: b, dir: b.TempDir(), Builds: map[string][2]built{}, Pushes: map[string]float64{}}
	g.commits()
	g.pushes()
	g.history()
	width := 0
	for _, v := range g.Verdicts {
		width = max(width, len(v.Target))
	}
	for _, v := range g.Verdicts {
		fmt.Printf("%-*s  %-36s %s\n", width, v.Target, v.Value, map[bool]string{true: "met", false: "missed"}[v.Met])
	}
	figures, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("%s\n", figures)
}

// fill makes a repository of n files, in one commit.
func (g *gitBench) fill(name, layout string, n int) (dir string) {
	g.Helper()
	dir = filepath.Join(g.dir, name)
	for _, err := range []error{
		gittest.InitBare(dir, "main"), gittest.AllowFilter(dir, true),
		gittest.Configure(dir, "gc.auto", "0"), gittest.Configure(dir, "receive.autogc", "false"), gittest.Configure(dir, "core.fsync", "none"),
	} {
		if err != nil {
			g.Fatal(err)
		}
	}
	w := opened(g, dir)
	defer w.Close()
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = Op{Path: layouts[layout](i), Content: manifest(i, 0)}
	}
	if _, err := w.Commit(newCommit(0, ops...)); err != nil {
		g.Fatal(err)
	}
	if _, err := w.Push(g.Context()); err != nil {
		g.Fatal(err)
	}
	g.git(dir, "repack", "-qad")
	return dir
}

func (g *gitBench) git(dir string, args ...string) string {
	g.Helper()
	out, err := gittest.Git(dir, args...)
	if err != nil {
		g.Fatal(err)
	}
	return out
}

// commits measures how commits of one edit each are made, as one pack.
func (g *gitBench) commits() {
	g.Helper()
	for _, s := range speedups {
		name := fmt.Sprintf("%s/%d", s.layout, s.files)
		dir := g.fill(strings.ReplaceAll(name, "/", "-"), s.layout, s.files)
		stream := filepath.Join(g.dir, "stream")
		f, err := os.Create(stream)
		if err == nil {
			err = errors.Join(writeFastImport(f, edits(layouts[s.layout], s.files, benchCommits, 1)), f.Close())
		}
		if err != nil {
			g.Fatal(err)
		}
		var ours, theirs built
		for range benchRuns {
			theirs = g.imports(dir, stream).better(theirs)
			ours = g.builds(dir, s.layout, s.files).better(ours)
		}
		g.Builds[name] = [2]built{ours, theirs}
		if ours.Head != theirs.Head {
			g.Errorf("%s: the last commit is %s, and git's %s", name, ours.Head, theirs.Head)
		}
		each := func(b built) float64 { return b.Seconds / benchCommits * 1e6 }
		fmt.Printf("%-15s %6.1f µs a commit, %5d B in the pack, %4.0f MB | git fast-import %6.1f µs, %5d B\n", name,
			each(ours), ours.Bytes/benchCommits, float64(ours.Peak)/1e6, each(theirs), theirs.Bytes/benchCommits)
		g.judge(theirs.Seconds >= s.target*ours.Seconds, fmt.Sprintf("%.1f (%.1f µs, %.1f µs)", theirs.Seconds/ours.Seconds, each(ours), each(theirs)),
			"commits to %s files, as fast as git fast-import: %.0f times", name, s.target)
		if s.files == 100_000 {
			g.judge(ours.Peak < peakTarget, fmt.Sprintf("%.0f MB", float64(ours.Peak)/1e6), "memory at 100,000 files: under %d MB", peakTarget/1_000_000)
		}
		g.judge(ours.Head == theirs.Head, ours.Head[:12], "the last commit of %s is that of git fast-import", name)
	}
}

// imports has git fast-import make the commits in a copy of a repository.
func (g *gitBench) imports(of, stream string) (b built) {
	g.Helper()
	dir := filepath.Join(g.dir, "imported.git")
	g.git(".", "clone", "-q", "--bare", "--no-hardlinks", of, dir)
	defer os.RemoveAll(dir)
	had := packBytes(g, dir)
	in, err := os.Open(stream)
	if err != nil {
		g.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command("git", "-c", "core.fsync=none", "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, in, os.Stderr
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		g.Fatal(err)
	}
	b.Seconds = time.Since(begun).Seconds()
	b.Head, b.Bytes = g.git(dir, "rev-parse", "main"), packBytes(g, dir)-had
	return b
}

// packBytes is how large a repository's packs are.
func packBytes(tb testing.TB, dir string) (n int64) {
	tb.Helper()
	packs, err := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range packs {
		info, err := os.Stat(p)
		if err != nil {
			tb.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// peak is the most memory that this process had resident, in bytes (proc_pid_status(5)).
// What wait4 says of a child begins with what its parent had.
func peak() (n int64) {
	status, _ := os.ReadFile("/proc/self/status") // not on Linux: 0
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(line, &n)
	return n * 1024
}

// builderEnv makes this test binary a process that builds commits: the repository, the
// layout and how many files, separated by newlines.
const builderEnv = "REPO_BENCH_BUILDER"

// builds has a process of this program make the commits.
func (g *gitBench) builds(dir, layout string, files int) (b built) {
	g.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s\n%s\n%d", builderEnv, dir, layout, files))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &b)
	}
	if err != nil {
		g.Fatal(err)
	}
	return b
}

// builder is that process.
func builder(job string) error {
	var url, layout string
	var files int
	if _, err := fmt.Sscanf(job, "%s\n%s\n%d", &url, &layout, &files); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "builder")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	pack, err := os.Create(filepath.Join(dir, "pack"))
	if err != nil {
		return err
	}
	b := New(Config{URL: url, Branch: "main", Dir: filepath.Join(dir, "cache")})
	defer b.Close()
	if _, err := b.Fetch(context.Background()); err != nil {
		return err
	}
	all := edits(layouts[layout], files, benchCommits, 1)
	begun := time.Now()
	for i, op := range all {
		if _, err := b.Commit(commitOf(i+1, op)); err != nil {
			return err
		}
	}
	p := b.prepare()
	w := bufio.NewWriterSize(pack, 1<<16)
	if err := errors.Join(writePack(w, p.objects, false), w.Flush()); err != nil {
		return err
	}
	took := time.Since(begun)
	size, err := pack.Seek(0, 1)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(built{Seconds: took.Seconds(), Bytes: size, Head: p.new.String(), Peak: peak()})
}

// served is a transport by which the repositories are reached.
type served struct {
	name string
	url  func(repository string) string
	auth transport.AuthMethod
	git  []string // arguments for stock git
}

// transports serves the repositories over smart HTTP and, where OpenSSH's client is there
// for stock git, over SSH.
func (g *gitBench) transports() []served {
	g.Helper()
	web, err := gittest.Serve(gittest.Options{Dir: g.dir})
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = web.Close() })
	all := []served{{name: "HTTP", url: web.URL}}
	if _, err := exec.LookPath("ssh"); err != nil {
		fmt.Println("no ssh is installed: pushes over SSH are not measured")
		return all
	}
	client, err := gittest.NewKey(ssh.KeyAlgoED25519)
	if err != nil {
		g.Fatal(err)
	}
	host, err := gittest.NewKey(ssh.KeyAlgoED25519)
	if err != nil {
		g.Fatal(err)
	}
	server, err := gittest.ServeSSH(gittest.SSHOptions{Dir: g.dir, HostKeys: []gittest.Key{host}, Client: client.PublicKey()})
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = server.Close() })
	agent, err := gittest.ServeAgent(client)
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = agent.Close() })
	known := filepath.Join(g.dir, "known_hosts")
	if err := os.WriteFile(known, []byte(server.KnownHosts(host)), 0o600); err != nil {
		g.Fatal(err)
	}
	keys := &gitssh.PublicKeys{User: "git", Signer: client.Signer}
	keys.HostKeyCallback = ssh.FixedHostKey(host.PublicKey())
	return append(all, served{"SSH", server.URL, keys, []string{
		"-c", "core.sshCommand=ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none -o UserKnownHostsFile=" + known + " -o IdentityAgent=" + agent.Socket,
	}})
}

// pushes measures pushes of 1 and 1,000 commits into 100,000 files.
func (g *gitBench) pushes() {
	g.Helper()
	const files, many = 100_000, 1000
	from := g.fill("push-from", "cluster", files)
	for _, over := range g.transports() {
		for _, commits := range []int{1, many} {
			ours, theirs := 0.0, 0.0
			for run := range benchRuns {
				all := edits(layouts["cluster"], files, commits, uint64(run+2))
				ours = quicker(ours, g.pushOurs(g.copied(from, "ours.git"), over, all))
				theirs = quicker(theirs, g.pushGit(from, g.copied(from, "theirs.git"), over, all))
			}
			name := fmt.Sprintf("a push of %d over %s", commits, over.name)
			g.Pushes[name], g.Pushes[name+", git push"] = ours, theirs
			fmt.Printf("%-28s %7.1f ms | git push %7.1f ms\n", name, ours*1e3, theirs*1e3)
			if commits == 1 {
				g.judge(ours <= pushRatio*theirs, fmt.Sprintf("%.1f ms, %.1f ms", ours*1e3, theirs*1e3),
					"a push of one commit into 100,000 files over %s, no slower than git push", over.name)
			}
		}
	}
}

func quicker(than, seconds float64) float64 {
	if than == 0 {
		return seconds
	}
	return min(than, seconds)
}

// copied is a copy of a repository, by its name.
func (g *gitBench) copied(from, name string) string {
	g.Helper()
	dir := filepath.Join(g.dir, name)
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(from))); err != nil {
		g.Fatal(err)
	}
	return name
}

// pushOurs is the seconds that a push takes.
func (g *gitBench) pushOurs(repository string, over served, all []Op) float64 {
	g.Helper()
	w := New(Config{URL: over.url(repository), Branch: "main", Dir: g.TempDir(), Auth: func(context.Context, string) (Access, error) { return Access{Method: over.auth}, nil }})
	defer w.Close()
	if _, err := w.Fetch(g.Context()); err != nil {
		g.Fatal(err)
	}
	for i, op := range all {
		if changed, err := w.Commit(commitOf(i+1, op)); err != nil || !changed {
			g.Fatal(changed, err)
		}
	}
	begun := time.Now()
	if _, err := w.Push(g.Context()); err != nil {
		g.Fatal(err)
	}
	return time.Since(begun).Seconds()
}

// pushGit is the same of git push, from a copy that has the commits.
func (g *gitBench) pushGit(from, repository string, over served, all []Op) float64 {
	g.Helper()
	dir := importEdits(g, from, all)
	defer os.RemoveAll(dir)
	args := append(append([]string{}, over.git...), "push", "-q", over.url(repository), "main")
	begun := time.Now()
	g.git(dir, args...)
	return time.Since(begun).Seconds()
}

// history measures a push of one commit onto one commit, and onto 10,000.
func (g *gitBench) history() {
	g.Helper()
	const files, long = 10_000, 10_000
	short := g.fill("short.git", "cluster", files)
	deep := importEdits(g, short, edits(layouts["cluster"], files, long, 3))
	for _, kv := range [][2]string{{"uploadpack.allowFilter", "true"}, {"gc.auto", "0"}, {"http.receivepack", "true"}} {
		if err := gittest.Configure(deep, kv[0], kv[1]); err != nil {
			g.Fatal(err)
		}
	}
	over := g.transports()[0]
	one, many := 0.0, 0.0
	for range benchRuns {
		edit := []Op{{Path: "cluster/new.yaml", Content: manifest(0, 1)}}
		one = quicker(one, g.pushOurs(g.copied(short, "ours.git"), over, edit))
		many = quicker(many, g.pushOurs(g.copied(deep, "ours.git"), over, edit))
	}
	g.Pushes["a push onto 1 commit"], g.Pushes["a push onto 10,000 commits"] = one, many
	g.judge(many <= historyRatio*one, fmt.Sprintf("%.2f (%.1f ms, %.1f ms)", many/one, one*1e3, many*1e3),
		"a push onto 10,000 commits to one onto a single one: at most %.1f times", historyRatio)
}
