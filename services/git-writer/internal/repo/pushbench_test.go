package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// historyTarget is how many times as long as a push onto 1 commit one onto 10,000 may take.
const historyTarget = 1.2

// served is a transport by which the repositories are reached.
type served struct {
	name string
	url  func(repository string) string
	auth transport.AuthMethod
	git  []string // arguments for stock git
}

// overHTTP serves the repositories over smart HTTP.
func (g *gitBench) overHTTP() served {
	g.Helper()
	server, err := gittest.Serve(gittest.Options{Dir: g.dir})
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = server.Close() })
	return served{name: "HTTP", url: server.URL}
}

// overSSH serves them over SSH, to one key that stock git has from an agent.
func (g *gitBench) overSSH() served {
	g.Helper()
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
	return served{"SSH", server.URL, keys, []string{
		"-c", "core.sshCommand=ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none -o UserKnownHostsFile=" + known + " -o IdentityAgent=" + agent.Socket,
	}}
}

// pushes measures pushes of 1 and 1,000 commits into 100,000 files.
func (g *gitBench) pushes() {
	g.Helper()
	const files, many = peakFiles, 1000
	from := g.fill("push-from.git", "cluster", files)
	ways := []served{g.overHTTP()}
	if _, err := exec.LookPath("ssh"); err == nil {
		ways = append(ways, g.overSSH())
	} else {
		g.add(figure{What: "pushes over SSH", Target: "no slower than git push", Verdict: notMeasured + ": no ssh is installed"})
	}
	for _, over := range ways {
		for _, commits := range []int{1, many} {
			var quickest pushed
			for run := range benchRuns {
				quickest = g.push(from, 0, over, edits(layouts["cluster"], files, commits, uint64(run+2))).quicker(quickest)
			}
			f := quickest.figure(fmt.Sprintf("a push of %d into %d files over %s", commits, files, over.name))
			if commits == 1 {
				f.Target, f.Value, f.Verdict = "no slower than git push", fmt.Sprintf("%.2f times as long", f.Ours/f.Git), verdict(f.Ours <= f.Git)
			}
			g.add(f)
		}
	}
}

// history measures a push of one commit onto one commit and onto 10,000. Before a server takes
// a push, it reads all trees of the commit below it (git rev-list --objects --not --all), which
// is most of the time of a push, ours or git's. What that takes goes by how many of these
// trees are deltas, and of how many others. So that histories differ by their length alone,
// both are packed anew. The lines below are of one that is not: gc keeps the deltas that git
// fast-import makes, as it would those of large pushes, each tree one of the tree before.
func (g *gitBench) history() {
	g.Helper()
	const long = 10_000
	over := g.overHTTP()
	one := []Op{{Path: "cluster/new.yaml", Content: manifest(0, 1)}}
	for _, files := range []int{10_000, peakFiles} {
		short := g.fill(fmt.Sprintf("short-%d.git", files), "cluster", files)
		imported := importEdits(g, short, 0, edits(layouts["cluster"], files, long, 3))
		g.host(imported)
		packed := func(name string, args ...string) string {
			dir := filepath.Join(g.dir, g.copied(imported, fmt.Sprintf("%s-%d.git", name, files)))
			g.git(dir, args...)
			return dir
		}
		g.git(short, "repack", "-adfq")
		all := []struct {
			what  string
			dir   string
			after int
		}{
			{fmt.Sprintf("a push of 1 into %d files, onto 1 commit", files), short, 0},
			{fmt.Sprintf("  onto %d", long), packed("anew", "repack", "-adfq"), long},
			{"  as gc leaves what git fast-import made", packed("kept", "gc", "-q"), long},
			{"  as git fast-import left it", imported, long},
		}
		quickest := make([]pushed, len(all))
		for range benchRuns {
			for i, into := range all {
				quickest[i] = g.push(into.dir, into.after, over, one).quicker(quickest[i])
			}
		}
		for i, into := range all {
			f := quickest[i].figure(into.what)
			ratio := float64(quickest[i].ours) / float64(quickest[0].ours)
			if i > 0 {
				f.Value = fmt.Sprintf("%.2f (git %.2f)", ratio, float64(quickest[i].git)/float64(quickest[0].git))
			}
			if i == 1 {
				f.Target, f.Verdict = fmt.Sprintf("at most %.1f times as long as onto 1", historyTarget), verdict(ratio <= historyTarget)
			}
			g.add(f)
			if i < 2 {
				g.add(figure{What: "  CPU of that, without git's on the server", Unit: "ms", Ours: ms(quickest[i].cpu)})
			}
		}
	}
}

// pushed is how long a push took, git's push, and of ours the CPU of this process.
type pushed struct{ ours, git, cpu time.Duration }

// quicker is the quickest of both, figure by figure. The zero value is of no push.
func (p pushed) quicker(than pushed) pushed {
	if than == (pushed{}) {
		return p
	}
	return pushed{min(p.ours, than.ours), min(p.git, than.git), min(p.cpu, than.cpu)}
}

func (p pushed) figure(what string) figure {
	return figure{What: what, Unit: "ms", Ours: ms(p.ours), Git: ms(p.git)}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// push has both sides push into copies of a repository, which has so many commits.
func (g *gitBench) push(into string, after int, over served, all []Op) (p pushed) {
	g.Helper()
	p.ours, p.cpu = g.pushOurs(g.copied(into, "ours.git"), after, over, all)
	p.git = g.pushGit(into, g.copied(into, "theirs.git"), after, over, all)
	return p
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

// pushOurs is how long the first push of a process takes, which asks what the server can do,
// and how much CPU this process had meanwhile, in which the server passes on what git's
// programs say; they are others.
func (g *gitBench) pushOurs(repository string, after int, over served, all []Op) (took, cpu time.Duration) {
	g.Helper()
	w := New(Config{URL: over.url(repository), Branch: "main", Dir: g.TempDir(), Auth: func(context.Context) (Access, error) { return Access{Method: over.auth}, nil }})
	defer w.Close()
	if _, err := w.Fetch(g.Context()); err != nil {
		g.Fatal(err)
	}
	for i, op := range all {
		if changed, err := w.Commit(commitOf(after+i+1, op)); err != nil || !changed {
			g.Fatal(changed, err)
		}
	}
	runtime.GC() // of what was there before it
	had, begun := g.cpu(), time.Now()
	if _, err := w.Push(g.Context()); err != nil {
		g.Fatal(err)
	}
	return time.Since(begun), g.cpu() - had
}

// cpu is what this process has had of it (getrusage(2)).
func (g *gitBench) cpu() time.Duration {
	g.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		g.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pushGit is the same of git push, from a copy that has the commits.
func (g *gitBench) pushGit(from, repository string, after int, over served, all []Op) time.Duration {
	g.Helper()
	dir := importEdits(g, from, after, all)
	defer os.RemoveAll(dir)
	args := append(append([]string{}, over.git...), "push", "-q", over.url(repository), "main")
	begun := time.Now()
	g.git(dir, args...)
	return time.Since(begun)
}
