package natstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

const (
	// Ports are of a range that no kernel gives by itself, to a client for instance, so
	// that nobody else has a server's while it is being restarted.
	firstPort = 20000
	ports     = 10000
)

var taken atomic.Int64

func init() { taken.Store(rand.Int64N(ports)) } // other processes choose, too

// freePort is a port of loopback that this process gives to nobody else.
func freePort(t testing.TB) int {
	t.Helper()
	for range ports {
		port := firstPort + int(taken.Add(1)%ports)
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
