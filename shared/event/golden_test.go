package event

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A released golden is never edited: -update writes those that do not exist and
// touches no other. To change one that was not released yet, remove it first.
var update = flag.Bool("update", false, "write the golden files that do not exist yet")

// message is a NATS message as a golden file shows it.
type message struct {
	Header Header `json:"header"`
	Body   string `json:"body,omitempty"`
}

const goldenManifest = "apiVersion: v1\ndata:\n  color: green\nkind: ConfigMap\nmetadata:\n  name: web\n  namespace: shop\n"

// goldenChange is a change that a watch delivered.
func goldenChange() Change {
	return Change{
		Object: Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: "web"},
		Op:     Update, Cluster: "prod", ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		UID: "5f0c1f4e-1111-4222-8333-944455556666", ResourceVersion: "1042",
		Hash: "9f0c64a1d1e6c3d5b1f0a2b3c4d5e6f708192a3b", Sanitizer: 1,
		Time: time.Date(2026, 3, 14, 15, 9, 26, 535897932, time.UTC), FieldManager: "kubectl-client-side-apply",
		Origin: Live, Registry: 7, Resume: "1042", Manifest: []byte(goldenManifest),
	}
}

func changed(f func(*Change)) Change {
	c := goldenChange()
	f(&c)
	return c
}

var goldenChanges = map[string]Change{
	"change-create": changed(func(c *Change) {
		c.Op, c.Group, c.APIVersion, c.Resource, c.Kind = Create, "apps", "v1", "deployments", "Deployment"
		c.Manifest = []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n")
	}),
	"change-update": goldenChange(),
	"change-delete": changed(func(c *Change) { c.Op, c.Hash, c.Manifest = Delete, "", nil }),
	"change-cluster-scoped": changed(func(c *Change) {
		c.Group, c.Resource, c.Kind, c.Namespace, c.Name = "rbac.authorization.k8s.io", "clusterroles", "ClusterRole", "", "system:100%"
		c.FieldManager = " hand\r\nmade "
	}),
	"change-reconcile": changed(func(c *Change) {
		c.Origin, c.Run, c.Attempt, c.Path, c.More = Reconcile, "run-1", 2, "shop/configmaps/web.yaml", true
	}),
}

var goldenMarks = map[string]Mark{
	"mark":         {Cluster: "prod", Part: 0, Destination: "prod/gitops/live", Run: "run-1", Attempt: 1, Registry: 7},
	"mark-attempt": {Cluster: "prod", Part: 5, Destination: "prod/gitops/live", Run: "run-1", Attempt: 3},
}

// goldenRecords pairs each JSON record with how it is encoded and decoded.
var goldenRecords = map[string]record{
	"destination": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://git.example.com/platform/live.git", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live", Adopt: true,
		Committer: Person{"kubescribe", "kubescribe@localhost"},
		Rules: []Rule{
			{Groups: []string{"*"}, Resources: []string{"*"}},
			{Groups: []string{"", "apps"}, Versions: []string{"v1"}, Resources: []string{"configmaps", "deployments"}, Namespaces: []string{"shop"}},
		},
	}),
	"phase": of(PhaseRecord{
		V: 1, Phase: LiveProcessing, Run: "run-1", Attempt: 1, Reason: ReasonNewDestination, Registered: 7, Cursor: 99,
		Counts: Counts{Forwarded: 90, Suppressed: 9}, Owner: "host-1", Since: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC),
	}),
	"status": of(Status{
		V: 1, Commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Subject: "Update ConfigMap shop/web",
		Pushed: time.Date(2026, 3, 14, 15, 9, 27, 0, time.UTC), Position: 99,
	}),
	"status-stalled": of(Status{
		V: 1, Position: 12,
		Stalled: &Stalled{StalledFolderNotOurs, "the folder holds resources", time.Date(2026, 3, 14, 15, 9, 27, 0, time.UTC)},
	}),
	"request-cluster-state": of(Request{
		V: 1, Kind: RequestClusterState, Destination: DestinationKey{"prod", "gitops", "live"}, Part: 5, Run: "run-1", Attempt: 1, Registered: 7, Reason: ReasonSpecChanged,
	}),
	"request-run": of(Request{V: 1, Kind: RequestRun, Destination: DestinationKey{"prod", "gitops", "live"}, Reason: ReasonAdmitted}),
	"bookmark":    of(Bookmark{V: 1, ClusterID: "c-1", ResourceVersion: "1042"}),
	"hint":        of(Hint{V: 1, Commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Position: 99}),
}

// record is a JSON record without its type.
type record struct {
	want   any
	bytes  []byte
	decode func([]byte) (any, error)
}

func of[R Record](r R) record {
	return record{r, Encode(r), func(b []byte) (any, error) { return Decode[R](b) }}
}

func goldenFile(name string) string { return filepath.Join("testdata", "v1", name+".json") }

// golden reads a golden file, and compares got with it, byte for byte but for
// the white space between JSON tokens.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, got, "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteByte('\n')
	file := goldenFile(name)
	want, err := os.ReadFile(file)
	if os.IsNotExist(err) && *update {
		want = indented.Bytes()
		err = os.WriteFile(file, want, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Errorf("%s is not what this program writes (-golden +written):\n%s", file, diff)
	}
	return want
}

// goldenMessage compares a message with its golden file and returns what stands
// there.
func goldenMessage(t *testing.T, name string, h Header, body []byte) message {
	t.Helper()
	got, err := json.Marshal(message{h, string(body)})
	if err != nil {
		t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(golden(t, name, got), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGoldenChanges(t *testing.T) {
	for name, want := range goldenChanges {
		t.Run(name, func(t *testing.T) {
			h, body := want.Message()
			m := goldenMessage(t, name, h, body)
			if k, err := KindOf(m.Header); k != KindChange || err != nil {
				t.Errorf("kind %q, %v", k, err)
			}
			got, err := ParseChange(m.Header, []byte(m.Body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the golden file means something else (-want +read):\n%s", diff)
			}
		})
	}
}

func TestGoldenMarks(t *testing.T) {
	for name, want := range goldenMarks {
		t.Run(name, func(t *testing.T) {
			h, body := want.Message()
			m := goldenMessage(t, name, h, body)
			if k, err := KindOf(m.Header); k != KindMark || err != nil {
				t.Errorf("kind %q, %v", k, err)
			}
			got, err := ParseMark(m.Header)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the golden file means something else (-want +read):\n%s", diff)
			}
		})
	}
}

// TestGoldenKinds holds the kinds that are no more than their name.
func TestGoldenKinds(t *testing.T) {
	for _, want := range []Kind{KindFence, KindCheckpoint} {
		m := goldenMessage(t, string(want), NewHeader(want), nil)
		if k, err := KindOf(m.Header); k != want || err != nil {
			t.Errorf("kind %q, %v", k, err)
		}
	}
}

func TestGoldenRecords(t *testing.T) {
	for name, want := range goldenRecords {
		t.Run(name, func(t *testing.T) {
			got, err := want.decode(golden(t, name, want.bytes))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.want, got); diff != "" {
				t.Errorf("the golden file means something else (-want +read):\n%s", diff)
			}
		})
	}
}

// TestGoldenFilesAreAllRead keeps a golden file from outliving its test: what
// was released must be readable for ever.
func TestGoldenFilesAreAllRead(t *testing.T) {
	read := map[string]bool{goldenFile(string(KindFence)): true, goldenFile(string(KindCheckpoint)): true}
	for name := range goldenChanges {
		read[goldenFile(name)] = true
	}
	for name := range goldenMarks {
		read[goldenFile(name)] = true
	}
	types := map[string]bool{}
	for name, r := range goldenRecords {
		read[goldenFile(name)] = true
		types[fmt.Sprintf("%T", r.want)] = true
	}
	files, err := filepath.Glob("testdata/v1/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !read[f] {
			t.Errorf("%s is read by no test", f)
		}
	}
	if len(files) != len(read) {
		t.Errorf("%d golden files for %d cases", len(files), len(read))
	}
	for _, r := range []any{Destination{}, PhaseRecord{}, Status{}, Request{}, Bookmark{}, Hint{}} {
		if !types[fmt.Sprintf("%T", r)] {
			t.Errorf("no golden file of a %T", r)
		}
	}
}
