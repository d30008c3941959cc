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
	// Restart kills the server and starts it again on the same store.
	Restart func(t *testing.T)
}

// Run runs the suite; start gives each test a server without an install.
func Run(t *testing.T, start func(t *testing.T) Server) {
	for name, test := range map[string]func(*testing.T, Server){
		"provisioning":       provisioning,
		"duplicate":          duplicate,
		"AtoBtoA":            backAndForth,
		"fencing":            fencing,
		"tooLarge":           tooLarge,
		"freeze":             freeze,
		"competingHops":      competingHops,
		"restartUnderLoad":   restartUnderLoad,
		"wideFanOut":         wideFanOut,
		"resumedFanOut":      resumedFanOut,
		"quietCursor":        quietCursor,
		"fullStream":         fullStream,
		"boundedStop":        boundedStop,
		"overtakenHop":       overtakenHop,
		"leftCatchingUp":     leftCatchingUp,
		"logWentBack":        logWentBack,
		"logCut":             logCut,
		"poison":             poison,
		"poisonWithoutID":    poisonWithoutID,
		"newerVersion":       newerVersion,
		"bucket":             bucket,
		"bucketWatch":        bucketWatch,
		"registry":           registry,
		"registryBackoff":    registryBackoff,
		"seriesOfTwo":        seriesOfTwo,
		"seriesEndsSay":      seriesEndsSay,
		"seriesOutOfOrder":   seriesOutOfOrder,
		"seriesNotWhole":     seriesNotWhole,
		"seriesContents":     seriesContents,
		"seriesRoom":         seriesRoom,
		"seriesLostAnswer":   seriesLostAnswer,
		"seriesRestarts":     seriesRestarts,
		"seriesPurge":        seriesPurge,
		"fullSnap":           fullSnap,
		"requests":           requests,
		"requestPoison":      requestPoison,
		"requestsHandedOn":   requestsHandedOn,
		"runAskedInHand":     runAskedInHand,
		"consumersAreStable": consumersAreStable,
		"consumerRemoved":    consumerRemoved,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// provisioned is a connection to an install that was just made.
func provisioned(t *testing.T, s Server) *bus.Bus {
	t.Helper()
	b := s.Connect(t)
	if err := b.Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	return b
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
	h, body := c.Message()
	return l.Publish(t.Context(), subject.ChangeID(c), bus.Output{
		Subject: subject.EventChange(0, c.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	}, nil)
}

func stored(t *testing.T, s Server, stream, filter string) uint64 {
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
	var n uint64
	for v := range maps.Values(info.State.Subjects) {
		n += v
	}
	return n
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

// within waits for a condition; the deadline is there to fail, not to measure.
func within(t *testing.T, what string, d time.Duration, met func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			t.Fatalf("after %s still not: %s", d, what)
		case <-tick.C:
		}
	}
}
