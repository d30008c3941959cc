package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// limitStand is a stand whose destination commits two versions of an object a minute.
// Minutes pass when a test says so.
type limitStand struct {
	*stand
	d       event.Destination
	w       *gitwriter.Writer
	metrics *prometheus.Registry
	stop    func()
}

func newLimitStand(t *testing.T) *limitStand {
	t.Helper()
	s := idleLimitStand(t)
	s.restart()
	return s
}

// idleLimitStand is one whose git-writer is not started yet.
func idleLimitStand(t *testing.T) *limitStand {
	t.Helper()
	s := &limitStand{stand: newStand(t)}
	s.ahead = &atomic.Int64{}
	s.d = s.register("live", "live", false)
	s.limit(2)
	return s
}

// limit lets an object of the destination have so many commits a minute.
func (s *limitStand) limit(n int) {
	s.Helper()
	s.d.MaxCommits = n
	s.put(s.d)
}

// restart starts a git-writer, which knows nothing of the one before.
func (s *limitStand) restart() {
	s.Helper()
	s.metrics = prometheus.NewRegistry()
	s.w, s.stop = s.startAs(gitwriter.Credentials{}, s.metrics)
}

// minute lets a minute pass.
func (s *limitStand) minute() { s.ahead.Add(int64(time.Minute)) }

// web writes versions of the object web, each with a message of its own.
func (s *limitStand) web(versions ...int) {
	s.Helper()
	for _, v := range versions {
		s.write(s.d, configMap(event.Update, "web", fmt.Sprint(v), v))
	}
}

// flap writes so many versions of the object web, and waits until the newest is held.
func (s *limitStand) flap(versions int) {
	s.Helper()
	for v := range versions {
		s.web(v + 1)
	}
	s.holds(1)
}

// holds waits until all that was written was taken, and so many versions are held.
func (s *limitStand) holds(n int) {
	s.Helper()
	m, err := s.bus.LastFor(s.Context(), subject.Write, subject.WriteBranch(s.d.BranchKey))
	if err != nil {
		s.Fatal(err)
	}
	s.until(fmt.Sprintf("%d are held behind %d", n, m.Seq), func() bool {
		hint := s.hint()
		return hint.Position >= m.Seq && len(hint.Held) == n &&
			s.sum(s.metrics, "kubescribe_git_writer_held_objects") == float64(n)
	})
}

// hint is what the git-writer has kept last.
func (s *limitStand) hint() (h event.Hint) {
	s.Helper()
	h, _, _ = s.hints().Get(s.Context(), subject.HintKey(s.d.BranchKey)) // none is none
	return h
}

func (s *limitStand) hints() *bus.Bucket[event.Hint] {
	s.Helper()
	hints, err := bus.OpenBucket[event.Hint](s.Context(), s.bus, subject.BucketCursor)
	if err != nil {
		s.Fatal(err)
	}
	return hints
}

// keep puts a hint in the place of the newest one, as a crash before that leaves it.
func (s *limitStand) keep(h event.Hint) {
	s.Helper()
	_, rev, err := s.hints().Get(s.Context(), subject.HintKey(s.d.BranchKey))
	if err == nil {
		_, err = s.hints().Put(s.Context(), subject.HintKey(s.d.BranchKey), h, rev)
	}
	if err != nil {
		s.Fatal(err)
	}
}

// commits are those of main, oldest first: names of objects with their versions.
func (s *limitStand) commits() (all []string) {
	s.Helper()
	for line := range strings.Lines(s.git("log", "--reverse", "--format=%s %(trailers:key=Kubescribe-Resource-Version,valueonly,separator=)", "main")) {
		all = append(all, strings.TrimSpace(line[strings.LastIndexByte(line, '/')+1:]))
	}
	return all
}

func (s *limitStand) wantCommits(want ...string) {
	s.Helper()
	s.until(fmt.Sprintf("main is %q", want), func() bool { return len(s.versions()) >= len(want) })
	if got := s.commits(); !slices.Equal(got, want) {
		s.Fatalf("main is %q, want %q", got, want)
	}
	s.git("fsck", "--strict")
}

// became is what came of so many changes.
func (s *limitStand) became(outcome string) float64 {
	s.Helper()
	return s.sum(s.metrics, "kubescribe_git_writer_changes_total", outcome)
}

// wantBecame waits until so many changes have come to that.
func (s *limitStand) wantBecame(outcome string, n float64) {
	s.Helper()
	s.counts(s.metrics, "kubescribe_git_writer_changes_total", outcome, n)
}

// listed is what the newest commit lists as held.
func (s *limitStand) listed() string {
	return s.git("log", "-1", "--format=%(trailers:key=Kubescribe-Held,valueonly)", "main")
}

// TestGitWriterLimit: of an object that had its commits of the minute the newest version
// alone is committed once the minute is over. Nothing else waits for it.
func TestGitWriterLimit(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.flap(5)
	s.wantCommits("web 1", "web 2")
	s.write(s.d, configMap(event.Create, "api", "a", 6))
	other := s.register("other", "other", false)
	s.write(other, configMap(event.Create, "db", "a", 7))
	s.wantCommits("web 1", "web 2", "api 6", "db 7")
	s.holds(1)
	s.wantBecame("coalesced", 2)
	if hint := s.hint(); s.listed() != fmt.Sprint(hint.Held[0]) {
		t.Errorf("held is %v, and the commit lists %q", hint.Held, s.listed())
	}
	s.minute()
	s.wantCommits("web 1", "web 2", "api 6", "db 7", "web 5")
	s.holds(0)
	if got := s.listed(); got != "" {
		t.Errorf("the commit lists %q", got)
	}
	s.wantFiles(map[string]string{"web": "data: 5\n"})
	s.web(8)
	s.wantCommits("web 1", "web 2", "api 6", "db 7", "web 5", "web 8")
	s.wantBecame("committed", 6)
	s.wantBecame("coalesced", 2)
}

// TestGitWriterLimitOfWhatStands: an object that is back to what stands by the time of its
// turn makes no commit, which is counted.
func TestGitWriterLimitOfWhatStands(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.web(1, 2, 3)
	s.write(s.d, configMap(event.Update, "web", "2", 4))
	s.holds(1)
	s.minute()
	s.holds(0)
	s.wantCommits("web 1", "web 2")
	s.wantBecame("unchanged", 1)
	s.wantBecame("coalesced", 1)
	s.stop()
	s.restart()
	s.web(5)
	s.wantCommits("web 1", "web 2", "web 5")
}

// TestGitWriterLimitRestarted: what was held when a git-writer ended, however, is committed
// once, and before what came behind it.
func TestGitWriterLimitRestarted(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]func(s *limitStand, before event.Hint){
		"stopped":                       func(*limitStand, event.Hint) {},
		"killed before a hint was kept": func(s *limitStand, before event.Hint) { s.keep(before) },
		"killed before any hint was kept": func(s *limitStand, _ event.Hint) {
			if err := s.hints().Delete(s.Context(), subject.HintKey(s.d.BranchKey)); err != nil {
				s.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newLimitStand(t)
			s.web(1)
			s.wantCommits("web 1")
			s.until("a hint is kept", func() bool { return s.hint().Commit != "" })
			first := s.hint()
			s.web(2, 3, 4)
			s.holds(1)
			s.write(s.d, configMap(event.Create, "api", "a", 5))
			s.wantCommits("web 1", "web 2", "api 5")
			s.holds(1)
			held := s.hint()
			s.stop()
			crash(s, first)
			s.web(6)
			s.restart()
			s.wantCommits("web 1", "web 2", "api 5", "web 4", "web 6")
			s.holds(0)
			s.stop()
			crash(s, held) // which lists what is committed by now
			s.write(s.d, configMap(event.Create, "db", "a", 7))
			s.restart()
			s.wantCommits("web 1", "web 2", "api 5", "web 4", "web 6", "db 7")
			s.holds(0)
			s.wantBecame("committed", 1)
			if n := s.became("unchanged"); n > 0 {
				t.Errorf("%v were taken for nothing", n)
			}
			if s.gapFound() {
				t.Error("a run is asked for, and nothing is missing")
			}
		})
	}
}

// TestGitWriterLimitOfNoOps: where nothing but what is held came behind the newest commit,
// the hint lists it.
func TestGitWriterLimitOfNoOps(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.flap(4)
	if got := s.listed(); got != "" {
		t.Fatalf("the newest commit lists %q", got)
	}
	s.stop()
	s.restart()
	s.wantCommits("web 1", "web 2", "web 4")
	s.holds(0)
}

// TestGitWriterLimitOfBarrier: a run is told of what was held before its BARRIER.
func TestGitWriterLimitOfBarrier(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.flap(4)
	entries, _ := s.told(s.ask(s.d, "r1", 1))
	if want := manifest.Hash([]byte("data: 4\n")); len(entries) != 1 || entries[0].Hash != want {
		t.Errorf("the run is told of %+v, want %s", entries, want)
	}
	s.wantCommits("web 1", "web 2", "web 4")
	s.web(5)
	s.holds(1)
}

// TestGitWriterLimitOfRun: a run's results are not limited, and come behind what was held of
// their objects.
func TestGitWriterLimitOfRun(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.flap(4)
	s.write(s.d, result(event.Create, "r1", "api", "run", true), result(event.Update, "r1", "web", "run", false))
	s.wantSubjects("Create configmaps shop/web", "Update configmaps shop/web", "Create configmaps shop/api", "Update configmaps shop/web", "Update configmaps shop/web")
	if got := s.versions(); fmt.Sprint(got) != "[1 2 1 4 1]" {
		t.Errorf("versions %v", got)
	}
	s.wantFiles(map[string]string{"web": "data: run\n"})
	s.holds(0)
}

// TestGitWriterLimitLifted: what is held is committed as soon as there is no limit.
func TestGitWriterLimitLifted(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int{"off": 0, "raised": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newLimitStand(t)
			s.flap(4)
			s.limit(limit)
			s.wantCommits("web 1", "web 2", "web 4")
			s.holds(0)
		})
	}
}

// TestGitWriterLimitOfRemoved: what is held of a destination that leaves is counted, and
// not written.
func TestGitWriterLimitOfRemoved(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	other := s.register("other", "other", false)
	s.flap(4)
	s.unregister(s.d)
	s.until("it is counted", func() bool { return s.became("unregistered") == 1 })
	s.write(other, configMap(event.Create, "api", "a", 5))
	s.wantCommits("web 1", "web 2", "api 5")
	if got := s.listed(); got != "" {
		t.Errorf("the commit lists %q", got)
	}
}

// TestGitWriterLimitOfMissing: a held version that was removed from KS_WRITE is counted, and
// a run is asked for.
func TestGitWriterLimitOfMissing(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.flap(4)
	s.write(s.d, configMap(event.Create, "api", "a", 5))
	s.holds(1)
	js, err := jetstream.New(s.nats.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), subject.Write)
	if err == nil {
		err = stream.DeleteMsg(t.Context(), s.hint().Held[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	s.minute()
	s.until("it is counted", func() bool { return s.became("missing") == 1 })
	s.until("a run is asked for", s.gapFound)
	s.web(6)
	s.wantCommits("web 1", "web 2", "api 5", "web 6")
	s.holds(0)
}

// gapFound is whether a run was asked for because something is not known.
func (s *limitStand) gapFound() bool {
	m, err := s.bus.LastFor(s.Context(), subject.Ctl, subject.CtlRun(s.d.Key))
	if err != nil {
		return false
	}
	q, err := event.Decode[event.Request](m.Data)
	return err == nil && q.Reason == event.ReasonHistoryGap
}

// TestGitWriterLimitOfUnaware: behind what was passed for nothing, because it stood there,
// another writer has pushed that did not know of it: a run finds what stands there now.
// The limit may be lifted by then.
func TestGitWriterLimitOfUnaware(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.limit(0)
	s.web(1)
	s.wantVersions(1)
	first := s.git("rev-parse", "main")
	s.web(2)
	s.wantVersions(2)
	s.stop()
	s.write(s.d, configMap(event.Update, "web", "3", 3))
	m, err := s.bus.LastFor(t.Context(), subject.Write, subject.WriteData(s.d.BranchKey, s.d.Key))
	if err != nil {
		t.Fatal(err)
	}
	s.keep(event.Hint{V: event.Version, Position: m.Seq, ID: m.ID(), Commit: first})
	s.restart()
	s.web(4)
	s.wantCommits("web 1", "web 2", "web 4")
	if !s.gapFound() {
		t.Error("no run is asked for")
	}
}

// TestGitWriterLimitOfOutage: commits that do not get to the remote do not count, however
// often they are built, nor does a metric count what becomes of a change twice.
func TestGitWriterLimitOfOutage(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	var pushes atomic.Int64
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		if !isPush(r) {
			return false
		}
		pushes.Add(1)
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	s.web(1, 2, 3, 4)
	s.until("it has tried several times", func() bool { return pushes.Load() > 3 })
	s.gate.set(nil)
	s.wantCommits("web 1", "web 2")
	s.web(5)
	s.holds(1)
	s.wantBecame("committed", 2)
	s.wantBecame("coalesced", 2)
}

// TestGitWriterLimitRebuilt: commits that are built again on those of others say the same
// of what is held.
func TestGitWriterLimitRebuilt(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.flap(4)
	var once sync.Once
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			once.Do(func() { s.commitFile("README.md", "hello\n") })
		}
		return false
	})
	s.write(s.d, configMap(event.Create, "api", "a", 5))
	s.until("it is built again", func() bool { return s.newest() == "Create configmaps shop/api" })
	if got, want := s.listed(), fmt.Sprint(s.hint().Held[0]); got != want {
		t.Errorf("the commit lists %q, want %s", got, want)
	}
	s.holds(1)
	s.stop()
	s.restart()
	s.wantSubjects("Create configmaps shop/web", "Update configmaps shop/web", "Add README.md", "Create configmaps shop/api", "Update configmaps shop/web")
	s.holds(0)
}

// TestGitWriterLimitOfDeletion: a deletion is a version as others are: it waits, and what
// stands there until then stands.
func TestGitWriterLimitOfDeletion(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.web(1, 2)
	s.write(s.d, configMap(event.Delete, "web", "", 3))
	s.holds(1)
	s.wantCommits("web 1", "web 2")
	s.wantFiles(map[string]string{"web": "data: 2\n"})
	s.minute()
	s.wantCommits("web 1", "web 2", "web 3")
	s.wantFiles(nil)
	s.holds(0)
}

// TestGitWriterLimitRewritten: where the branch was set back behind what is held, that is
// still committed, once, and no commit before it comes again.
func TestGitWriterLimitRewritten(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.web(1)
	s.wantCommits("web 1")
	first := s.git("rev-parse", "main")
	s.web(2, 3, 4)
	s.holds(1)
	s.stop()
	s.git("update-ref", "refs/heads/main", first)
	s.restart()
	s.wantCommits("web 1", "web 4")
	s.holds(0)
	s.web(5)
	s.wantCommits("web 1", "web 4", "web 5")
}

// TestGitWriterLimitInTheWay: what is held and cannot be written when its turn comes goes to
// the dead letters, and nothing waits for it.
func TestGitWriterLimitInTheWay(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.flap(4)
	s.foreign("Make a directory of web", func(dir string) error {
		file := filepath.Join(dir, "live/shop/configmaps/web.yaml")
		return errors.Join(os.Remove(file), os.MkdirAll(file, 0o755), os.WriteFile(filepath.Join(file, "x"), nil, 0o644))
	})
	s.minute()
	s.holds(0)
	s.write(s.d, configMap(event.Create, "api", "a", 5))
	s.until("another one is committed", func() bool { return s.newest() == "Create configmaps shop/api" })
	m, err := s.bus.LastFor(t.Context(), subject.DLQ, subject.AllDLQ)
	if err != nil || !strings.Contains(string(m.Data), "data: 4") {
		t.Errorf("the dead letter is %q, %v", m.Data, err)
	}
	s.wantBecame("dead_lettered", 1)
	s.wantBecame("committed", 3)
}

// TestGitWriterLimitOfForged: what a commit lists that is none of the branch's changes
// stops nobody.
func TestGitWriterLimitOfForged(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.web(1)
	s.wantCommits("web 1")
	s.end(s.ask(s.d, "r1", 1))
	s.stop()
	last, err := s.bus.LastSeq(t.Context(), subject.Write)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for seq := range last {
		all = append(all, strconv.FormatUint(seq+1, 10))
	}
	if err := s.hints().Delete(t.Context(), subject.HintKey(s.d.BranchKey)); err != nil {
		t.Fatal(err)
	}
	s.commit("README.md", "hello\n", fmt.Sprintf("Forged\n\nKubescribe-Position: %s/%s/%d\nKubescribe-Held: %s\n", s.bus.Install.Incarnation, s.d.BranchKey, last, strings.Join(all, " ")))
	s.restart()
	s.web(2)
	s.until("it goes on", func() bool { return s.newest() == "Update configmaps shop/web" })
}

// TestGitWriterLimitKilled: a git-writer that is killed again and again while it holds
// versions commits none of them twice or out of order, and the newest at last; of another
// object, which has no limit, it commits each.
func TestGitWriterLimitKilled(t *testing.T) {
	long(t)
	t.Parallel()
	const kills = 12
	s := idleLimitStand(t)
	other := s.register("other", "other", false)
	cache, listed, web, db := t.TempDir(), 0, 0, 0
	for range kills {
		kill := s.process(cache)
		begun := len(s.versions())
		writes := func() {
			web, db = web+1, db+1
			s.web(web)
			s.write(other, configMap(event.Update, "db", fmt.Sprint(db), db))
		}
		for range 5 {
			writes()
		}
		s.until("it writes", func() bool { return len(s.versions()) > begun })
		for range rand.IntN(20) {
			writes()
		}
		kill()
		if len(s.hint().Held) > 0 || s.listed() != "" {
			listed++
		}
	}
	if listed == 0 {
		t.Error("it was never killed while it held something")
	}
	s.restart()
	s.until("the newest versions are there, and nothing is held", func() bool {
		s.minute()
		all := s.commits()
		return slices.Contains(all, fmt.Sprint("web ", web)) && slices.Contains(all, fmt.Sprint("db ", db)) && len(s.hint().Held) == 0
	})
	last := map[string]int{}
	for _, c := range s.commits() {
		var name string
		var version int
		if _, err := fmt.Sscan(c, &name, &version); err != nil {
			t.Fatal(err)
		}
		if version <= last[name] || name == "db" && version != last[name]+1 {
			t.Errorf("%s comes behind %d", c, last[name])
		}
		last[name] = version
	}
	s.git("fsck", "--strict")
	t.Logf("killed %d times while something was held; of %d versions of web, %d commits of both", listed, web, len(s.commits()))
}

// TestGitWriterLimitOfTwo: two git-writers of one branch, which count each for itself, commit
// nothing twice and in order, and the newest version last.
func TestGitWriterLimitOfTwo(t *testing.T) {
	t.Parallel()
	const versions = 60
	s := newLimitStand(t)
	first := s.metrics
	s.restart()
	for v := range versions {
		s.web(v + 1)
		if v%7 == 6 {
			s.minute()
		}
	}
	s.until("the newest version is there", func() bool {
		s.minute()
		all := s.versions()
		return len(all) > 0 && all[len(all)-1] == strconv.Itoa(versions)
	})
	s.until("both hold nothing", func() bool {
		s.minute()
		held := float64(len(s.hint().Held))
		for _, metrics := range []*prometheus.Registry{first, s.metrics} {
			held += s.sum(metrics, "kubescribe_git_writer_held_objects")
		}
		return held == 0
	})
	last := 0
	for _, v := range s.versions() {
		n, err := strconv.Atoi(v)
		if err != nil || n <= last {
			t.Fatalf("version %s comes behind %d: %v", v, last, s.versions())
		}
		last = n
	}
	s.git("fsck", "--strict")
}
