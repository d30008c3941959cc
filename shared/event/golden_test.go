package event

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
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
	"change-to": changed(func(c *Change) {
		c.To = []DestinationKey{{"prod", "gitops", "live"}, {"prod", "shop", "apps.only"}}
	}),
	"change-sealed": changed(func(c *Change) {
		c.Resource, c.Kind, c.Name, c.Path = "secrets", "Secret", "db", "shop/secrets/db.sops.yaml"
		c.SealedTo, c.Manifest = "age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq", []byte("age-encryption.org/v1\n-> X25519 sealed")
	}),
	"change-retry":  changed(func(c *Change) { c.To, c.Retry = []DestinationKey{{"prod", "gitops", "live"}}, 17 }),
	"change-delete": changed(func(c *Change) { c.Op, c.Hash, c.Manifest = Delete, "", nil }),
	"change-cluster-scoped": changed(func(c *Change) {
		c.Group, c.Resource, c.Kind, c.Namespace, c.Name = "rbac.authorization.k8s.io", "clusterroles", "ClusterRole", "", "system:100%"
		c.FieldManager = " hand\r\nmade "
	}),
	"change-reconcile": changed(func(c *Change) {
		c.Origin, c.Run, c.Attempt, c.Path, c.More = Reconcile, "run-1", 2, "shop/configmaps/web.yaml", true
	}),
	"change-orphan": {
		Object: Object{Resource: "configmaps", Namespace: "shop", Name: "orphan"}, Op: Delete, Cluster: "prod", ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		Origin: Reconcile, Run: "run-1", Attempt: 1, Path: "shop/configmaps/orphan.yaml", Replaces: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Registry: 7,
	},
}

var goldenMarks = map[string]Mark{
	"mark":         {Cluster: "prod", Part: 0, Destination: "prod/gitops/live", Run: "run-1", Attempt: 1, Registry: 7},
	"mark-attempt": {Cluster: "prod", Part: 5, Destination: "prod/gitops/live", Run: "run-1", Attempt: 3},
}

var goldenBarriers = map[string]Barrier{
	"barrier":         {Run: "run-1", Attempt: 1, Registry: 7},
	"barrier-attempt": {Run: "run-1", Attempt: 3},
}

// goldenFences are those of a router.
var goldenFences = map[string]Fence{
	"fence-lost": {Reason: ReasonCheckpointLost, After: 1042, Until: 7},
	"fence-gap":  {Reason: ReasonHistoryGap, After: 7, Until: 1042},
}

// goldenEntries are the chunks of entries.
var goldenEntries = map[string][]Entry{
	"entries-state": {
		{Path: "_cluster/namespaces/shop.yaml", Hash: "9f0c64a1d1e6c3d5b1f0a2b3c4d5e6f708192a3b", Version: 1042},
		{Path: "shop/configmaps/settings.yaml", Hash: "0000000000000000000000000000000000000000", Version: 7},
		{Path: "shop/configmaps/web.yaml", Hash: "hmac-of-something-sensitive", Version: 18446744073709551615},
		{Path: "shop/notes.yaml", What: Foreign},
	},
	"entries-result": {
		{Path: "shop/configmaps/new.yaml", Hash: "9f0c64a1d1e6c3d5b1f0a2b3c4d5e6f708192a3b", Version: 1042, What: ResultCreate},
		{Path: "shop/configmaps/orphan.yaml", Hash: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", What: ResultDelete},
		{Path: "shop/configmaps/web.yaml", Hash: "0123456789abcdef0123456789abcdef01234567", Version: 1043, What: ResultReconcile},
	},
}

// goldenContents is a chunk of contents.
var goldenContents = []Change{
	changed(func(c *Change) { c.Path = "shop/configmaps/web.yaml" }),
	changed(func(c *Change) {
		c.Op, c.Name, c.Path, c.Manifest = Create, "web<&>%", "shop/configmaps/web%3C&%3E%25.yaml", []byte("kind: ConfigMap\n")
	}),
}

var goldenOutcome = Outcome{
	Run: "run-1", Created: 3, Updated: 2, Deleted: 40, Equal: 9000, Kept: 1,
	Foreign: []string{"notes/all.yaml"}, ForeignCount: 12,
	Pending:    &Pending{Run: "run-0", Count: 40, Digest: "c0ffee", Paths: []string{"shop/configmaps/a.yaml", "shop/configmaps/b.yaml"}},
	Incomplete: []string{"*.metrics.example.com", "secrets"},
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
	"destination-compared": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "root"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "git@git.example.com:platform/live.git", BranchKey: "0123456789abcdef", Branch: "main",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Rules: []Rule{{Groups: []string{"*"}, Resources: []string{"*"}}},
		Interval: 10 * time.Minute, Prune: Prune{Mode: PruneAlways, MaxPercent: 30, MaxFiles: 10},
	}),
	"destination-credentials": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://git.example.com/platform/live.git", Credentials: "prod/gitops/live-token", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Rules: []Rule{{Groups: []string{"*"}, Resources: []string{"*"}}},
	}),
	"destination-changed": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://git.example.com/platform/live.git", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Rules: []Rule{{Groups: []string{"*"}, Resources: []string{"*"}}},
		First: 7, Prune: Prune{Mode: PruneNever},
	}),
	"destination-paced": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://github.com/platform/live.git", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Rules: []Rule{{Groups: []string{"*"}, Resources: []string{"*"}}},
		MinPushInterval: 10 * time.Second, Window: 30 * time.Second, Prune: Prune{Mode: PruneNever},
	}),
	"destination-selecting": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://git.example.com/platform/live.git", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Prune: Prune{Mode: PruneNever}, Without: []string{"controlled"},
		Rules: []Rule{{
			Groups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"shop"}, Labels: "team=red,!legacy", Names: []string{"web-*"},
			Owners: []string{"Application.argoproj.io/*"}, Except: []Rule{{Groups: []string{""}, Resources: []string{"pods"}}},
			Policy: Policy{DropFinalizers: true, KeepOwners: true, KeepTracking: true, Drop: []string{"/spec/replicas"}}, Of: "WatchRule shop/web",
		}},
	}),
	"destination-authors": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://git.example.com/platform/live.git", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Prune: Prune{Mode: PruneNever},
		Authors: []ManagerAuthor{{"kubectl-*", Person{"Somebody", "somebody@example.com"}}, {"helm", Person{"Helm", "kubescribe@localhost"}}},
		Rules:   []Rule{{Groups: []string{"*"}, Resources: []string{"*"}}},
	}),
	"destination-ignoring": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://git.example.com/platform/live.git", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Prune: Prune{Mode: PruneNever},
		Rules: []Rule{{Groups: []string{"*"}, Resources: []string{"*"}, Policy: Policy{IgnoreManagers: []string{"kube-controller-manager", "cert-manager-*"}}}},
	}),
	"destination-limited": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://git.example.com/platform/live.git", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Rules: []Rule{{Groups: []string{"*"}, Resources: []string{"*"}}},
		MaxCommits: 10, Prune: Prune{Mode: PruneNever},
	}),
	"destination-dry-run": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://git.example.com/platform/live.git", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Rules: []Rule{{Groups: []string{"*"}, Resources: []string{"*"}}},
		Prune: Prune{Mode: PruneNever}, DryRun: true,
	}),
	"destination-worded": of(Destination{
		V: 1, Key: DestinationKey{"prod", "gitops", "live"}, ClusterID: "0c7f2a3e-6f2b-4a52-9d8e-7d2b4c3a1f00",
		URL: "https://git.example.com/platform/live.git", BranchKey: "0123456789abcdef", Branch: "main", BaseFolder: "live",
		Committer: Person{"kubescribe", "kubescribe@localhost"}, Author: Person{"Platform Team", "platform@example.com"},
		Wording: Wording{Subject: "{{.Object}}", Body: "{{range .Changes}}{{.}}\n{{end}}"},
		Rules:   []Rule{{Groups: []string{"*"}, Resources: []string{"*"}}}, Prune: Prune{Mode: PruneNever},
	}),
	"phase": of(PhaseRecord{
		V: 1, Phase: LiveProcessing, Run: "run-1", Attempt: 1, Reason: ReasonNewDestination, Registered: 7, Cursor: 99,
		Counts: Counts{Forwarded: 90, Suppressed: 9}, Owner: "host-1", Since: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC),
	}),
	"phase-outcome": of(PhaseRecord{
		V: 1, Phase: StartupReconcile, Run: "run-2", Attempt: 3, Reason: ReasonSpecChanged, Registered: 8, Parts: []int{0, 7}, Approved: "c0ffee",
		Since: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC), Closed: time.Date(2026, 3, 14, 15, 10, 0, 0, time.UTC), Next: ReasonTypeAppeared,
		Cursor: 99, Counts: Counts{Forwarded: 90, Suppressed: 9, Pruned: 1, Held: 5}, Outcome: &goldenOutcome, Overrun: 2,
	}),
	"phase-compared": of(PhaseRecord{
		V: 1, Phase: LiveProcessing, Run: "run-3", Attempt: 1, Reason: ReasonCompare, Registered: 8, Parts: []int{0, 7},
		Since: time.Date(2026, 3, 14, 15, 11, 0, 0, time.UTC), Closed: time.Date(2026, 3, 14, 15, 11, 1, 0, time.UTC),
		Settled: time.Date(2026, 3, 14, 15, 10, 0, 0, time.UTC), Outcome: &goldenOutcome,
	}),
	"phase-continued": of(PhaseRecord{
		V: 1, Phase: StartupReconcile, Run: "run-4", Attempt: 1, Reason: ReasonContinued, Registered: 8, Parts: []int{0, 7},
		Since: time.Date(2026, 3, 14, 15, 12, 0, 0, time.UTC), Closed: time.Date(2026, 3, 14, 15, 12, 9, 0, time.UTC),
		Outcome: &Outcome{
			Run: "run-4", Created: 900, Updated: 1, Equal: 9000,
			Left: Wanted{Created: 90, Updated: 10}, Continues: true, Before: Brought{Runs: 2, Created: 8990, Updated: 10, Deleted: 40},
		},
	}),
	"phase-skipped": of(PhaseRecord{
		V: 1, Phase: LiveProcessing, Run: "run-5", Attempt: 1, Reason: ReasonContentsSkipped, Registered: 8, Parts: []int{0, 7},
		Since: time.Date(2026, 3, 14, 15, 13, 0, 0, time.UTC), Closed: time.Date(2026, 3, 14, 15, 13, 1, 0, time.UTC),
		Outcome: &Outcome{Run: "run-5", Created: 1, Equal: 9000, Skipped: []string{"configmaps"}},
	}),
	"end-cluster":         of(End{V: 1, Nonce: "n-1", Chunks: 2, Count: 9043, Digest: "9f86d081", Incomplete: []string{"*.metrics.example.com"}, Unmirrored: []string{"secrets"}}),
	"end-repo":            of(End{V: 1, Nonce: "n-2", Chunks: 1, Count: 9041, Digest: "9f86d081", Others: 3}),
	"end-result":          of(End{V: 1, Nonce: "n-3", Chunks: 1, Count: 45, Digest: "9f86d081", Wanted: 5}),
	"end-run":             of(End{V: 1, Nonce: "n-4", Digest: "e3b0c442", Parts: []int{0, 7}, Outcome: &goldenOutcome}),
	"end-dry":             of(End{V: 1, Nonce: "n-6", Digest: "e3b0c442", Parts: []int{0, 7}, Outcome: &goldenOutcome, Dry: true}),
	"end-content":         of(End{V: 1, Nonce: "n-6", Chunks: 190, Count: 9000, Digest: "9f86d081", Bytes: 48 << 20, Left: Wanted{Created: 90, Updated: 10}}),
	"end-content-skipped": of(End{V: 1, Nonce: "n-7", Chunks: 1, Count: 1, Digest: "9f86d081", Bytes: 100, Skipped: []string{"configmaps"}}),
	"end-failed":          of(End{V: 1, Nonce: "n-5", Digest: "e3b0c442", Failed: "the lane's owner died between the mark and its answer"}),
	"status": of(Status{
		V: 1, Commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Subject: "Update ConfigMap shop/web",
		Pushed: time.Date(2026, 3, 14, 15, 9, 27, 0, time.UTC), Position: 99,
	}),
	"status-stalled": of(Status{
		V: 1, Position: 12,
		Stalled: &Stalled{StalledFolderNotOurs, "the folder holds resources", time.Date(2026, 3, 14, 15, 9, 27, 0, time.UTC)},
	}),
	"status-overlaps": of(Status{
		V: 1, Position: 12,
		Stalled: &Stalled{StalledFolderOverlaps, "the folders of two destinations overlap", time.Date(2026, 3, 14, 15, 9, 27, 0, time.UTC)},
	}),
	"status-credentials": of(Status{
		V: 1, Position: 12,
		Stalled: &Stalled{StalledCredentialsDiffer, "the branch is pushed with another Secret", time.Date(2026, 3, 14, 15, 9, 27, 0, time.UTC)},
	}),
	"status-lfs": of(Status{
		V: 1, Position: 12,
		Stalled: &Stalled{StalledFilesInLFS, "folder live goes through Git LFS", time.Date(2026, 3, 14, 15, 9, 27, 0, time.UTC)},
	}),
	"status-dry-run": of(Status{
		V: 1, Position: 12,
		DryRun: &DryRun{
			Since: time.Date(2026, 3, 14, 15, 9, 27, 0, time.UTC), Commits: 3, Files: 4,
			Newest: []WouldBe{{Time: time.Date(2026, 3, 14, 15, 9, 28, 0, time.UTC), Subject: "Create configmaps shop/web", Files: 2, Changes: []string{"Create live/.kubescribe.yaml", "Create live/shop/configmaps/web.yaml"}}},
		},
	}),
	"request-cluster-state": of(Request{
		V: 1, Kind: RequestClusterState, Destination: DestinationKey{"prod", "gitops", "live"}, Part: 5, Run: "run-1", Attempt: 1, Registered: 7, Reason: ReasonSpecChanged,
	}),
	"request-resources": of(Request{
		V: 1, Kind: RequestResources, Destination: DestinationKey{"prod", "gitops", "live"}, Part: 5, Run: "run-1", Attempt: 2, Registered: 7, Reason: ReasonDriftCheck,
	}),
	"request-resources-room": of(Request{
		V: 1, Kind: RequestResources, Destination: DestinationKey{"prod", "gitops", "live"}, Part: 5, Run: "run-1", Attempt: 2, Registered: 7, Reason: ReasonContinued, Room: 48 << 20,
	}),
	"request-object": of(Request{
		V: 1, Kind: RequestObject, Destination: DestinationKey{"prod", "gitops", "live"}, Part: 5, Registered: 7,
		Object: Object{Group: "apps", APIVersion: "v1", Resource: "deployments", Kind: "Deployment", Namespace: "shop", Name: "web"},
		UID:    "5f0c1f4e-1111-4222-8333-944455556666", Letter: 17,
	}),
	"request-approved": of(Request{V: 1, Kind: RequestRun, Destination: DestinationKey{"prod", "gitops", "live"}, Reason: ReasonApproved, Approved: "run-0"}),
	"request-compare":  of(Request{V: 1, Kind: RequestRun, Destination: DestinationKey{"prod", "gitops", "live"}, Reason: ReasonCompare}),
	"request-run":      of(Request{V: 1, Kind: RequestRun, Destination: DestinationKey{"prod", "gitops", "live"}, Reason: ReasonAdmitted}),
	"credential": of(Credential{
		V: 1, Sealed: []byte("age-encryption.org/v1\n"), Recipient: "age1gklgqt3xk5q5smrkfhp7hwg5rsx5wpy67ldh8vrs5q92myeqa37q27gtyh", Source: "9f86d081884c7d65",
	}),
	"bookmark-version": of(Bookmark{
		V: 1, ClusterID: "c-1", ResourceVersion: "1042", APIVersion: "v1beta1", Made: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), Seq: 99,
	}),
	"bookmark-generation": of(Bookmark{
		V: 1, ClusterID: "c-1", ResourceVersion: "1042", APIVersion: "v1", Generation: 3, Made: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), Seq: 99,
	}),
	"bookmark": of(Bookmark{V: 1, ClusterID: "c-1", ResourceVersion: "1042"}),
	"hint-id":  of(Hint{V: 1, Commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Position: 99, ID: "6f2b-42"}),
	"hint-writer": of(Hint{
		V: 1, Commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Position: 99, ID: "6f2b-42", Stored: time.Date(2026, 7, 1, 12, 0, 0, 5, time.UTC), Writer: 12,
	}),
	"hint-held": of(Hint{V: 1, Commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Position: 99, ID: "6f2b-42", Held: []uint64{42, 97}}),
	"hint-cut": of(Hint{V: 1, Commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Position: 99, ID: "6f2b-42", Cut: &Cut{
		After: 40, Until: 99, Found: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), Missing: map[string]uint64{"prod/gitops/live": 51},
	}}),
	"lag": of(Lag{
		V: 1, Stream: Waiting{Messages: 7, Since: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)},
		Writer: Waiting{Messages: 5, Since: time.Date(2026, 7, 1, 11, 0, 0, 0, time.UTC)},
	}),
	"phase-from": of(PhaseRecord{
		V: 1, Phase: StartupReconcile, Run: "run-1", Attempt: 1, Reason: ReasonSpecChanged, Registered: 7, Parts: []int{0, 5},
		Since: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), From: 88,
	}),
	"hint": of(Hint{V: 1, Commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Position: 99}),
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

func TestGoldenBarriers(t *testing.T) {
	for name, want := range goldenBarriers {
		t.Run(name, func(t *testing.T) {
			h, body := want.Message()
			m := goldenMessage(t, name, h, body)
			if k, err := KindOf(m.Header); k != KindRepoState || err != nil {
				t.Errorf("kind %q, %v", k, err)
			}
			if got, err := ParseBarrier(m.Header); got != want || err != nil {
				t.Errorf("the golden file means %+v, %v", got, err)
			}
		})
	}
}

func TestGoldenFences(t *testing.T) {
	for name, want := range goldenFences {
		t.Run(name, func(t *testing.T) {
			h, body := want.Message()
			m := goldenMessage(t, name, h, body)
			if k, err := KindOf(m.Header); k != KindFence || err != nil {
				t.Errorf("kind %q, %v", k, err)
			}
			if got, err := ParseFence(m.Header); got != want || err != nil {
				t.Errorf("the golden file means %+v, %v", got, err)
			}
		})
	}
}

func TestMalformedFences(t *testing.T) {
	for name, change := range map[string]func(Header){
		"no reason":      func(h Header) { delete(h, HeaderReason) },
		"another reason": func(h Header) { h[HeaderReason] = []string{ReasonDriftCheck} },
		"no number":      func(h Header) { h[HeaderAfter] = []string{"x"} },
		"no number, too": func(h Header) { h[HeaderUntil] = []string{"-1"} },
	} {
		h, _ := goldenFences["fence-gap"].Message()
		change(h)
		if f, err := ParseFence(h); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: read as %+v, %v", name, f, err)
		}
	}
}

// goldenBody compares the body of a chunk with its golden file, which shows what is
// in it beside it, and returns the body that stands there.
func goldenBody(t *testing.T, name string, items any, body []byte) []byte {
	t.Helper()
	type file struct {
		Items any    `json:"items"`
		Body  string `json:"body"` // hexadecimal
	}
	got, err := json.Marshal(file{items, hex.EncodeToString(body)})
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := json.Unmarshal(golden(t, name, got), &f); err != nil {
		t.Fatal(err)
	}
	stands, err := hex.DecodeString(f.Body)
	if err != nil {
		t.Fatal(err)
	}
	return stands
}

func TestGoldenChunks(t *testing.T) {
	for name, want := range goldenEntries {
		t.Run(name, func(t *testing.T) {
			got, err := entriesOf(t, goldenBody(t, name, want, chunked(t, want...)))
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v, the golden file means something else (-want +read):\n%s", err, diff)
			}
		})
	}
	var body []byte
	for _, c := range goldenContents {
		body = AppendContent(body, c)
	}
	got, err := contentsOf(t, goldenBody(t, "contents", goldenContents, body))
	if diff := cmp.Diff(goldenContents, got); diff != "" || err != nil {
		t.Errorf("%v, the golden file means something else (-want +read):\n%s", err, diff)
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
	for name := range goldenBarriers {
		read[goldenFile(name)] = true
	}
	for name := range goldenFences {
		read[goldenFile(name)] = true
	}
	for name := range goldenEntries {
		read[goldenFile(name)] = true
	}
	read[goldenFile("contents")] = true
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
	for _, r := range []any{Destination{}, Credential{}, PhaseRecord{}, Status{}, Request{}, Bookmark{}, Hint{}, Lag{}, End{}} {
		if !types[fmt.Sprintf("%T", r)] {
			t.Errorf("no golden file of a %T", r)
		}
	}
}
