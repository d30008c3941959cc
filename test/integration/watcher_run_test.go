package integration

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
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
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "a", "1")
	mark := event.Mark{Cluster: "test", Part: configmaps, Destination: key("d").String(), Run: "run-1", Attempt: 1}
	h, _ := mark.Message()
	if _, err := in.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject.EventMark(configmaps, "test", key("d")), Header: nats.Header(h)}); err != nil {
		t.Fatal(err)
	}
	w, _ := in.watcher(rc, documents(t, "d"))
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

// TestWatcherIncomplete: types that may not be listed, and groups that do not
// answer, are named, and not waited for.
func TestWatcherIncomplete(t *testing.T) {
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
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "a", "1")
	w, _ := in.watcher(rc, documents(t, "d"))
	in.state("d", "run-1", configmaps)
	w.stop()
	in.reconciled("d")
	s := subject.Series{Destination: key("d"), Run: "before", Attempt: 1, Side: subject.SideCluster(configmaps)}
	if _, err := in.bus.WriteSeries(s).Close(t.Context(), event.End{Incomplete: []string{"configmaps"}}); err != nil {
		t.Fatal(err)
	}
	in.watcher(rc, documents(t, "d"))
	c.announce() // a bookmark
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
		t.Errorf("it asked %+v", q)
	}
}

// notAsked fails if the answer to a lane's newest request made the watcher ask for a
// run.
func (in *install) notAsked(name, run string, part int) {
	in.Helper()
	in.until("the request is done", func() bool {
		_, err := in.bus.LastFor(in.Context(), subject.Ctl, subject.CtlClusterState("test", part, run, 1))
		return errors.Is(err, bus.ErrNoMessage)
	})
	if _, err := in.bus.LastFor(in.Context(), subject.Ctl, subject.CtlRun(key(name))); !errors.Is(err, bus.ErrNoMessage) {
		in.Errorf("a run was asked for, although %s had all that is there: %v", run, err)
	}
}

// TestWatcherGroupFailsLater: a group that fails after its types were listed is
// incomplete, and no reason for another run: it would be told the same. A type of
// the group that comes later is one.
func TestWatcherGroupFailsLater(t *testing.T) {
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
	in.notAsked("d", "run-2", part)

	gizmos := subject.Part("test", "example.org", "gizmos")
	in.state("d", "run-2", gizmos)
	in.notAsked("d", "run-2", gizmos)
	c.serve("gizmos.example.org")
	c.change(func() { c.failing["example.org"] = false })
	c.announce()
	if q := in.runAsked("d"); q.Reason != event.ReasonTypeAppeared {
		t.Errorf("it asked %+v", q)
	}
}

// TestWatcherNamespaceForbidden: a type that may be listed in one of the namespaces
// that are mirrored is incomplete, and what was answered is no reason for another run.
func TestWatcherNamespaceForbidden(t *testing.T) {
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "a", "x", "1")
	c.put("configmaps", "b", "y", "1")
	c.change(func() { c.forbidden["configmaps/b"] = true })
	in.watcher(rc, narrowed(t, "namespaces: [a, b], rules: [{apiGroups: ['*'], resources: ['*']}]"))
	in.state("d", "run-1", configmaps)
	in.reconciled("d")
	entries, end := in.state("d", "run-2", configmaps)
	if paths(entries) != "a/configmaps/x.yaml" || !slices.Equal(end.Incomplete, []string{"configmaps"}) {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}
	in.notAsked("d", "run-2", configmaps)
}

// TestWatcherVersionNotPreferred: of a type that rules select in another version than
// the one the server prefers, nothing is followed, and nothing is taken for absent.
func TestWatcherVersionNotPreferred(t *testing.T) {
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps", "widgets.example.com")
	c.put("widgets", "shop", "w", "1")
	in.watcher(rc, narrowed(t, "rules: [{apiGroups: [example.com], apiVersions: [v1beta1], resources: [widgets]}]"))
	in.reconciled("d")
	part := subject.Part("test", "example.com", "widgets")
	entries, end := in.state("d", "run-1", part)
	if len(entries) != 0 || !slices.Equal(end.Incomplete, []string{"widgets.example.com"}) {
		t.Errorf("it answered %s, %+v", paths(entries), end)
	}
	in.notAsked("d", "run-1", part)
}

// TestWatcherTypeAppears: a type that is served before the watcher knows of it is
// missing from a run; its objects come by another one, which the watcher asks for
// when it has listed them.
func TestWatcherTypeAppears(t *testing.T) {
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

// TestWatcherGap: what an API server forgot while no watcher ran, a run finds.
func TestWatcherGap(t *testing.T) {
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

// TestWatcherAnswersResources: the contents of the results that want some, of those
// objects that still are what they were, in the order of paths.
func TestWatcherAnswersResources(t *testing.T) {
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

	ask := func(run string, wanted bool) event.End {
		t.Helper()
		r := in.bus.WriteSeries(seriesOf("d", run, subject.SideResult(configmaps)))
		end := event.End{}
		for i, e := range entries {
			switch {
			case strings.Contains(e.Path, "unasked"):
				e.What = event.ResultDelete
			case !wanted:
				continue
			case i%2 == 0:
				e.What = event.ResultCreate
				end.Wanted++
			default:
				e.What = event.ResultReconcile
				end.Wanted++
			}
			if err := r.Entry(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Close(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		q := event.Request{V: event.Version, Kind: event.RequestResources, Destination: key("d"), Part: configmaps, Run: run, Attempt: 1}
		if err := in.bus.Ask(t.Context(), subject.CtlResources("test", configmaps, run, 1), q); err != nil {
			t.Fatal(err)
		}
		return in.closed(seriesOf("d", run, subject.SideContent(configmaps)))
	}
	end := ask("run-1", true)
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
	if end := ask("run-2", false); end.Count != 0 || end.Failed != "" {
		t.Errorf("asked for nothing it answered %+v", end)
	}
}
