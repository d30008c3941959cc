package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// mirror is an API server and a Git server with all roles between them. The Git
// server asks for a user and a password.
type mirror struct {
	*install
	cluster *cluster
	stand   *stand
	env     []string // with which a command opens the remote
	rest    *rest.Config
	docs    *v1alpha1.Documents
	creds   gitwriter.Credentials
}

// newMirror is a mirror of ConfigMaps whose first run is over.
func newMirror(t *testing.T, prune string, objects ...string) *mirror {
	t.Helper()
	m := prepareMirror(t, prune, []string{"d"}, "configmaps")
	m.begin(objects...)
	return m
}

// begin starts all roles, and waits until ConfigMaps are on the remote.
func (m *mirror) begin(objects ...string) {
	m.Helper()
	for _, o := range objects {
		m.cluster.put("configmaps", "shop", o, "1")
	}
	m.startAll(reconciler.Deps{})
	m.until("the first run has closed", func() bool { p := m.phase("d"); return p.Run != "" && !p.Running() })
	m.until("it is on the remote", func() bool { return m.files() == len(objects) })
	m.tidied()
}

// prepareMirror is a mirror of types, for destinations with a folder each, whose roles do
// not run yet. That of d is live.
func prepareMirror(t *testing.T, prune string, destinations []string, types ...string) *mirror {
	t.Helper()
	s := newStand(t)
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		if user == "me" && password == "s3cret" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(s.nats.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	m := &mirror{
		install: &install{T: t, nats: s.nats, bus: s.bus, js: js, lanes: map[int]*bus.Lane{}}, stand: s,
		env:   []string{"KUBESCRIBE_GIT_USERNAME=me", "KUBESCRIBE_GIT_PASSWORD_FILE=" + password},
		creds: gitwriter.Credentials{Username: "me", PasswordFile: password},
	}
	m.cluster, m.rest = newCluster(t, types...)
	text := fmt.Sprintf("apiVersion: kubescribe.dev/v1alpha1\nkind: GitRemote\nmetadata: {name: r}\nspec: {url: %q}\n", s.url)
	for _, d := range destinations {
		folder := d
		if d == "d" {
			folder = "live"
		}
		text += fmt.Sprintf(`---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: %[1]s}
spec: {remoteRef: {name: r}, baseFolder: %[2]s, interval: 0s, prune: %[3]s}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: %[1]s}
spec: {destinationRef: {name: %[1]s, namespace: default}, rules: [{apiGroups: ['*'], resources: ['*']}]}
`, d, folder, prune)
	}
	if m.docs, err = v1alpha1.Load(strings.NewReader(text), t.Name()); err != nil {
		t.Fatal(err)
	}
	return m
}

// startAll runs all roles; they can be stopped one by one, but for the git-writer.
func (m *mirror) startAll(d reconciler.Deps) map[string]role {
	m.Helper()
	roles := map[string]role{}
	for _, name := range []string{"watcher", "router", "stream", "reconciler"} {
		roles[name] = m.start(name, d)
	}
	m.stand.startAs(m.creds, prometheus.NewRegistry())
	return roles
}

// start runs one of the roles.
func (m *mirror) start(name string, d reconciler.Deps) role {
	m.Helper()
	switch name {
	case "watcher":
		r, _ := m.watcher(m.rest, m.docs)
		return r
	case "router":
		return m.router()
	case "stream":
		return m.stream()
	case "reconciler":
		return m.reconcilerWith(d)
	}
	m.Fatalf("there is no role %s", name)
	return role{}
}

// files is how many files of ConfigMaps are on the remote.
func (m *mirror) files() int {
	m.Helper()
	return m.filesIn("live/shop/configmaps/")
}

func (m *mirror) filesIn(folder string) int {
	m.Helper()
	if m.stand.git("branch", "--list", "main") == "" {
		return 0
	}
	return len(strings.Fields(m.stand.git("ls-tree", "-r", "--name-only", "main", folder)))
}

func (m *mirror) tidied() {
	m.Helper()
	m.until("nothing is left of runs", func() bool { return len(m.subjects(subject.Snap, subject.AllSnap)) == 0 })
}

// diff runs kubescribe diff to its end.
func (m *mirror) diff(code int, args ...string) string {
	m.Helper()
	c := m.typesIn(m.env, slices.Concat([]string{"diff", "d"}, m.access(), args)...)
	c.ends(code)
	if strings.Contains(c.stdout.String()+c.stderr.String(), "s3cret") {
		m.Errorf("it shows the password: %s%s", c.stdout.String(), c.stderr.String())
	}
	return c.stdout.String()
}

// TestCommandDiff: what a run would change is shown, and nothing is changed.
func TestCommandDiff(t *testing.T) {
	t.Parallel()
	m := newMirror(t, "{}", "a", "b", "c")
	if got, want := m.diff(0, "--exit-code"), "test/default/d, folder live on main: 0 missing in Git, 0 orphaned, 0 different, 3 equal\n"; got != want {
		t.Errorf("without differences it prints\n%swant\n%s", got, want)
	}
	m.stand.foreign("By hand", func(dir string) error {
		at := func(name string) string { return filepath.Join(dir, "live", "shop", "configmaps", name+".yaml") }
		a, err := os.ReadFile(at("a"))
		if err != nil {
			return err
		}
		return errors.Join(os.Remove(at("b")),
			os.WriteFile(at("a"), []byte(strings.Replace(string(a), `text: "1"`, "text: by hand", 1)), 0o644),
			os.WriteFile(at("d"), []byte(strings.Replace(string(a), "name: a", "name: d", 1)), 0o644),
			os.WriteFile(filepath.Join(dir, "live", "all.yaml"), a, 0o644))
	})
	commits, before, written := m.stand.git("rev-list", "--count", "main"), m.phase("d"), m.subjects(subject.Write, subject.AllWrite)
	want := `--- git/shop/configmaps/a.yaml
+++ cluster/shop/configmaps/a.yaml
@@ -4,4 +4,4 @@
   name: a
   namespace: shop
 data:
-  text: by hand
+  text: "1"
+ shop/configmaps/b.yaml
- shop/configmaps/d.yaml
test/default/d, folder live on main: 1 missing in Git, 1 orphaned, 1 different, 1 equal
  left alone: 1 (files that hold resources and are not at their path, or hold several)
    all.yaml
`
	if got := m.diff(1, "--exit-code"); got != want {
		t.Errorf("it prints\n%swant\n%s", got, want)
	}
	if got := m.diff(0); got != want {
		t.Errorf("without --exit-code it prints\n%swant\n%s", got, want)
	}
	after := m.phase("d")
	if after.Reason != event.ReasonCompare || after.Phase != event.LiveProcessing || !reflect.DeepEqual(after.Outcome, before.Outcome) || !after.Settled.Equal(before.Settled) {
		t.Errorf("it leaves %+v, there was %+v", after, before)
	}
	if got := m.stand.git("rev-list", "--count", "main"); got != commits {
		t.Errorf("there are %s commits, there were %s", got, commits)
	}
	if got := m.subjects(subject.Write, "ks.write.d.>"); len(got) != len(written)-1 { // with the checkpoint
		t.Errorf("KS_WRITE has %q, had %q", got, written)
	}
	if got := m.subjects(subject.Snap, subject.AllSnap); len(got) != 0 {
		t.Errorf("it leaves %q", got)
	}

	// Credentials that do not fit.
	c := m.typesIn([]string{"KUBESCRIBE_GIT_USERNAME=", "KUBESCRIBE_GIT_PASSWORD_FILE=", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + t.TempDir()}, append([]string{"diff", "d", "--exit-code"}, m.access()...)...)
	c.ends(2, m.stand.url)
	m.typesIn([]string{"KUBESCRIBE_GIT_USERNAME=me", "KUBESCRIBE_GIT_PASSWORD_FILE="}, append([]string{"diff", "d"}, m.access()...)...).ends(2, "KUBESCRIBE_GIT_PASSWORD_FILE")
	m.typesIn(m.env, append([]string{"diff", "e"}, m.access()...)...).ends(1, "test/default/d")
	m.typesIn(m.env, append([]string{"diff", "e", "--exit-code"}, m.access()...)...).ends(2, "test/default/d")

	// What it showed is what a run then does.
	m.types("reconcile", "d").ends(0, "1 created, 1 updated, 1 deleted, 1 equal")
	m.until("the run is on the remote", func() bool { return m.stand.git("rev-list", "--count", "main") != commits })
	m.diff(0, "--exit-code")
}

// TestCommandDiffKeepsPending: deletions that wait for a person wait on, and what a
// comparison finds is nothing to approve.
func TestCommandDiffKeepsPending(t *testing.T) {
	t.Parallel()
	m := newMirror(t, "{maxDeletions: 0}", "a")
	m.stand.foreign("By hand", func(dir string) error {
		a, err := os.ReadFile(filepath.Join(dir, "live", "shop", "configmaps", "a.yaml"))
		return errors.Join(err, os.WriteFile(filepath.Join(dir, "live", "shop", "configmaps", "d.yaml"), []byte(strings.Replace(string(a), "name: a", "name: d", 1)), 0o644))
	})
	m.types("reconcile", "d").ends(0, "withheld: 1 deletion")
	run := m.phase("d").Run
	want := "- shop/configmaps/d.yaml\ntest/default/d, folder live on main: 0 missing in Git, 1 orphaned, 0 different, 1 equal\n" +
		"  a run would withhold the deletion of what is orphaned, more than prune allows, until somebody approves it\n"
	if got := m.diff(1, "--exit-code"); got != want {
		t.Errorf("it prints\n%swant\n%s", got, want)
	}
	m.types("get").ends(0, "PrunePending: 1 ("+run+")")
	m.types("approve", "d", m.phase("d").Run).ends(1, "of run "+run)
	m.types("approve", "d", run).ends(0, "0 created, 0 updated, 1 deleted")
	m.until("the file is gone", func() bool { return m.files() == 1 })
}

// TestCommandDiffTimeout: it ends, and says where it stood.
func TestCommandDiffTimeout(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	p := in.play("d", nil)
	in.reconciler()
	before := p.live(time.Now())
	in.types("diff", "d", "--timeout", "8s").ends(1, "not done in time", "(Comparison): 0 of 2 lanes answered")
	rec := p.begins(event.ReasonCompare, before.Run)
	in.types("diff", "d", "--timeout", "8s", "--exit-code").ends(2, "not done in time", "run "+rec.Run+" (Comparison)", "follows it")
}

// TestCommandDiffReplaced: it asks again when another run comes, or takes away what
// the comparison has found, and gives up in the end.
func TestCommandDiffReplaced(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	p := in.play("d", nil)
	in.reconciler()
	runs := []string{p.live(time.Now()).Run}
	next := func(reason string) event.PhaseRecord {
		t.Helper()
		rec := p.begins(reason, runs...)
		runs = append(runs, rec.Run)
		return rec
	}
	compares := func(rec event.PhaseRecord, entries ...event.Entry) {
		t.Helper()
		p.takes(subject.CtlClusterState, rec, rec.Parts...)
		for _, part := range rec.Parts {
			p.says(rec, subject.SideCluster(part), event.End{})
		}
		p.says(rec, subject.SideRepo, event.End{}, entries...)
		if !p.end(rec, subject.SideRun).Dry {
			t.Error("the comparison's results are to be written")
		}
	}
	closes := func() {
		t.Helper()
		p.change(func(r *event.PhaseRecord) { r.Closed = time.Now() })
	}
	c := in.types("diff", "d", "--exit-code")
	first := next(event.ReasonCompare)
	c.says("run " + first.Run + " (Comparison)")
	p.asks(event.ReasonHistoryRewritten, "")
	p.goesThrough(next(event.ReasonHistoryRewritten), time.Now())
	c.says("something came in between, comparing again")
	second := next(event.ReasonCompare)
	compares(second)
	if err := in.bus.Purge(t.Context(), subject.Snap, subject.SnapRun(key("d"), second.Run), 0); err != nil {
		t.Fatal(err)
	}
	closes()
	third := next(event.ReasonCompare)
	compares(third, event.Entry{Path: mapFile("gone"), Hash: "1"})
	closes()
	c.ends(1)
	if got := c.stdout.String(); !strings.HasPrefix(got, "- "+mapFile("gone")+"\n") {
		t.Errorf("it prints %s", got)
	}
	p.tidied()

	c = in.types("diff", "d", "--exit-code")
	for range 3 {
		next(event.ReasonCompare)
		p.asks(event.ReasonAdmitted, "")
		p.goesThrough(next(event.ReasonAdmitted), time.Now())
	}
	c.ends(2, "came in between 3 times", "test/default/d")
}

// TestReconcilerComparison: its results are for a person: not counted, said to be dry,
// and there until the next run of the destination has closed.
func TestReconcilerComparison(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	p := in.play("d", func(d *event.Destination) { d.Prune = event.Prune{Mode: event.PruneAlways} })
	r := in.reconciler()
	before := p.live(time.Now())
	p.asks(event.ReasonCompare, "")
	rec := p.begins(event.ReasonCompare, before.Run)
	if rec.Phase != event.LiveProcessing {
		t.Errorf("it begins %+v", rec)
	}
	p.takes(subject.CtlClusterState, rec, rec.Parts...)
	p.twoStates(rec)
	p.brings(rec, rec.Parts...)
	if end := p.end(rec, subject.SideRun); !end.Dry || end.Outcome.Pending == nil {
		t.Errorf("it ends with %+v", end)
	}
	p.change(func(r *event.PhaseRecord) { r.Closed = time.Now() })
	p.stays(rec.Run)
	p.checkResults(rec)
	r.stop()
	in.reconciler() // one that has not seen it begin
	p.stays(rec.Run)
	p.checkResults(rec)
	if n := in.counted(r, "kubescribe_reconciler_results_total", "create") + in.counted(r, "kubescribe_reconciler_results_total", "withheld"); n != 0 {
		t.Errorf("%d of its results are counted", n)
	}
	p.asks(event.ReasonRequested, "")
	after := p.begins(event.ReasonRequested, before.Run, rec.Run)
	p.goesThrough(after, time.Now())
	p.tidied()
}

// TestStreamComparison: a comparison's results are not taken, and what was found
// before stays.
func TestStreamComparison(t *testing.T) {
	t.Parallel()
	l := newLive(t, "d")
	l.stream()
	compares := func(run string, phase event.Phase) event.PhaseRecord {
		t.Helper()
		rec := l.phase("d") // with what was found before
		rec.Phase, rec.Run, rec.Attempt, rec.Reason, rec.Registered, rec.Closed = phase, run, 1, event.ReasonCompare, l.rev, time.Time{}
		rec.Parts = []int{min(configMapsPart, anotherPart), max(configMapsPart, anotherPart)}
		l.setPhase("d", rec)
		l.route("a", run) // before its MARK
		l.marks(run)
		l.route("b", run) // behind it: it does not hold
		l.until("what is behind the MARK goes on", func() bool {
			m, err := l.bus.LastFor(t.Context(), subject.Write, subject.WriteDestination(key("d")))
			return err == nil && named("b")(m)
		})
		l.dry(run, event.Outcome{Created: 1, Deleted: 1}, "DELETE gone", "CREATE new 1")
		return l.closed(run)
	}
	// One in a phase that a run is to end does not end it.
	if after := compares("run-0", event.StartupReconcile); after.Phase != event.StartupReconcile || after.Outcome != nil || !after.Settled.IsZero() {
		t.Errorf("it leaves %+v", after)
	}
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	l.results("run-1", event.Outcome{Pending: &event.Pending{Run: "run-1", Count: 1, Digest: "x"}}, "DELETE gone", "UPDATE web 1")
	before := l.closed("run-1")
	if before.Settled.IsZero() || !before.Settled.Equal(before.Closed) {
		t.Errorf("the run leaves %+v", before)
	}
	if after := compares("run-2", event.LiveProcessing); !reflect.DeepEqual(after.Outcome, before.Outcome) || !after.Settled.Equal(before.Settled) || after.Phase != event.LiveProcessing {
		t.Errorf("it leaves %+v, there was %+v", after, before)
	}
	l.route("last", "x")
	l.wantWritten("last", "UPDATE a run-0", "BARRIER", "UPDATE b run-0", "BARRIER", "UPDATE web 1 by run-1", "UPDATE a run-2", "BARRIER", "UPDATE b run-2", "UPDATE last x")
}

// TestGitWriterReadBlobs: files are read by their contents; one that is not there is
// told from a remote that cannot be read.
func TestGitWriterReadBlobs(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.commitFile("live/a.yaml", "a: 1\n")
	s.commitFile("live/b.yaml", "b: 1\n")
	d := s.register("d", "live", false)
	read := func(d event.Destination, contents ...string) (map[string]string, error) {
		var hashes []string
		for _, c := range contents {
			hashes = append(hashes, manifest.Hash([]byte(c)))
		}
		got := map[string]string{}
		err := gitwriter.ReadBlobs(t.Context(), s.bus, gitwriter.Config{CacheDir: t.TempDir()}, nil, d, hashes, func(hash string, content []byte) { got[hash] = string(content) })
		return got, err
	}
	want := map[string]string{manifest.Hash([]byte("a: 1\n")): "a: 1\n", manifest.Hash([]byte("b: 1\n")): "b: 1\n"}
	if got, err := read(d, "a: 1\n", "b: 1\n"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("it reads %v, %v", got, err)
	}
	if _, err := read(d, "a: 1\n", "c: 1\n"); !errors.Is(err, gitwriter.ErrNoBlob) {
		t.Errorf("of one that is not there it says %v", err)
	}
	d.Branch = "other"
	if _, err := read(d, "a: 1\n"); !errors.Is(err, gitwriter.ErrNoBlob) {
		t.Errorf("of a branch that is not there it says %v", err)
	}
	d.URL += "-none"
	if _, err := read(d, "a: 1\n"); err == nil || errors.Is(err, gitwriter.ErrNoBlob) {
		t.Errorf("of a repository that is not there it says %v", err)
	}
}
