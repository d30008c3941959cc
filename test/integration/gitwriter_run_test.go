package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/gittest"
)

// result is what a run found of a ConfigMap; of one that is gone, its path alone.
func result(op event.Op, run, name, content string, more bool) event.Change {
	c := configMap(op, name, content, 1)
	if op == event.Delete {
		c = event.Change{Op: op}
	}
	c.Origin, c.Run, c.Attempt, c.More, c.Path = event.Reconcile, run, 1, more, "shop/configmaps/"+name+".yaml"
	return c
}

// results stores n results of a run in batches, as the service stream does, with a
// gap between them that is longer than a worker waits for anything else.
func (s *stand) results(d event.Destination, run string, n int) {
	s.Helper()
	const batch = 750
	var changes []event.Change
	for i := range n {
		changes = append(changes, result(event.Create, run, fmt.Sprintf("%s-%04d", run, i), "a", i < n-1))
		if len(changes) == batch || i == n-1 {
			s.write(d, changes...)
			changes = nil
			if err := fault.Wait(s.Context(), 100*time.Millisecond); err != nil {
				s.Fatal(err)
			}
		}
	}
}

// newest is the subject of the newest commit of main.
func (s *stand) newest() string {
	if all := s.subjects(); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

func (s *stand) wantSubjects(want ...string) {
	s.Helper()
	s.until(fmt.Sprintf("%d commits", len(want)), func() bool { return len(s.subjects()) >= len(want) })
	if got := s.subjects(); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		s.Errorf("commits %q, want %q", got, want)
	}
	s.git("fsck", "--strict")
}

// TestGitWriterCommitsRun: a run is one commit up to the bounds of one, however its
// results come.
func TestGitWriterCommitsRun(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	metrics := prometheus.NewRegistry()
	s.startAs(gitwriter.Credentials{}, metrics)
	s.results(d, "r1", 3000)
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantSubjects("Reconcile live: 3000 created", "Create configmaps shop/web")
	s.results(d, "r2", 6000)
	s.wantSubjects("Reconcile live: 3000 created", "Create configmaps shop/web", "Reconcile live: 5000 created", "Reconcile live: 1000 created")
	if got := s.git("log", "--format=%(trailers:key=Kubescribe-Origin,valueonly,separator=)", "main"); got != "reconcile r2\nreconcile r2\nlive\nreconcile r1" {
		t.Errorf("origins %q", got)
	}
	for origin, want := range map[event.Origin]float64{event.Reconcile: 3, event.Live: 1} {
		s.counts(metrics, "kubescribe_git_writer_commits_total", string(origin), want)
	}
}

// TestGitWriterInterleavesRuns: a change of another destination of the branch, and
// another run, cut a run's commit; order is kept.
func TestGitWriterInterleavesRuns(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	o := s.register("other", "other", false)
	s.write(d, result(event.Create, "r1", "a", "1", true), result(event.Create, "r1", "b", "1", true))
	s.write(o, configMap(event.Create, "x", "1", 1))
	s.write(d, result(event.Create, "r1", "c", "1", false), configMap(event.Update, "a", "2", 2))
	s.write(d, result(event.Update, "r2", "a", "3", true), result(event.Update, "r2", "b", "3", true))
	s.write(d, result(event.Update, "r3", "b", "4", true), result(event.Update, "r3", "c", "4", true))
	q := s.ask(d, "r4", 1)
	s.write(d, result(event.Update, "r3", "a", "4", false))
	s.start()
	s.wantSubjects("Reconcile live: 2 created", "Create configmaps shop/x", "Create configmaps shop/c", "Update configmaps shop/a",
		"Reconcile live: 2 updated", "Reconcile live: 2 updated", "Update configmaps shop/a")
	s.wantTold(q, 0, "RESOURCE shop/configmaps/a.yaml", "RESOURCE shop/configmaps/b.yaml", "RESOURCE shop/configmaps/c.yaml")
	if got := s.git("log", "-1", "--format=%(trailers:key=Kubescribe-Origin,valueonly)", "main"); got != "reconcile r3" {
		t.Errorf("the commit of one result has the origin %q", got)
	}
}

// TestGitWriterRemovesOrphans: of an orphan the path is all that is known.
func TestGitWriterRemovesOrphans(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	s.write(d, configMap(event.Create, "web", "a", 1), configMap(event.Create, "api", "a", 2), configMap(event.Create, "db", "a", 3))
	s.start()
	s.wantVersions(3)
	s.write(d, result(event.Create, "r1", "new", "a", true), result(event.Delete, "r1", "web", "", true), result(event.Delete, "r1", "none", "", true),
		result(event.Delete, "r1", "api", "", false))
	s.wantSubjects("Create configmaps shop/web", "Create configmaps shop/api", "Create configmaps shop/db", "Reconcile live: 1 created, 2 deleted")
	if got := s.git("log", "-1", "--format=%b", "main"); !strings.HasPrefix(got, "Create configmaps shop/new\nDelete configmaps shop/web\nDelete configmaps shop/api\n\n") {
		t.Errorf("its body is %q", got)
	}
	if got := s.git("ls-tree", "-r", "--name-only", "main"); got != "live/.kubescribe.yaml\nlive/shop/configmaps/db.yaml\nlive/shop/configmaps/new.yaml" {
		t.Errorf("files %q", got)
	}
	s.write(d, result(event.Delete, "r2", "db", "", false))
	s.until("it is gone", func() bool { return strings.HasPrefix(s.newest(), "Delete configmaps shop/db") })
}

// TestGitWriterLeavesChangedOrphans: a run removes the file that it has seen, and none
// that was put there since, not even while the removal is being pushed.
func TestGitWriterLeavesChangedOrphans(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	s.write(d, configMap(event.Create, "web", "a", 1), configMap(event.Create, "api", "a", 2), configMap(event.Create, "db", "a", 3))
	metrics := prometheus.NewRegistry()
	w, _ := s.startAs(gitwriter.Credentials{}, metrics)
	s.wantVersions(3)
	orphan := func(name, content string, more bool) event.Change {
		c := result(event.Delete, "r1", name, "", more)
		c.Replaces = configMap(event.Create, name, content, 1).Hash
		return c
	}
	var once sync.Once
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			once.Do(func() { s.commitFile("live/shop/configmaps/db.yaml", object) })
		}
		return false
	})
	s.write(d, orphan("web", "a", true), orphan("api", "before", true), orphan("none", "a", true), orphan("db", "a", false))
	s.until("the run is written", func() bool { return len(s.subjects()) > 4 }) // behind three changes, and a commit of somebody else's
	if got := s.newest(); !strings.HasPrefix(got, "Delete ") {
		t.Errorf("the run's commit is %q", got)
	}
	if got := s.git("ls-tree", "-r", "--name-only", "main"); got != "live/.kubescribe.yaml\nlive/shop/configmaps/api.yaml\nlive/shop/configmaps/db.yaml" {
		t.Errorf("files %q", got)
	}
	s.wantFiles(map[string]string{"api": "data: a\n", "db": object})
	s.until("two are counted as outdated", func() bool { return s.sum(metrics, "kubescribe_git_writer_changes_total", "outdated") >= 2 })
	s.until("ready", func() bool { return w.Ready() == nil })
}

// TestGitWriterLeavesForeignFiles: a run changes no file that holds several
// resources, whether it stood there before or came in between, and no file that is
// not an object's.
func TestGitWriterLeavesForeignFiles(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for _, name := range []string{"several", "orphan"} {
		s.commitFile("live/shop/configmaps/"+name+".yaml", objects)
	}
	s.commitFile("live/shop/configmaps/one.yaml", "# theirs\n---\n"+object)
	d := s.register("live", "live", true)
	metrics := prometheus.NewRegistry()
	w, _ := s.startAs(gitwriter.Credentials{}, metrics)
	outside := result(event.Delete, "r1", "", "", true)
	outside.Path = ".kubescribe.yaml"
	s.write(d, result(event.Update, "r1", "several", "a", true), outside, result(event.Delete, "r1", "orphan", "", true), result(event.Update, "r1", "one", "a", true),
		result(event.Create, "r1", "new", "a", false))
	s.until("the run is written", func() bool { return strings.HasPrefix(s.newest(), "Reconcile ") })
	if got := s.newest(); got != "Reconcile live: 1 created, 1 updated" {
		t.Errorf("the commit is %q", got)
	}
	for file, want := range map[string]string{"several": objects, "orphan": objects, "one": "data: a\n", "new": "data: a\n"} {
		if got := s.git("show", "main:live/shop/configmaps/"+file+".yaml"); got != strings.TrimSpace(want) {
			t.Errorf("%s is %q", file, got)
		}
	}
	s.counts(metrics, "kubescribe_git_writer_changes_total", "foreign", 2)
	s.git("cat-file", "-e", "main:live/.kubescribe.yaml")
	if l := newestLetter(t, s.bus); !strings.Contains(l.Reason, ".kubescribe.yaml") {
		t.Errorf("the letter is %+v", l)
	}

	// Somebody is faster, once with several resources and once with one.
	var once sync.Once
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			once.Do(func() {
				s.commitFile("live/shop/configmaps/one.yaml", objects)
				s.commitFile("live/shop/configmaps/new.yaml", object)
			})
		}
		return false
	})
	s.write(d, result(event.Update, "r2", "one", "b", true), result(event.Update, "r2", "new", "b", false))
	s.until("the run is written", func() bool { return strings.HasPrefix(s.newest(), "Update ") })
	for file, want := range map[string]string{"one": objects, "new": "data: b\n"} {
		if got := s.git("show", "main:live/shop/configmaps/"+file+".yaml"); got != strings.TrimSpace(want) {
			t.Errorf("%s is %q", file, got)
		}
	}
	// The next run is told that they are none of its.
	s.wantTold(s.ask(d, "r3", 1), 0, "RESOURCE shop/configmaps/new.yaml", "FOREIGN shop/configmaps/one.yaml",
		"FOREIGN shop/configmaps/orphan.yaml", "FOREIGN shop/configmaps/several.yaml")
	s.until("ready", func() bool { return w.Ready() == nil })
}

// TestGitWriterLeavesForeignFilesAlways: neither does a live change change a file that
// holds several resources, whether it stood there before or came in between.
func TestGitWriterLeavesForeignFilesAlways(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for _, name := range []string{"scaled", "gone"} {
		s.commitFile("live/shop/configmaps/"+name+".yaml", objects)
	}
	s.commitFile("live/shop/configmaps/one.yaml", "# theirs\n---\n"+object)
	d := s.register("live", "live", true)
	metrics := prometheus.NewRegistry()
	w, _ := s.startAs(gitwriter.Credentials{}, metrics)
	s.write(d, configMap(event.Update, "scaled", "a", 1), configMap(event.Delete, "gone", "", 2), configMap(event.Update, "one", "a", 3))
	s.until("the last one is written", func() bool { return s.newest() == "Update configmaps shop/one" })
	s.counts(metrics, "kubescribe_git_writer_changes_total", "foreign", 2)
	s.wantFiles(map[string]string{"scaled": objects, "gone": objects, "one": "data: a\n"})

	// Somebody is faster, and what was one resource are several; or is another one.
	var once sync.Once
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			once.Do(func() {
				s.commitFile("live/shop/configmaps/one.yaml", objects)
				s.commitFile("live/shop/configmaps/new.yaml", object)
			})
		}
		return false
	})
	s.write(d, configMap(event.Delete, "one", "", 4), configMap(event.Create, "new", "b", 5), configMap(event.Create, "last", "c", 6))
	s.until("the last one is written", func() bool { return s.newest() == "Create configmaps shop/last" })
	s.wantFiles(map[string]string{"scaled": objects, "gone": objects, "one": objects, "new": "data: b\n", "last": "data: c\n"})
	s.until("ready", func() bool { return w.Ready() == nil })
}

// wantFiles checks ConfigMaps' files, by their names.
func (s *stand) wantFiles(want map[string]string) {
	s.Helper()
	for name, content := range want {
		if got := s.git("show", "main:live/shop/configmaps/"+name+".yaml"); got != strings.TrimSpace(content) {
			s.Errorf("%s is %q", name, got)
		}
	}
}

// TestGitWriterLooksOnce: what live changes replace is fetched together, if it is not
// known, and what was written here is.
func TestGitWriterLooksOnce(t *testing.T) {
	t.Parallel()
	const n = 20
	s := newStand(t)
	if err := gittest.AllowFilter(s.dir, true); err != nil {
		t.Fatal(err)
	}
	d := s.register("live", "live", false)
	_, stop := s.start()
	change := func(content string) {
		var changes []event.Change
		for i := range n {
			changes = append(changes, configMap(event.Update, fmt.Sprintf("o-%d", i), fmt.Sprint(content, i), i+1))
		}
		s.write(d, changes...)
	}
	landed := func(commits int) {
		s.until(fmt.Sprintf("%d commits", commits), func() bool { return len(s.subjects()) == commits })
	}
	change("a")
	landed(n)
	stop()
	change("b")
	var fetches atomic.Int64
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			fetches.Add(1)
		}
		return false
	})
	s.start()
	landed(2 * n)
	const most = n / 2 // the tip, the marker, and what is replaced, a batch of it at a time
	if got := fetches.Load(); got > most {
		t.Errorf("%d fetches", got)
	}
	before := fetches.Load()
	for i, content := range []string{"c", "d"} {
		change(content)
		landed((3 + i) * n)
	}
	if got := fetches.Load() - before; got > 0 {
		t.Errorf("%d fetches for what was written here", got)
	}
}

// TestGitWriterRegisteredAgain: what waits for a destination is not for one of the same
// name that was registered since: it is dropped and counted, and a run of the former one
// is told no state.
func TestGitWriterRegisteredAgain(t *testing.T) {
	t.Parallel()
	changed := func(s *stand, d event.Destination) { d.Interval += time.Hour; s.put(d) }
	again := func(s *stand, d event.Destination) { s.unregister(d); s.put(d) }
	const gone = "the destination was registered since"
	for name, tt := range map[string]struct {
		since []func(*stand, event.Destination)
		want  string // of what the run of before is told
	}{
		"unchanged":                 {nil, ""},
		"changed":                   {[]func(*stand, event.Destination){changed}, ""},
		"registered again":          {[]func(*stand, event.Destination){again}, gone},
		"registered again, changed": {[]func(*stand, event.Destination){again, changed}, gone},
		"changed, registered again": {[]func(*stand, event.Destination){changed, again}, gone},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			d := s.register("live", "live", false)
			s.write(d, configMap(event.Create, "web", "a", 1), result(event.Create, "r1", "api", "a", false))
			before := s.ask(d, "r1", 1)
			for _, f := range tt.since {
				f(s, d)
			}
			s.write(d, configMap(event.Create, "last", "a", 2))
			metrics := prometheus.NewRegistry()
			s.startAs(gitwriter.Credentials{}, metrics)
			after := s.ask(d, "r2", 1)
			written, dropped := []string{"RESOURCE shop/configmaps/api.yaml", "RESOURCE shop/configmaps/last.yaml", "RESOURCE shop/configmaps/web.yaml"}, 0.0
			if tt.want != "" {
				written, dropped = written[1:2], 2
			}
			s.wantTold(after, 0, written...)
			if got := s.end(before).Failed; got != tt.want {
				t.Errorf("the run of before is told %q, want %q", got, tt.want)
			}
			if got := s.sum(metrics, "kubescribe_git_writer_changes_total", "unregistered"); got != dropped {
				t.Errorf("%v are counted as unregistered, want %v", got, dropped)
			}
		})
	}
}
