// Package bus runs the conformance suite of shared/bus on real NATS servers: a package of its own, since
// its tests need nothing of the services.
package bus

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/bus/bustest"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// node is a NATS server, or several that are one to their clients.
type node interface {
	Connect(t testing.TB) *bus.Bus
	NATS(t testing.TB) *nats.Conn
	Link(t testing.TB) *natstest.Link
	Restart(t testing.TB)
}

// on is a server as the suite takes it.
func on(n node) bustest.Server {
	return bustest.Server{
		Connect: func(t *testing.T) *bus.Bus { return n.Connect(t) },
		NATS:    func(t *testing.T) *nats.Conn { return n.NATS(t) },
		Restart: func(t *testing.T) { n.Restart(t) },
		Lossy: func(t *testing.T, published string, nth int64) (*bus.Bus, func() int64) {
			link := n.Link(t)
			b := link.Connect(t)
			return b, link.EndBehindEvery("HPUB "+published, nth)
		},
	}
}

func TestBus(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(t *testing.T) bustest.Server { return on(natstest.Start(t)) })
}

// long leaves out what takes long where that is asked for: make test has no time for it.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes long: make long plays it, for make verify too")
	}
}

// TestBusKilled: what has to survive that the server goes does so where it is killed, and so has
// no moment to write down what it has in mind.
func TestBusKilled(t *testing.T) {
	long(t)
	t.Parallel()
	bin, err := natstest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	bustest.RunSome(t, func(t *testing.T) bustest.Server { return on(natstest.StartProcess(t, bin)) },
		"killedBehindAnswers", "batchesUnderKills", "togetherUnderKills", "restartUnderLoad", "cutRange", "forgetful",
		"wideFanOut", "quietCursor", "seriesRestarts", "seriesLostAnswer", "leasesSurvive")
}

// TestBusOnThree: what depends on how a message is kept holds where three nodes keep it, of which one
// after the other is restarted.
func TestBusOnThree(t *testing.T) {
	long(t)
	t.Parallel()
	c := natstest.StartCluster(t)
	bustest.RunSome(t, func(t *testing.T) bustest.Server {
		t.Cleanup(func() { c.Clear(t) })
		s := on(c)
		s.Replicas = natstest.Nodes
		return s
	},
		"AtoBtoA", "fencing", "competingHops", "killedBehindAnswers", "batchesUnderKills", "forgetful", "cutRange", "wideFanOut",
		"quietCursor", "leaderBehind", "logWentBack", "logCut", "seriesNotWhole", "leasesOfTheGone")
}
