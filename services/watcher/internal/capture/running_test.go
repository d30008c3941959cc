package capture

import (
	"context"
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
)

// running is a worker on a fake API server and a fake lane.
type running struct {
	*Worker
	server *server
	lane   *lane
	cancel context.CancelFunc
	done   chan error
	counts *prometheus.CounterVec
}

// begin runs a worker until it is stopped, or the test ends.
func begin(t *testing.T, s *server, l *lane) *running {
	t.Helper()
	return start(t, s, l, "c-1")
}

// start is begin, on the cluster of an id.
func start(t *testing.T, s *server, l *lane, clusterID string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	counts := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "events_total"}, []string{"outcome"})
	r := &running{server: s, lane: l, cancel: cancel, done: make(chan error, 1), counts: counts}
	r.Worker = New(Config{
		Type:    discover.Type{GroupVersionResource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}, Kind: "Widget", Namespaced: true},
		Cluster: "prod", ClusterID: clusterID, Part: 3, Client: s, Lane: l, Bus: l, Bookmarks: l,
		Registry: func() uint64 { return 7 }, Log: slog.New(slog.DiscardHandler), Events: counts,
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

func (r *running) counted(outcome string) int {
	return int(testutil.ToFloat64(r.counts.WithLabelValues(outcome)))
}

func bubble(t *testing.T, f func(t *testing.T, s *server, l *lane)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newServer(), newLane()) })
}
