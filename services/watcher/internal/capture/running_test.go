package capture

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/event"
)

// running is a worker on a fake API server and a fake lane.
type running struct {
	*Worker
	server *server
	lane   *lane
	cancel context.CancelFunc
	done   chan error
	counts *prometheus.CounterVec
	exact  int // how often the index was said to be exact
}

func (r *running) onExact(context.Context) error {
	r.exact++
	return nil
}

// live selects the widgets of these tests, elsewhere others.
var live, elsewhere = destination("live", "shop"), destination("elsewhere", "billing")

func destination(name string, namespaces ...string) event.Destination {
	return event.Destination{
		Key:   event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: name},
		Rules: []event.Rule{{Groups: []string{"example.com"}, Resources: []string{"widgets"}, Namespaces: namespaces}},
	}
}

var widgetType = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}

func selectionOf(t testing.TB, destinations ...event.Destination) *selection.Type {
	t.Helper()
	s, err := selection.New(destinations)
	if err != nil {
		t.Fatal(err)
	}
	return s.Of(widgetType)
}

// begin runs a worker until it is stopped, or the test ends: for destinations, or for live
// and elsewhere.
func begin(t *testing.T, s *server, l *lane, destinations ...event.Destination) *running {
	t.Helper()
	return start(t, s, l, "c-1", destinations...)
}

// start is begin, on the cluster of an id.
func start(t *testing.T, s *server, l *lane, clusterID string, destinations ...event.Destination) *running {
	t.Helper()
	return startWith(t, s, l, clusterID, nil, destinations...)
}

// beginWith is begin, with keys for what is sensitive.
func beginWith(t *testing.T, s *server, l *lane, keys *Sealing, destinations ...event.Destination) *running {
	t.Helper()
	return startWith(t, s, l, "c-1", keys, destinations...)
}

func startWith(t *testing.T, s *server, l *lane, clusterID string, keys *Sealing, destinations ...event.Destination) *running {
	t.Helper()
	if len(destinations) == 0 {
		destinations = []event.Destination{live, elsewhere}
	}
	ctx, cancel := context.WithCancel(t.Context())
	counts := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "events_total"}, []string{"outcome"})
	r := &running{server: s, lane: l, cancel: cancel, done: make(chan error, 1), counts: counts}
	r.Worker = New(Config{
		Type:    discover.Type{GroupVersionResource: widgetType, Kind: "Widget", Namespaced: true},
		Cluster: "prod", ClusterID: clusterID, Part: 3, Client: s, Namespaced: s.in, Lane: l, Bus: reader{l}, Bookmarks: l,
		Destinations: destinations, Selection: selectionOf(t, destinations...), Sealing: keys, AskRun: l.askRun, CaughtUp: l.caughtUp, OnExact: r.onExact,
		Rereads: make(chan struct{}, 1), Registry: 7, Log: slog.New(slog.DiscardHandler), Events: counts,
	})
	go func() { r.done <- r.Run(ctx) }()
	t.Cleanup(cancel)
	synctest.Wait()
	return r
}

// stop ends a worker as a shutdown does.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Errorf("the worker ended with %v", err)
	}
}

// advance lets time pass.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// check asserts what was published since the last check.
func (r *running) check(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := r.lane.take(t); !slices.Equal(got, want) {
		t.Errorf("%s it published\n\t%s\nwant\n\t%s", when, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// asked asserts which runs were asked for since the last call, and what bookmark
// stood by then.
func (r *running) asked(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := r.lane.runs(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("it asked for %q, want %q", got, want)
	}
}

// frozen asserts what live's objects are in the index.
func (r *running) frozen(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	objects, exact := r.Freeze(live.Key)
	var got []string
	for _, o := range objects {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s/%s %d", o.Namespace, o.Name, o.Version)))
	}
	slices.Sort(got)
	if !exact || !slices.Equal(got, want) {
		t.Errorf("%s the index is exact %v with %q, want %q", when, exact, got, want)
	}
}

func (r *running) counted(outcome string) int {
	return int(testutil.ToFloat64(r.counts.WithLabelValues(outcome)))
}

func bubble(t *testing.T, f func(t *testing.T, s *server, l *lane)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newServer(), newLane()) })
}
