package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// embed has the bus in this process.
func (i *install) embed(ctx context.Context) (err error) {
	i.server, err = server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(i.dir, "nats"), SyncAlways: true, MaxPayload: bus.MaxPayload + 64<<10,
	})
	if err != nil {
		return fmt.Errorf("starting the NATS server: %w", err)
	}
	i.server.Start()
	if !i.server.ReadyForConnections(startLimit) {
		return errors.New("the NATS server is not ready")
	}
	i.url = i.server.ClientURL()
	if err := i.connect(ctx, bus.Config{InProcess: i.server}, nats.InProcessServer(i.server)); err != nil {
		return err
	}
	if err := i.provision(ctx); err != nil {
		return err
	}
	return i.traffic.follow(i.watching)
}

// connect connects to the bus, which need not be provisioned.
func (i *install) connect(ctx context.Context, to bus.Config, watching nats.Option) (err error) {
	to.Name, to.Log = "bench", slog.New(slog.DiscardHandler)
	if i.bus, err = bus.Connect(ctx, to); err != nil {
		return err
	}
	if i.watching, err = nats.Connect(to.URL, watching); err != nil {
		return fmt.Errorf("watching the bus: %w", err)
	}
	return nil
}

// provision makes the streams of an install.
func (i *install) provision(ctx context.Context) (err error) {
	if err := i.bus.Provision(ctx, bus.Options{Replicas: 1, MaxBytes: i.limit}); err != nil {
		return err
	}
	i.phases, err = bus.OpenBucket[event.PhaseRecord](ctx, i.bus, subject.BucketPhase)
	return err
}
