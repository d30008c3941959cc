package integration

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/bus/bustest"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

func TestBus(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(t *testing.T) bustest.Server {
		n := natstest.Start(t)
		return bustest.Server{
			Connect: func(t *testing.T) *bus.Bus { return n.Connect(t) },
			NATS:    func(t *testing.T) *nats.Conn { return n.NATS(t) },
			Restart: func(t *testing.T) { n.Restart(t) },
		}
	})
}
