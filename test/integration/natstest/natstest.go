// Package natstest runs real NATS servers for tests.
package natstest

import (
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/kubescribe/kubescribe/shared/bus"
)

// Server is one node with JetStream on loopback, in this process.
type Server struct {
	Address
	opts    server.Options
	s       *server.Server
	refused refusals
}

// Patience is how long a test waits for what has to come about. It is there to fail, not to
// measure: on a busy machine all takes several times as long.
const Patience = 3 * time.Minute

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	n := newServer(t, "test")
	n.start(t)
	t.Cleanup(func() { n.stop() })
	return n
}

// maxPayload is the server's limit.
const maxPayload = bus.MaxPayload + 64<<10

// newServer is one that does not run yet.
func newServer(t testing.TB, name string) *Server {
	t.Helper()
	port := freePort(t)
	n := &Server{Address: address(port), opts: server.Options{
		ServerName: name, Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: maxPayload,
	}}
	setUsers(t, &n.opts)
	t.Cleanup(func() { n.refused.check(t) })
	return n
}

func (n *Server) start(t testing.TB) {
	t.Helper()
	s, err := server.NewServer(&n.opts)
	if err != nil {
		t.Fatal(err)
	}
	s.SetLoggerV2(&n.refused, false, false, false)
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

// Copy stops the server, copies its whole store, and starts it again. What it returns puts
// that copy in the place of whatever the store holds by then, as one who has only that.
func (n *Server) Copy(t testing.TB) (restore func()) {
	t.Helper()
	kept := t.TempDir()
	n.stop()
	copyAll(t, kept, n.opts.StoreDir)
	n.start(t)
	return func() {
		t.Helper()
		n.stop()
		if err := os.RemoveAll(n.opts.StoreDir); err != nil {
			t.Fatal(err)
		}
		copyAll(t, n.opts.StoreDir, kept)
		n.start(t)
	}
}

func copyAll(t testing.TB, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// StoreDir is where the server keeps what it stores.
func (n *Server) StoreDir() string { return n.opts.StoreDir }
