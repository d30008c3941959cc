package service

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// get asks an admin server; the connection is not kept.
func get(t *testing.T, addr net.Addr, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// running runs a role until the test ends, and then asserts that it ended well.
func running(t *testing.T, r Role) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s ended with %v", r.Name, err)
		}
	})
}

func TestAdmin(t *testing.T) {
	var ready atomic.Bool
	is := func(why string) func() error {
		return func() error {
			if ready.Load() {
				return nil
			}
			return errors.New(why)
		}
	}
	reg := NewRegistry()
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kubescribe_test_things"}, func() float64 { return 7 }))
	admin, addr, err := Admin("127.0.0.1:0", reg, []Role{
		{Name: "zebra", Ready: is("the bus is gone\nand will be back")},
		{Name: "ant", Ready: is("starting")},
		{Name: "fine", Ready: func() error { return nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	running(t, admin)
	if err := admin.Ready(); err != nil {
		t.Errorf("admin itself is not ready: %v", err)
	}

	if code, _ := get(t, addr, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz answers %d while roles are not ready", code)
	}
	const want = "ant: starting\nzebra: the bus is gone; and will be back\n"
	if code, body := get(t, addr, "/readyz"); code != http.StatusServiceUnavailable || body != want {
		t.Errorf("/readyz answers %d %q, want 503 %q", code, body, want)
	}
	shown := func(want ...string) {
		t.Helper()
		code, body := get(t, addr, "/metrics")
		for _, line := range want {
			if !strings.Contains(body, "\n"+line+"\n") {
				t.Errorf("/metrics answers %d without %q", code, line)
			}
		}
	}
	shown(`kubescribe_ready{role="ant"} 0`, `kubescribe_ready{role="fine"} 1`, `kubescribe_ready{role="zebra"} 0`)
	ready.Store(true)
	shown(`kubescribe_ready{role="ant"} 1`, `kubescribe_ready{role="fine"} 1`, `kubescribe_ready{role="zebra"} 1`, "kubescribe_test_things 7")
	if code, body := get(t, addr, "/readyz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/readyz answers %d %q", code, body)
	}
	code, body := get(t, addr, "/metrics")
	for _, name := range []string{"\ngo_goroutines ", "\nprocess_open_fds "} {
		if !strings.Contains(body, name) {
			t.Errorf("/metrics answers %d without %q", code, strings.TrimSpace(name))
		}
	}
	if code, _ := get(t, addr, "/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("an unknown path answers %d", code)
	}
}

func TestAdminAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, _, err = Admin(l.Addr().String(), NewRegistry(), nil)
	if err == nil {
		t.Fatal("two servers share an address")
	}
	for _, want := range []string{l.Addr().String(), "--listen", "in use"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
}

// TestRegistriesAreApart: two processes' worth of roles fit into one test.
func TestRegistriesAreApart(t *testing.T) {
	for i := range 2 {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "kubescribe_test_total"})
		if err := NewRegistry().Register(c); err != nil {
			t.Errorf("registry %d: %v", i, err)
		}
	}
	got, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got {
		if strings.HasPrefix(f.GetName(), "kubescribe_") {
			t.Errorf("%s is in the default registry", f.GetName())
		}
	}
}
