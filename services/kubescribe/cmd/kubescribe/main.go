// Command kubescribe writes a Kubernetes cluster into Git as it changes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubescribe/kubescribe/services/kubescribe/internal/cli"
)

// version is set by the linker.
var version = "devel"

func main() {
	first, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(first, func() { stop(); cancel() }) // from then on a second signal ends the process at once
	host, _ := os.Hostname()                              // "" names nobody, which is all it costs
	code := cli.Main(ctx, cli.Env{
		Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: version,
		Owner: fmt.Sprintf("%s-%d", host, os.Getpid()),
	})
	os.Exit(code)
}
