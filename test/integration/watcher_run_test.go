package integration

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// configmaps is the lane of the type of most of these tests.
var configmaps = subject.Part("test", "", "configmaps")

// series names what a lane answers to the first attempt at a run.
func seriesOf(name, run string, side subject.Side) subject.Series {
	return subject.Series{Destination: key(name), Run: run, Attempt: 1, Side: side}
}

// underWay makes a destination one whose run is under way.
func (in *install) underWay(name, run string) {
	in.Helper()
	in.setPhase(name, event.PhaseRecord{Phase: event.StartupReconcile, Run: run, Attempt: 1, Registered: in.registered()["test/"+name], Reason: event.ReasonRequested})
}

// askState asks a lane for its state.
func (in *install) askState(name, run string, part int) {
	in.Helper()
	q := event.Request{V: event.Version, Kind: event.RequestClusterState, Destination: key(name), Part: part, Run: run, Attempt: 1, Reason: event.ReasonRequested}
	if err := in.bus.Ask(in.Context(), subject.CtlClusterState("test", part, run, 1), q); err != nil {
		in.Fatal(err)
	}
}

// closed waits for the end of a series.
func (in *install) closed(s subject.Series) (end event.End) {
	in.Helper()
	in.until("the series is closed: "+s.End(), func() bool {
		var err error
		if end, err = in.bus.SeriesEnd(in.Context(), s); err != nil && !errors.Is(err, bus.ErrNoMessage) {
			in.Fatal(err)
		}
		return err == nil
	})
	return end
}

// state is a lane's answer to a run that it is asked about now.
func (in *install) state(name, run string, part int) (entries []event.Entry, end event.End) {
	in.Helper()
	in.underWay(name, run)
	in.askState(name, run, part)
	s := seriesOf(name, run, subject.SideCluster(part))
	end = in.closed(s)
	if end.Failed != "" {
		in.Fatalf("the answer failed: %s", end.Failed)
	}
	for e, err := range in.bus.Entries(in.Context(), s, end) {
		if err != nil {
			in.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries, end
}

// reconciled makes a destination one whose run has closed.
func (in *install) reconciled(name string) {
	in.Helper()
	rec := event.PhaseRecord{Phase: event.LiveProcessing, Run: "before", Attempt: 1, Registered: in.registered()["test/"+name], Closed: time.Now()}
	in.setPhase(name, rec)
}

// runAsked waits for a request for a run and takes it from the queue.
func (in *install) runAsked(name string) event.Request {
	in.Helper()
	var q event.Request
	in.until("a run of "+name+" is asked for", func() bool {
		m, err := in.bus.LastFor(in.Context(), subject.Ctl, subject.CtlRun(key(name)))
		if errors.Is(err, bus.ErrNoMessage) {
			return false
		}
		if err == nil {
			q, err = event.Decode[event.Request](m.Data)
		}
		if err != nil {
			in.Fatal(err)
		}
		return true
	})
	if err := in.bus.Purge(in.Context(), subject.Ctl, subject.CtlRun(key(name)), 0); err != nil {
		in.Fatal(err)
	}
	return q
}

func paths(entries []event.Entry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Path)
	}
	return strings.Join(all, " ")
}

// TestWatcherAnswersState: a first list publishes nothing, and is what a run is
// answered with, sorted by path, behind a MARK.
func TestWatcherAnswersState(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps", "secrets", "readings.example.com")
	rv := c.put("configmaps", "shop", "a", "1")
	c.put("configmaps", "shop", "a-b", "1") // in the order of names behind a, of paths before it
	c.put("configmaps", "billing", "c", "1")
	c.put("configmaps", "shop", "kube-root-ca.crt", "excluded")
	c.put("configmaps", "shop", "bad", "\u0000")
	c.put("secrets", "shop", "s", "1")
	w, _ := in.watcher(rc, documents(t, "d"))
	entries, end := in.state("d", "run-1", configmaps)
	want := "billing/configmaps/c.yaml shop/configmaps/a-b.yaml shop/configmaps/a.yaml shop/configmaps/bad.yaml"
	if got := paths(entries); got != want || end.Count != 4 || len(end.Incomplete) != 0 {
		t.Errorf("it answered %s, %+v, want %s", got, end, want)
	}
	for _, e := range entries {
		if e.What != event.Resource || len(e.Hash) != 40 {
			t.Errorf("it answered %+v", e)
		}
		if strings.HasSuffix(e.Path, "/a.yaml") && e.Version != uint64(rv) {
			t.Errorf("its version is %d, want %d", e.Version, rv)
		}
	}
	for _, typ := range []string{"secrets", "leases.coordination.k8s.io"} {
		if !slices.Contains(end.Unmirrored, typ) {
			t.Errorf("unmirrored are %q, and not %s", end.Unmirrored, typ)
		}
	}
	_, end = in.state("d", "run-1", subject.Part("test", "example.com", "readings"))
	if !slices.Contains(end.Unmirrored, "readings.example.com") {
		t.Errorf("one that cannot be followed is not unmirrored: %q", end.Unmirrored)
	}
	m, err := in.bus.LastFor(t.Context(), subject.Events, subject.EventPart(configmaps))
	if err != nil {
		t.Fatal(err)
	}
	mark, err := event.ParseMark(m.Header)
	if err != nil || mark.Run != "run-1" || mark.Attempt != 1 || mark.Part != configmaps || mark.Destination != key("d").String() {
		t.Errorf("the lane holds %+v, %v", mark, err)
	}
	if n, err := in.bus.Waiting(t.Context(), subject.Events, "ks.ev.d.>", 0); err != nil || n != 2 {
		t.Errorf("the lanes hold %d messages beside the two MARKs, %v", n-2, err)
	}
	if n := in.counted(w, "kubescribe_watcher_freezes_total", "answered"); n != 2 {
		t.Errorf("%d freezes are counted", n)
	}
	if _, err := in.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRuns); !errors.Is(err, bus.ErrNoMessage) {
		t.Errorf("a run was asked for, although one is to come: %v", err)
	}
}

// TestWatcherFreezes: whatever is written while lanes are frozen, an answer is what
// was there at first and the changes before its MARK, and no lane misses one.
func TestWatcherFreezes(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	for i := range 20 {
		c.put("configmaps", "shop", fmt.Sprint("w", i), "first")
	}
	in.watcher(rc, documents(t, "d", "e"))
	first, _ := in.state("d", "at-first", configmaps)
	const writes = 300
	var writers sync.WaitGroup
	for n := range 3 {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 1))
			for i := range writes {
				name := fmt.Sprint("w", rnd.IntN(30))
				if rnd.IntN(4) == 0 {
					c.remove("configmaps", "shop", name)
				} else {
					c.put("configmaps", "shop", name, fmt.Sprint(n, i))
				}
			}
		})
	}
	const runs = 15
	answers := map[string][]event.Entry{}
	var lock sync.Mutex
	var askers sync.WaitGroup
	for _, d := range []string{"d", "e"} {
		askers.Go(func() {
			for i := range runs {
				run := fmt.Sprint(d, i)
				entries, _ := in.state(d, run, configmaps)
				lock.Lock()
				answers[run] = entries
				lock.Unlock()
			}
		})
	}
	askers.Wait()
	writers.Wait()
	in.state("d", "last", configmaps)

	sum := map[string]string{} // hashes by path
	for _, e := range first {
		sum[e.Path] = e.Hash
	}
	compared, changes := 0, 0
	for _, m := range in.read(subject.Events, subject.EventPart(configmaps), func(m bus.Message) bool {
		return slices.Equal(m.Header[event.HeaderRun], []string{"last"})
	}) {
		if kind, err := event.KindOf(m.Header); err != nil {
			t.Fatal(err)
		} else if kind == event.KindChange {
			ch := in.change(m)
			path := manifest.Identity{Group: ch.Group, Resource: ch.Resource, Namespace: ch.Namespace, Name: ch.Name}.Path()
			changes++
			if sum[path] = ch.Hash; ch.Op == event.Delete {
				delete(sum, path)
			}
			continue
		}
		mark, err := event.ParseMark(m.Header)
		if err != nil {
			t.Fatal(err)
		}
		entries, ok := answers[mark.Run]
		if !ok {
			continue
		}
		got := map[string]string{}
		for _, e := range entries {
			got[e.Path] = e.Hash
		}
		if !maps.Equal(got, sum) {
			t.Fatalf("after %d changes run %s was told\n%v\nand the lane says\n%v", changes, mark.Run, got, sum)
		}
		compared++
	}
	if compared != 2*runs || changes < 50 {
		t.Errorf("%d answers were compared, over %d changes", compared, changes)
	}
}

// TestWatcherFrozenBefore: of a lane that an owner froze, and that died before it
// said how, nobody knows how: the attempt has failed. The next one does not.
func TestWatcherFrozenBefore(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "a", "1")
	mark := event.Mark{Cluster: "test", Part: configmaps, Destination: key("d").String(), Run: "run-1", Attempt: 1}
	h, _ := mark.Message()
	if _, err := in.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject.EventMark(configmaps, "test", key("d")), Header: nats.Header(h)}); err != nil {
		t.Fatal(err)
	}
	w, _ := in.watcher(rc, documents(t, "d"))
	in.underWay("d", "run-1")
	in.askState("d", "run-1", configmaps)
	if end := in.closed(seriesOf("d", "run-1", subject.SideCluster(configmaps))); end.Failed == "" || end.Count != 0 {
		t.Errorf("it answered %+v", end)
	}
	if n, err := in.bus.Waiting(t.Context(), subject.Events, subject.EventPart(configmaps), 0); err != nil || n != 1 {
		t.Errorf("the lane holds %d MARKs, %v", n, err)
	}
	if n := in.counted(w, "kubescribe_watcher_freezes_total", "failed"); n != 1 {
		t.Errorf("%d failures are counted", n)
	}
	if entries, _ := in.state("d", "run-2", configmaps); len(entries) != 1 {
		t.Errorf("the next run is told %s", paths(entries))
	}
}

// TestWatcherFenced: a lane in which nothing changes, and which a former owner has taken late, is taken
// again by who holds it, with the next request about it.
func TestWatcherFenced(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	in.replica = "a"
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "a", "1")
	w, _ := in.watcher(rc, documents(t, "d"))
	in.state("d", "run-1", configmaps)
	if _, err := in.bus.TakeLane(t.Context(), configmaps, "test", "late"); err != nil {
		t.Fatal(err)
	}
	if entries, _ := in.state("d", "run-2", configmaps); len(entries) != 1 {
		t.Errorf("it answers %s", paths(entries))
	}
	in.until("it is ready", func() bool { return w.ready() == nil })
}

// TestWatcherIncomplete: types that may not be listed, and groups that do not
// answer, are named, and not waited for.
func TestWatcherIncomplete(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps", "gadgets.example.org")
	c.put("configmaps", "shop", "a", "1")
	c.change(func() { c.forbidden["configmaps"], c.failing["example.org"] = true, true })
	in.watcher(rc, documents(t, "d"))
	entries, end := in.state("d", "run-1", configmaps)
	if len(entries) != 0 || !slices.Equal(end.Incomplete, []string{"*.example.org", "configmaps"}) {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}

	// Once the group answers, those who were told of it get what it has, even if it
	// was another process that told them.
	in.reconciled("d")
	part := subject.Part("test", "example.org", "gadgets")
	if _, end := in.state("d", "run-2", part); !slices.Contains(end.Incomplete, "*.example.org") {
		t.Errorf("it answered %+v", end)
	}
	c.change(func() { c.failing["example.org"] = false })
	c.announce()
	if _, err := in.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRuns); !errors.Is(err, bus.ErrNoMessage) {
		t.Errorf("a run was asked for although nothing came: %v", err)
	}
	c.serve("gizmos.example.org")
	c.put("gizmos", "shop", "g", "1")
	c.announce()
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared || q.Kind != event.RequestRun {
		t.Errorf("it asked %+v", q)
	}
}

// TestWatcherMissingWhenItComes: a type that an answer left out, and that had been
// followed before, is brought by a run once its index is exact, whoever answered.
func TestWatcherMissingWhenItComes(t *testing.T) {
	long(t)
	t.Parallel()
	for name, tt := range map[string]struct {
		reason          string
		state, contents *event.End
		outcome         *event.Outcome
	}{
		"in the state":                      {event.ReasonRequested, &event.End{Incomplete: []string{"configmaps"}}, nil, nil},
		"in the contents":                   {event.ReasonRequested, &event.End{}, &event.End{Incomplete: []string{"configmaps"}}, nil},
		"in a run whose series are gone":    {event.ReasonRequested, nil, nil, &event.Outcome{Incomplete: []string{"configmaps"}}},
		"in the run before one that failed": {event.ReasonRequested, &event.End{Failed: "why"}, nil, &event.Outcome{Incomplete: []string{"configmaps"}}},
		"in the run before a comparison":    {event.ReasonCompare, &event.End{}, nil, &event.Outcome{Incomplete: []string{"configmaps"}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := newInstall(t)
			c, rc := newCluster(t, "configmaps")
			c.put("configmaps", "shop", "a", "1")
			w, _ := in.watcher(rc, documents(t, "d"))
			in.state("d", "run-1", configmaps)
			w.stop()
			in.setPhase("d", event.PhaseRecord{
				Phase: event.LiveProcessing, Run: "before", Attempt: 1, Reason: tt.reason, Registered: in.registered()["test/d"], Closed: time.Now(), Outcome: tt.outcome,
			})
			for side, end := range map[subject.Side]*event.End{subject.SideCluster(configmaps): tt.state, subject.SideContent(configmaps): tt.contents} {
				if end == nil {
					continue
				}
				if _, err := in.bus.WriteSeries(seriesOf("d", "before", side)).Close(t.Context(), *end); err != nil {
					t.Fatal(err)
				}
			}
			in.watcher(rc, documents(t, "d"))
			c.announce() // a bookmark
			if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
				t.Errorf("it asked %+v", q)
			}
		})
	}
}

// TestWatcherMissingBehindOldRequest: what the newest answer lacked stays owed when the
// request of an older one comes again, because its acknowledgement was lost.
func TestWatcherMissingBehindOldRequest(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "a", "1")
	w, _ := in.watcher(rc, documents(t, "d"))
	in.state("d", "run-1", configmaps)
	w.stop()
	c.change(func() { c.broken["configmaps"] = true })
	next, r := in.newWatcher(rc, documents(t, "d"))
	next.Patience = time.Second
	r.ready = func() error { return nil } // it is not while the type cannot be listed
	in.run(next.Run, r)
	if _, end := in.state("d", "run-2", configmaps); !slices.Equal(end.Incomplete, []string{"configmaps"}) {
		t.Errorf("it answered %+v", end)
	}
	in.setPhase("d", event.PhaseRecord{
		Phase: event.LiveProcessing, Run: "run-2", Attempt: 1, Reason: event.ReasonRequested, Registered: in.registered()["test/d"], Closed: time.Now(),
	})
	in.askState("d", "run-1", configmaps)
	in.notAsked("d", subject.CtlClusterState("test", configmaps, "run-1", 1))
	c.change(func() { c.broken["configmaps"] = false })
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
		t.Errorf("it asked %+v", q)
	}
}

// TestWatcherContentsRefused: a type that may not be read any more when a run wants its
// contents is brought by another run once it may, although its watch went on all the
// time.
func TestWatcherContentsRefused(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "a", "1")
	in.watcher(rc, documents(t, "d"))
	entries, _ := in.state("d", "run-1", configmaps)
	in.reconciled("d")
	c.change(func() { c.forbidden["configmaps"] = true })
	if end := in.contents("run-1", entries); end.Count != 0 || !slices.Equal(end.Incomplete, []string{"configmaps"}) {
		t.Errorf("it answered %+v", end)
	}
	in.notAsked("d", subject.CtlResources("test", configmaps, "run-1", 1))
	c.change(func() { c.forbidden["configmaps"] = false })
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
		t.Errorf("it asked %+v", q)
	}
}

// TestWatcherGivesUp: a type that cannot be listed or read, while the API server answers
// about others, keeps one run waiting, and no other. It is named, and brought by a run once
// it can be.
func TestWatcherGivesUp(t *testing.T) {
	long(t)
	t.Parallel()
	for name, tt := range map[string]struct{ before, contents bool }{
		"never listed":         {},
		"followed before":      {before: true},
		"when contents wanted": {before: true, contents: true},
	} {
		t.Run(name, func(t *testing.T) {
			in := newInstall(t)
			const patience = 5 * time.Second
			c, rc := newCluster(t, "configmaps")
			c.put("configmaps", "shop", "a", "1")
			var entries []event.Entry
			if tt.before {
				w, r := in.newWatcher(rc, documents(t, "d"))
				w.Patience = patience
				r = in.run(w.Run, r)
				entries, _ = in.state("d", "run-0", configmaps)
				if !tt.contents {
					r.stop()
				}
			}
			c.change(func() { c.broken["configmaps"] = true })
			if !tt.contents {
				w, r := in.newWatcher(rc, documents(t, "d"))
				w.Patience = patience
				r.ready = func() error { return nil } // it is not while the type cannot be listed
				in.run(w.Run, r)
			}
			for _, run := range []string{"run-1", "run-2"} {
				var end event.End
				begun := time.Now()
				if tt.contents {
					end = in.contents(run, entries)
				} else {
					_, end = in.state("d", run, configmaps)
				}
				took := time.Since(begun)
				if end.Count != 0 || !slices.Equal(end.Incomplete, []string{"configmaps"}) {
					t.Errorf("%s is told %+v", run, end)
				}
				if waited := took >= patience; waited != (run == "run-1") {
					t.Errorf("%s took %v", run, took)
				}
			}
			in.reconciled("d")
			c.change(func() { c.broken["configmaps"] = false })
			c.announce()
			if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
				t.Errorf("it asked %+v", q)
			}
			if entries, end := in.state("d", "run-3", configmaps); len(entries) != 1 || len(end.Incomplete) > 0 {
				t.Errorf("run-3 is told %s, %+v", paths(entries), end)
			}
		})
	}
}

// TestWatcherContentsLackedBefore: a state that was answered, and is asked for again,
// leaves owed what the contents behind it lacked.
func TestWatcherContentsLackedBefore(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "a", "1")
	in.watcher(rc, documents(t, "d"))
	in.state("d", "run-1", configmaps)
	in.reconciled("d")
	for side, end := range map[subject.Side]event.End{subject.SideCluster(configmaps): {}, subject.SideContent(configmaps): {Incomplete: []string{"configmaps"}}} {
		if _, err := in.bus.WriteSeries(seriesOf("d", "before", side)).Close(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	in.askState("d", "before", configmaps)
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
		t.Errorf("it asked %+v", q)
	}
}

// TestWatcherAskedAgain: a request that comes again, its acknowledgement lost, tells what
// its answer lacked, to a watcher that had looked for the answer before it was given, too.
func TestWatcherAskedAgain(t *testing.T) {
	long(t)
	t.Parallel()
	lacking := []string{"configmaps"}
	state := func(in *install) { in.askState("d", "run-1", configmaps) }
	contents := func(in *install) { in.askContents("run-1", 0) }
	for name, tt := range map[string]struct {
		ask     func(*install)
		state   *event.End
		outcome *event.Outcome
	}{
		"the state is there":    {state, &event.End{Incomplete: lacking}, nil},
		"the state is gone":     {state, nil, &event.Outcome{Run: "run-1", Incomplete: lacking}},
		"the contents are gone": {contents, nil, &event.Outcome{Run: "run-1", Incomplete: lacking}},
	} {
		t.Run(name, func(t *testing.T) {
			in := newInstall(t)
			c, rc := newCluster(t, "configmaps")
			c.put("configmaps", "shop", "a", "1")
			w, _ := in.watcher(rc, documents(t, "d"))
			in.state("d", "run-0", configmaps)
			w.stop()
			in.underWay("d", "run-1")
			in.watcher(rc, documents(t, "d"))
			other := (configmaps + 1) % subject.Parts
			in.askState("d", "run-1", other)
			in.closed(seriesOf("d", "run-1", subject.SideCluster(other))) // so it has looked
			c.announce()
			if tt.state != nil {
				if _, err := in.bus.WriteSeries(seriesOf("d", "run-1", subject.SideCluster(configmaps))).Close(t.Context(), *tt.state); err != nil {
					t.Fatal(err)
				}
			}
			in.setPhase("d", event.PhaseRecord{
				Phase: event.LiveProcessing, Run: "run-1", Attempt: 1, Reason: event.ReasonRequested, Registered: in.registered()["test/d"], Closed: time.Now(), Outcome: tt.outcome,
			})
			tt.ask(in)
			if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
				t.Errorf("it asked %+v", q)
			}
		})
	}
}

// TestWatcherLateRequests: of a run that another one has replaced, or that has closed,
// no lane stores a MARK, nor does it read contents.
func TestWatcherLateRequests(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "a", "1")
	in.watcher(rc, documents(t, "d"))
	entries, _ := in.state("d", "run-2", configmaps)
	r := in.bus.WriteSeries(seriesOf("d", "run-1", subject.SideResult(configmaps)))
	for _, e := range entries {
		e.What = event.ResultCreate
		if err := r.Entry(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Close(t.Context(), event.End{Wanted: len(entries)}); err != nil {
		t.Fatal(err)
	}
	late := func(run string) {
		t.Helper()
		in.askState("d", run, configmaps)
		in.askContents(run, 0)
		in.until("they are taken", func() bool { return len(in.subjects(subject.Ctl, subject.AllCtl)) == 0 })
	}
	late("run-1")
	in.reconciled("d") // whose run "before" has closed
	late("before")
	if n, err := in.bus.Waiting(t.Context(), subject.Events, subject.EventMarks(key("d")), 0); n != 1 || err != nil {
		t.Errorf("there are %d MARKs, %v, want that of run-2", n, err)
	}
	for _, run := range []string{"run-1", "before"} {
		if _, err := in.bus.SeriesEnd(t.Context(), seriesOf("d", run, subject.SideContent(configmaps))); !errors.Is(err, bus.ErrNoMessage) {
			t.Errorf("the contents of %s were read: %v", run, err)
		}
	}
}

// contents are what the lane of configmaps answers to a run that wants some. What says
// what an entry comes to; by default it is created.
func (in *install) contents(run string, wanted []event.Entry) event.End {
	in.Helper()
	return in.contentsWithin(run, 0, wanted)
}

// contentsWithin is contents, of no more bytes than there is room for.
func (in *install) contentsWithin(run string, room int, wanted []event.Entry) event.End {
	in.Helper()
	r := in.bus.WriteSeries(seriesOf("d", run, subject.SideResult(configmaps)))
	end := event.End{}
	for _, e := range wanted {
		if e.What == event.Resource {
			e.What = event.ResultCreate
		}
		if e.What != event.ResultDelete {
			end.Wanted++
		}
		if err := r.Entry(in.Context(), e); err != nil {
			in.Fatal(err)
		}
	}
	if _, err := r.Close(in.Context(), end); err != nil {
		in.Fatal(err)
	}
	in.underWay("d", run)
	in.askContents(run, room)
	return in.closed(seriesOf("d", run, subject.SideContent(configmaps)))
}

// askContents asks for the contents of a run's results.
func (in *install) askContents(run string, room int) {
	in.Helper()
	q := event.Request{V: event.Version, Kind: event.RequestResources, Destination: key("d"), Part: configmaps, Run: run, Attempt: 1, Reason: event.ReasonRequested, Room: room}
	if err := in.bus.Ask(in.Context(), subject.CtlResources("test", configmaps, run, 1), q); err != nil {
		in.Fatal(err)
	}
}

// notAsked fails if the answer to a request made the watcher ask for a run.
func (in *install) notAsked(name, request string) {
	in.Helper()
	in.until("the request is done", func() bool {
		_, err := in.bus.LastFor(in.Context(), subject.Ctl, request)
		return errors.Is(err, bus.ErrNoMessage)
	})
	if _, err := in.bus.LastFor(in.Context(), subject.Ctl, subject.CtlRun(key(name))); !errors.Is(err, bus.ErrNoMessage) {
		in.Errorf("a run was asked for, although %s had all that is there: %v", request, err)
	}
}

// TestWatcherGroupAnswersAgain: a group that has failed is seen to answer within seconds,
// though nobody says so.
func TestWatcherGroupAnswersAgain(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps", "gadgets.example.org")
	c.put("gadgets", "shop", "a", "1")
	c.change(func() { c.failing["example.org"] = true })
	in.watcher(rc, documents(t, "d"))
	part := subject.Part("test", "example.org", "gadgets")
	if _, end := in.state("d", "run-1", part); !slices.Equal(end.Incomplete, []string{"*.example.org"}) {
		t.Fatalf("it answered %+v", end)
	}
	in.reconciled("d")
	c.change(func() { c.failing["example.org"] = false })
	answers := time.Now()
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
		t.Errorf("it asked %+v", q)
	}
	if took := time.Since(answers); took > 10*time.Second {
		t.Errorf("it was seen after %s", took)
	}
}

// TestWatcherGroupFailsLater: a group that fails after its types were listed is
// incomplete, and no reason for another run: it would be told the same. A type of
// the group that comes later is one.
func TestWatcherGroupFailsLater(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps", "gadgets.example.org")
	c.put("gadgets", "shop", "a", "1")
	in.watcher(rc, documents(t, "d"))
	part := subject.Part("test", "example.org", "gadgets")
	in.state("d", "run-1", part)
	in.reconciled("d")
	c.change(func() { c.failing["example.org"] = true })
	entries, end := in.state("d", "run-2", part)
	if len(entries) != 1 || !slices.Equal(end.Incomplete, []string{"*.example.org"}) {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}
	in.notAsked("d", subject.CtlClusterState("test", part, "run-2", 1))

	gizmos := subject.Part("test", "example.org", "gizmos")
	in.state("d", "run-2", gizmos)
	in.notAsked("d", subject.CtlClusterState("test", gizmos, "run-2", 1))
	c.serve("gizmos.example.org")
	c.change(func() { c.failing["example.org"] = false })
	c.announce()
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
		t.Errorf("it asked %+v", q)
	}
}

// TestWatcherNamespaceForbidden: a type that may be listed in one of the namespaces
// that are mirrored is incomplete in the other one, and what was answered is no reason for
// another run, nor is a restart.
func TestWatcherNamespaceForbidden(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "a", "x", "1")
	c.put("configmaps", "b", "y", "1")
	c.change(func() { c.forbidden["configmaps/b"] = true })
	docs := narrowed(t, "namespaces: [a, b], rules: [{apiGroups: ['*'], resources: ['*']}]")
	w, _ := in.watcher(rc, docs)
	in.state("d", "run-1", configmaps)
	in.reconciled("d")
	entries, end := in.state("d", "run-2", configmaps)
	if paths(entries) != "a/configmaps/x.yaml" || !slices.Equal(end.Incomplete, []string{"configmaps in b"}) {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}
	in.notAsked("d", subject.CtlClusterState("test", configmaps, "run-2", 1))

	w.stop()
	in.lacked("d", "run-3", end.Incomplete)
	in.watcher(rc, docs)
	in.asksNothing(c, "configmaps", "", "a", "run-3")
}

// TestWatcherNamespacesForbidden: a type that may be listed in none of the namespaces that are
// mirrored is named once.
func TestWatcherNamespacesForbidden(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "a", "x", "1")
	c.change(func() { c.forbidden["configmaps/a"], c.forbidden["configmaps/b"] = true, true })
	in.watcher(rc, narrowed(t, "namespaces: [a, b], rules: [{apiGroups: ['*'], resources: ['*']}]"))
	entries, end := in.state("d", "run-1", configmaps)
	if len(entries) > 0 || !slices.Equal(end.Incomplete, []string{"configmaps"}) {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}
}

// lacked makes a destination one whose newest run has lacked something, and that is being
// compared: a comparison brings nothing, so it keeps nobody from asking for a run.
func (in *install) lacked(name, run string, incomplete []string) {
	in.Helper()
	in.setPhase(name, event.PhaseRecord{
		Phase: event.LiveProcessing, Run: run, Attempt: 1, Reason: event.ReasonCompare, Registered: in.registered()["test/"+name],
		Outcome: &event.Outcome{Incomplete: incomplete},
	})
}

// asksNothing fails if a watcher that has started asks for a run of d, which is being
// compared, once its index of a type in a namespace is exact.
func (in *install) asksNothing(c *cluster, resource, group, namespace, run string) {
	in.Helper()
	part := subject.Part("test", group, resource)
	q := event.Request{V: event.Version, Kind: event.RequestClusterState, Destination: key("d"), Part: part, Run: run, Attempt: 1, Reason: event.ReasonCompare}
	if err := in.bus.Ask(in.Context(), subject.CtlClusterState("test", part, run, 1), q); err != nil {
		in.Fatal(err)
	}
	in.closed(seriesOf("d", run, subject.SideCluster(part))) // the index is exact
	c.put(resource, namespace, "x", "2")                     // which is delivered behind that
	in.until("the change is published", func() bool {
		n, err := in.bus.Waiting(in.Context(), subject.Events, subject.EventType(part, "test", group, resource, namespace), 0)
		return err == nil && n > 0
	})
	in.notAsked("d", subject.CtlClusterState("test", part, run, 1))
}

// TestWatcherVersionNotPreferred: of a type that rules select in another version than
// the one the server prefers, nothing is followed, and nothing is taken for absent.
func TestWatcherVersionNotPreferred(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps", "widgets.example.com")
	c.put("widgets", "shop", "w", "1")
	in.watcher(rc, narrowed(t, "rules: [{apiGroups: [example.com], apiVersions: [v1beta1], resources: [widgets]}]"))
	in.reconciled("d")
	part := subject.Part("test", "example.com", "widgets")
	entries, end := in.state("d", "run-1", part)
	if len(entries) != 0 || !slices.Equal(end.Incomplete, []string{"widgets.example.com other than v1"}) {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}
	in.notAsked("d", subject.CtlClusterState("test", part, "run-1", 1))
}

// TestWatcherTwoVersions: of a type that rules select in the version which the server
// prefers, and in another one elsewhere, the latter is missing. A restart is no reason
// for another run, but that another version is preferred since.
func TestWatcherTwoVersions(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps", "widgets.example.com")
	c.put("widgets", "a", "x", "1")
	c.put("widgets", "b", "y", "1")
	docs := narrowed(t,
		"namespaces: [a], rules: [{apiGroups: [example.com], apiVersions: [v1], resources: [widgets]}]",
		"namespaces: [b], rules: [{apiGroups: [example.com], apiVersions: [v1beta1], resources: [widgets]}]")
	w, _ := in.watcher(rc, docs)
	part := subject.Part("test", "example.com", "widgets")
	entries, end := in.state("d", "run-1", part)
	if paths(entries) != "a/example.com/widgets/x.yaml" || !slices.Equal(end.Incomplete, []string{"widgets.example.com other than v1"}) {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}
	w.stop()
	in.lacked("d", "run-2", end.Incomplete)
	w, _ = in.watcher(rc, docs)
	in.asksNothing(c, "widgets", "example.com", "a", "run-2")

	w.stop()
	in.lacked("d", "run-3", []string{"widgets.example.com other than v1alpha1"})
	in.watcher(rc, docs)
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
		t.Errorf("it asked %+v", q)
	}
}

// TestWatcherTypeAppears: a type that is served before the watcher knows of it is
// missing from a run; its objects come by another one, which the watcher asks for
// when it has listed them.
func TestWatcherTypeAppears(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	in.watcher(rc, documents(t, "d"))
	in.reconciled("d")
	part := subject.Part("test", "example.com", "widgets")
	c.serve("widgets.example.com")
	c.put("widgets", "shop", "w", "1")
	entries, end := in.state("d", "run-1", part)
	if len(entries) != 0 || !slices.Equal(end.Incomplete, []string{"widgets.example.com"}) {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}
	c.announce()
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
		t.Errorf("it asked %+v", q)
	}
	if entries, end := in.state("d", "run-2", part); paths(entries) != "shop/example.com/widgets/w.yaml" || len(end.Incomplete) != 0 {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}
}

// TestWatcherTypeGone: what was deleted with a type while no watcher ran, a run finds, whether
// the type was followed everywhere or in one namespace: once, and not while its group does not
// answer, nor where it is served and not named yet.
func TestWatcherTypeGone(t *testing.T) {
	t.Parallel()
	part := subject.Part("test", "example.com", "widgets")
	for name, namespace := range map[string]string{"everywhere": "", "in one namespace": "shop"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstall(t)
			c, rc := newCluster(t, "configmaps", "widgets.example.com", "gadgets.example.com")
			c.put("widgets", "shop", "w", "1")
			spec := "rules: [{apiGroups: ['*'], resources: ['*']}]"
			if namespace != "" {
				spec += ", namespaces: [" + namespace + "]"
			}
			docs := narrowed(t, spec)
			w, _ := in.watcher(rc, docs)
			in.state("d", "run-1", part)
			w.stop()
			bookmarks, err := bus.OpenBucket[event.Bookmark](t.Context(), in.bus, subject.BucketCursor)
			if err != nil {
				t.Fatal(err)
			}
			left := func() bool {
				_, _, err := bookmarks.Get(t.Context(), subject.BookmarkKey("test", "example.com", "widgets", namespace))
				return !errors.Is(err, bus.ErrNoMessage)
			}
			if !left() {
				t.Fatal("the watcher has left no bookmark of the type")
			}

			stays := func() {
				t.Helper()
				if _, err := in.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRun(key("d"))); !errors.Is(err, bus.ErrNoMessage) || !left() {
					t.Errorf("a run was asked for, or the bookmark is gone: %t, %v", !left(), err)
				}
			}
			c.change(func() { delete(c.types, "widgets"); c.failing["example.com"] = true })
			in.lacked("d", "run-2", nil)
			w, _ = in.watcher(rc, docs)
			in.asksNothing(c, "configmaps", "", "shop", "run-2")
			w.stop()
			stays()

			c.change(func() {
				c.failing["example.com"], c.hidden["widgets"] = false, true
				c.types["widgets"] = "example.com"
			})
			looked := c.lists("widgets")
			in.lacked("d", "run-3", nil)
			w, _ = in.watcher(rc, docs)
			in.until("it looks whether the type is served", func() bool { return c.lists("widgets") > looked })
			in.asksNothing(c, "configmaps", "", "shop", "run-3")
			w.stop()
			stays()

			c.change(func() { delete(c.types, "widgets") })
			in.reconciled("d")
			w, _ = in.watcher(rc, docs)
			if q := in.runAsked("d"); q.Reason != event.ReasonMayHaveLeft {
				t.Errorf("it asked %+v", q)
			}
			in.until("the bookmark is gone", func() bool { return !left() })
			w.stop()
			in.lacked("d", "run-4", nil)
			in.watcher(rc, docs)
			in.asksNothing(c, "configmaps", "", "shop", "run-4")
		})
	}
}

// TestWatcherGap: what an API server forgot while no watcher ran, a run finds.
func TestWatcherGap(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "a", "1")
	w, _ := in.watcher(rc, documents(t, "d"))
	in.state("d", "run-1", configmaps)
	w.stop()
	in.reconciled("d")
	c.remove("configmaps", "shop", "a")
	c.forget()
	in.watcher(rc, documents(t, "d"))
	if q := in.runAsked("d"); q.Reason != event.ReasonWatchGap {
		t.Errorf("it asked %+v", q)
	}
	if entries, _ := in.state("d", "run-2", configmaps); len(entries) != 0 {
		t.Errorf("it answered %s", paths(entries))
	}
	if n, err := in.bus.Waiting(t.Context(), subject.Events, subject.EventPart(configmaps), 0); err != nil || n != 2 {
		t.Errorf("the lane holds %d messages beside two MARKs, %v", n-2, err)
	}
}

// TestWatcherGapsClosed: an API server that has restarted answers every watch with 410.
// What changed is published, and no run begins: but where one has skipped objects that
// had changed, whoever skipped them.
func TestWatcherGapsClosed(t *testing.T) {
	t.Parallel()
	closedRun := func(in *install, out event.Outcome) {
		in.setPhase("d", event.PhaseRecord{
			Phase: event.LiveProcessing, Run: "before", Attempt: 1, Reason: event.ReasonDriftCheck, Registered: in.registered()["test/d"], Closed: time.Now(), Outcome: &out,
		})
	}
	for name, tt := range map[string]struct {
		before func(in *install, c *cluster, entries []event.Entry)
		want   string
	}{
		"nothing skipped": {func(in *install, _ *cluster, entries []event.Entry) {
			if end := in.contents("before", entries); end.Count != 1 || len(end.Skipped) > 0 {
				in.Errorf("it answered %+v", end)
			}
			closedRun(in, event.Outcome{})
		}, ""},
		"by this watcher": {func(in *install, c *cluster, entries []event.Entry) {
			c.put("configmaps", "shop", "a", "changed")
			if end := in.contents("before", entries); end.Count != 0 || !slices.Equal(end.Skipped, []string{"configmaps"}) {
				in.Errorf("it answered %+v", end)
			}
		}, event.ReasonContentsSkipped},
		"by another one": {func(in *install, _ *cluster, _ []event.Entry) {
			closedRun(in, event.Outcome{Skipped: []string{"configmaps"}})
		}, event.ReasonContentsSkipped},
	} {
		t.Run(name, func(t *testing.T) {
			in := newInstall(t)
			c, rc := newCluster(t, "configmaps", "widgets.example.com", "gadgets.example.org")
			c.put("configmaps", "shop", "a", "1")
			c.put("widgets", "shop", "w", "1")
			in.watcher(rc, documents(t, "d"))
			entries, _ := in.state("d", "before", configmaps)
			in.state("d", "before", subject.Part("test", "example.com", "widgets"))
			in.state("d", "before", subject.Part("test", "example.org", "gadgets"))
			tt.before(in, c, entries)
			bookmarks, err := bus.OpenBucket[event.Bookmark](t.Context(), in.bus, subject.BucketCursor)
			if err != nil {
				t.Fatal(err)
			}
			rv := c.put("widgets", "shop", "w", "2")
			c.forget()
			in.until("the gaps are closed", func() bool {
				for resource, group := range map[string]string{"configmaps": "", "widgets": "example.com", "gadgets": "example.org"} {
					b, _, err := bookmarks.Get(t.Context(), subject.BookmarkKey("test", group, resource, ""))
					if err != nil {
						t.Fatal(err)
					}
					if at, err := strconv.Atoi(b.ResourceVersion); err != nil || at <= rv {
						return false
					}
				}
				return true
			})
			if tt.want != "" {
				if q := in.runAsked("d"); q.Reason != tt.want {
					t.Errorf("it asked %+v", q)
				}
				return
			}
			if _, err := in.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRuns); !errors.Is(err, bus.ErrNoMessage) {
				t.Errorf("a run was asked for: %v", err)
			}
		})
	}
}

// TestWatcherAnswersResources: the contents of the results that want some, of those
// objects that still are what they were, in the order of paths.
func TestWatcherAnswersResources(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	for _, name := range []string{"a", "a-b", "changed", "deleted", "unasked"} {
		c.put("configmaps", "shop", name, "1")
	}
	for i := range 30 { // more than are asked for one by one
		c.put("configmaps", "shop", fmt.Sprintf("n%02d", i), "1")
	}
	w, _ := in.watcher(rc, documents(t, "d"))
	entries, _ := in.state("d", "run-1", configmaps)
	c.put("configmaps", "shop", "changed", "2")
	c.remove("configmaps", "shop", "deleted")

	results := slices.Clone(entries)
	for i := range results {
		switch e := &results[i]; {
		case strings.Contains(e.Path, "unasked"):
			e.What = event.ResultDelete
		case i%2 == 0:
			e.What = event.ResultCreate
		default:
			e.What = event.ResultReconcile
		}
	}
	end := in.contents("run-1", results)
	var got []string
	for ch, err := range in.bus.Contents(t.Context(), seriesOf("d", "run-1", subject.SideContent(configmaps)), end) {
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(entries, func(e event.Entry) bool { return e.Path == ch.Path })
		if i < 0 || entries[i].Hash != ch.Hash || manifest.Hash(ch.Manifest) != ch.Hash || ch.Origin != event.Reconcile || ch.Run != "run-1" ||
			ch.Attempt != 1 || ch.ClusterID != "cluster-uid" || ch.Registry == 0 || (ch.Op == event.Create) != (i%2 == 0) {
			t.Errorf("it answered %+v", ch)
		}
		got = append(got, strings.TrimSuffix(strings.TrimPrefix(ch.Path, "shop/configmaps/"), ".yaml"))
	}
	if want := append([]string{"a-b", "a"}, got[2:]...); len(got) != 32 || !slices.Equal(got, want) || slices.Contains(got, "changed") || slices.Contains(got, "deleted") {
		t.Errorf("it answered %q", got)
	}
	if answered, skipped := in.counted(w, "kubescribe_watcher_contents_total", "answered"), in.counted(w, "kubescribe_watcher_contents_total", "skipped"); answered != 32 || skipped != 2 {
		t.Errorf("%d are counted as answered, %d as skipped", answered, skipped)
	}
	// With room for half of them: the others are left, and those among them that are not
	// what they were are not known to be.
	room := end.Bytes/2 + 100 // names are not all as long
	half := in.contentsWithin("run-half", room, results)
	var first []string
	for ch, err := range in.bus.Contents(t.Context(), seriesOf("d", "run-half", subject.SideContent(configmaps)), half) {
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, strings.TrimSuffix(strings.TrimPrefix(ch.Path, "shop/configmaps/"), ".yaml"))
	}
	if !slices.Equal(first, got[:16]) || half.Left != (event.Wanted{Created: 8, Updated: 8}) || half.Bytes > room {
		t.Errorf("with room for half it answered %q, %+v", first, half)
	}
	if left := in.counted(w, "kubescribe_watcher_contents_total", "left"); left != 16 {
		t.Errorf("%d are counted as left", left)
	}
	if end := in.contentsWithin("run-one", 1, results); end.Count != 1 || end.Left.Count() != 33 {
		t.Errorf("with room for none it answered %+v", end)
	}
	deletions := slices.DeleteFunc(results, func(e event.Entry) bool { return e.What != event.ResultDelete })
	if end := in.contents("run-2", deletions); end.Count != 0 || end.Failed != "" {
		t.Errorf("asked for nothing it answered %+v", end)
	}
}
