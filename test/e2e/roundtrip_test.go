package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// The least that the corpus is to have for the round trip to prove something.
const (
	corpusObjects = 80
	corpusKinds   = 40
)

// TestRoundTrip: a checkout of Git is all that it takes to have a cluster again. The corpus
// in testdata/roundtrip is brought into a cluster, half of it before kubescribe starts and
// half while it looks on; what it wrote is applied to an empty cluster, by kubectl alone;
// and every object of the corpus is there as in the first one, but for what is [assigned].
//
// Secrets are decrypted in the checkout, by the stock sops.
//
// What was applied is what is compared, not what was mirrored. Two things are not in the
// corpus: what kubescribe leaves out by default; and owner references and generated names,
// which mean nothing in another cluster.
func TestRoundTrip(t *testing.T) {
	long(t)
	t.Parallel()
	files := readCorpus(t)
	corpus := checkCorpus(t, files)
	first := ownCluster(t)
	w := newWorld(t, first)
	owner := newReader(t, w, "owner")
	w.options.Args = []string{"--recipient", owner.recipient}
	var k *harness.Daemon
	for n, file := range files {
		if n == len(files)/2 {
			k = w.startReady(t)
		}
		w.bring(t, file)
	}
	if t.Failed() {
		t.FailNow() // the corpus is not what the API server takes
	}
	everything := scope()
	everything.Decrypt = owner.decrypt
	w.settle(t, everything)
	stop(t, k)
	w.history(t)
	there, served, err := everyObject(within(t, stepLimit), w.cfg)
	must(t, err)
	checkKinds(t, corpus, served)
	first.Kill() // the second cluster has the machine to itself

	clone := filepath.Join(t.TempDir(), "clone")
	_, err = gittest.Git(w.dir, "clone", "-q", w.remote.Dir, clone)
	must(t, err)
	owner.decryptAll(t, filepath.Join(clone, "live"))
	second := ownCluster(t)
	applyCheckout(t, second, filepath.Join(clone, "live"))
	cfg, err := second.REST()
	must(t, err)
	must(t, harness.Poll(within(t, settleLimit), 250*time.Millisecond, "the second cluster to be as the first one", func(ctx context.Context) error {
		here, _, err := everyObject(ctx, cfg)
		if err != nil {
			return err
		}
		return sameClusters(corpus, there, here)
	}))
}

// settleLimit is for what controllers do in the second cluster once all is applied.
const settleLimit = 20 * time.Second

// ways are how an object of the corpus is brought into the cluster: by what stands behind
// the --- above it.
var ways = []struct {
	name string
	args []string
}{
	{"apply", []string{"apply"}},
	{"create", []string{"create"}},
	{"server-side", []string{"apply", "--server-side"}},
}

// corpusFile is a file of the corpus: what is brought in each way, as it stands there.
type corpusFile struct {
	name    string
	texts   map[string][]string // by the way's name
	objects []map[string]any
}

// readCorpus reads the corpus in the order of its files.
func readCorpus(t *testing.T) []corpusFile {
	t.Helper()
	paths, err := filepath.Glob("testdata/roundtrip/*.yaml")
	must(t, err)
	files := make([]corpusFile, len(paths))
	for n, path := range paths {
		content, err := os.ReadFile(path)
		must(t, err)
		files[n] = corpusFile{name: filepath.Base(path), texts: map[string][]string{}}
		for _, part := range strings.Split("\n"+string(content), "\n--- # ")[1:] {
			way, text, _ := strings.Cut(strings.TrimSuffix(part, "\n")+"\n", "\n")
			files[n].texts[way] = append(files[n].texts[way], text)
			files[n].objects = append(files[n].objects, readDocument(t, path, text))
		}
	}
	return files
}

// readDocument reads an object, numbers as client-go has them.
func readDocument(t *testing.T, path, text string) (object map[string]any) {
	t.Helper()
	j, err := yaml.YAMLToJSONStrict([]byte(text))
	if err == nil {
		err = json.Unmarshal(j, &object)
	}
	if err != nil {
		t.Fatalf("%s: %v:\n%s", path, err, text)
	}
	return object
}

// checkCorpus says whether the corpus is large and mixed enough, and no object is in it
// twice.
func checkCorpus(t *testing.T, files []corpusFile) map[objectKey]map[string]any {
	t.Helper()
	all, kinds, brought := map[objectKey]map[string]any{}, map[string]bool{}, map[string]int{}
	for _, file := range files {
		for _, object := range file.objects {
			key := keyOfObject(object)
			if _, twice := all[key]; twice {
				t.Errorf("%s: %s is in the corpus twice", file.name, key)
			}
			all[key], kinds[key.kind] = object, true
		}
		for way, texts := range file.texts {
			brought[way] += len(texts)
		}
	}
	t.Logf("the corpus has %d objects of %d kinds, brought by %v", len(all), len(kinds), brought)
	if len(all) < corpusObjects || len(kinds) < corpusKinds {
		t.Errorf("the corpus has %d objects of %d kinds, want %d of %d at least", len(all), len(kinds), corpusObjects, corpusKinds)
	}
	if len(brought) != len(ways) || 2*brought["apply"] < len(all) {
		t.Errorf("the corpus is brought by %v, want half of it by apply and some by each of %v", brought, ways)
	}
	return all
}

// bring brings the objects of a file into the world's cluster, each in its way. Types are
// served when it returns.
func (w *world) bring(t *testing.T, file corpusFile) {
	t.Helper()
	for _, way := range ways {
		texts := file.texts[way.name]
		if len(texts) == 0 {
			continue
		}
		path := w.file(t, way.name+"-"+file.name, strings.Join(texts, "---\n"))
		out, err := w.kubectl(within(t, stepLimit), append(way.args, "-f", path)...)
		if err != nil {
			t.Errorf("%s, by %s: %v\n%s", file.name, way.name, err, out)
		}
	}
	awaitTypes(t, w.cluster)
}

// awaitTypes waits until all types are served that are defined.
func awaitTypes(t *testing.T, cp *harness.ControlPlane) {
	t.Helper()
	defined, err := kubectl(within(t, stepLimit), cp, "get", "customresourcedefinitions", "-o", "name")
	must(t, err)
	if !strings.Contains(defined, "/") {
		return
	}
	out, err := kubectl(within(t, stepLimit), cp, append([]string{"wait", "--for=condition=Established"}, strings.Fields(defined)...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// applyCheckout applies a base folder as often as it takes: what comes first may need what
// comes last. Its folders are named because the marker beside them is no object.
func applyCheckout(t *testing.T, cp *harness.ControlPlane, base string) {
	t.Helper()
	entries, err := os.ReadDir(base)
	must(t, err)
	folders := []string{"-R"}
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, "-f", filepath.Join(base, e.Name()))
		}
	}
	const passes = 4
	for pass := 1; ; pass++ {
		out, err := kubectl(within(t, stepLimit), cp, append([]string{"apply", "--server-side", "-l", "example.com/server-side!=false"}, folders...)...)
		if err == nil {
			t.Logf("it took %d passes to apply the checkout", pass)
			break
		}
		if pass == passes {
			t.Fatalf("the checkout cannot be applied: %v\n%s", err, refusals(out))
		}
		awaitTypes(t, cp)
	}
	out, err := kubectl(within(t, stepLimit), cp, append([]string{"apply", "-l", "example.com/server-side=false"}, folders...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// refusals is what kubectl says but for what it applied.
func refusals(out string) string {
	var rest []string
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(line, " serverside-applied\n") {
			rest = append(rest, line)
		}
	}
	return fmt.Sprintf("%d lines:\n%s", len(rest), strings.Join(rest, ""))
}
