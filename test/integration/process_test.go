package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/service"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// readyz asks a process how it is.
func readyz(t *testing.T, addr string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/readyz", nil)
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

// TestProcess: a service that starts before its install is provisioned waits for
// it, says so, works through a restart of the server, and ends with 0.
func TestProcess(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	r, w := io.Pipe()
	listen := make(chan string, 1)
	go func() {
		for in := bufio.NewScanner(r); in.Scan(); {
			var line struct{ Listen string }
			if json.Unmarshal(in.Bytes(), &line) == nil && line.Listen != "" {
				listen <- line.Listen
			}
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var built atomic.Int32
	code := make(chan int, 1)
	go func() {
		code <- service.Process{
			Name: "probe", Args: []string{"--nats", n.URL(), "--listen", "127.0.0.1:0"}, Stderr: w,
			Build: func(_ context.Context, e service.Env) (service.Role, error) {
				built.Add(1)
				if e.Bus.Install.Incarnation == "" {
					t.Error("the role is built on an install that was not verified")
				}
				return service.Role{Run: func(ctx context.Context) error { <-ctx.Done(); return nil }, Ready: func() error { return nil }}, nil
			},
		}.Main(ctx)
		_ = w.Close()
	}()
	addr := <-listen
	until := func(what string, want int, says string) {
		t.Helper()
		bound, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			got, body := readyz(t, addr)
			if got == want && strings.Contains(body, says) {
				return
			}
			select {
			case <-bound.Done():
				t.Fatalf("%s: /readyz answers %d %q", what, got, body)
			case <-tick.C:
			}
		}
	}
	until("before it is provisioned", http.StatusServiceUnavailable, "provision it first")
	if built.Load() != 0 {
		t.Error("the role is built before there is an install")
	}
	if err := n.Connect(t).Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	until("once provisioned", http.StatusOK, "ok")
	n.Restart(t)
	until("after a restart of the server", http.StatusOK, "ok")
	cancel()
	select {
	case c := <-code:
		if c != service.ExitOK {
			t.Errorf("it ended with %d", c)
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if n := built.Load(); n != 1 {
		t.Errorf("the role was built %d times", n)
	}
}
