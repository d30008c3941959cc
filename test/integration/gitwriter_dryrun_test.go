package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// dryRun puts a destination into the registry that is in this mode, or not any more.
func (s *stand) dryRun(d event.Destination, is bool) event.Destination {
	s.Helper()
	d.DryRun = is
	s.put(d)
	return d
}

// pushes counts what is pushed to the Git server from now on.
func (s *stand) pushes() *atomic.Int64 {
	n := &atomic.Int64{}
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			n.Add(1)
		}
		return false
	})
	return n
}

// rehearsed is what is shown of a destination in DryRun; nil: nothing is.
func (s *stand) rehearsed(d event.Destination) *event.DryRun {
	s.Helper()
	return s.status(d).DryRun
}

// status is what is shown of a destination.
func (s *stand) status(d event.Destination) event.Status {
	s.Helper()
	kv, err := bus.OpenBucket[event.Status](s.Context(), s.bus, subject.BucketStatus)
	if err != nil {
		s.Fatal(err)
	}
	st, _, err := kv.Newest(s.Context(), subject.DestinationToken(d.Key))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		s.Fatal(err)
	}
	return st
}

// wantRehearsed waits until so many commits are shown, and compares the subjects of the
// newest, the oldest first.
func (s *stand) wantRehearsed(d event.Destination, commits int, newest ...string) *event.DryRun {
	s.Helper()
	var shown *event.DryRun
	s.until(fmt.Sprintf("%d commits are shown", commits), func() bool {
		shown = s.rehearsed(d)
		return shown != nil && shown.Commits >= commits
	})
	var got []string
	for _, c := range shown.Newest[:min(len(newest), len(shown.Newest))] {
		got = append([]string{c.Subject}, got...)
	}
	if shown.Commits != commits || !slices.Equal(got, newest) {
		s.Errorf("shown are %d commits, the newest of them %q; want %d, and %q", shown.Commits, got, commits, newest)
	}
	return shown
}

// TestGitWriterDryRun: of a destination in DryRun each commit is shown that would have been
// pushed, and none is: the branch is not even made.
func TestGitWriterDryRun(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	pushes := s.pushes()
	d := s.dryRun(s.register("live", "live", false), true)
	metrics := prometheus.NewRegistry()
	w, stop := s.startAs(gitwriter.Credentials{}, metrics)
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.write(d, configMap(event.Update, "web", "a", 3))
	s.write(d, configMap(event.Update, "web", "a", 4)) // no change: no commit
	s.write(d, configMap(event.Delete, "web", "", 5))
	s.write(d, result(event.Create, "run", "x", "a", true), result(event.Create, "run", "y", "a", false))
	shown := s.wantRehearsed(d, 5, "Create configmaps shop/web", "Update configmaps shop/web", "Update configmaps shop/web", "Delete configmaps shop/web", "Reconcile live: 2 created")
	if first := shown.Newest[4]; first.Files != 2 || !slices.Equal(first.Changes, []string{"Create live/.kubescribe.yaml", "Create live/shop/configmaps/web.yaml"}) {
		t.Errorf("of the first one it shows %+v", first)
	}
	if newest := shown.Newest[0]; !slices.Equal(newest.Changes, []string{"Create live/shop/configmaps/x.yaml", "Create live/shop/configmaps/y.yaml"}) || newest.Time.IsZero() {
		t.Errorf("of the newest one it shows %+v", newest)
	}
	if shown.Files != 7 || shown.Since.IsZero() {
		t.Errorf("it shows %+v", shown)
	}
	s.counts(metrics, "kubescribe_git_writer_changes_total", "dry_run", 6)
	s.counts(metrics, "kubescribe_git_writer_changes_total", "unchanged", 1)
	s.wantTold(s.ask(d, "r1", 1), 0) // which compares with what there is
	stop()

	s.start() // which knows of no file, and reads none again that was shown
	s.wantTold(s.ask(d, "r2", 1), 0)
	s.write(d, configMap(event.Create, "api", "a", 6))
	s.wantRehearsed(d, 6, "Create configmaps shop/api")
	if refs := s.git("for-each-ref"); refs != "" || pushes.Load() > 0 {
		t.Errorf("%d pushes have made %q", pushes.Load(), refs)
	}
	if n := s.sum(metrics, "kubescribe_git_writer_commits_total") + s.sum(metrics, "kubescribe_git_writer_pushes_total"); n > 0 {
		t.Errorf("%v commits and pushes are counted", n)
	}
	if err := w.Ready(); err != nil {
		t.Error(err)
	}
}

// TestGitWriterDryRunBeside: of two destinations on a branch what one writes does not
// carry anything of the other's, whichever of them is in DryRun.
func TestGitWriterDryRunBeside(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	dry, d := s.dryRun(s.register("dry", "dry", false), true), s.register("live", "live", false)
	s.start()
	s.write(dry, configMap(event.Create, "a", "a", 9))
	s.write(d, configMap(event.Create, "b", "a", 1))
	s.write(dry, configMap(event.Update, "a", "b", 9))
	s.write(d, configMap(event.Update, "b", "b", 2))
	s.wantVersions(2)
	s.wantRehearsed(dry, 2, "Create configmaps shop/a", "Update configmaps shop/a")
	if got := s.git("ls-tree", "-r", "--name-only", "main"); got != "live/.kubescribe.yaml\nlive/shop/configmaps/b.yaml" {
		t.Errorf("files %q", got)
	}
	s.until("what was pushed is shown", func() bool { return s.status(d).Commit == s.git("rev-parse", "main") })
	if st := s.status(dry); st.Commit != "" || st.Subject != "" || !st.Pushed.IsZero() {
		t.Errorf("of what was not it shows %+v", st)
	}
	dry, d = s.dryRun(dry, false), s.dryRun(d, true)
	s.write(dry, configMap(event.Update, "a", "c", 3))
	s.write(d, configMap(event.Update, "b", "c", 9))
	s.wantVersions(3)
	s.wantRehearsed(d, 1, "Update configmaps shop/b")
	s.until("nothing is shown any more of what is written", func() bool { return s.rehearsed(dry) == nil })
	if got := s.git("show", "main:live/shop/configmaps/b.yaml"); got != "data: b" {
		t.Errorf("the file is %q", got)
	}
}

// TestGitWriterDryRunStops: what is built or waits when a destination is put into DryRun is
// shown, and not pushed; what waited in DryRun is not pushed afterwards.
func TestGitWriterDryRunStops(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	d.Window = time.Hour
	s.put(d)
	w, _ := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.write(d, configMap(event.Create, "api", "a", 2))
	s.until("they wait for the window", func() bool { all := w.Snapshots(); return len(all) == 1 && all[0].Pending == 2 })
	d.Window = 0 // which ends the wait
	d = s.dryRun(d, true)
	s.wantRehearsed(d, 2, "Create configmaps shop/web", "Create configmaps shop/api")
	d = s.dryRun(d, false)
	s.write(d, configMap(event.Create, "db", "a", 3))
	s.wantSubjects("Create configmaps shop/db")
	s.wantTold(s.ask(d, "r1", 1), 0, "RESOURCE shop/configmaps/db.yaml")
}

// TestGitWriterDryRunSwitched: through switches back and forth, and kills of the writer, of all
// that was written in Write each version stands in Git once, and nothing of what was in DryRun.
// What that was is shown, at least.
func TestGitWriterDryRunSwitched(t *testing.T) {
	long(t)
	t.Parallel()
	s := newStand(t)
	one, other := s.dryRun(s.register("one", "one", false), true), s.register("other", "other", false)
	cache, written, rv := t.TempDir(), []string{}, 0
	for round := range 6 {
		kill := s.process(cache)
		for range 10 {
			for _, d := range []event.Destination{one, other} {
				rv++
				s.write(d, configMap(event.Update, fmt.Sprint("web-", rv%3), fmt.Sprint(rv), rv))
				if !d.DryRun {
					written = append(written, fmt.Sprint(rv))
				}
			}
		}
		s.until("what was to be pushed is", func() bool { return len(s.versions()) >= len(written) })
		dry := one
		if other.DryRun {
			dry = other
		}
		s.until("what was not is shown", func() bool { r := s.rehearsed(dry); return r != nil && r.Commits >= 10 })
		if r := s.rehearsed(dry); !strings.HasPrefix(r.Newest[0].Subject, "Update configmaps shop/web-") && !strings.HasPrefix(r.Newest[0].Subject, "Create configmaps shop/web-") {
			t.Errorf("in round %d it shows %+v", round, r.Newest[0])
		}
		if got := s.versions(); !slices.Equal(got, written) {
			t.Fatalf("in round %d the versions are %v, want %v", round, got, written)
		}
		if round%2 == 0 {
			kill()
		}
		one, other = s.dryRun(one, !one.DryRun), s.dryRun(other, !other.DryRun)
		if round%2 == 1 {
			kill()
		}
	}
	s.git("fsck", "--strict")
}

// TestGitWriterDryRunProblems: what would keep a destination from being written to is said in
// DryRun, too.
func TestGitWriterDryRunProblems(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.commitFile("theirs/shop/configmaps/x.yaml", object)
	s.foreign("Link", func(dir string) error {
		return errors.Join(os.MkdirAll(filepath.Join(dir, "live/shop"), 0o755), os.Symlink("..", filepath.Join(dir, "live/shop/configmaps")))
	})
	theirs := s.dryRun(s.register("theirs", "theirs", false), true)
	d := s.dryRun(s.register("live", "live", false), true)
	readOnly := &atomic.Bool{}
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		refuses := readOnly.Load() && r.URL.Query().Get("service") == "git-receive-pack"
		if refuses {
			http.Error(w, "read only", http.StatusForbidden)
		}
		return refuses
	})
	_, stop := s.start()
	s.refused(theirs.Key, event.StalledFolderNotOurs)
	s.write(d, configMap(event.Create, "web", "a", 1))
	c := configMap(event.Create, "web", "a", 2)
	c.Group, c.Resource = "apps", "deployments"
	s.write(d, c)
	s.wantRehearsed(d, 1, "Create deployments.apps shop/web")
	if n, err := s.bus.Waiting(t.Context(), subject.DLQ, subject.AllDLQ, 0); err != nil || n != 1 {
		t.Errorf("%d are in the dead letters: %v", n, err)
	}
	stop()
	readOnly.Store(true)
	s.start()
	s.refused(d.Key, "AccessDenied")
	readOnly.Store(false)
	s.until("it goes on", func() bool { return s.stalled(d.Key) == nil })
}

// TestGitWriterDryRunSealed: a Secret's content that comes again would make no commit, though it
// would be other bytes each time.
func TestGitWriterDryRunSealed(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := newVault(s)
	d := s.dryRun(s.register("live", "live", false), true)
	v.startWith(v.file)
	s.write(d, v.secret(event.Create, "db", "YQ==", 1))
	s.wantRehearsed(d, 1, "Create secrets shop/db")
	s.write(d, v.secret(event.Update, "db", "YQ==", 2)) // the same
	s.write(d, v.secret(event.Update, "db", "Yg==", 3))
	s.wantRehearsed(d, 2, "Create secrets shop/db", "Update secrets shop/db")
}
