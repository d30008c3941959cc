package natstest

import (
	"net"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

func portOf(t testing.TB, s *server.Server) int {
	t.Helper()
	addr, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("the server listens on %v", s.Addr())
	}
	return addr.Port
}
