package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestClusterRestored: a cluster that is restored from a backup of 100 writes ago,
// while kubescribe looks on or stands still, ends equal to Git: what was undone is
// undone there. Each version that came before has its commit, and so has each that comes
// then, with resourceVersions that were given out before.
func TestClusterRestored(t *testing.T) {
	t.Parallel()
	for _, standing := range []bool{false, true} {
		if standing && os.Getenv(envRaces) == "" {
			continue // it takes a minute: make races does it
		}
		t.Run(map[bool]string{false: "looking on", true: "stopped meanwhile"}[standing], func(t *testing.T) {
			cp := ownCluster(t)
			w := newWorld(t, cp)
			ns := w.namespace(t, "restored")
			k := w.startReady(t)
			for n := range 40 {
				w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n), "before"))
			}
			w.fill(t, ns, 150) // so that what is undone is no mass deletion
			w.sentinel(t, ns)
			w.settle(t, scope())

			state, backup := filepath.Join(filepath.Dir(cp.Kubeconfig()), "etcd"), filepath.Join(t.TempDir(), "backup")
			cp.Kill()
			must(t, os.CopyFS(backup, os.DirFS(state)))
			must(t, cp.Restart(within(t, startLimit)))
			var writes []harness.Written
			for n := range 100 { // what case 2 removes is there, and case 1 makes some of it again
				switch n % 3 {
				case 0:
					writes = append(writes, w.apply(t, configMap(ns, fmt.Sprintf("undone-%d", n), "1")))
				case 1:
					writes = append(writes, w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n%40), fmt.Sprint(n))))
				case 2:
					writes = append(writes, w.remove(t, configMap(ns, fmt.Sprintf("kept-%d", n%40), "")))
				}
			}
			w.sentinel(t, ns)
			w.settle(t, scope())
			history := w.history(t)
			report(t, harness.Versions(history, writes))
			report(t, harness.Deletions(history, writes))
			undone := w.tip(t)

			if standing {
				stop(t, k)
			}
			cp.Kill()
			must(t, os.RemoveAll(state))
			must(t, os.CopyFS(state, os.DirFS(backup)))
			must(t, cp.Restart(within(t, startLimit)))
			if standing {
				k = w.startReady(t)
			}
			_, err := harness.AwaitEqual(within(t, startLimit), w.cfg, w.remote.Repository, scope())
			must(t, err)
			writes = nil
			for n := range 3 {
				for _, name := range []string{"after", "kept-1"} {
					writes = append(writes, w.apply(t, configMap(ns, name, fmt.Sprintf("after %d", n))))
				}
			}
			must(t, w.awaitVersions(within(t, stepLimit), undone, writes...))
			w.settle(t, scope())
			history, err = w.remote.History(undone + "..HEAD")
			must(t, err)
			report(t, harness.Versions(history, writes))
			stop(t, k)
		})
	}
}
