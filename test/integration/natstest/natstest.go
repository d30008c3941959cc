// Package natstest runs real NATS servers for tests.
package natstest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
)

// Server is one node with JetStream on loopback.
type Server struct {
	opts server.Options
	s    *server.Server
}

// Patience is how long a test waits for what has to come about. It is there to fail, not to
// measure: on a busy machine all takes several times as long.
const Patience = 3 * time.Minute

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	n := &Server{opts: server.Options{
		ServerName: "test", Host: "127.0.0.1", Port: freePort(t), NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: bus.MaxPayload + 64<<10,
	}}
	n.start(t)
	t.Cleanup(func() { n.stop() })
	return n
}

func (n *Server) start(t testing.TB) {
	t.Helper()
	s, err := server.NewServer(&n.opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(Patience) {
		t.Fatal("the NATS server is not ready")
	}
	n.s = s
}

func (n *Server) stop() {
	n.s.Shutdown()
	n.s.WaitForShutdown()
}

// Restart stops the server and starts it on the same store and port.
func (n *Server) Restart(t testing.TB) {
	t.Helper()
	n.stop()
	n.start(t)
}

// URL is where the server listens.
func (n *Server) URL() string { return n.s.ClientURL() }

// StoreDir is where the server keeps what it stores.
func (n *Server) StoreDir() string { return n.opts.StoreDir }

// Connect opens a bus connection that ends with the test.
func (n *Server) Connect(t testing.TB) *bus.Bus {
	t.Helper()
	return connect(t, n.URL())
}

func connect(t testing.TB, url string) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	b, err := bus.Connect(ctx, bus.Config{URL: url, Name: t.Name(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// NATS opens a stock client's connection that ends with the test.
func (n *Server) NATS(t testing.TB) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(n.URL(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
