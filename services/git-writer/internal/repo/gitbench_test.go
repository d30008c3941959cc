package repo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"text/tabwriter"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// benchRuns is how often each side does what is measured, in turns: its quickest counts.
const benchRuns = 5

// figure is a line of the table. What has a target has a verdict, too.
type figure struct {
	What    string  `json:"what"`
	Unit    string  `json:"unit,omitempty"`
	Ours    float64 `json:"ours,omitempty"`
	Git     float64 `json:"git,omitempty"`
	Target  string  `json:"target,omitempty"`
	Value   string  `json:"value,omitempty"` // what is held against the target
	Verdict string  `json:"verdict,omitempty"`
}

// The verdicts. What could not be measured has met nothing.
const (
	met         = "met"
	missed      = "missed"
	notMeasured = "not measured"
)

func verdict(ok bool) string {
	if ok {
		return met
	}
	return missed
}

// gitBench collects figures.
type gitBench struct {
	*testing.B
	dir     string // of the repositories
	figures []figure
}

// BenchmarkGit compares with stock git, prints one table and the figures as JSON, and is
// to be run once: see make bench-git. Repositories are as a hosting service keeps them,
// gc has run (of histories see there), and neither side syncs anything to disk.
func BenchmarkGit(b *testing.B) {
	g := &gitBench{B: b, dir: b.TempDir()}
	g.commits()
	g.pushes()
	g.history()
	g.report()
}

func (g *gitBench) add(f figure) { g.figures = append(g.figures, f) }

// report prints the table, and the same as JSON.
func (g *gitBench) report() {
	g.Helper()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\t\tkubescribe\tgit\ttarget\tvalue\t")
	for _, f := range g.figures {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.What, f.Unit, number(f.Ours), number(f.Git), f.Target, f.Value, f.Verdict)
	}
	if err := table.Flush(); err != nil {
		g.Fatal(err)
	}
	all, err := json.MarshalIndent(g.figures, "", "  ")
	if err != nil {
		g.Fatal(err)
	}
	fmt.Printf("\n%s\n", all)
}

// number is a figure of the table; what is 0 was not measured.
func number(n float64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", n)
}

// fill makes a repository of n files, in one commit.
func (g *gitBench) fill(name, layout string, n int) (dir string) {
	g.Helper()
	dir = filepath.Join(g.dir, name)
	if err := gittest.InitBare(dir, "main"); err != nil {
		g.Fatal(err)
	}
	g.host(dir)
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
	g.git(dir, "gc", "-q")
	return dir
}

// host configures a repository for serving: partial clones and pushes over HTTP, no gc
// within a push, and nothing is synced.
func (g *gitBench) host(dir string) {
	g.Helper()
	for _, kv := range [][2]string{
		{"uploadpack.allowFilter", "true"},
		{"http.receivepack", "true"},
		{"gc.auto", "0"},
		{"receive.autogc", "false"},
		{"core.fsync", "none"},
	} {
		if err := gittest.Configure(dir, kv[0], kv[1]); err != nil {
			g.Fatal(err)
		}
	}
}

func (g *gitBench) git(dir string, args ...string) string {
	g.Helper()
	out, err := gittest.Git(dir, args...)
	if err != nil {
		g.Fatal(err)
	}
	return out
}
