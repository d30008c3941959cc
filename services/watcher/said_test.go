package watcher

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/internal/registry"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
)

// resetting is an API server that resets each connection, and each had another
// port on this side.
func resetting() *rest.Config {
	port := 50000
	return &rest.Config{Host: "http://127.0.0.1:6443", Dial: func(context.Context, string, string) (net.Conn, error) {
		port++
		here := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
		there := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6443}
		return nil, &net.OpError{Op: "read", Net: "tcp", Source: here, Addr: there, Err: syscall.ECONNRESET}
	}}
}

// TestOutageIsSaidOnce: an outage is one line in the log, however often it is met.
func TestOutageIsSaidOnce(t *testing.T) {
	for name, run := range map[string]func(ctx context.Context, w *Watcher){
		"cluster": func(ctx context.Context, w *Watcher) { _ = w.configure(ctx) },
		"types":   func(ctx context.Context, w *Watcher) { (&session{Watcher: w}).discover(ctx, nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rc := resetting()
				client, err := kubernetes.NewForConfig(rc)
				if err != nil {
					t.Fatal(err)
				}
				types, err := discovery.NewDiscoveryClientForConfig(rc)
				if err != nil {
					t.Fatal(err)
				}
				var log bytes.Buffer
				w := &Watcher{
					cfg: Config{REST: rc, Documents: &v1alpha1.Documents{}}, client: client, discovery: types, holding: newHolding(true),
					log:           slog.New(slog.NewTextHandler(&log, nil)),
					interruptions: prometheus.NewCounter(prometheus.CounterOpts{Name: "interruptions_total"}),
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				run(ctx, w)
				if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "connection reset") {
					t.Errorf("%d warnings:\n%s", n, log.String())
				}
			})
		})
	}
}

// TestFailingGroup: a group that fails is one line when it begins, and one when it
// ends.
func TestFailingGroup(t *testing.T) {
	var log bytes.Buffer
	s := &session{
		Watcher: &Watcher{cfg: Config{REST: &rest.Config{}}, log: slog.New(slog.NewTextHandler(&log, nil))},
		known:   make(chan struct{}),
	}
	metrics, custom := schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1"}, schema.GroupVersion{Group: "custom.example.com", Version: "v1"}
	down := errors.New("no endpoints")
	look := func(failed map[schema.GroupVersion]error, want ...string) {
		t.Helper()
		log.Reset()
		s.adjust(t.Context(), nil, discover.Found{Failed: failed})
		var lines []string
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "group=") {
				lines = append(lines, line)
			}
		}
		if len(lines) != len(want) {
			t.Fatalf("it says\n%s\nwant %d lines", log.String(), len(want))
		}
		for i, line := range lines {
			if !strings.Contains(line, want[i]) {
				t.Errorf("it says %s, want %s", line, want[i])
			}
		}
	}
	look(map[schema.GroupVersion]error{metrics: down}, "level=WARN")
	look(map[schema.GroupVersion]error{metrics: errors.New("timeout")})
	look(map[schema.GroupVersion]error{metrics: down, custom: down}, custom.Group)
	look(map[schema.GroupVersion]error{custom: down}, "level=INFO")
	look(nil, custom.Group)
	look(nil)
	look(map[schema.GroupVersion]error{metrics: down}, "level=WARN")
}

// TestLeftIsSaidOnce: rules that name a version which is not followed are said once, with
// the version to name, and again once that is another.
func TestLeftIsSaidOnce(t *testing.T) {
	var log bytes.Buffer
	s := newSession(&Watcher{log: slog.New(slog.NewTextHandler(&log, nil))}, "cluster-uid", []event.Destination{
		{Key: event.DestinationKey{Cluster: "c", Namespace: "n", Name: "old"}, Rules: []event.Rule{{Groups: []string{"batch"}, Versions: []string{"v1beta1"}, Resources: []string{"*"}}}},
		{Key: event.DestinationKey{Cluster: "c", Namespace: "n", Name: "all"}, Rules: []event.Rule{{Groups: []string{"*"}, Resources: []string{"*"}}}},
	}, nil, registry.Synced{})
	served := func(version string) (all []discover.Type) {
		for _, name := range []string{"cronjobs", "jobs"} {
			all = append(all, discover.Type{GroupVersionResource: schema.GroupVersionResource{Group: "batch", Version: version, Resource: name}, Namespaced: true})
		}
		return append(all, discover.Type{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, Namespaced: true})
	}
	s.sayLeft(served("v1"))
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, `destination=c/n/old types="cronjobs.batch v1, jobs.batch v1"`) {
		t.Errorf("it says %q", said)
	}
	log.Reset()
	s.sayLeft(served("v1"))
	s.sayLeft(served("v1beta1"))
	if log.Len() > 0 {
		t.Errorf("it says again, or of what is followed, %q", &log)
	}
	s.sayLeft(served("v1"))
	if log.Len() == 0 {
		t.Error("after an upgrade it says nothing")
	}
}
