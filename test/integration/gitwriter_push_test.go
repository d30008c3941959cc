package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// counts waits until so many are counted: that is some time after they are on the remote.
func (s *stand) counts(from prometheus.Gatherer, name, label string, want float64) {
	s.Helper()
	s.until(fmt.Sprintf("%s of %s is %v", name, label, want), func() bool { return s.sum(from, name, label) == want })
}

// sum adds up what a metric says, of all label values or of those named.
func (s *stand) sum(from prometheus.Gatherer, name string, labels ...string) (total float64) {
	s.Helper()
	families, err := from.Gather()
	if err != nil {
		s.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := len(labels) == 0
			for _, l := range m.GetLabel() {
				for _, want := range labels {
					match = match || l.GetValue() == want
				}
			}
			if match {
				total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return total
}

// TestGitWriterLastStatus: what a destination shows after a stop is what was
// pushed last, although statuses are written once a second only.
func TestGitWriterLastStatus(t *testing.T) {
	t.Parallel()
	const n = 5
	s := newStand(t)
	d := s.register("live", "live", false)
	_, stop := s.start()
	for i := range n {
		s.write(d, configMap(event.Update, "web", strings.Repeat("x", i+1), i+1))
		s.wantVersions(i + 1)
	}
	stop()
	kv, err := bus.OpenBucket[event.Status](t.Context(), s.bus, subject.BucketStatus)
	if err != nil {
		t.Fatal(err)
	}
	st, _, err := kv.Get(t.Context(), subject.DestinationToken(d.Key))
	if err != nil {
		t.Fatal(err)
	}
	if tip := s.git("rev-parse", "main"); st.Commit != tip {
		t.Errorf("main is at %s, the status shows %s", tip, st.Commit)
	}
}

// TestGitWriterPosition: a destination's status shows how far it is on the remote, also
// where what it wrote made no commit, and after a crash before that was shown.
func TestGitWriterPosition(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	refused := s.register("theirs", "theirs", false)
	s.commitFile("theirs/shop/configmaps/x.yaml", object)
	kv, err := bus.OpenBucket[event.Status](t.Context(), s.bus, subject.BucketStatus)
	if err != nil {
		t.Fatal(err)
	}
	status := func(d event.Destination) (st event.Status, rev uint64) {
		st, rev, err := kv.Newest(t.Context(), subject.DestinationToken(d.Key))
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			t.Fatal(err)
		}
		return st, rev
	}
	reaches := func(what string) event.Status {
		t.Helper()
		m, err := s.bus.LastFor(t.Context(), subject.Write, subject.WriteData(d.BranchKey, d.Key))
		if err != nil {
			t.Fatal(err)
		}
		s.until(what+" is shown", func() bool { st, _ := status(d); return st.Position >= m.Seq })
		st, _ := status(d)
		if tip := s.git("rev-parse", "main"); st.Commit != tip {
			t.Errorf("%s: main is at %s, the status shows %s", what, tip, st.Commit)
		}
		return st
	}
	_, stop := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	reaches("a write")
	s.write(d, configMap(event.Update, "web", "a", 2))
	reaches("a write that changes nothing")
	s.end(s.ask(d, "r1", 1))
	reaches("a barrier")
	s.store(d, bus.Output{Subject: subject.WriteData(d.BranchKey, d.Key), Header: event.Header{}, Data: []byte("x")})
	st := reaches("what goes to the dead letters")
	s.write(refused, configMap(event.Create, "web", "a", 1))
	s.write(d, configMap(event.Update, "web", "a", 3))
	reaches("what is behind a write that was dropped")
	stop()
	if got, _ := status(refused); got.Position != 0 || got.Stalled == nil {
		t.Errorf("of what was dropped it shows %+v", got)
	}
	_, rev := status(d)
	st.Position = 1
	if _, err := kv.Put(t.Context(), subject.DestinationToken(d.Key), st, rev); err != nil {
		t.Fatal(err)
	}
	s.start()
	reaches("after a crash, what is on the remote")
}

// TestGitWriterStatusOfRemoved: a push that lands after its destination has left
// brings back nothing of it.
func TestGitWriterStatusOfRemoved(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d, other := s.register("live", "live", false), s.register("other", "other", false)
	pushed, removed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			once.Do(func() { close(pushed) })
			<-removed
		}
		return false
	})
	_, stop := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	<-pushed
	statuses, err := bus.OpenBucket[event.Status](t.Context(), s.bus, subject.BucketStatus)
	if err != nil {
		t.Fatal(err)
	}
	s.unregister(d)
	if err := statuses.Delete(t.Context(), subject.DestinationToken(d.Key)); err != nil { // as the reconciler does
		t.Fatal(err)
	}
	close(removed)
	s.write(other, configMap(event.Create, "web", "b", 2))
	s.wantVersions(2)
	stop()
	if st, _, err := statuses.Get(t.Context(), subject.DestinationToken(d.Key)); !errors.Is(err, bus.ErrNoMessage) {
		t.Errorf("the status of what has left is %+v, %v", st, err)
	}
	if _, _, err := statuses.Get(t.Context(), subject.DestinationToken(other.Key)); err != nil {
		t.Errorf("that of the other one: %v", err)
	}
}

// TestGitWriterBeginsBesideAnother: a writer that reads the branch just before
// another one pushes does not take the history for rewritten.
func TestGitWriterBeginsBesideAnother(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	_, stopFirst := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)

	looked, pushed := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(pushed) })
	t.Cleanup(release)
	var once sync.Once
	s.gate.set(func(next http.Handler, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("service") != "git-upload-pack" {
			return false
		}
		seen := httptest.NewRecorder()
		next.ServeHTTP(seen, r)
		once.Do(func() { close(looked) })
		<-pushed
		maps.Copy(w.Header(), seen.Header())
		w.WriteHeader(seen.Code)
		_, _ = w.Write(seen.Body.Bytes())
		return true
	})
	_, stopSecond := s.start()
	<-looked
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.wantVersions(2)
	stopFirst() // it has noted what it pushed last
	release()
	s.write(d, configMap(event.Update, "web", "c", 3))
	s.wantVersions(3)
	stopSecond()
	if m, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRun(d.Key)); !errors.Is(err, bus.ErrNoMessage) {
		t.Errorf("a run was asked for: %s, %v", m.Data, err)
	}
}

// deepened counts from now on how often more than the tip of a branch is fetched.
func (s *stand) deepened() *atomic.Int64 {
	var n atomic.Int64
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				s.Error(err)
			}
			if bytes.Contains(body, []byte("deepen ")) && !bytes.Contains(body, []byte("deepen 1\n")) {
				n.Add(1)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		return false
	})
	return &n
}

// TestGitWriterReadsNoHistory: on a branch that was never pushed to from here there
// is no position to be found, however long its history is.
func TestGitWriterReadsNoHistory(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for _, name := range []string{"a.txt", "b.txt", "c.txt"} {
		s.commitFile(name, "theirs\n")
	}
	deepened := s.deepened()
	d := s.register("live", "live", false)
	_, stop := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	if n := deepened.Load(); n != 0 {
		t.Errorf("history was fetched %d times", n)
	}
	stop()
	// The crash between a first push and its hint: now the marker says that there is one.
	hints, err := bus.OpenBucket[event.Hint](t.Context(), s.bus, subject.BucketCursor)
	if err != nil {
		t.Fatal(err)
	}
	if err := hints.Delete(t.Context(), subject.HintKey(d.BranchKey)); err != nil {
		t.Fatal(err)
	}
	s.commitFile("d.txt", "theirs\n")
	s.start()
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.wantVersions(2)
	if n := deepened.Load(); n == 0 {
		t.Error("the position was found without reading history")
	}
}

// TestGitWriterReadsNoHistoryOfOthers: a branch that came to be after a writer had
// found none, and that has nothing of ours, is not searched either.
func TestGitWriterReadsNoHistoryOfOthers(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	w, stop := s.start()
	s.until("it found no branch", func() bool { return w.Ready() == nil && len(w.Snapshots()) == 1 })
	stop()
	for _, name := range []string{"a.txt", "b.txt", "c.txt"} {
		s.commitFile(name, "theirs\n")
	}
	deepened := s.deepened()
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	if n := deepened.Load(); n != 0 {
		t.Errorf("history was fetched %d times", n)
	}
}

// TestGitWriterFirstPushWithoutHint: after the crash between a first push and its
// hint the position is found, however much others have pushed since.
func TestGitWriterFirstPushWithoutHint(t *testing.T) {
	long(t)
	t.Parallel()
	const theirs = 300
	s := newStand(t)
	d := s.register("live", "live", false)
	w, stop := s.start()
	s.until("it found no branch", func() bool { return w.Ready() == nil && len(w.Snapshots()) == 1 })
	hints, err := bus.OpenBucket[event.Hint](t.Context(), s.bus, subject.BucketCursor)
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := hints.Get(t.Context(), subject.HintKey(d.BranchKey))
	if err != nil || before.Commit != "" {
		t.Fatalf("the hint is %+v, %v", before, err)
	}
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.write(d, configMap(event.Update, "web", "b", 2)) // what is read again is no no-op
	s.wantVersions(2)
	stop()
	_, rev, err := hints.Get(t.Context(), subject.HintKey(d.BranchKey))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hints.Put(t.Context(), subject.HintKey(d.BranchKey), before, rev); err != nil {
		t.Fatal(err)
	}
	tip, tree := s.git("rev-parse", "main"), s.git("rev-parse", "main^{tree}")
	for range theirs {
		tip = s.git("-c", "user.name=p", "-c", "user.email=p@x", "commit-tree", "-p", tip, "-m", "Theirs", tree)
	}
	s.git("update-ref", "refs/heads/main", tip)
	s.start()
	s.write(d, configMap(event.Update, "web", "c", 3))
	s.wantVersions(3)
	if got := s.versions(); len(got) != 3 {
		t.Errorf("versions %v", got)
	}
}

// TestGitWriterOneHost: a password is given to no second host.
func TestGitWriterOneHost(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []string
	other, err := gittest.Serve(gittest.Options{User: "me", Password: "hush", Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			told = append(told, r.Header.Get("Authorization"))
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	s.register("live", "live", false)
	s.url = other.URL("repo.git")
	s.register("other", "other", false)
	w, _ := s.startAs(gitwriter.Credentials{Username: "me", PasswordFile: file}, prometheus.NewRegistry())
	s.saysNotReady(w.Ready, "are for one host", "git's credential helper")
	if err := w.Ready(); strings.Contains(err.Error(), "check the user and password") {
		t.Errorf("it says what is not wrong: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 0 {
		t.Errorf("the second host was asked %d times", len(told))
	}
}

// TestGitWriterPace: pushes to a remote are as far apart as is configured; what changes
// meanwhile is pushed together, each a commit of its own. A stop does not wait.
func TestGitWriterPace(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	d.MinPushInterval = time.Hour
	s.put(d)
	var pushes atomic.Int64
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			pushes.Add(1)
		}
		return false
	})
	w, stop := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	for i := 2; i <= 4; i++ {
		s.write(d, configMap(event.Update, "web", fmt.Sprint(i), i))
	}
	s.until("it says when it goes on", func() bool {
		now := w.Snapshots()[0]
		return time.Until(now.Next) > time.Minute && now.Pending == 3 && w.Ready() == nil
	})
	if n := len(s.versions()); n != 1 {
		t.Errorf("%d versions are pushed", n)
	}
	d.MinPushInterval = 0
	s.put(d)
	s.wantVersions(4)
	if n := pushes.Load(); n != 2 {
		t.Errorf("%d pushes", n)
	}
	s.write(d, configMap(event.Update, "web", "4", 4)) // stands there: it is no push
	s.wantTold(s.ask(d, "r1", 1), 0, "RESOURCE shop/configmaps/web.yaml")
	pushed := w.Snapshots()[0].Pushed
	d.MinPushInterval = time.Hour
	s.put(d)
	s.write(d, configMap(event.Update, "web", "5", 5))
	s.until("it waits", func() bool { return time.Until(w.Snapshots()[0].Next) > time.Minute })
	if next := w.Snapshots()[0].Next; next.Add(-time.Hour).After(pushed) {
		t.Errorf("the next push is at %s, an hour behind one that was none: the last one had ended at %s", next, pushed)
	}
	stop()
	s.wantVersions(5)
}

// TestGitWriterWindow: changes that come while a window is open are one commit, and a
// version that another replaces is one of its own. They wait until the window is over, for
// a change of another destination, for a shorter window, or for a stop.
func TestGitWriterWindow(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	other := s.register("other", "other", false)
	d := s.register("live", "live", false)
	d.Window = time.Hour
	s.put(d)
	w, stop := s.start()
	waits := func(pending uint64) {
		t.Helper()
		s.until("it waits for more", func() bool {
			all := w.Snapshots()
			return len(all) == 1 && time.Until(all[0].Next) > time.Minute && all[0].Pending == pending && w.Ready() == nil
		})
	}
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.write(d, configMap(event.Create, "api", "a", 2))
	s.write(d, configMap(event.Update, "web", "b", 3))
	waits(3)
	if all := s.subjects(); len(all) > 0 {
		t.Errorf("%q is pushed", all)
	}
	s.write(other, configMap(event.Create, "web", "a", 4))
	want := []string{"Change live: 2 created", "Update configmaps shop/web", "Create configmaps shop/web"}
	wantSubjects := func(more ...string) {
		t.Helper()
		want = append(want, more...)
		s.until(fmt.Sprintf("main is %q", want), func() bool { return slices.Equal(s.subjects(), want) })
	}
	wantSubjects()
	s.write(d, configMap(event.Update, "web", "c", 5))
	s.write(d, configMap(event.Delete, "api", "", 6))
	waits(2)
	d.Window = 0
	s.put(d)
	wantSubjects("Change live: 1 updated, 1 deleted")
	d.Window = time.Hour
	s.put(d)
	s.write(d, configMap(event.Update, "web", "d", 7))
	waits(1)
	stop()
	wantSubjects("Update configmaps shop/web")
	s.git("fsck", "--strict")
}

// TestGitWriterWindowWorded: templates word the commit of a window, too.
func TestGitWriterWindowWorded(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	d.Window, d.Wording = time.Hour, event.Wording{Subject: "{{if .Run}}a run{{else}}{{len .Changes}} changes{{end}}"}
	s.put(d)
	w, _ := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.write(d, configMap(event.Create, "api", "a", 2))
	s.until("both are gathered", func() bool { all := w.Snapshots(); return len(all) == 1 && all[0].Pending == 2 })
	d.Window = 0
	s.put(d)
	s.until("one commit has them", func() bool { return slices.Equal(s.subjects(), []string{"2 changes"}) })
}

// TestGitWriterWindowHoldsNothingUp: while changes wait for a window to be over, a
// destination that was refused for the folder of another one begins once that one has
// left. The window takes no harm.
func TestGitWriterWindowHoldsNothingUp(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d, first, second := s.register("live", "live", false), s.register("first", "team", false), s.register("second", "team/x", false)
	d.Window = time.Hour
	s.put(d)
	w, _ := s.start()
	s.overlaps(second.Key)
	s.write(d, configMap(event.Create, "web", "a", 1))
	waits := func() bool {
		all := w.Snapshots()
		return len(all) == 1 && time.Until(all[0].Next) > 50*time.Minute && all[0].Pending == 1
	}
	s.until("it waits for more", waits)
	s.unregister(first)
	s.until("the second one is not refused any more", func() bool { return s.stalled(second.Key) == nil })
	s.until("it waits for more", waits)
	if all := s.subjects(); len(all) > 0 {
		t.Errorf("%q is pushed", all)
	}
	s.write(second, configMap(event.Create, "web", "a", 2))
	s.wantVersions(2)
}

// TestGitWriterShowsPush: a push that takes its time is seen while it does.
func TestGitWriterShowsPush(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	release := make(chan struct{})
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			<-release
		}
		return false
	})
	d := s.register("live", "live", false)
	w, _ := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.until("a push is shown", func() bool { all := w.Snapshots(); return len(all) == 1 && !all[0].Pushing.IsZero() })
	close(release)
	s.wantVersions(1)
	s.until("no push is shown", func() bool { return w.Snapshots()[0].Pushing.IsZero() })
}

// TestGitWriterForgetsBranch: a branch that nothing points to any more leaves
// nothing behind in the metrics.
func TestGitWriterForgetsBranch(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	metrics := prometheus.NewRegistry()
	s.startAs(gitwriter.Credentials{}, metrics)
	series := func() int {
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "kubescribe_git_writer_lag_messages" {
				return len(f.GetMetric())
			}
		}
		return 0
	}
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	s.until("the lag is shown", func() bool { return series() == 1 })
	s.unregister(d)
	s.until("the lag is gone", func() bool { return series() == 0 })
}

// TestGitWriterURLCorrected: a URL that is written in another way is the same
// branch, and still the one that is asked from then on.
func TestGitWriterURLCorrected(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		known := strings.HasPrefix(r.URL.Path, "/repo.git/")
		if !known {
			w.WriteHeader(http.StatusNotFound)
		}
		return !known
	})
	d := s.register("live", "live", false)
	right := d.URL
	d.URL = strings.TrimSuffix(right, ".git")
	s.put(d)
	w, _ := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.saysNotReady(w.Ready, d.URL+":", "check its URL")
	d.URL = right
	s.put(d)
	s.wantVersions(1)
	s.until("ready", func() bool { return w.Ready() == nil })
	if all := w.Snapshots(); len(all) != 1 || all[0].URL != right {
		t.Errorf("it writes to %+v", all)
	}

	// The same in the middle of work, and back.
	for i, url := range []string{right + "/", right, right + "/", right} {
		d.URL = url
		s.put(d)
		s.write(d, configMap(event.Update, "web", strings.Repeat("b", i+1), i+2))
	}
	s.wantVersions(5)
}

// TestGitWriterNamesBranchKeys: what tells branches apart in the metrics is said
// in the log beside the URL, whether a branch moves or not.
func TestGitWriterNamesBranchKeys(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	r, out := io.Pipe()
	s.log = slog.New(slog.NewJSONHandler(out, nil))
	said := make(chan string, 100) // more than there will be: who logs must not wait
	go func() {
		for in := bufio.NewScanner(r); in.Scan(); {
			var line struct{ Msg, URL, Key string }
			if json.Unmarshal(in.Bytes(), &line) == nil && line.URL == s.url {
				said <- line.Msg + ": " + line.Key
			}
		}
	}()
	t.Cleanup(func() { _ = out.Close() })
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusNotFound)
		return true
	})
	d := s.register("live", "live", false)
	s.start()
	if got := <-said; got != "branch does not move, retrying: "+d.BranchKey {
		t.Errorf("of a branch that does not move the log says %q", got)
	}
	s.gate.set(nil)
	if got := <-said; got != "writing: "+d.BranchKey {
		t.Errorf("of a branch that moves the log says %q", got)
	}
}

// TestGitWriterLeavesAlone: a remote that asks one of its branches to be left alone is, by
// the others, too, however they write its URL.
func TestGitWriterLeavesAlone(t *testing.T) {
	t.Parallel()
	const wait = 3 * time.Second
	s := newStand(t)
	s.commitFile("README.md", "hello\n")
	first := s.register("first", "first", false)
	second := first
	second.Key.Name, second.BaseFolder = "second", "second"
	second.Branch, second.BranchKey, second.URL = "other", subject.BranchKey(s.url, "other"), "HTTP"+strings.TrimPrefix(s.url, "http")
	s.put(second)
	w, _ := s.start()
	s.until("both branches are looked at", func() bool { return w.Ready() == nil && len(w.Snapshots()) == 2 })
	var asked, again atomic.Int64 // when the remote asked, and when it was asked again
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		now := time.Now().UnixNano()
		if isPush(r) && asked.CompareAndSwap(0, now) {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		if asked.Load() != 0 {
			again.CompareAndSwap(0, now)
		}
		return false
	})
	s.write(first, configMap(event.Create, "web", "a", 1))
	s.until("the first one waits", func() bool { st := s.stalled(first.Key); return st != nil && strings.Contains(st.Message, "429") })
	s.write(second, configMap(event.Create, "web", "a", 2))
	s.until("both are written", func() bool {
		return s.newest() == "Create configmaps shop/web" && strings.Contains(s.git("branch", "--list", "other"), "other")
	})
	s.until("both move again", func() bool { return s.stalled(first.Key) == nil && s.stalled(second.Key) == nil })
	if got := time.Duration(again.Load() - asked.Load()); got < wait {
		t.Errorf("it was asked again after %s", got)
	}
}

// TestGitWriterStopsAlone: what has to wait because the remote asked to be left alone waits
// through a stop, too, and says so.
func TestGitWriterStopsAlone(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.commitFile("README.md", "hello\n")
	d := map[string]event.Destination{}
	for _, branch := range []string{"waits", "asks", "late"} {
		at := s.register(branch, branch, false)
		at.Branch, at.BranchKey = branch, subject.BranchKey(s.url, branch)
		if branch == "waits" {
			at.MinPushInterval = time.Hour
		}
		s.put(at)
		d[branch] = at
	}
	w, stop := s.start()
	s.write(d["waits"], configMap(event.Create, "web", "a", 1))
	s.until("there is a first commit", func() bool { return strings.Contains(s.git("branch", "--list", "waits"), "waits") })
	var pushes atomic.Int64
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			pushes.Add(1)
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return isPush(r)
	})
	s.write(d["waits"], configMap(event.Update, "web", "b", 2)) // for its turn
	s.write(d["asks"], configMap(event.Create, "web", "a", 3))
	s.isStalled(d["asks"], "RemoteUnreachable", "429")
	s.write(d["late"], configMap(event.Create, "web", "a", 4))
	s.isStalled(d["late"], "RemoteUnreachable", "left alone")
	s.until("the first one waits for its turn", func() bool {
		return slices.ContainsFunc(w.Snapshots(), func(sn gitwriter.Snapshot) bool { return sn.Branch == "waits" && sn.Pending == 1 })
	})
	stop()
	if n := pushes.Load(); n != 1 {
		t.Errorf("it was pushed to %d times", n)
	}
	s.gate.set(nil)
	hurried := d["waits"]
	hurried.MinPushInterval = 0
	s.put(hurried)
	s.start()
	s.until("all is written once it may be", func() bool {
		return s.git("rev-list", "--count", "waits") == "2" && strings.Contains(s.git("branch", "--list", "asks", "late"), "asks\n  late")
	})
}

// TestGitWriterRefused: a remote that refuses pushes stalls the destination, with why and
// what to do, for as long as it does; all that came meanwhile lands then, in order.
func TestGitWriterRefused(t *testing.T) {
	t.Parallel()
	answers := func(status int) func(s *stand) error {
		return func(s *stand) error {
			s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
				if isPush(r) {
					w.WriteHeader(status)
				}
				return isPush(r)
			})
			return nil
		}
	}
	says := func(words string) func(s *stand) error {
		return func(s *stand) error { return gittest.InstallHook(s.dir, "pre-receive", gittest.RefuseWith(words)) }
	}
	for reason, tt := range map[string]struct {
		refuse func(s *stand) error
		words  []string
	}{
		"PushRefused":     {says("no deploys on Friday"), []string{"no deploys on Friday", "have its hook let these commits in"}},
		"BranchProtected": {says("GH006: Protected branch update failed"), []string{"GH006", "let this user push to the branch"}},
		"QuotaExceeded":   {answers(http.StatusRequestEntityTooLarge), []string{"413", "client_max_body_size"}},
		"AccessDenied":    {answers(http.StatusForbidden), []string{"403", "let this user write"}},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			d := s.register("live", "live", false)
			if err := tt.refuse(s); err != nil {
				t.Fatal(err)
			}
			s.start()
			for v := range 3 {
				s.write(d, configMap(event.Update, "web", strconv.Itoa(v), v+1))
			}
			s.isStalled(d, reason, tt.words...)
			s.gate.set(nil)
			if err := gittest.InstallHook(s.dir, "pre-receive", ""); err != nil {
				t.Fatal(err)
			}
			s.write(d, configMap(event.Update, "web", "3", 4)) // behind those that were refused
			s.wantVersions(4)
			s.until("it is stalled no more", func() bool { return s.stalled(d.Key) == nil })
			if got := fmt.Sprint(s.versions()); got != "[1 2 3 4]" {
				t.Errorf("versions %s", got)
			}
		})
	}
}
