// Command stream runs the destination streams against a NATS server.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubescribe/kubescribe/services/stream"
	"github.com/kubescribe/kubescribe/shared/service"
)

func main() {
	first, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(first, func() { stop(); cancel() }) // from then on a second signal ends the process at once
	host, _ := os.Hostname()                              // "" names nobody, which is all it costs
	code := service.Process{
		Name: "stream", Host: host, Args: os.Args[1:], Stderr: os.Stderr,
		Build: func(ctx context.Context, e service.Env) (service.Role, error) {
			s, err := stream.New(ctx, stream.Deps{Bus: e.Bus, Log: e.Log, Metrics: e.Metrics, Owner: e.Owner, Replica: e.Owner})
			if err != nil {
				return service.Role{}, err
			}
			return service.Role{Name: "stream", Run: s.Run, Ready: s.Ready}, nil
		},
	}.Main(ctx)
	os.Exit(code)
}
