package integration

import (
	"fmt"
	"testing"

	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestRestartsLeaveNoConsumers: a hundred restarts, each a kill in the middle of a change and right
// behind the one before, leave no consumer: there are as many in the end as there were.
func TestRestartsLeaveNoConsumers(t *testing.T) {
	long(t)
	t.Parallel()
	const restarts = 100
	m := prepareMirror(t, "{}", []string{"d"}, "configmaps")
	roles := m.startAll(reconciler.Deps{})
	m.until("it is live", func() bool { p := m.phase("d"); return p.Phase == event.LiveProcessing && !p.Running() })
	m.tidied()
	before := m.consumers()
	restarted := []string{"watcher", "router", "stream", "reconciler"}
	for n := range restarts {
		m.cluster.put("configmaps", "shop", fmt.Sprint("of-", n%10), fmt.Sprint(n))
		name := restarted[n%len(restarted)]
		roles[name].bus.Close() // whatever it does
		roles[name].stop()
		roles[name] = m.start(name, reconciler.Deps{})
	}
	last := m.cluster.put("configmaps", "shop", "last", "x")
	m.until("all is on the remote", func() bool {
		all := m.stand.versions()
		return len(all) > 0 && all[len(all)-1] == fmt.Sprint(last)
	})
	most := m.consumers()
	m.consumersFallTo(before)
	t.Logf("%d consumers before, %d right behind the last of %d restarts, %d in the end", before, most, restarts, m.consumers())
}
