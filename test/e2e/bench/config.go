package bench

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// mirror is a destination that has some namespaces' objects in a folder of its name; none:
// those of all.
type mirror struct {
	name       string
	namespaces []string
	branch     string // "": that of all who name none
}

func (m mirror) key() event.DestinationKey {
	return event.DestinationKey{Cluster: destination.Cluster, Namespace: destination.Namespace, Name: m.name}
}

// branch is the one that a destination is written to.
func (i *install) branch(m mirror) harness.Repository {
	return harness.Repository{Dir: i.remote.Dir, Branch: cmp.Or(m.branch, harness.Branch)}
}

// configure has destinations of some kinds on the remote, once the watcher starts.
func (i *install) configure(of []kind, mirrors ...mirror) error {
	var rules strings.Builder
	for _, k := range of {
		fmt.Fprintf(&rules, "\n  - {apiGroups: [%q], resources: [%s]}", k.group, k.resource)
	}
	var docs strings.Builder
	fmt.Fprintf(&docs, `apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: %q}
`, i.remote.URL)
	for _, m := range mirrors {
		fmt.Fprintf(&docs, `---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: %[1]s}
spec: {remoteRef: {name: live}, branch: %[5]s, baseFolder: %[1]s, adopt: true, interval: 24h}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: %[1]s}
spec:
  destinationRef: {name: %[1]s, namespace: %[2]s}
  namespaces: [%[3]s]
  rules:%[4]s
`, m.name, destination.Namespace, strings.Join(m.namespaces, ", "), rules.String(), i.branch(m).Branch)
	}
	if err := os.WriteFile(i.config(), []byte(docs.String()), 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

func (i *install) config() string { return filepath.Join(i.dir, "config.yaml") }
