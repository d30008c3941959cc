// Command watcher runs the watcher of one cluster against a NATS server.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"

	"github.com/kubescribe/kubescribe/services/watcher"
	"github.com/kubescribe/kubescribe/shared/service"
)

func main() {
	first, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(first, func() { stop(); cancel() }) // from then on a second signal ends the process at once
	o := watcher.Options{
		CredentialsRecipient: os.Getenv("KUBESCRIBE_CREDENTIALS_RECIPIENT"), MarkKeyFile: os.Getenv("KUBESCRIBE_MARK_KEY_FILE"),
	}
	host, _ := os.Hostname() // "" names nobody, which is all it costs
	code := service.Process{
		Name: "watcher", Host: host, Args: os.Args[1:], Stderr: os.Stderr,
		Flags: o.Flags,
		Check: o.Load,
		Build: func(ctx context.Context, e service.Env) (service.Role, error) {
			klog.SetSlogLogger(e.Log.With("role", "client-go")) // it would write its own format to stderr
			w, err := o.Watcher(ctx, watcher.Deps{Bus: e.Bus, Log: e.Log, Metrics: e.Metrics, Replica: e.Owner}, e.Owner)
			if err != nil {
				return service.Role{}, err
			}
			return service.Role{Name: "watcher", Run: w.Run, Ready: w.Ready}, nil
		},
	}.Main(ctx)
	os.Exit(code)
}
