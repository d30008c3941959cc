package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestReconcile: started on a cluster with 1,000 objects and a folder with 50
// orphans, 3 foreign files and a README, one commit makes Git equal the cluster and
// leaves the rest; a second start makes none.
func TestReconcile(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "reconcile")
	w.fill(t, ns, 1200)
	files := map[string]string{
		"live/README.md":                     "# what is in here\n",
		"live/" + ns + "/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n",
	}
	for i := range 50 {
		name := fmt.Sprintf("orphan-%02d", i)
		files["live/"+ns+"/configmaps/"+name+".yaml"] = configMap(ns, name, "gone")
	}
	foreign := map[string]string{
		"live/extra.yaml":             configMap(ns, "elsewhere", "x"),
		"live/" + ns + "/both.yaml":   configMap(ns, "one", "x") + "---\n" + configMap(ns, "two", "x"),
		"live/tools/deploy/setup.yml": configMap("other", "setup", "x"),
	}
	for path, content := range foreign {
		files[path] = content
	}
	others := newOthers(t, w)
	others.commit(t, files)
	others.push(t)

	w.options.Args = []string{"--adopt", "--namespace", ns}
	k := w.startReady(t)
	inside := scope(ns)
	inside.Others = func(path string) bool {
		_, is := foreign["live/"+path]
		return is || path == "README.md" || path == ns+"/kustomization.yaml"
	}
	c := w.settle(t, inside)
	if c.Objects < 1000 {
		t.Errorf("Git has %d objects, want 1000 at least", c.Objects)
	}
	history := w.history(t)
	if len(history) != 2 {
		t.Fatalf("%d commits, want that of the others and one of the run", len(history))
	}
	for _, commit := range history {
		if commit.Ours && (commit.Origin != "reconcile" || !strings.Contains(commit.Subject, "50 deleted") || commit.OfRun == "") {
			t.Errorf("the commit of the run is %q of %s %s", commit.Subject, commit.Origin, commit.OfRun)
		}
	}
	stands := func() {
		t.Helper()
		now, err := w.remote.Files("live")
		must(t, err)
		for path, content := range files {
			if !strings.Contains(path, "orphan") && now[path].Content != content {
				t.Errorf("%s is %q now", path, now[path].Content)
			}
		}
	}
	stands()
	stop(t, k)

	k = w.startReady(t)
	last := w.sentinel(t, ns)
	if n := w.count(t); n != 3 {
		t.Errorf("%d commits after a second start, want no more than that of the sentinel %.8s", n, last.Hash)
	}
	stands()
	stop(t, k)
}

// TestRunOnTheBus: with a plain NATS client, anybody can see one
// REQUEST_CLUSTER_STATE for each lane and one REQUEST_REPO_STATE in a run, both
// states closed by count and digest, and each phase.
func TestRunOnTheBus(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "seen")
	w.apply(t, configMap(ns, "one", "1"))
	nats := startBus(t)
	f := &fleet{world: w, nats: nats.ClientURL(), running: map[string]*harness.Daemon{}}
	f.config = w.file(t, "config.yaml", strings.NewReplacer("URL", w.remote.URL, "NS", ns).Replace(`
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: "URL"}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: live}
spec: {remoteRef: {name: live}}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: live}
spec:
  destinationRef: {name: live, namespace: default}
  namespaces: [NS]
  rules: [{apiGroups: ["*"], resources: ["*"]}]
`))
	seen := watchBus(t, f.nats)
	for _, name := range services {
		f.start(t, name)
	}
	w.settle(t, scope(ns))
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the phase to be LIVE_PROCESSING", func(context.Context) error {
		if p := seen.phases(t); len(p) == 0 || p[len(p)-1] != "LIVE_PROCESSING" {
			return fmt.Errorf("it was %q", p)
		}
		return nil
	}))
	if p := seen.phases(t); len(p) != 2 || p[0] != "STARTUP_RECONCILE" {
		t.Errorf("the phases were %q", p)
	}
	requests := map[string]int{}
	for _, m := range seen.all("ks.ctl.") {
		if parts := strings.Split(m.Subject, "."); parts[2] == "REQUEST_CLUSTER_STATE" {
			requests[parts[4]]++
		}
	}
	if len(requests) != 8 {
		t.Errorf("lanes were asked: %v, want 8 of them", requests)
	}
	for part, n := range requests {
		if n != 1 {
			t.Errorf("lane %s was asked %d times", part, n)
		}
	}
	barriers := 0
	for _, m := range seen.all("ks.write.") {
		if m.Header.Get("Ks-Kind") == "REQUEST_REPO_STATE" {
			barriers++
		}
	}
	if barriers != 1 {
		t.Errorf("the repository's state was asked for %d times", barriers)
	}
	ends := map[string]int{}
	for _, m := range seen.all("ks.snap.") {
		parts := strings.Split(m.Subject, ".")
		if parts[len(parts)-1] != "end" {
			continue
		}
		var end struct {
			Count  int
			Digest string
		}
		must(t, json.Unmarshal(m.Data, &end))
		side, _, _ := strings.Cut(parts[7], "-")
		ends[side]++
		if len(end.Digest) != 64 {
			t.Errorf("%s is closed with the digest %q", m.Subject, end.Digest)
		}
	}
	if ends["cluster"] != 8 || ends["repo"] != 1 || ends["run"] != 1 {
		t.Errorf("series were closed: %v", ends)
	}
}

// onBus is what a plain NATS client has seen.
type onBus struct {
	js       jetstream.JetStream
	messages chan *nats.Msg
	kept     []*nats.Msg
}

// watchBus subscribes to what is published, before anything is.
func watchBus(t *testing.T, url string) *onBus {
	t.Helper()
	nc, err := nats.Connect(url)
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	b := &onBus{js: js, messages: make(chan *nats.Msg, 100_000)}
	_, err = nc.ChanSubscribe("ks.>", b.messages)
	must(t, err)
	must(t, nc.Flush())
	return b
}

// all is what was published so far below a subject.
func (b *onBus) all(below string) []*nats.Msg {
	for len(b.messages) > 0 {
		b.kept = append(b.kept, <-b.messages)
	}
	return slices.DeleteFunc(slices.Clone(b.kept), func(m *nats.Msg) bool { return !strings.HasPrefix(m.Subject, below) })
}

// phases are those that KS_PHASE has shown, each once.
func (b *onBus) phases(t *testing.T) []string {
	t.Helper()
	kv, err := b.js.KeyValue(within(t, stepLimit), "KS_PHASE")
	must(t, err)
	history, err := kv.History(within(t, stepLimit), "e2e.default.live")
	if err != nil {
		return nil
	}
	var phases []string
	for _, e := range history {
		var rec struct{ Phase string }
		must(t, json.Unmarshal(e.Value(), &rec))
		if len(phases) == 0 || phases[len(phases)-1] != rec.Phase {
			phases = append(phases, rec.Phase)
		}
	}
	return phases
}
