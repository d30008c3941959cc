package integration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

const patience = natstest.Patience

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
	// signing is what they sign with.
	signing gitwriter.Signing
	// fullFor is how long they wait for room in KS_SNAP; 0: as long as they do.
	fullFor time.Duration
	ahead   *atomic.Int64 // how far the clock of writers is ahead of the machine's; nil: they are by that
	next    int           // of the next change
	rev     uint64        // of the registry, the newest
	out     map[event.DestinationKey]*bus.Ledger
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
	s.serve()
	return s
}

// serve starts the Git server, with an empty repository.
func (s *stand) serve() {
	s.Helper()
	root := s.TempDir()
	s.dir = filepath.Join(root, "repo.git")
	if err := gittest.InitBare(s.dir, "main"); err != nil {
		s.Fatal(err)
	}
	server, err := gittest.Serve(gittest.Options{Dir: root, Wrap: s.gate.wrap})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = server.Close() })
	s.url = server.URL("repo.git")
}

// beside is the same NATS server with another Git server.
func (s *stand) beside() *stand {
	s.Helper()
	other := *s
	other.gate, other.out = &gate{}, map[event.DestinationKey]*bus.Ledger{}
	other.serve()
	return &other
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

// put puts a destination into the registry as a watcher does.
func (s *stand) put(d event.Destination) {
	s.Helper()
	kv, err := bus.OpenBucket[event.Destination](s.Context(), s.bus, subject.BucketDestination)
	if err != nil {
		s.Fatal(err)
	}
	k := subject.DestinationToken(d.Key)
	old, rev, err := kv.Get(s.Context(), k)
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		s.Fatal(err)
	}
	d.First = cmp.Or(old.First, rev)
	if s.rev, err = kv.Put(s.Context(), k, d, rev); err != nil {
		s.Fatal(err)
	}
}

// unregister removes a destination from the registry.
func (s *stand) unregister(d event.Destination) {
	s.Helper()
	kv, err := bus.OpenBucket[event.Destination](s.Context(), s.bus, subject.BucketDestination)
	if err == nil {
		err = kv.Delete(s.Context(), subject.DestinationToken(d.Key))
	}
	if err != nil {
		s.Fatal(err)
	}
}

// write stores changes as the service stream does, those of one call together.
func (s *stand) write(d event.Destination, changes ...event.Change) {
	s.Helper()
	var out []bus.Output
	for i, c := range changes {
		c.Registry = s.rev
		h, body := c.Message()
		out = append(out, bus.Output{Subject: subject.WriteData(d.BranchKey, d.Key), Header: event.Forward(h, fmt.Sprintf("out-%d-%d", s.next, i)), Data: body})
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
		var loss *bus.Loss // of KS_LIVE, which nothing is read of here
		if err != nil && !errors.As(err, &loss) {
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
	return s.startUnder(context.Background(), creds, metrics)
}

// startUnder is startAs, of one that a context stops too.
func (s *stand) startUnder(parent context.Context, creds gitwriter.Credentials, metrics *prometheus.Registry) (w *gitwriter.Writer, stop func()) {
	s.Helper()
	b := s.nats.ConnectAs(s.T, subject.UserGitWriter)
	if err := b.Verify(s.Context()); err != nil {
		s.Fatal(err)
	}
	if s.fullFor > 0 {
		b.FullFor = s.fullFor
	}
	w, err := gitwriter.New(s.Context(), gitwriter.Config{CacheDir: s.TempDir(), Credentials: creds, Signing: s.signing}, gitwriter.Deps{
		Bus: b, Log: s.log, Metrics: metrics, Now: s.now,
	})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(parent)
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

// now is the clock of writers.
func (s *stand) now() time.Time {
	now := time.Now()
	if s.ahead != nil {
		now = now.Add(time.Duration(s.ahead.Load()))
	}
	return now
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

// until waits for a condition.
func (s *stand) until(what string, met func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
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

// wantVersions waits for so many versions. One that is not in its place never will be.
func (s *stand) wantVersions(n int) {
	s.Helper()
	s.until(fmt.Sprintf("%d versions", n), func() bool {
		got := s.versions()
		for i, v := range got {
			if v != strconv.Itoa(i+1) {
				s.Fatalf("version %s stands in place %d of %v", v, i+1, got)
			}
		}
		return len(got) >= n
	})
	s.git("fsck", "--strict")
}

func TestGitWriterCommitsEachChange(t *testing.T) {
	t.Parallel()
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
	long(t)
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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

// TestGitWritersLoseAnswers: three writers of one branch, of whose pushes each fifth one is
// carried out without its answer coming back, commit each change once, in order.
func TestGitWritersLoseAnswers(t *testing.T) {
	long(t)
	t.Parallel()
	const n, together, every = 600, 20, 5
	s := newStand(t)
	d := s.register("live", "live", false)
	var pushes, lost atomic.Int64
	s.gate.set(func(next http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if !isPush(r) || pushes.Add(1)%every != 0 {
			return false
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		if strings.Contains(answer.Body.String(), "ok refs/heads/main") {
			lost.Add(1)
		}
		panic(http.ErrAbortHandler) // closes the connection without an answer
	})
	var stops []func()
	for range 3 {
		_, stop := s.start()
		stops = append(stops, stop)
	}
	for i := 1; i <= n; i++ {
		s.write(d, configMap(event.Update, fmt.Sprintf("web-%d", i%7), strconv.Itoa(i), i))
		if i%together == 0 {
			s.wantVersions(i)
		}
	}
	for _, stop := range stops { // what one of them still had is pushed
		stop()
	}
	if got := len(s.versions()); got != n {
		t.Errorf("%d commits of %d changes", got, n)
	}
	s.wantVersions(n)
	s.git("fsck", "--strict")
	if t.Logf("of %d pushes %d landed without an answer", pushes.Load(), lost.Load()); lost.Load() == 0 {
		t.Error("no answer was lost")
	}
}

// TestGitWritersCompeteOverRuns: what runs publish is cut into commits by when it
// was read, so two writers never make the same ones. Still nothing is doubled,
// and no older content comes back.
func TestGitWritersCompeteOverRuns(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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

// TestGitWriterLooksAgain: what stood already when it last looked, and others have changed
// since, is written, and nothing else is.
func TestGitWriterLooksAgain(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	metrics := prometheus.NewRegistry()
	s.startAs(gitwriter.Credentials{}, metrics)
	s.write(d, configMap(event.Create, "web", "a", 1), configMap(event.Create, "api", "a", 2), configMap(event.Delete, "db", "", 3))
	s.until("two versions and nothing", func() bool {
		return len(s.versions()) == 2 && s.sum(metrics, "kubescribe_git_writer_changes_total", "unchanged") == 1
	})
	s.commitFile("live/shop/configmaps/web.yaml", "data: theirs\n")
	s.commitFile("live/shop/configmaps/db.yaml", "data: theirs\n")
	s.write(d, configMap(event.Update, "api", "a", 4), configMap(event.Update, "web", "a", 5), configMap(event.Delete, "db", "", 6))
	s.wantSubjects("Create configmaps shop/web", "Create configmaps shop/api",
		"Add live/shop/configmaps/web.yaml", "Add live/shop/configmaps/db.yaml", "Update configmaps shop/web", "Delete configmaps shop/db")
	s.wantFiles(map[string]string{"web": "data: a\n", "api": "data: a\n"})
	s.until("the rest is counted", func() bool { return s.sum(metrics, "kubescribe_git_writer_changes_total", "unchanged") == 2 })
}

// TestGitWriterLooksAgainBeforeLeaving: a file or a directory that was in the way when it
// last looked, and is not any more, hinders nobody.
func TestGitWriterLooksAgainBeforeLeaving(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", true)
	s.commitFile("live/shop/configmaps/web.yaml", objects)
	s.commitFile("live/shop/configmaps/api.yaml/readme.txt", "a directory where a file belongs\n")
	s.start()
	s.write(d, configMap(event.Create, "db", "a", 1))
	s.wantVersions(1)
	s.foreign("Make room", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "live/shop/configmaps/api.yaml")) })
	s.write(d, configMap(event.Update, "api", "a", 2))
	s.wantVersions(2)
	s.commitFile("live/shop/configmaps/web.yaml", object)
	s.write(d, configMap(event.Update, "web", "a", 3))
	s.wantVersions(3)
	s.wantFiles(map[string]string{"web": "data: a\n", "api": "data: a\n"})
}

// TestGitWriterStoppedWhileLooking: a stop lets what is being brought to the remote get
// there, also where the remote is looked at before.
func TestGitWriterStoppedWhileLooking(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	ctx, end := context.WithCancel(t.Context())
	_, stop := s.startUnder(ctx, gitwriter.Credentials{}, prometheus.NewRegistry())
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.RawQuery, "service=git-upload-pack") {
			end()
		}
		return false
	})
	s.write(d, configMap(event.Create, "api", "a", 2), configMap(event.Update, "web", "a", 3))
	<-ctx.Done()
	stop()
	s.wantVersions(2)
}

// TestGitWriterRefusesFolders: what is not ours is not written to, and what else
// shares the branch goes on.
func TestGitWriterRefusesFolders(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	s := newStand(t)
	s.commitFile("live/shop/configmaps/web.yaml/readme.txt", "a directory where a file belongs\n")
	d := s.register("live", "live", false)
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 9))
	s.write(d, configMap(event.Create, "api", "a", 1))
	s.wantVersions(1)
	var m bus.Message
	s.until("the letter is kept", func() bool {
		l := newestLetter(t, s.bus)
		m = l.Message
		return strings.Contains(l.Reason, "web.yaml")
	})
	if c, err := event.ParseChange(m.Header, m.Data); err != nil || c.Name != "web" || len(c.Manifest) == 0 {
		t.Errorf("what was not written cannot be read off the letter: %v, %v", m.Header, err)
	}
}

// TestGitWriterPathsTaken: what is in the way of many changes costs one look at the
// remote for all that are written together.
func TestGitWriterPathsTaken(t *testing.T) {
	t.Parallel()
	const n = 100
	s := newStand(t)
	s.commitFile("live/shop", "a file where a directory belongs\n")
	d := s.register("live", "live", false)
	var live, run []event.Change
	for i := range n {
		live = append(live, configMap(event.Create, fmt.Sprintf("live-%d", i), "a", i+1))
		run = append(run, result(event.Create, "r1", fmt.Sprintf("run-%d", i), "a", true))
		free := result(event.Create, "r1", fmt.Sprintf("run-%d", i), "a", i < n-1)
		free.Namespace, free.Path = "free", strings.Replace(free.Path, "shop/", "free/", 1)
		run = append(run, free)
	}
	s.write(d, live...)
	s.write(d, run...)
	var looks atomic.Int64
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.RawQuery, "service=git-upload-pack") {
			looks.Add(1)
		}
		return false
	})
	metrics := prometheus.NewRegistry()
	s.startAs(gitwriter.Credentials{}, metrics)
	s.until("all are set aside", func() bool {
		return s.sum(metrics, "kubescribe_git_writer_changes_total", "dead_lettered") == 2*n
	})
	s.wantSubjects("Add live/shop", fmt.Sprintf("Reconcile live: %d created", n))
	if got := looks.Load(); got > n/4 {
		t.Errorf("it looked %d times", got)
	}
}

// TestGitWriterHistoryRewritten: nothing is forced or replayed, a run is asked for.
func TestGitWriterHistoryRewritten(t *testing.T) {
	t.Parallel()
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

// TestGitWriterLogWentBack: where KS_WRITE is another one than what the branch holds is
// of, runs are asked for, and what comes from then on is written. It may hold the
// beginning of the former one, as a backup does, and have grown past the branch.
func TestGitWriterLogWentBack(t *testing.T) {
	long(t)
	t.Parallel()
	for name, tt := range map[string]struct{ restored, again int }{
		"made anew": {0, 1}, "made anew, longer": {0, 20}, "restored": {2, 1}, "restored, longer": {2, 20},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			d := s.register("live", "live", false)
			_, stop := s.start()
			for i := range 5 {
				s.write(d, configMap(event.Update, "web", strconv.Itoa(i), i+1))
			}
			s.wantVersions(5)
			stop()
			var backup []bus.Message
			for seq := range tt.restored {
				m, err := s.bus.MessageAt(t.Context(), subject.Write, uint64(seq+1))
				if err != nil {
					t.Fatal(err)
				}
				backup = append(backup, m)
			}
			js, err := jetstream.New(s.nats.NATS(t))
			if err != nil {
				t.Fatal(err)
			}
			(&install{T: t, js: js}).recreate(subject.Write)
			clear(s.out)
			for _, m := range backup {
				maps.DeleteFunc(m.Header, func(name string, _ []string) bool { return strings.HasPrefix(name, "Nats-") })
				if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Data}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range tt.again { // written before
				s.write(d, configMap(event.Update, "web", fmt.Sprint("old ", i), 2))
			}
			_, stop = s.start()
			s.until("a run is asked for", func() bool {
				m, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRun(d.Key))
				if err != nil {
					return false
				}
				q, err := event.Decode[event.Request](m.Data)
				return err == nil && q.Reason == event.ReasonCheckpointLost
			})
			s.end(s.ask(d, "r1", 1))
			s.write(d, configMap(event.Update, "web", "six", 6))
			s.wantVersions(6)
			stop()
			if err := s.bus.Purge(t.Context(), subject.Ctl, subject.CtlRun(d.Key), 0); err != nil {
				t.Fatal(err)
			}
			s.start() // by the position of the new log
			s.write(d, configMap(event.Update, "web", "seven", 7))
			s.wantVersions(7)
			if _, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRun(d.Key)); !errors.Is(err, bus.ErrNoMessage) {
				t.Errorf("it asked again: %v", err)
			}
		})
	}
}

// TestGitWriterForgedPosition: a commit that claims more than was ever written
// skips nothing.
func TestGitWriterForgedPosition(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	s.commit("README.md", "hello\n", fmt.Sprintf("Forged\n\nKubescribe-Position: %s/%s/%d\n", s.bus.Install.Incarnation, d.BranchKey, 1_000_000))
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
}

// TestGitWriterOutage: a remote that is away or refuses is said, and recovers by itself.
func TestGitWriterOutage(t *testing.T) {
	t.Parallel()
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

// TestGitWriterOutageOfOne: a remote that is dead, in whatever way, keeps nothing from
// another one, neither changes nor the answers to runs, and has what it missed once it
// is back.
func TestGitWriterOutageOfOne(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stops  func(*http.Request) bool
		status int // 0: it does not answer until it is back
	}{
		"silent":           {func(*http.Request) bool { return true }, 0},
		"silent at a push": {isPush, 0},
		"broken":           {func(*http.Request) bool { return true }, http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 20
			s := newStand(t)
			other := s.beside()
			asked, back := make(chan struct{}), make(chan struct{})
			var once sync.Once
			s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
				if !c.stops(r) {
					return false
				}
				once.Do(func() { close(asked) })
				if c.status == 0 {
					<-back
					return false
				}
				w.WriteHeader(c.status)
				return true
			})
			dead, live := s.register("dead", "dead", false), other.register("live", "live", false)
			s.start()
			revive := sync.OnceFunc(func() { s.gate.set(nil); close(back) })
			t.Cleanup(revive)
			s.write(dead, configMap(event.Update, "web", "0", 1))
			<-asked
			for i := range n {
				other.write(live, configMap(event.Update, "web", strconv.Itoa(i), i+1))
				if i > 0 {
					s.write(dead, configMap(event.Update, "web", strconv.Itoa(i), i+1))
				}
			}
			missed := s.ask(dead, "r1", 1)
			other.wantVersions(n)
			other.wantTold(other.ask(live, "r1", 1), 0, "RESOURCE shop/configmaps/web.yaml")
			if _, err := s.bus.SeriesEnd(t.Context(), missed); !errors.Is(err, bus.ErrNoMessage) || len(s.versions()) > 0 {
				t.Fatalf("of the dead one %v are written, and its run is answered: %v", s.versions(), err)
			}
			revive()
			s.wantVersions(n)
			s.wantTold(missed, 0, "RESOURCE shop/configmaps/web.yaml")
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
