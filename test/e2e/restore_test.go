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
// undone there, and what comes then arrives.
func TestClusterRestored(t *testing.T) {
	for _, standing := range []bool{false, true} {
		if standing && os.Getenv(allRaces) == "" {
			continue // it takes a minute: make races does it
		}
		t.Run(map[bool]string{false: "looking on", true: "stopped meanwhile"}[standing], func(t *testing.T) {
			cp := ownCluster(t)
			w := newWorld(t, cp)
			ns := w.namespace(t, "restored")
			k := w.startReady(t)
			for n := range 10 {
				w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n), "1"))
			}
			w.fill(t, ns, 150) // so that what is undone is no mass deletion
			w.sentinel(t, ns)
			w.settle(t, scope())

			state, backup := filepath.Join(filepath.Dir(cp.Kubeconfig()), "etcd"), filepath.Join(t.TempDir(), "backup")
			cp.Kill()
			must(t, os.CopyFS(backup, os.DirFS(state)))
			must(t, cp.Restart(within(t, startLimit)))
			for n := range 100 {
				switch n % 3 {
				case 0:
					w.apply(t, configMap(ns, fmt.Sprintf("undone-%d", n), "1"))
				case 1:
					w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n%10), fmt.Sprint(n)))
				case 2:
					if n < 27 {
						w.remove(t, configMap(ns, fmt.Sprintf("kept-%d", n/3), ""))
					}
				}
			}
			w.sentinel(t, ns)
			w.settle(t, scope())

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
			w.apply(t, configMap(ns, "after", "1"))
			w.apply(t, configMap(ns, "kept-1", "after"))
			_, err = harness.AwaitEqual(within(t, startLimit), w.cfg, w.remote.Repository, scope())
			must(t, err)
			stop(t, k)
		})
	}
}
