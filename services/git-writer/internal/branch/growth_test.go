package branch

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
)

const (
	growthFiles = 10_000 // in the folder at first
	growthPush  = 2000   // commits at once: the git-writer's bound
	// growthIndex is after how many pushes the server indexes all of its packs in one, as
	// hosting services do: without that it looks for each object in each of them.
	growthIndex = 50
	// growthRuns is how often what takes moments is measured: the quickest counts.
	growthRuns = 3
)

// grown is what a repository with so many commits is like.
type grown struct {
	Commits  int     `json:"commits"`
	Received int64   `json:"receivedBytes"`    // all packs that were pushed, as the server stored them
	Packed   int64   `json:"packedBytes"`      // behind the server's gc
	GC       float64 `json:"gcSeconds"`        // git gc, on what came since the one before
	Clone    float64 `json:"cloneSeconds"`     // git clone, all of history
	First    float64 `json:"firstSeconds"`     // the git-writer's fetch into an empty cache
	Fetch    float64 `json:"fetchSeconds"`     // git fetch of a new commit, in that clone
	Anew     float64 `json:"fetchAnewSeconds"` // the git-writer's fetch of somebody's new commit
}

// BenchmarkGrowth says how a repository grows: its size, and what clones and fetches take,
// with as many commits as KUBESCRIBE_GROWTH lists, smallest first. They are the
// git-writer's, of one change each, made and pushed by its own code. It is to be run once:
// see make bench-growth.
func BenchmarkGrowth(b *testing.B) {
	sizes := os.Getenv("KUBESCRIBE_GROWTH")
	if sizes == "" {
		b.Skip("KUBESCRIBE_GROWTH is not set")
	}
	g := newGrowth(b)
	var all []grown
	for word := range strings.SplitSeq(sizes, ",") {
		commits, err := strconv.Atoi(word)
		if err != nil || commits <= g.commits {
			b.Fatalf("KUBESCRIBE_GROWTH: %q is no number of commits above %d", word, g.commits)
		}
		g.grow(commits)
		all = append(all, g.measure())
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "commits\treceived\tbehind gc\tbytes each\tgc\tclone\tfirst fetch\tgit fetch\tfetch\t")
	for _, m := range all {
		fmt.Fprintf(table, "%d\t%.1f MB\t%.1f MB\t%.0f\t%.1f s\t%.2f s\t%.3f s\t%.3f s\t%.3f s\t\n", m.Commits, float64(m.Received)/1e6, float64(m.Packed)/1e6,
			float64(m.Packed-g.empty)/float64(m.Commits), m.GC, m.Clone, m.First, m.Fetch, m.Anew)
	}
	figures, err := json.MarshalIndent(all, "", "  ")
	if err = errors.Join(err, table.Flush()); err != nil {
		b.Fatal(err)
	}
	fmt.Printf("\n%s\n", figures)
}

// growth is a repository that grows.
type growth struct {
	*testing.B
	dir, url string // the repository
	repo     *repo.Branch
	changes  changes
	dest     event.Destination
	stand    map[string]plumbing.Hash // blobs, by path
	empty    int64                    // bytes, before the first change
	received int64                    // bytes of packs since
	commits  int
	pushes   int
}

// newGrowth serves a repository with the files, as a hosting service does: partial clones
// are offered, no gc runs within a push, and nothing is synced.
func newGrowth(b *testing.B) *growth {
	b.Helper()
	server, err := gittest.Serve(gittest.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	g := &growth{B: b, url: server.URL("growth.git"), changes: changes{lots: rand.New(rand.NewPCG(1, 1))}, stand: map[string]plumbing.Hash{}}
	g.dest = event.Destination{Key: event.DestinationKey{Cluster: "production", Namespace: "default", Name: "live"}, ClusterID: "7c1f0f0a-5d0f-4f0b-9d43-6f3c1d3b9a55", BranchKey: "growth", BaseFolder: "live", Committer: event.Person{Name: "kubescribe", Email: "kubescribe@localhost"}}
	if g.dir, err = server.Init("growth.git", "main"); err != nil {
		b.Fatal(err)
	}
	for _, kv := range [][2]string{{"uploadpack.allowFilter", "true"}, {"gc.auto", "0"}, {"receive.autogc", "false"}, {"core.fsync", "none"}} {
		if err := gittest.Configure(g.dir, kv[0], kv[1]); err != nil {
			b.Fatal(err)
		}
	}
	g.repo = g.fetched(b.TempDir())
	b.Cleanup(g.repo.Close)
	var files []write
	for range growthFiles {
		files = append(files, g.write(g.changes.create(), 0))
	}
	for i := range files {
		files[i].Origin, files[i].Run = event.Reconcile, "start"
	}
	g.commit(files)
	g.push()
	g.git("repack", "-adfq") // gc alone makes no deltas within a pack that has come
	g.empty = size(b, g.dir)
	return g
}

// write is a change as it was read from KS_WRITE.
func (g *growth) write(c event.Change, seq int) write {
	c.Time = time.Unix(1_800_000_000, 0).Add(time.Duration(seq) * time.Second).UTC()
	w := newWrite(c, bus.Message{Seq: uint64(seq), Time: c.Time}, g.dest)
	w.stood = g.stand[w.path]
	g.stand[w.path] = w.blob
	return w
}

// incarnation is of the streams.
const incarnation = "2w9mJq7bTt5hG8kYc3xR4f"

func (g *growth) commit(writes []write) {
	g.Helper()
	s := &session{Worker: &Worker{Config: Config{Bus: &bus.Bus{Install: bus.Install{Incarnation: incarnation}}}}}
	a := &admission{Registered: bus.Registered{Destination: g.dest}, marker: marker.Of(g.dest, incarnation).Bytes()}
	if changed, err := g.repo.Commit(s.newCommit(ledger.Commit[write]{Writes: writes, Through: writes[len(writes)-1].msg.Seq}, a)); err != nil || !changed {
		g.Fatal(changed, err)
	}
}

func (g *growth) push() {
	g.Helper()
	if _, err := g.repo.Push(g.Context()); err != nil {
		g.Fatal(err)
	}
}

// grow makes commits up to that many.
func (g *growth) grow(commits int) {
	g.Helper()
	had := packs(g, g.dir)
	for g.commits < commits {
		g.commits++
		g.commit([]write{g.write(g.changes.next(), g.commits)})
		if n, _ := g.repo.Pending(); n == growthPush || g.commits == commits {
			g.push()
			if g.pushes++; g.pushes%growthIndex == 0 {
				g.git("multi-pack-index", "write")
			}
		}
	}
	g.received += packs(g, g.dir) - had
}

// measure measures the repository as it is, and adds the commits that are fetched.
func (g *growth) measure() grown {
	g.Helper()
	m := grown{Commits: g.commits, Received: g.received}
	m.GC = g.seconds(func() { g.git("gc", "--quiet") })
	m.Packed = size(g, g.dir)
	clone := filepath.Join(g.TempDir(), "clone.git")
	m.Clone = g.seconds(func() { g.run(".", "clone", "--quiet", "--bare", g.url, clone) })
	cache := g.TempDir()
	theirs := g.fetched(cache)
	defer theirs.Close()
	for range growthRuns {
		m.First = quicker(m.First, g.seconds(func() { g.fetched(g.TempDir()).Close() }))
		g.grow(g.commits + 1)
		m.Fetch = quicker(m.Fetch, g.seconds(func() { g.run(clone, "fetch", "--quiet", "origin", "main:main") }))
		m.Anew = quicker(m.Anew, g.seconds(func() {
			if _, err := theirs.Fetch(g.Context()); err != nil {
				g.Fatal(err)
			}
		}))
	}
	if err := os.RemoveAll(clone); err != nil {
		g.Fatal(err)
	}
	return m
}

// fetched is the branch as a git-writer knows it after its first fetch.
func (g *growth) fetched(cache string) *repo.Branch {
	g.Helper()
	b := repo.New(repo.Config{URL: g.url, Branch: "main", Dir: cache, Timeout: 10 * time.Minute})
	if _, err := b.Fetch(context.Background()); err != nil {
		g.Fatal(err)
	}
	return b
}

func (g *growth) git(args ...string) { g.run(g.dir, args...) }

func (g *growth) run(dir string, args ...string) {
	g.Helper()
	if _, err := gittest.Git(dir, args...); err != nil {
		g.Fatal(err)
	}
}

func (g *growth) seconds(f func()) float64 {
	begun := time.Now()
	f()
	return time.Since(begun).Seconds()
}

func quicker(than, seconds float64) float64 {
	if than == 0 {
		return seconds
	}
	return min(than, seconds)
}

// size is how many bytes the files of a repository have.
func size(tb testing.TB, dir string) int64 {
	return total(tb, dir, func(string) bool { return true })
}

// packs is how many bytes its packs have, without their indexes.
func packs(tb testing.TB, dir string) int64 {
	return total(tb, dir, func(name string) bool { return filepath.Ext(name) == ".pack" })
}

func total(tb testing.TB, dir string, of func(name string) bool) (bytes int64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !of(name) {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return bytes
}

// changes are those of a cluster: eight in ten update an object, one creates and one
// deletes one.
type changes struct {
	lots   *rand.Rand
	made   int   // objects, ever
	stand  []int // objects that are there
	update int   // number of the next one
}

func (c *changes) next() event.Change {
	c.update++
	switch at := c.lots.IntN(10); at {
	case 0:
		return c.create()
	case 1:
		last := len(c.stand) - 1
		i := c.lots.IntN(last + 1)
		n := c.stand[i]
		c.stand[i], c.stand = c.stand[last], c.stand[:last]
		gone := object(n, c.update)
		gone.Op, gone.Manifest = event.Delete, nil
		return gone
	}
	return object(c.stand[c.lots.IntN(len(c.stand))], c.update)
}

func (c *changes) create() event.Change {
	n := c.made
	c.made++
	c.stand = append(c.stand, n)
	return object(n, c.update)
}

// object is the n-th object: a Deployment of one of 100 namespaces, with a new image.
func object(n, update int) event.Change {
	name, namespace := fmt.Sprintf("app-%06d", n), fmt.Sprintf("team-%02d", n%100)
	digest := sha256.Sum256(fmt.Append(nil, n, update))
	return event.Change{
		Object: event.Object{Group: "apps", APIVersion: "v1", Resource: "deployments", Kind: "Deployment", Namespace: namespace, Name: name},
		Op:     event.Update, Origin: event.Live, ResourceVersion: strconv.Itoa(1_000_000 + update), FieldManager: "deployer",
		Manifest: fmt.Appendf(nil, `apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    app: %[1]s
    app.kubernetes.io/managed-by: deployer
    team: %[2]s
  name: %[1]s
  namespace: %[2]s
spec:
  replicas: %[4]d
  selector:
    matchLabels:
      app: %[1]s
  template:
    metadata:
      labels:
        app: %[1]s
    spec:
      containers:
      - image: registry.example.com/%[2]s/%[1]s@sha256:%[3]x
        name: %[1]s
        ports:
        - containerPort: 8080
          name: http
        readinessProbe:
          httpGet:
            path: /healthz
            port: http
        resources:
          limits:
            memory: 256Mi
          requests:
            cpu: 100m
            memory: 128Mi
`, name, namespace, digest, 1+update%5),
	}
}
