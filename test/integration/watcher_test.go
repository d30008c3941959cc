package integration

import (
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/kubescribe/kubescribe/services/watcher"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// emptyCluster is an API server that serves no type: what a watcher does about the
// bus needs no more.
func emptyCluster(t *testing.T) *rest.Config {
	t.Helper()
	_, rc := newCluster(t)
	return rc
}

// documents are destinations of those names that mirror everything: with a folder
// behind a slash, into that folder; with a plus sign at the end, adopting it.
func documents(t *testing.T, destinations ...string) *v1alpha1.Documents {
	t.Helper()
	var text strings.Builder
	text.WriteString("apiVersion: kubescribe.dev/v1alpha1\nkind: GitRemote\nmetadata: {name: r}\nspec: {url: /srv/live.git}\n")
	for _, d := range destinations {
		d, adopt := strings.CutSuffix(d, "+")
		name, folder, ok := strings.Cut(d, "/")
		if !ok {
			folder = name
		}
		text.WriteString("---\napiVersion: kubescribe.dev/v1alpha1\nkind: GitDestination\nmetadata: {name: " + name + "}\nspec: {remoteRef: {name: r}, baseFolder: " + folder + ", adopt: " + strconv.FormatBool(adopt) + "}\n" +
			"---\napiVersion: kubescribe.dev/v1alpha1\nkind: ClusterWatchRule\nmetadata: {name: " + name + "}\n" +
			"spec: {destinationRef: {name: " + name + ", namespace: default}, rules: [{apiGroups: ['*'], resources: ['*']}]}\n")
	}
	docs, err := v1alpha1.Load(strings.NewReader(text.String()), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// narrowed is a destination d that mirrors what the rest of each of its rules' specs says.
func narrowed(t *testing.T, specs ...string) *v1alpha1.Documents {
	t.Helper()
	text := "apiVersion: kubescribe.dev/v1alpha1\nkind: GitRemote\nmetadata: {name: r}\nspec: {url: /srv/live.git}\n" +
		"---\napiVersion: kubescribe.dev/v1alpha1\nkind: GitDestination\nmetadata: {name: d}\nspec: {remoteRef: {name: r}, baseFolder: d}\n"
	for i, spec := range specs {
		text += "---\napiVersion: kubescribe.dev/v1alpha1\nkind: ClusterWatchRule\nmetadata: {name: d" + strconv.Itoa(i) + "}\n" +
			"spec: {destinationRef: {name: d, namespace: default}, " + spec + "}\n"
	}
	docs, err := v1alpha1.Load(strings.NewReader(text), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func (in *install) watcher(cluster *rest.Config, docs *v1alpha1.Documents) (role, *watcher.Watcher) {
	in.Helper()
	w, r := in.newWatcher(cluster, docs)
	return in.run(w.Run, r), w
}

// newWatcher is a watcher that does not run yet.
func (in *install) newWatcher(cluster *rest.Config, docs *v1alpha1.Documents) (*watcher.Watcher, role) {
	in.Helper()
	return in.watcherOn(in.connect(subject.UserWatcher), cluster, docs)
}

// watcherOn is a watcher on a connection of its own that does not run yet.
func (in *install) watcherOn(b *bus.Bus, cluster *rest.Config, docs *v1alpha1.Documents) (*watcher.Watcher, role) {
	in.Helper()
	reg, log := prometheus.NewRegistry(), in.log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w, err := watcher.New(in.Context(), watcher.Config{Cluster: "test", Documents: docs, REST: cluster, Owner: in.Name(), Recipient: in.recipient},
		watcher.Deps{Bus: b, Log: log, Metrics: reg, Replica: in.replica})
	if err != nil {
		in.Fatal(err)
	}
	return w, role{bus: b, metrics: reg, ready: w.Ready}
}

// registered is KS_DESTINATION: revisions by name.
func (in *install) registered() map[string]uint64 {
	in.Helper()
	kv, err := bus.OpenBucket[event.Destination](in.Context(), in.bus, subject.BucketDestination)
	if err != nil {
		in.Fatal(err)
	}
	all, err := kv.All(in.Context())
	if err != nil {
		in.Fatal(err)
	}
	revisions := map[string]uint64{}
	for _, e := range all {
		revisions[e.Record.Key.Cluster+"/"+e.Record.Key.Name] = e.Revision
	}
	return revisions
}

// TestWatcherRegisters: the registry holds what the watcher is configured with,
// what did not change under the same revision, and what is of other clusters.
func TestWatcherRegisters(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	cluster := emptyCluster(t)
	kv, err := bus.OpenBucket[event.Destination](t.Context(), in.bus, subject.BucketDestination)
	if err != nil {
		t.Fatal(err)
	}
	other := event.DestinationKey{Cluster: "other", Namespace: "default", Name: "x"}
	if _, err := kv.Put(t.Context(), subject.DestinationToken(other), event.Destination{V: event.Version, Key: other}, 0); err != nil {
		t.Fatal(err)
	}

	r, w := in.watcher(cluster, documents(t, "same", "changed", "leaving"))
	first := in.registered()
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, []string{"other/x", "test/changed", "test/leaving", "test/same"}) {
		t.Fatalf("registered are %q", got)
	}
	if got, want := w.Registered(), max(first["test/same"], first["test/changed"], first["test/leaving"]); got != want {
		t.Errorf("it says revision %d, its newest is %d", got, want)
	}
	r.stop()

	r, w = in.watcher(cluster, documents(t, "same", "changed+"))
	second := in.registered()
	if got := slices.Sorted(maps.Keys(second)); !slices.Equal(got, []string{"other/x", "test/changed", "test/same"}) {
		t.Fatalf("registered are %q", got)
	}
	if second["test/same"] != first["test/same"] || second["other/x"] != first["other/x"] {
		t.Errorf("what is the same was written again: %v, then %v", first, second)
	}
	if second["test/changed"] <= first["test/changed"] || w.Registered() != second["test/changed"] {
		t.Errorf("what changed was %d, is %d, and the watcher says %d", first["test/changed"], second["test/changed"], w.Registered())
	}
	r.stop()

	// However often it changes, it is known when it was registered.
	in.watcher(cluster, documents(t, "same", "changed"))
	if d, _, err := kv.Get(t.Context(), subject.DestinationToken(key("changed"))); err != nil || d.First != first["test/changed"] {
		t.Errorf("what changed twice was registered at %d, it says %d, %v", first["test/changed"], d.First, err)
	}
	if third := in.registered(); third["test/same"] != first["test/same"] || third["test/changed"] <= second["test/changed"] {
		t.Errorf("at last there are %v", third)
	}
}

// TestWatcherLeavesTheNewersRequests: a run that covers a configuration which this
// watcher does not have is left to the one that has it.
func TestWatcherLeavesTheNewersRequests(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	cluster := emptyCluster(t)
	old, w := in.watcher(cluster, documents(t, "a"))
	ask := func(d string, registered uint64) {
		t.Helper()
		q := event.Request{
			V: event.Version, Kind: event.RequestClusterState, Destination: key(d), Part: 0,
			Run: "run-" + d, Attempt: 1, Registered: registered, Reason: event.ReasonNewDestination,
		}
		in.underWay(d, q.Run)
		if err := in.bus.Ask(t.Context(), subject.CtlClusterState("test", 0, q.Run, q.Attempt), q); err != nil {
			t.Fatal(err)
		}
	}
	marks := func() uint64 {
		t.Helper()
		n, err := in.bus.Waiting(t.Context(), subject.Events, "ks.ev.d.0.test.=20.>", 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ask("a", w.Registered())
	in.until("a run of its own is answered", func() bool { return marks() == 1 })
	ask("b", w.Registered()+1)
	in.until("it says that another's is not", func() bool {
		err := old.ready()
		return err != nil && strings.Contains(err.Error(), "revision")
	})
	if n := marks(); n != 1 {
		t.Errorf("there are %d MARKs", n)
	}
	old.stop()
	_, w = in.watcher(cluster, documents(t, "a", "b"))
	if w.Registered() == 0 {
		t.Error("nothing is registered")
	}
	in.until("the newer answers it", func() bool { return marks() == 2 })
}

// TestWatcherForgetsTheRemovedsRequests: the request of a destination that was
// taken out of the configuration is no newer one's, and keeps nobody waiting.
func TestWatcherForgetsTheRemovedsRequests(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	cluster := emptyCluster(t)
	old, w := in.watcher(cluster, documents(t, "a", "b"))
	revision := in.registered()["test/b"]
	if w.Registered() != revision {
		t.Fatalf("b was registered at %d, the newest is %d", revision, w.Registered())
	}
	old.stop()
	for _, q := range []event.Request{
		{Destination: key("b"), Run: "run-b", Registered: revision, Reason: event.ReasonNewDestination},
		{Destination: key("a"), Run: "run-a", Registered: in.registered()["test/a"], Reason: event.ReasonNewDestination},
	} {
		q.V, q.Kind, q.Attempt = event.Version, event.RequestClusterState, 1
		in.underWay(q.Destination.Name, q.Run)
		if err := in.bus.Ask(t.Context(), subject.CtlClusterState("test", 0, q.Run, q.Attempt), q); err != nil {
			t.Fatal(err)
		}
	}
	next, _ := in.watcher(cluster, documents(t, "a"))
	in.until("a's run is answered", func() bool {
		n, err := in.bus.Waiting(t.Context(), subject.Events, "ks.ev.d.0.test.=20.>", 0)
		return err == nil && n == 1
	})
	in.until("nothing keeps it", func() bool { return next.ready() == nil })
}

// TestWatcherRefusesToMove: a destination cannot come to point elsewhere, since what
// waits for its old place would never be written; nothing else changes either.
func TestWatcherRefusesToMove(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	cluster := emptyCluster(t)
	old, _ := in.watcher(cluster, documents(t, "a", "b"))
	before := in.registered()
	old.stop()
	b := in.connect(subject.UserWatcher)
	w, err := watcher.New(t.Context(), watcher.Config{Cluster: "test", Documents: documents(t, "a/elsewhere", "b+", "c"), REST: cluster},
		watcher.Deps{Bus: b, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), `GitDestination default/a wrote to folder "a" of branch main of /srv/live.git`) || !strings.Contains(err.Error(), "a name of its own") {
		t.Errorf("it ends with %v", err)
	}
	if after := in.registered(); !maps.Equal(before, after) {
		t.Errorf("the registry was %v and is %v", before, after)
	}
}

// TestWatcherStandsStill: a watcher that stands still between registering and taking a
// lane publishes nothing under the registry from before, whatever others wrote there
// and into the lane meanwhile. Behind the MARK of a destination that was registered
// since, it would be left out by all.
func TestWatcherStandsStill(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		before    int    // the lane of which it has not asked yet who has it
		removed   bool   // is d meanwhile
		meanwhile string // the destination that another one registers; empty: none
	}{
		{"before the first lane, registered anew", 0, true, "test/d"},
		{"before the lane itself, registered anew", configmaps, true, "test/d"},
		{"before the first lane, one more", 0, false, "test/e"},
		{"before the last lane, one more", subject.Parts - 1, false, "test/e"},
		{"before the first lane, removed", 0, true, ""},
		{"before the first lane, of another cluster", 0, false, "other/e"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := newInstall(t)
			c, rc := newCluster(t, "configmaps")
			link := in.nats.Link(t)
			w, r := in.watcherOn(in.verified(link.Connect(t)), rc, documents(t, "d"))
			still, resume := link.StillBefore(t, subject.EventFence(tt.before, "test"))
			in.begin(w.Run, r)
			select {
			case <-still:
			case <-time.After(natstest.Patience):
				t.Fatal("it asks for no lane")
			}

			kv := mustBucket[event.Destination](in, subject.BucketDestination)
			d, registered, err := kv.Newest(t.Context(), subject.DestinationToken(key("d")))
			if err != nil {
				t.Fatal(err)
			}
			if tt.removed {
				in.unregister("d")
				registered++
			}
			var mark uint64
			if cluster, name, is := strings.Cut(tt.meanwhile, "/"); is {
				d.First, d.BaseFolder = 0, name
				d.Key = event.DestinationKey{Cluster: cluster, Namespace: "default", Name: name}
				if registered, err = kv.Put(t.Context(), subject.DestinationToken(d.Key), d, 0); err != nil {
					t.Fatal(err)
				}
				if cluster == "test" {
					mark = in.publishMark(event.Mark{Cluster: "test", Part: configmaps, Destination: d.Key.String(), Run: "first", Attempt: 1, Registry: registered})
				}
			}
			resume()

			in.until("the registry holds d alone, as it has it", func() bool {
				now := in.registered()
				delete(now, "other/e")
				return r.ready() == nil && len(now) == 1 && now["test/d"] > 0 && now["test/d"] == w.Registered()
			})
			c.put("configmaps", "shop", "a", "1")
			all := in.read(subject.Events, subject.EventPart(configmaps), named("a"))
			m := all[len(all)-1]
			if got := in.change(m).Registry; m.Seq < mark || got < registered {
				t.Errorf("it published at %d under revision %d, the MARK of revision %d is at %d", m.Seq, got, registered, mark)
			}
		})
	}
}
