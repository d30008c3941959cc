// Command router runs the router against a NATS server.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubescribe/kubescribe/services/router"
	"github.com/kubescribe/kubescribe/shared/service"
)

func main() {
	first, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(first, func() { stop(); cancel() }) // from then on a second signal ends the process at once
	host, _ := os.Hostname()                              // "" names nobody, which is all it costs
	code := service.Process{
		Name: "router", Host: host, Args: os.Args[1:], Stderr: os.Stderr,
		Build: func(_ context.Context, e service.Env) (service.Role, error) {
			r := router.New(router.Deps{Bus: e.Bus, Log: e.Log, Metrics: e.Metrics, Replica: e.Owner})
			return service.Role{Name: "router", Run: r.Run, Ready: r.Ready}, nil
		},
	}.Main(ctx)
	os.Exit(code)
}
