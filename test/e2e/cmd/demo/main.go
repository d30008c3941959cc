// Command demo shows kubescribe at work on a real control plane and a real Git
// server, all of it on this machine's loopback interface, and checks the result.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubescribe/kubescribe/test/e2e/demo"
)

func main() {
	var o demo.Options
	flag.BoolVar(&o.Keep, "keep", false, "leave everything running until interrupted, and print how to reach it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := demo.Run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}
