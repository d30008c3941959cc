package repo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	benchCommits = 5000
	peakFiles    = 100_000 // with so many files
	peakTarget   = 150     // MB are to be enough
)

// speedups are how many times as fast as git fast-import commits are to be made.
var speedups = []struct {
	layout string
	files  int
	target float64
}{{"cluster", 1_000, 5}, {"cluster", 10_000, 5}, {"cluster", peakFiles, 4}, {"flat", 10_000, 5}}

// built is what it took one process to make commits.
type built struct {
	Seconds float64
	Bytes   int64 // of the pack
	Head    string
	Peak    int64 // bytes; 0: this system does not tell
}

// quicker is the quicker one of two, with the higher peak of memory.
func (b built) quicker(than built) built {
	peak := max(b.Peak, than.Peak)
	if than.Seconds > 0 && than.Seconds < b.Seconds {
		b = than
	}
	b.Peak = peak
	return b
}

// micros is microseconds a commit.
func (b built) micros() float64 { return b.Seconds / benchCommits * 1e6 }

// commits measures how commits of one edit each are made, in one pack. Both sides are a
// process of their own, and what they read was read before. Ours is measured from the
// first commit to the last byte of the pack: it has the edits in memory, as the product
// has, and the commit it builds on. git fast-import is measured as a whole, as it comes:
// it also starts, reads the edits from a file, and writes the pack's index.
//
// How fast it is as it comes is chance, too: it gives zlib 256 KB of memory for each object
// and takes them back. Where these lie at the end of the heap, glibc gives them back to the
// system each time, and getting them again, 107 page faults a commit, takes twice as long
// as all the rest. So it is with 1,000 files here, and not with 10,000: 0.5 page faults.
// The line below is of a glibc that keeps its heap (mallopt(3), M_TRIM_THRESHOLD).
func (g *gitBench) commits() {
	g.Helper()
	for _, s := range speedups {
		name := fmt.Sprintf("commits to %d files", s.files)
		if s.layout == "flat" {
			name += " in one directory"
		}
		dir := g.fill(fmt.Sprintf("%s-%d.git", s.layout, s.files), s.layout, s.files)
		stream := filepath.Join(g.dir, "stream")
		f, err := os.Create(stream)
		if err == nil {
			err = errors.Join(writeFastImport(f, 0, edits(layouts[s.layout], s.files, benchCommits, 1)), f.Close())
		}
		if err != nil {
			g.Fatal(err)
		}
		var ours, theirs, kept built
		for range benchRuns {
			theirs = g.imports(dir, stream).quicker(theirs)
			kept = g.imports(dir, stream, "MALLOC_TRIM_THRESHOLD_=1000000000", "MALLOC_MMAP_THRESHOLD_=1000000000").quicker(kept)
			ours = g.builds(dir, s.layout, s.files).quicker(ours)
		}
		if ours.Head != theirs.Head {
			g.Errorf("%s: the last one is %s, and git's %s", name, ours.Head, theirs.Head)
		}
		times := theirs.Seconds / ours.Seconds
		g.add(figure{name, "µs each", ours.micros(), theirs.micros(), fmt.Sprintf("%.0f times as fast as git fast-import", s.target), fmt.Sprintf("%.1f", times), verdict(times >= s.target)})
		g.add(figure{What: "  git fast-import that keeps its heap", Unit: "µs each", Git: kept.micros(), Value: fmt.Sprintf("%.1f", kept.Seconds/ours.Seconds)})
		g.add(figure{What: "  in the pack", Unit: "bytes each", Ours: float64(ours.Bytes) / benchCommits, Git: float64(theirs.Bytes) / benchCommits})
		g.add(figure{What: "  the last one", Target: "the same hash", Value: fmt.Sprintf("%.12s, %.12s", ours.Head, theirs.Head), Verdict: verdict(ours.Head == theirs.Head)})
		g.add(memory(s.files, ours.Peak))
	}
}

// memory is the line of the most memory that ours had.
func memory(files int, peak int64) figure {
	f := figure{What: "  memory", Unit: "MB", Ours: float64(peak) / 1e6}
	switch {
	case files != peakFiles:
		return f
	case peak == 0:
		f.Verdict = notMeasured
	default:
		f.Value, f.Verdict = number(f.Ours), verdict(f.Ours < peakTarget)
	}
	f.Target = fmt.Sprintf("under %d MB", peakTarget)
	return f
}

// imports has git fast-import make the commits in a copy of a repository: with its own
// settings, but for those that would have a small pack taken apart, or synced.
func (g *gitBench) imports(of, stream string, environment ...string) (b built) {
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
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
	cmd.Env = append(cmd.Env, environment...)
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

// peak is the most memory that this process had resident, in bytes (proc_pid_status(5));
// 0 where the system does not tell. What wait4 says of a child begins with what its
// parent had.
func peak() (n int64) {
	status, _ := os.ReadFile("/proc/self/status") // not there: 0
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
	defer pack.Close()
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
	size, err := pack.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(built{took.Seconds(), size, p.new.String(), peak()})
}
