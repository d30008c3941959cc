// Package bustest is the conformance suite of package bus: what every NATS
// server that kubescribe runs on must hold, on one node and on three.
package bustest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Server is the server under test.
type Server struct {
	// Connect opens another connection to an install of its own.
	Connect func(t *testing.T) *bus.Bus
	// NATS is a stock client's connection to the same.
	NATS func(t *testing.T) *nats.Conn
	// Restart kills the server, or one of its nodes, and starts it again on the same store.
	Restart func(t *testing.T)
	// Lossy is Connect, of a connection that ends right behind each n-th message that is
	// published under subjects which begin so: its answer is lost. lost counts them.
	Lossy func(t *testing.T, published string, nth int64) (b *bus.Bus, lost func() int64)
	// Replicas is how many nodes keep a message; 0: there is one node.
	Replicas int
}

func (s Server) replicas() int { return max(s.Replicas, 1) }

// Run runs the suite; start gives each test a server without an install.
func Run(t *testing.T, start func(t *testing.T) Server) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// RunSome runs tests of the suite, one after the other.
func RunSome(t *testing.T, start func(t *testing.T) Server, names ...string) {
	for _, name := range names {
		test := tests[name]
		if test == nil {
			t.Errorf("the suite has no test %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

// tests are the suite.
var tests = map[string]func(*testing.T, Server){
	"provisioning":        provisioning,
	"duplicate":           duplicate,
	"AtoBtoA":             backAndForth,
	"fencing":             fencing,
	"tooLarge":            tooLarge,
	"freeze":              freeze,
	"publishAll":          publishAll,
	"refusedTogether":     refusedTogether,
	"publishTogether":     publishTogether,
	"stalledReader":       stalledReader,
	"batchesUnderKills":   batchesUnderKills,
	"killedBehindAnswers": killedBehindAnswers,
	"forgetful":           forgetful,
	"cutRange":            cutRange,
	"competingHops":       competingHops,
	"storedTogether":      storedTogether,
	"stuckBehindOthers":   stuckBehindOthers,
	"togetherUnderKills":  togetherUnderKills,
	"restartUnderLoad":    restartUnderLoad,
	"wideFanOut":          wideFanOut,
	"resumedFanOut":       resumedFanOut,
	"quietCursor":         quietCursor,
	"fullStream":          fullStream,
	"boundedStop":         boundedStop,
	"overtakenHop":        overtakenHop,
	"leftCatchingUp":      leftCatchingUp,
	"logWentBack":         logWentBack,
	"leaderBehind":        leaderBehind,
	"logCut":              logCut,
	"poison":              poison,
	"poisonWithoutID":     poisonWithoutID,
	"letters":             letters,
	"fullDeadLetters":     fullDeadLetters,
	"newerVersion":        newerVersion,
	"bucket":              bucket,
	"bucketWatch":         bucketWatch,
	"registry":            registry,
	"registryBackoff":     registryBackoff,
	"seriesOfTwo":         seriesOfTwo,
	"seriesEndsSay":       seriesEndsSay,
	"seriesOutOfOrder":    seriesOutOfOrder,
	"seriesNotWhole":      seriesNotWhole,
	"seriesContents":      seriesContents,
	"seriesRoom":          seriesRoom,
	"seriesLostAnswer":    seriesLostAnswer,
	"seriesRestarts":      seriesRestarts,
	"seriesPurge":         seriesPurge,
	"fullSnap":            fullSnap,
	"requests":            requests,
	"requestPoison":       requestPoison,
	"requestsHandedOn":    requestsHandedOn,
	"requestsRead":        requestsRead,
	"requestsShared":      requestsShared,
	"runAskedInHand":      runAskedInHand,
	"leasesAreShared":     leasesAreShared,
	"leasesRaced":         leasesRaced,
	"leasesOfTheGone":     leasesOfTheGone,
	"leasesByName":        leasesByName,
	"leaseTaken":          leaseTaken,
	"leasesLeftAlone":     leasesLeftAlone,
	"leasesSurvive":       leasesSurvive,
	"consumersAreStable":  consumersAreStable,
	"consumerRemoved":     consumerRemoved,
}

// provisioned is a connection to an install that was just made.
func provisioned(t *testing.T, s Server) *bus.Bus {
	t.Helper()
	b := s.Connect(t)
	if err := b.Provision(t.Context(), bus.Options{Replicas: s.replicas()}); err != nil {
		t.Fatal(err)
	}
	return b
}

// forgets has the streams remember IDs no longer than for a while.
func forgets(t *testing.T, s Server, window time.Duration) {
	t.Helper()
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{subject.Events, subject.Live, subject.Write, subject.Snap, subject.Ctl, subject.DLQ} {
		st, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := st.CachedInfo().Config
		cfg.Duplicates = window
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// change is a version of a ConfigMap.
func change(name, rv, content string) event.Change {
	c := event.Change{
		Object: event.Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: name},
		Op:     event.Update, Cluster: "test", ClusterID: "c-1", UID: "u-" + name, ResourceVersion: rv,
		Hash: manifest.Hash([]byte(content)), Origin: event.Live, Resume: rv, Manifest: []byte(content),
	}
	return c
}

func publish(t *testing.T, l *bus.Lane, c event.Change) (duplicate bool, err error) {
	t.Helper()
	return l.Publish(t.Context(), item(c))
}

// item is a change as it is published.
func item(c event.Change) bus.Item {
	h, body := c.Message()
	return bus.Item{ID: subject.ChangeID(c), Output: bus.Output{
		Subject: subject.EventChange(0, c.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	}}
}

// stored is how many messages a stream holds under a filter.
func stored(t *testing.T, s Server, stream, filter string) (n uint64) {
	t.Helper()
	for of := range maps.Values(subjects(t, s, stream, filter)) {
		n += of
	}
	return n
}

// subjects are those of a stream under a filter, and how many messages each has.
func subjects(t *testing.T, s Server, stream, filter string) map[string]uint64 {
	t.Helper()
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := st.Info(t.Context(), jetstream.WithSubjectFilter(filter))
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Subjects
}

func provisioning(t *testing.T, s Server) {
	b := s.Connect(t)
	if err := b.Verify(t.Context()); !errors.Is(err, bus.ErrNotProvisioned) {
		t.Fatalf("a server without an install: %v", err)
	}
	if err := b.Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	first := b.Install
	other := s.Connect(t)
	if err := other.Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatalf("provisioning again: %v", err)
	}
	if other.Install != first || first.Incarnation == "" {
		t.Fatalf("the install changed from %v to %v", first, other.Install)
	}
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publish(t, l, change("web", "1", "a")); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), subject.Live); err != nil {
		t.Fatal(err)
	}
	err = s.Connect(t).Provision(t.Context(), bus.Options{Replicas: 1})
	if fault.ClassOf(err) != fault.Terminate || !strings.Contains(err.Error(), subject.Live) {
		t.Fatalf("a stream is gone and provisioning says: %v", err)
	}
}

// patience is how long a test waits for what has to come about. It is there to fail, not to measure:
// on a busy machine all takes several times as long.
const patience = 3 * time.Minute

// until waits for a condition.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			t.Fatalf("after %s still not: %s", patience, what)
		case <-tick.C:
		}
	}
}
