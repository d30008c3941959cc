package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// historyTarget is how many times as long as a push onto one commit one onto 10,000 may
// take.
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
			f := g.push(from, 0, over, func(run int) []Op { return edits(layouts["cluster"], files, commits, uint64(run+2)) })
			f.What = fmt.Sprintf("a push of %d into %d files over %s", commits, files, over.name)
			if commits == 1 {
				f.Target, f.Value, f.Verdict = "no slower than git push", fmt.Sprintf("%.2f times as long", f.Ours/f.Git), verdict(f.Ours <= f.Git)
			}
			g.add(f)
		}
	}
}

// history measures a push of one commit onto one commit and onto 10,000, as a hosting service
// keeps them, and as git fast-import leaves them. Before a server takes a push, it reads
// all trees of the commit below it (git rev-list --objects --not --all), and what that takes
// is most of the push, ours or git's. It goes by how many of these trees gc has left as
// deltas, so the longer history may be the quicker one, or the slower one where there are few
// files. git fast-import leaves each tree as a delta of the one before, up to 50 of which
// have to be applied for the newest.
func (g *gitBench) history() {
	g.Helper()
	const long = 10_000
	over := g.overHTTP()
	one := func(int) []Op { return []Op{{Path: "cluster/new.yaml", Content: manifest(0, 1)}} }
	for _, files := range []int{10_000, peakFiles} {
		short := g.fill(fmt.Sprintf("short-%d.git", files), "cluster", files)
		deep := importEdits(g, short, 0, edits(layouts["cluster"], files, long, 3))
		g.host(deep)
		imported := g.push(deep, long, over, one)
		imported.What = fmt.Sprintf("  onto %d, as git fast-import left them", long)
		g.git(deep, "gc", "-q")
		few, many := g.push(short, 0, over, one), g.push(deep, long, over, one)
		few.What = fmt.Sprintf("a push of 1 into %d files, onto 1 commit", files)
		many.What = fmt.Sprintf("  onto %d commits", long)
		ratio := many.Ours / few.Ours
		many.Value = fmt.Sprintf("%.2f (git %.2f)", ratio, many.Git/few.Git)
		if files == peakFiles {
			many.Target, many.Verdict = fmt.Sprintf("at most %.1f times as long as onto 1", historyTarget), verdict(ratio <= historyTarget)
		}
		g.add(few)
		g.add(many)
		g.add(imported)
	}
}

// push has both sides push into copies of a repository, which has so many commits, in turns.
func (g *gitBench) push(into string, after int, over served, edits func(run int) []Op) figure {
	g.Helper()
	ours, theirs := time.Hour, time.Hour
	for run := range benchRuns {
		all := edits(run)
		ours = min(ours, g.pushOurs(g.copied(into, "ours.git"), after, over, all))
		theirs = min(theirs, g.pushGit(into, g.copied(into, "theirs.git"), after, over, all))
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	return figure{Unit: "ms", Ours: ms(ours), Git: ms(theirs)}
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

// pushOurs is how long the first push of a process takes: it asks what the server can do.
func (g *gitBench) pushOurs(repository string, after int, over served, all []Op) time.Duration {
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
	begun := time.Now()
	if _, err := w.Push(g.Context()); err != nil {
		g.Fatal(err)
	}
	return time.Since(begun)
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
