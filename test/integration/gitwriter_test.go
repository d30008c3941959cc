package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// stand is a NATS server with an install, a Git server with one repository, and
// what puts changes straight into KS_WRITE.
type stand struct {
	*testing.T
	nats *natstest.Server
	bus  *bus.Bus
	dir  string // the bare repository
	url  string
	gate *gate
	log  *slog.Logger // of writers that are started
	next int          // of the next change
	out  map[event.DestinationKey]*bus.Ledger
}

// gate lets a test answer for the Git server.
type gate struct {
	mu     sync.Mutex
	before func(next http.Handler, w http.ResponseWriter, r *http.Request) (handled bool) // guarded by mu
}

func (g *gate) set(f func(http.Handler, http.ResponseWriter, *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before = f
}

func (g *gate) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		before := g.before
		g.mu.Unlock()
		if before == nil || !before(h, w, r) {
			h.ServeHTTP(w, r)
		}
	})
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{T: t, nats: natstest.Start(t), gate: &gate{}, log: slog.New(slog.DiscardHandler), out: map[event.DestinationKey]*bus.Ledger{}}
	s.bus = s.nats.Connect(t)
	if err := s.bus.Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	s.dir = filepath.Join(root, "repo.git")
	if err := gittest.InitBare(s.dir, "main"); err != nil {
		t.Fatal(err)
	}
	server, err := gittest.Serve(gittest.Options{Dir: root, Wrap: s.gate.wrap})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	s.url = server.URL("repo.git")
	return s
}

// register puts a destination into the registry.
func (s *stand) register(name, folder string, adopt bool) event.Destination {
	s.Helper()
	k := event.DestinationKey{Cluster: "test", Namespace: "default", Name: name}
	d := event.Destination{
		V: event.Version, Key: k, ClusterID: "cluster-uid", URL: s.url, Branch: "main", BaseFolder: folder, Adopt: adopt,
		BranchKey: subject.BranchKey(s.url, "main"), Committer: event.Person{Name: "kubescribe", Email: "kubescribe@localhost"},
	}
	s.put(d)
	return d
}

// put puts a destination into the registry as it is.
func (s *stand) put(d event.Destination) {
	s.Helper()
	kv, err := bus.OpenBucket[event.Destination](s.Context(), s.bus, subject.BucketDestination)
	if err != nil {
		s.Fatal(err)
	}
	k := subject.DestinationToken(d.Key)
	_, rev, err := kv.Get(s.Context(), k)
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		s.Fatal(err)
	}
	if _, err := kv.Put(s.Context(), k, d, rev); err != nil {
		s.Fatal(err)
	}
}

// write stores changes as the service stream does, those of one call together.
func (s *stand) write(d event.Destination, changes ...event.Change) {
	s.Helper()
	var out []bus.Output
	for _, c := range changes {
		h, body := c.Message()
		out = append(out, bus.Output{Subject: subject.WriteData(d.BranchKey, d.Key), Header: h, Data: body})
	}
	s.store(d, out...)
}

// store puts messages of a destination into KS_WRITE.
func (s *stand) store(d event.Destination, out ...bus.Output) {
	s.Helper()
	l := s.out[d.Key]
	if l == nil {
		var err error
		l, err = s.bus.OpenLedger(s.Context(), bus.LedgerConfig{
			Input: subject.Live, InputFilter: subject.LiveDestination(d.Key),
			Output: subject.Write, OwnerFilter: subject.WriteDestination(d.Key), Checkpoint: subject.WriteCheckpoint(d.Key),
		})
		if err != nil {
			s.Fatal(err)
		}
		s.out[d.Key] = l
	}
	s.next++
	in := bus.Message{Seq: uint64(s.next), Header: event.Header{event.HeaderID: {fmt.Sprintf("in-%d", s.next)}}}
	if err := l.Commit(s.Context(), in, "", out); err != nil {
		s.Fatal(err)
	}
}

func configMap(op event.Op, name, content string, rv int) event.Change {
	c := event.Change{
		Object: event.Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: name},
		Op:     op, Cluster: "test", ClusterID: "cluster-uid", UID: "uid-" + name, ResourceVersion: strconv.Itoa(rv),
		Origin: event.Live, Time: time.Unix(1_700_000_000, 0), Resume: strconv.Itoa(rv),
	}
	if op != event.Delete {
		c.Manifest = []byte("data: " + content + "\n")
		c.Hash = manifest.Hash(c.Manifest)
	}
	return c
}

// start runs a git-writer until stop is called or the test ends.
func (s *stand) start() (w *gitwriter.Writer, stop func()) {
	s.Helper()
	return s.startAs(gitwriter.Credentials{}, prometheus.NewRegistry())
}

func (s *stand) startAs(creds gitwriter.Credentials, metrics *prometheus.Registry) (w *gitwriter.Writer, stop func()) {
	s.Helper()
	b := s.nats.Connect(s.T)
	if err := b.Verify(s.Context()); err != nil {
		s.Fatal(err)
	}
	w, err := gitwriter.New(s.Context(), gitwriter.Config{CacheDir: s.TempDir(), Credentials: creds}, gitwriter.Deps{
		Bus: b, Log: s.log, Metrics: metrics,
	})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.Errorf("git-writer: %v", err)
		}
	})
	s.Cleanup(stop)
	return w, stop
}

func (s *stand) git(args ...string) string {
	s.Helper()
	out, err := gittest.Git(s.dir, args...)
	if err != nil {
		s.Fatalf("git %v: %v", args, err)
	}
	return strings.TrimSpace(out)
}

// subjects are the commits of main, oldest first.
func (s *stand) subjects() []string {
	out, err := gittest.Git(s.dir, "log", "--reverse", "--format=%s", "main")
	if err != nil || strings.TrimSpace(out) == "" {
		return nil
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// until waits for a condition; the deadline is there to fail, not to measure.
func (s *stand) until(what string, met func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			s.Fatalf("still not: %s; main is %q", what, s.subjects())
		case <-tick.C:
		}
	}
}

// versions are the resource versions in the history of main, oldest first.
func (s *stand) versions() []string {
	out, err := gittest.Git(s.dir, "log", "--reverse", "--format=%(trailers:key=Kubescribe-Resource-Version,valueonly)", "main")
	if err != nil {
		return nil
	}
	return strings.Fields(out)
}

func (s *stand) wantVersions(n int) {
	s.Helper()
	s.until(fmt.Sprintf("%d versions", n), func() bool { return len(s.versions()) >= n })
	for i, v := range s.versions() {
		if v != strconv.Itoa(i+1) {
			s.Fatalf("version %s stands in place %d of %v", v, i+1, s.versions())
		}
	}
	s.git("fsck", "--strict")
}

func TestGitWriterCommitsEachChange(t *testing.T) {
	s := newStand(t)
	d := s.register("live", "live", false)
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.write(d, configMap(event.Update, "web", "a", 3))
	s.write(d, configMap(event.Update, "web", "a", 4)) // no change: no commit
	s.write(d, configMap(event.Create, "api", "a", 4))
	s.write(d, configMap(event.Delete, "web", "", 5))
	w, _ := s.start()
	s.wantVersions(5)
	want := []string{"Create configmaps shop/web", "Update configmaps shop/web", "Update configmaps shop/web", "Create configmaps shop/api", "Delete configmaps shop/web"}
	if got := s.subjects(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("commits %q", got)
	}
	if got := s.git("ls-tree", "-r", "--name-only", "main"); got != "live/.kubescribe.yaml\nlive/shop/configmaps/api.yaml" {
		t.Errorf("files %q", got)
	}
	s.until("ready", func() bool { return w.Ready() == nil })
}

// TestGitWriterResumes stops a writer and starts the next after every 25 changes
// of a load, without waiting for what was written to land.
func TestGitWriterResumes(t *testing.T) {
	const n = 200
	s := newStand(t)
	d := s.register("live", "live", false)
	var stop func()
	for i := range n {
		if i%25 == 0 {
			if stop != nil {
				stop()
			}
			_, stop = s.start()
		}
		s.write(d, configMap(event.Update, "web", strconv.Itoa(i), i+1))
	}
	s.wantVersions(n)
}

// TestGitWriterAnswersLost drops the answers of pushes that landed.
func TestGitWriterAnswersLost(t *testing.T) {
	const n = 40
	s := newStand(t)
	d := s.register("live", "live", false)
	var mu sync.Mutex
	pushes := 0
	s.gate.set(func(next http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "git-receive-pack") || r.Method != http.MethodPost {
			return false
		}
		mu.Lock()
		pushes++
		drop := pushes%2 == 1
		mu.Unlock()
		if !drop {
			return false
		}
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // closes the connection without an answer
	})
	s.start()
	for i := range n {
		s.write(d, configMap(event.Update, "web", strconv.Itoa(i), i+1))
	}
	s.wantVersions(n)
}

// TestGitWritersCompete runs two writers of one branch, without any lease.
func TestGitWritersCompete(t *testing.T) {
	const n = 120
	s := newStand(t)
	d := s.register("live", "live", false)
	s.start()
	s.start()
	for i := range n {
		s.write(d, configMap(event.Update, "web", strconv.Itoa(i), i+1))
	}
	s.wantVersions(n)
}

// TestGitWritersCompeteOverRuns: what runs publish is cut into commits by when it
// was read, so two writers never make the same ones. Still nothing is doubled,
// and no older content comes back.
func TestGitWritersCompeteOverRuns(t *testing.T) {
	const n = 150
	s := newStand(t)
	d := s.register("live", "live", false)
	s.start()
	s.start()
	for i := range n {
		c := configMap(event.Update, "web", fmt.Sprintf("%04d", i), i+1)
		if i%3 != 0 {
			c.Origin, c.Run, c.Attempt = event.Reconcile, "r1", 1
		}
		s.write(d, c)
		if i%10 == 0 {
			o := configMap(event.Update, fmt.Sprintf("other-%d", i), "x", i+1)
			o.Origin, o.Run, o.Attempt = event.Reconcile, "r1", 1
			s.write(d, o)
		}
	}
	const file = "live/shop/configmaps/web.yaml"
	s.until("the last one stands", func() bool {
		out, err := gittest.Git(s.dir, "show", "main:"+file)
		return err == nil && strings.TrimSpace(out) == fmt.Sprintf("data: %04d", n-1)
	})
	for i, c := range strings.Fields(s.git("log", "--reverse", "--format=%H", "main", "--", file)) {
		if got := s.git("show", c+":"+file); got != fmt.Sprintf("data: %04d", i) {
			t.Fatalf("version %d is %q", i, got)
		}
	}
	if got := len(strings.Fields(s.git("log", "--format=%H", "main", "--", file))); got != n {
		t.Errorf("%d commits of %d versions", got, n)
	}
}

// TestGitWriterRemembersRefusals: an outage between a refusal and its end does not
// hide that changes were dropped.
func TestGitWriterRemembersRefusals(t *testing.T) {
	s := newStand(t)
	s.commitFile("live/shop/configmaps/x.yaml", "data: theirs\n")
	d := s.register("live", "live", false)
	w, stop := s.start()
	s.write(d, configMap(event.Create, "web", "a", 7))
	s.until("the refusal is said", func() bool {
		err := w.Ready()
		return err != nil && strings.Contains(err.Error(), "--adopt")
	})
	stop()
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	w, stop = s.start()
	s.until("the outage is said", func() bool {
		err := w.Ready()
		return err != nil && strings.Contains(err.Error(), "unreachable")
	})
	stop()
	s.register("live", "live", true)
	s.gate.set(nil)
	s.start()
	s.until("a run is asked for", func() bool {
		m, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRuns)
		if err != nil {
			return false
		}
		q, err := event.Decode[event.Request](m.Data)
		return err == nil && q.Destination == d.Key && q.Reason == event.ReasonAdmitted
	})
}

// TestGitWriterKeepsForeignCommits pushes somebody else's commits in between.
func TestGitWriterKeepsForeignCommits(t *testing.T) {
	const n = 30
	s := newStand(t)
	d := s.register("live", "live", false)
	s.start()
	s.write(d, configMap(event.Create, "web", "first", 1))
	s.wantVersions(1)
	clone := filepath.Join(t.TempDir(), "clone")
	if _, err := gittest.Git(t.TempDir(), "clone", "-q", s.dir, clone); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < n; i++ {
		s.write(d, configMap(event.Update, "web", strconv.Itoa(i), i+1))
		if i%10 == 0 {
			s.until("a foreign commit lands", func() bool {
				for _, args := range [][]string{
					{"fetch", "-q"},
					{"reset", "-q", "--hard", "origin/main"},
					{"-c", "user.name=p", "-c", "user.email=p@x", "commit", "-q", "--allow-empty", "-m", "Foreign " + strconv.Itoa(i)},
				} {
					if _, err := gittest.Git(clone, args...); err != nil {
						t.Fatal(err)
					}
				}
				_, err := gittest.Git(clone, "push", "-q", "origin", "HEAD:main")
				return err == nil
			})
		}
	}
	s.wantVersions(n)
	foreign := 0
	for _, sub := range s.subjects() {
		if strings.HasPrefix(sub, "Foreign ") {
			foreign++
		}
	}
	if foreign != 2 {
		t.Errorf("%d foreign commits stand", foreign)
	}
}

// TestGitWriterRefusesFolders: what is not ours is not written to, and what else
// shares the branch goes on.
func TestGitWriterRefusesFolders(t *testing.T) {
	s := newStand(t)
	s.commitFile("theirs/shop/configmaps/x.yaml", "data: theirs\n")
	refused := s.register("theirs", "theirs", false)
	live := s.register("live", "live", false)
	w, stop := s.start()
	s.write(refused, configMap(event.Create, "web", "a", 7))
	s.write(live, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	s.until("the refusal is said", func() bool {
		err := w.Ready()
		return err != nil && strings.Contains(err.Error(), "--adopt")
	})
	if got := s.git("show", "main:theirs/shop/configmaps/x.yaml"); got != "data: theirs" {
		t.Errorf("their file is %q", got)
	}
	stop()
	s.start()
	adopted := s.register("theirs", "theirs", true)
	s.write(adopted, configMap(event.Update, "web", "b", 2))
	s.wantVersions(2)
	if s.git("show", "main:theirs/shop/configmaps/x.yaml") != "data: theirs" {
		t.Error("their file is gone")
	}
	s.until("a run is asked for", func() bool {
		m, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRuns)
		if err != nil {
			return false
		}
		q, err := event.Decode[event.Request](m.Data)
		return err == nil && q.Destination == refused.Key && q.Reason == event.ReasonAdmitted
	})
}

// TestGitWriterPathTaken: one change without room in the tree stops nobody else.
func TestGitWriterPathTaken(t *testing.T) {
	s := newStand(t)
	s.commitFile("live/shop/configmaps/web.yaml/readme.txt", "a directory where a file belongs\n")
	d := s.register("live", "live", false)
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 9))
	s.write(d, configMap(event.Create, "api", "a", 1))
	s.wantVersions(1)
	var m bus.Message
	s.until("the letter is kept", func() (kept bool) {
		var err error
		m, err = s.bus.LastFor(t.Context(), subject.DLQ, subject.AllDLQ)
		return err == nil && strings.Contains(strings.Join(m.Header[event.HeaderReason], ""), "web.yaml")
	})
	if c, err := event.ParseChange(m.Header, m.Data); err != nil || c.Name != "web" || len(c.Manifest) == 0 {
		t.Errorf("what was not written cannot be read off the letter: %v, %v", m.Header, err)
	}
}

// TestGitWriterHistoryRewritten: nothing is forced or replayed, a run is asked for.
func TestGitWriterHistoryRewritten(t *testing.T) {
	s := newStand(t)
	s.commitFile("README.md", "hello\n")
	first := s.git("rev-parse", "main")
	d := s.register("live", "live", false)
	_, stop := s.start()
	for i := range 5 {
		s.write(d, configMap(event.Update, "web", strconv.Itoa(i), i+1))
	}
	s.wantVersions(5)
	stop()
	s.git("update-ref", "refs/heads/main", first)
	s.start()
	s.write(d, configMap(event.Update, "web", "last", 6))
	s.until("only what came after stands", func() bool { return fmt.Sprint(s.versions()) == "[6]" })
	m, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRuns)
	if err != nil {
		t.Fatal(err)
	}
	if q, err := event.Decode[event.Request](m.Data); err != nil || q.Reason != event.ReasonHistoryRewritten {
		t.Errorf("asked for %+v, %v", q, err)
	}
	if _, err := gittest.Git(s.dir, "merge-base", "--is-ancestor", first, "main"); err != nil {
		t.Error("their commit is gone")
	}
}

// TestGitWriterForgedPosition: a commit that claims more than was ever written
// skips nothing.
func TestGitWriterForgedPosition(t *testing.T) {
	s := newStand(t)
	d := s.register("live", "live", false)
	s.commit("README.md", "hello\n", fmt.Sprintf("Forged\n\nKubescribe-Position: %s/%s/%d\n", s.bus.Install.Incarnation, d.BranchKey, 1_000_000))
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
}

// TestGitWriterOutage: a remote that is away or refuses is said, kept apart from
// others, and recovers by itself.
func TestGitWriterOutage(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		says   string
	}{
		"unauthorized": {http.StatusUnauthorized, "authentication failed"},
		"forbidden":    {http.StatusForbidden, "access denied"},
		"broken":       {http.StatusBadGateway, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.gate.set(func(_ http.Handler, w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(c.status)
				return true
			})
			d := s.register("live", "live", false)
			s.write(d, configMap(event.Create, "web", "a", 1))
			w, _ := s.start()
			s.until("it is said", func() bool {
				err := w.Ready()
				return err != nil && strings.Contains(err.Error(), c.says)
			})
			s.gate.set(nil)
			s.wantVersions(1)
			s.until("ready", func() bool { return w.Ready() == nil })
		})
	}
}

func (s *stand) commitFile(name, content string) { s.commit(name, content, "Add "+name) }

// commit makes a commit of somebody else's that writes a file.
func (s *stand) commit(name, content, message string) {
	s.Helper()
	s.foreign(message, func(dir string) error {
		file := filepath.Join(dir, name)
		return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644))
	})
}

// foreign makes a commit of somebody else's on main, by stock git.
func (s *stand) foreign(message string, change func(dir string) error) {
	s.Helper()
	clone := filepath.Join(s.TempDir(), "clone")
	run := func(args ...string) func() error {
		return func() error { _, err := gittest.Git(clone, args...); return err }
	}
	for _, step := range []func() error{
		func() error { _, err := gittest.Git(s.TempDir(), "clone", "-q", s.dir, clone); return err },
		func() error { return change(clone) }, run("add", "-A"),
		run("-c", "user.name=p", "-c", "user.email=p@x", "commit", "-q", "-m", message),
		run("push", "-q", "origin", "HEAD:main"),
	} {
		if err := step(); err != nil {
			s.Fatal(err)
		}
	}
}
