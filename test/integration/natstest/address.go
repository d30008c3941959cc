package natstest

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
)

// Address is where clients reach a server: its URL, or those of several, with commas between.
type Address string

func address(port int) Address { return Address(fmt.Sprintf("nats://127.0.0.1:%d", port)) }

// URL is what clients are told.
func (a Address) URL() string { return string(a) }

// Connect opens a bus connection that ends with the test.
func (a Address) Connect(t testing.TB) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	b, err := bus.Connect(ctx, bus.Config{Access: bus.Access{URL: a.URL()}, Name: t.Name(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// NATS opens a stock client's connection that ends with the test.
func (a Address) NATS(t testing.TB) *nats.Conn {
	t.Helper()
	nc := a.dial(t)
	t.Cleanup(nc.Close)
	return nc
}

func (a Address) dial(t testing.TB) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(a.URL(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	return nc
}
