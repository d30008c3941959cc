package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestReconcile: started on a cluster with 1,000 objects and a folder with 50
// orphans, 3 foreign files and a README, one commit makes Git equal the cluster and
// leaves the rest; a second start makes none, and no run.
func TestReconcile(t *testing.T) {
	// Not beside others: a type of theirs that goes while kubescribe is stopped is a reason for a run.
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
	before := w.get(t).Phase
	stop(t, k)

	k = w.startReady(t)
	last := w.sentinel(t, ns)
	if n := w.count(t); n != 3 {
		t.Errorf("%d commits after a second start, want no more than that of the sentinel %.8s", n, last.Hash)
	}
	if now := w.get(t).Phase; before.Run == "" || now.Run != before.Run || now.Attempt != before.Attempt {
		t.Errorf("attempt %d at run %q is attempt %d at run %q after a second start", before.Attempt, before.Run, now.Attempt, now.Run)
	}
	stands()
	stop(t, k)
}

// TestReconcileCommand: once kubescribe reconcile has ended well, the remote has what
// the run wrote, at the commit that it names; while the push is held it waits.
func TestReconcileCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "asked")
	w.apply(t, configMap(ns, "one", "1"))
	w.options.Args = []string{"--namespace", ns}
	k := w.startReady(t)
	w.settle(t, scope(ns))
	path := "live/" + ns + "/configmaps/one.yaml"
	content := func() string {
		t.Helper()
		files, err := w.remote.Files("live")
		must(t, err)
		return files[path].Content
	}
	right := content()
	others := newOthers(t, w)
	others.git(t, "pull", "-q", "origin", harness.Branch)
	others.commit(t, map[string]string{path: configMap(ns, "one", "theirs")})
	others.push(t)

	open := w.gate.close(beforeLanding)
	defer open()
	p, err := harness.StartProcess(harness.Command{
		Bins: bins, Program: "kubescribe", Args: []string{"reconcile", w.get(t).Destination.Key.Name, "--data-dir", w.options.DataDir}, Log: filepath.Join(w.dir, "reconcile.log"),
	})
	must(t, err)
	watchOver(t, p)
	await(t, "it waits for the push", func() bool { return w.gate.holds() > 0 && bytes.Contains(p.Output(), []byte("waiting for the push\n")) })
	select {
	case <-p.Exited():
		t.Error("it has ended before the push")
	default:
	}
	if content() == right {
		t.Error("the push was not held")
	}
	open()
	code, err := p.Exit(within(t, stepLimit))
	now := content()
	tip, terr := w.remote.Tip()
	must(t, errors.Join(err, terr))
	if code != 0 || now != right {
		t.Errorf("it ends with %d, and in Git is\n%s\nwant\n%s", code, now, right)
	}
	for _, says := range []string{"0 created, 1 updated, 0 deleted", "  on the remote: commit " + tip + "\n"} {
		if !bytes.Contains(p.Output(), []byte(says)) {
			t.Errorf("it does not say %q: %s", says, p.Output())
		}
	}
	stop(t, k)
}

// shown is what kubescribe get says of a destination.
type shown struct {
	Destination event.Destination
	Phase       event.PhaseRecord
	DeadLetters int
}

// get asks for it, of the only one there is.
func (w *world) get(t *testing.T) shown {
	t.Helper()
	code, said := runToEnd(t, "get", "-o", "json", "--data-dir", w.options.DataDir)
	var all []shown
	if err := json.Unmarshal([]byte(said), &all); code != 0 || err != nil || len(all) != 1 {
		t.Fatalf("get ends with %d, %v: %s", code, err, said)
	}
	return all[0]
}

// TestRunOnTheBus: with a plain NATS client, anybody can see one
// REQUEST_CLUSTER_STATE for each lane and one REQUEST_REPO_STATE in a run, both
// states closed by the count and the digest of what is in their chunks, and each phase.
func TestRunOnTheBus(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "seen")
	w.apply(t, configMap(ns, "one", "1"))
	f := newFleet(t, w)
	f.mirror(t, mirror{"live", []string{ns}})
	seen := watchBus(t, f.server.URL)
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
	bodies, ends, counts := map[string][]byte{}, map[string]int{}, map[string]int{}
	for _, m := range seen.all("ks.snap.") {
		bodies[m.Subject] = m.Data
	}
	for at, body := range bodies {
		series, is := strings.CutSuffix(at, ".end")
		if !is {
			continue
		}
		var end struct {
			Nonce         string
			Chunks, Count int
			Digest        string
		}
		must(t, json.Unmarshal(body, &end))
		side, _, _ := strings.Cut(strings.Split(at, ".")[7], "-")
		var count int
		digest := sha256.New()
		for n := range end.Chunks {
			chunk := bodies[fmt.Sprintf("%s.%s.%d", series, end.Nonce, n)]
			_, _ = digest.Write(chunk) // never fails: hash.Hash
			count += items(t, side, chunk)
		}
		if got := hex.EncodeToString(digest.Sum(nil)); got != end.Digest || count != end.Count {
			t.Errorf("%s is closed with %d items of digest %s, and there are %d of %s", at, end.Count, end.Digest, count, got)
		}
		ends[side]++
		counts[side] += count
	}
	if ends["cluster"] != 8 || ends["repo"] != 1 || ends["run"] != 1 {
		t.Errorf("series were closed: %v", ends)
	}
	if counts["cluster"] == 0 || counts["result"] != counts["cluster"] || counts["content"] != counts["cluster"] {
		t.Errorf("of an empty folder, the sides say %v: all of the cluster has to be a result, with contents", counts)
	}
}

// items is how many a chunk holds: contents, or entries.
func items(t *testing.T, side string, chunk []byte) (n int) {
	t.Helper()
	if side == "content" {
		for _, err := range event.Contents(chunk) {
			must(t, err)
			n++
		}
		return n
	}
	for _, err := range event.Entries(chunk) {
		must(t, err)
		n++
	}
	return n
}

// onBus is what a plain NATS client has seen.
type onBus struct {
	messages chan *nats.Msg
	kept     []*nats.Msg
}

// watchBus subscribes to what is published, before anything is.
func watchBus(t *testing.T, url string) *onBus {
	t.Helper()
	nc, err := nats.Connect(url)
	must(t, err)
	t.Cleanup(nc.Close)
	b := &onBus{messages: make(chan *nats.Msg, 100_000)}
	for _, subjects := range []string{"ks.>", phasesAt + ">"} {
		_, err = nc.ChanSubscribe(subjects, b.messages)
		must(t, err)
	}
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

// phasesAt is where the keys of KS_PHASE stand. Who subscribes sees each value; the
// bucket keeps the newest ones.
const phasesAt = "$KV.KS_PHASE."

// phases are those that the destination has gone through, each once.
func (b *onBus) phases(t *testing.T) []string {
	t.Helper()
	var phases []string
	for _, m := range b.all(phasesAt + "e2e.default.live") {
		var rec struct{ Phase string }
		must(t, json.Unmarshal(m.Data, &rec))
		if len(phases) == 0 || phases[len(phases)-1] != rec.Phase {
			phases = append(phases, rec.Phase)
		}
	}
	return phases
}
