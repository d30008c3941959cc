package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/services/reconciler/janitor"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// janitor is one that does nothing by itself yet.
func (in *install) janitor() (*janitor.Janitor, *prometheus.Registry) {
	in.Helper()
	b, registry, metrics := in.connect(subject.UserReconciler), bus.NewRegistry(), prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = registry.Run(ctx, b, slog.New(slog.DiscardHandler))
	}()
	in.Cleanup(func() { cancel(); <-done })
	if err := registry.Wait(in.Context(), 0); err != nil {
		in.Fatal(err)
	}
	j, err := janitor.New(in.Context(), b, registry, slog.New(slog.DiscardHandler), metrics)
	if err != nil {
		in.Fatal(err)
	}
	return j, metrics
}

// sweeps removes what may go, as if all of it were old.
func (in *install) sweeps(j *janitor.Janitor) {
	in.Helper()
	for _, stream := range []string{subject.Write, subject.Live, subject.Events} {
		if err := j.Sweep(in.Context(), stream, time.Now()); err != nil {
			in.Fatal(err)
		}
	}
}

// holds are the sequences that a stream holds under a filter.
func (in *install) holds(stream, filter string) (seqs []uint64) {
	in.Helper()
	for m, err := range in.bus.Range(in.Context(), stream, filter, 1, 1<<62) {
		if err != nil {
			in.Fatal(err)
		}
		seqs = append(seqs, m.Seq)
	}
	return seqs
}

// limit gives the streams of changes a size.
func (in *install) limit(bytes int64) {
	in.Helper()
	if err := in.bus.Provision(in.Context(), bus.Options{Replicas: 1, MaxBytes: bytes}); err != nil {
		in.Fatal(err)
	}
}

// TestIdleLedgerIsNoGap: a part that has had nothing to route for long is no gap, whatever
// was removed of the others meanwhile, and though the server was restarted since.
func TestIdleLedgerIsNoGap(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]bool{"a type": false, "a destination that has left": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstall(t)
			in.register("a", everything)
			idle := subject.Part("test", "apps", "deployments")
			r := in.router()
			at := in.publish(deployment("api", "shop", 1))
			if leaves { // and its MARK is what the part's cursor names
				rev := in.register("b", everything)
				at = in.publishMark(event.Mark{Cluster: "test", Part: idle, Destination: key("b").String(), Run: "r", Attempt: 1, Registry: rev})
				in.reconciler()
				in.until("it has begun", func() bool { return in.phase("b").Run != "" })
			}
			for i := range 20 {
				in.publish(configMap(event.Update, "web", "x", i+2))
			}
			routed := func(part int) uint64 {
				_, c, err := in.bus.Checkpoint(t.Context(), subject.Live, subject.LivePart(part))
				if err != nil {
					t.Fatal(err)
				}
				return c.Seq
			}
			newest := func(part int) uint64 {
				seq, err := in.bus.Newest(t.Context(), subject.Events, subject.EventPart(part))
				if err != nil {
					t.Fatal(err)
				}
				return seq
			}
			in.until("all is routed", func() bool { return routed(idle) == at && routed(configMapsPart) == newest(configMapsPart) })
			if leaves {
				in.unregister("b")
				in.until("it has left", func() bool { return in.phase("b").Run == "" })
			}
			r.stop()
			j, _ := in.janitor()
			in.sweeps(j)
			if got := in.holds(subject.Events, subject.EventPart(configMapsPart)); len(got) != 1 {
				t.Errorf("of ConfigMaps %v are left", got)
			}
			in.restartNATS()
			in.router()
			in.publish(deployment("api", "shop", 2))
			in.publish(configMap(event.Update, "last", "x", 99))
			fences := 0
			for _, m := range in.read(subject.Live, subject.LiveDestination(key("a")), named("last")) {
				if kind, _ := event.KindOf(m.Header); kind == event.KindFence {
					fences++
				}
			}
			if fences > 0 {
				t.Errorf("%d gaps are found where nothing is missing", fences)
			}
			in.until("all is routed", func() bool { return routed(idle) == newest(idle) })
		})
	}
}

// TestMendedLedgerIsNoGap: where a gap was found and mended, the part goes on behind somebody
// else's message. That this one is removed is no other gap.
func TestMendedLedgerIsNoGap(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	in.register("a", everything)
	idle := subject.Part("test", "apps", "deployments")
	r := in.router()
	in.publish(deployment("api", "shop", 1))
	routed := func(name string) {
		t.Helper()
		in.publish(configMap(event.Update, name, "x", 1))
		in.read(subject.Live, subject.LiveDestination(key("a")), named(name))
	}
	routed("first")
	r.stop()
	last := in.publish(configMap(event.Update, "cut", "x", 1))
	in.publish(configMap(event.Update, "kept", "x", 1)) // behind the gap: trimmed later
	if err := in.bus.Purge(t.Context(), subject.Events, ">", last+1); err != nil {
		t.Fatal(err)
	}
	clear(in.lanes) // their fences went, too
	fences := func() int { return len(in.holds(subject.Live, subject.LiveData(idle, key("a")))) - 1 }
	r = in.router()
	routed("second")
	in.until("the gap is found", func() bool { return fences() == 1 })
	for i := range 20 {
		in.publish(configMap(event.Update, "web", "x", i+2))
	}
	routed("third")
	r.stop()
	j, _ := in.janitor()
	if err := j.Sweep(t.Context(), subject.Events, time.Now()); err != nil {
		t.Fatal(err)
	}
	in.router()
	routed("fourth")
	if n := fences(); n != 1 {
		t.Errorf("%d gaps are found where there is one", n)
	}
}

// TestHeldIsNotTrimmed: what is held back during a run, and what the run reads again when
// the stream begins anew, stays, however old it is.
func TestHeldIsNotTrimmed(t *testing.T) {
	t.Parallel()
	l := newLive(t, "d")
	j, _ := l.janitor()
	r := l.stream()
	l.route("old", "x")
	l.written("old")
	l.begin("run-1", event.StartupReconcile)
	l.mark(configMapsPart, "run-1")
	l.route("web", "newer than the run") // passes behind its MARK
	l.mark(anotherPart, "run-1")
	l.route("api", "A")
	l.route("api", "B")
	l.until("they are held back", func() bool { return l.phase("d").Counts.Held == 2 })
	l.sweeps(j)
	r.stop()
	l.stream()
	l.sweeps(j)
	l.results("run-1", event.Outcome{}, "UPDATE web of-the-run", "CREATE zoo A")
	l.closed("run-1")
	l.route("last", "x")
	l.wantWritten("last", "UPDATE old x", "UPDATE web newer than the run", "BARRIER", "CREATE zoo A by run-1", "UPDATE api A", "UPDATE api B", "UPDATE last x")
	l.until("the run needs nothing any more", func() bool {
		l.sweeps(j)
		return len(l.holds(subject.Live, subject.LiveDestination(key("d")))) <= 3
	})
}

// TestHeldGivesWay: a destination that is held back gives up the oldest of its changes where
// KS_LIVE has no room for them, is parked with their number, and stops nobody.
func TestHeldGivesWay(t *testing.T) {
	t.Parallel()
	l := newLive(t, "d")
	l.limit(512 << 10)
	other := &live{install: l.install, name: "other", attempt: 1}
	other.rev = l.register("other", everything)
	l.stream()
	l.begin("run-1", event.StartupReconcile)
	l.marks("run-1")
	j, _ := l.janitor()
	body, n := strings.Repeat("x", 2000), 0
	l.until("it gives way", func() bool {
		st, err := l.js.Stream(t.Context(), subject.Live)
		if err != nil {
			t.Fatal(err)
		}
		if info := st.CachedInfo(); float64(info.State.Bytes) < 0.85*float64(info.Config.MaxBytes) {
			l.route("web", fmt.Sprintf("%d-%s", n, body))
			n++
		}
		return l.phase("d").Phase == event.Parked
	})
	if reason := l.asked("d"); reason != event.ReasonHistoryGap {
		t.Errorf("a run is asked for because of %s", reason)
	}
	l.until("there is room", func() bool {
		l.sweeps(j)
		level, err := l.bus.Level(t.Context(), subject.Live)
		return err == nil && !level.Pressed()
	})
	l.route("last", "x")
	kept := len(l.written("last")) - 2 // but for the BARRIER, and the last one
	gap := l.phase("d").Gap
	if gap == nil || gap.Stream != subject.Live || int(gap.Missing)+kept != n || kept == 0 {
		t.Errorf("of %d changes %d were written, and it shows %+v", n, kept, gap)
	}
	other.route("last", "x")
	other.wantWritten("last", "UPDATE last x")
}

// pipeline is a router, a stream and a git-writer of a stand.
func pipeline(s *stand) *install {
	s.Helper()
	js, err := jetstream.New(s.nats.NATS(s.T))
	if err != nil {
		s.Fatal(err)
	}
	return &install{T: s.T, nats: s.nats, bus: s.bus, js: js, lanes: map[int]*bus.Lane{}}
}

// TestLagIsCounted: what waits for a destination, before each hop, is in KS_LAG and in the
// metrics, and goes with it.
func TestLagIsCounted(t *testing.T) {
	t.Parallel()
	l := newLive(t, "d")
	j, metrics := l.janitor()
	lags := mustBucket[event.Lag](l.install, subject.BucketLag)
	gauge := func(name, hop string) float64 {
		t.Helper()
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, label := range m.GetLabel() {
					if f.GetName() == "kubescribe_reconciler_"+name && label.GetValue() == hop {
						return m.GetGauge().GetValue()
					}
				}
			}
		}
		return 0
	}
	wants := func(stream, writer uint64) {
		t.Helper()
		if err := j.Count(t.Context()); err != nil {
			t.Fatal(err)
		}
		lag, _, err := lags.Newest(t.Context(), subject.DestinationToken(key("d")))
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			t.Fatal(err)
		}
		if lag.Stream.Messages != stream || lag.Writer.Messages != writer {
			t.Errorf("%+v waits, want %d and %d", lag, stream, writer)
		}
		if got := gauge("lag_messages", "stream"); got != float64(stream) {
			t.Errorf("%g are said to wait for the stream, want %d", got, stream)
		}
		if got := gauge("lag_messages", "git-writer"); got != float64(writer) {
			t.Errorf("%g are said to wait for the git-writer, want %d", got, writer)
		}
	}
	wants(0, 0)
	for i := range 3 {
		l.route("web", fmt.Sprint(i))
	}
	first, err := l.bus.After(t.Context(), subject.Live, subject.LiveDestination(key("d")), 0)
	if err != nil {
		t.Fatal(err)
	}
	wants(3, 0)
	if lag, _, err := lags.Newest(t.Context(), subject.DestinationToken(key("d"))); err != nil || !lag.Stream.Since.Equal(first.Time) {
		t.Errorf("%+v waits, %v, and the oldest came at %s", lag, err, first.Time)
	}
	r := l.stream()
	l.route("last", "x")
	l.written("last")
	wants(0, 4)
	r.stop()
	l.publish(configMap(event.Update, "web", "not routed", 1))
	if err := j.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := gauge("router_lag_messages", fmt.Sprint(configMapsPart)); got != 1 {
		t.Errorf("%g events are said to wait for the router", got)
	}
	l.unregister("d")
	l.until("nothing is said of it any more", func() bool {
		if err := j.Count(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _, err := lags.Newest(t.Context(), subject.DestinationToken(key("d")))
		return errors.Is(err, bus.ErrNoMessage) && gauge("lag_messages", "git-writer") == 0
	})
}

// TestStatusesOfWhoHasLeft: a status that is written of a destination behind its removal goes,
// and no other one: not of one whose registration has not come round yet either.
func TestStatusesOfWhoHasLeft(t *testing.T) {
	t.Parallel()
	l := newLive(t, "d")
	j, _ := l.janitor()
	statuses := mustBucket[event.Status](l.install, subject.BucketStatus)
	show := func(name string) {
		t.Helper()
		if _, err := statuses.Put(t.Context(), subject.DestinationToken(key(name)), event.Status{V: event.Version, Position: 7}, 0); err != nil {
			t.Fatal(err)
		}
	}
	shown := func(name string) bool {
		t.Helper()
		_, _, err := statuses.Newest(t.Context(), subject.DestinationToken(key(name)))
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			t.Fatal(err)
		}
		return err == nil
	}
	forget := func() {
		t.Helper()
		if err := j.ForgetStatuses(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	show("d")
	show("gone")
	forget()
	if !shown("d") || shown("gone") {
		t.Errorf("shown: %t of who is registered, %t of who is not", shown("d"), shown("gone"))
	}
	behind, err := janitor.New(t.Context(), l.connect(subject.UserReconciler), bus.NewRegistry(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := behind.ForgetStatuses(t.Context()); err != nil || !shown("d") {
		t.Errorf("who has not heard of a registration yet removes the status: %t, %v", !shown("d"), err)
	}
	l.unregister("d")
	l.until("nothing is said of it any more", func() bool { forget(); return !shown("d") })
	show("gone")
	l.reconciler()
	l.until("a reconciler does so by itself", func() bool { return !shown("gone") })
}

// TestFullStreams: while the git-writer is away the streams fill, and what writes to them
// stands still, hop by hop, up to the watcher. Once it is back all goes on by itself, while
// janitors come and go, and no version is missing.
func TestFullStreams(t *testing.T) {
	long(t)
	t.Parallel()
	s := newStand(t)
	in := pipeline(s)
	in.limit(192 << 10)
	d := s.register("live", "live", false)
	router, stream := in.router(), in.stream()
	feeder := in.connect(subject.UserWatcher)
	l, err := feeder.TakeLane(t.Context(), configMapsPart, "test", "feeder")
	if err != nil {
		t.Fatal(err)
	}
	const n = 400
	var published atomic.Int64
	fed := make(chan error, 1)
	go func() {
		for i := range n {
			c := configMap(event.Update, "web", fmt.Sprintf("%d-%s", i, strings.Repeat("x", 1000)), i+1)
			c.To, c.Registry = []event.DestinationKey{d.Key}, s.rev
			h, body := c.Message()
			if _, err := l.Publish(t.Context(), bus.Item{ID: subject.ChangeID(c), Output: bus.Output{Subject: subject.EventChange(configMapsPart, "test", "", "configmaps", "shop"), Header: h, Data: body}}); err != nil {
				fed <- err
				return
			}
			published.Add(1)
		}
		fed <- nil
	}()
	for who, ready := range map[string]func() error{"the stream": stream.ready, "the router": router.ready, "the lane": l.Ready} {
		in.until(who+" says that it has no room", func() bool { return errors.Is(ready(), bus.ErrFull) })
	}
	if published.Load() == n {
		t.Fatal("all was published: nothing stood still")
	}
	for _, stream := range []string{subject.Events, subject.Live, subject.Write} {
		level, err := in.bus.Level(t.Context(), stream)
		if err != nil || level.Share() < 0.85 || level.Share() > 0.95 {
			t.Errorf("%s is at %.2f, %v", stream, level.Share(), err)
		}
	}
	var janitors sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	defer janitors.Wait()
	defer stop()
	for range 2 {
		j, _ := in.janitor()
		janitors.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				cut, cancel := context.WithTimeout(ctx, 30*time.Millisecond<<(n%7)) // up to 2 s: a busy machine needs them
				for _, stream := range []string{subject.Write, subject.Live, subject.Events} {
					_ = j.Sweep(cut, stream, time.Now()) // cut in the middle, as often as not
				}
				cancel()
			}
		})
	}
	s.start()
	s.wantVersions(n)
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	for who, ready := range map[string]func() error{"the stream": stream.ready, "the router": router.ready, "the lane": l.Ready} {
		in.until(who+" moves", func() bool { return ready() == nil })
	}
	if got := s.versions(); len(got) != n {
		t.Errorf("%d versions of %d are on the remote", len(got), n)
	}
}

// TestDeadRemote: a remote that is gone stops nobody else. Once KS_WRITE has no room for
// what waits for it, the oldest of that is given up: the destination is parked, and says
// how many changes are missing. When the remote is back, a run makes it equal.
func TestDeadRemote(t *testing.T) {
	long(t)
	t.Parallel()
	m := prepareMirror(t, "{}", []string{"d"}, "configmaps")
	m.limit(512 << 10)
	m.creds = gitwriter.Credentials{} // one password is for one host
	m.stand.gate.set(nil)
	second := m.stand.beside()
	var dead atomic.Bool
	dead.Store(true)
	second.gate.set(func(_ http.Handler, w http.ResponseWriter, _ *http.Request) bool {
		if dead.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
		return dead.Load()
	})
	text := fmt.Sprintf(`
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: r}
spec: {url: %q}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: second}
spec: {url: %q}
`, m.stand.url, second.url)
	for d, remote := range map[string]string{"d": "r", "far": "second"} {
		text += fmt.Sprintf(`---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: %[1]s}
spec: {remoteRef: {name: %[2]s}, baseFolder: live, interval: 0s}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: %[1]s}
spec: {destinationRef: {name: %[1]s, namespace: default}, rules: [{apiGroups: [''], resources: [configmaps]}]}
`, d, remote)
	}
	var err error
	if m.docs, err = v1alpha1.Load(strings.NewReader(text), t.Name()); err != nil {
		t.Fatal(err)
	}
	m.cluster.put("configmaps", "shop", "web", "0")
	dead.Store(false)
	m.startAll(reconciler.Deps{})
	for _, d := range []string{"d", "far"} {
		m.until(d+" is live", func() bool { return m.phase(d).Phase == event.LiveProcessing })
	}
	of := func(s *stand) []string {
		return slices.DeleteFunc(s.subjects(), func(line string) bool { return !strings.HasPrefix(line, "Update configmaps shop/web") })
	}
	m.until("it is on both remotes", func() bool { return len(m.stand.subjects()) > 0 && len(second.subjects()) > 0 })
	dead.Store(true)
	body, n := strings.Repeat("x", 1500), 0
	m.until("it is parked", func() bool {
		if n-len(of(m.stand)) < 20 { // the other one goes on
			n++
			m.cluster.put("configmaps", "shop", "web", fmt.Sprintf("%d-%s", n, body))
		}
		return m.phase("far").Phase == event.Parked
	})
	for range 30 {
		n++
		m.cluster.put("configmaps", "shop", "web", fmt.Sprintf("%d-%s", n, body))
	}
	m.until("the other one has every version", func() bool { return len(of(m.stand)) == n })
	gap := m.phase("far").Gap
	if gap == nil || gap.Stream != subject.Write || gap.Missing == 0 {
		t.Fatalf("it shows %+v", gap)
	}
	if got := m.phase("d"); got.Phase != event.LiveProcessing || got.Gap != nil {
		t.Errorf("the other one is %+v", got)
	}
	dead.Store(false)
	m.until("a run has mended it", func() bool {
		p := m.phase("far")
		return p.Phase == event.LiveProcessing && p.Reason == event.ReasonHistoryGap && !p.Running()
	})
	m.until("it is equal", func() bool {
		return second.git("rev-parse", "main:live/shop") == m.stand.git("rev-parse", "main:live/shop")
	})
	gap = m.phase("far").Gap
	if got := len(of(second)); got+int(gap.Missing) != n {
		t.Errorf("of %d changes %d are in history, and %d are said to be missing", n, got, gap.Missing)
	}
}
