// Command bench-reconcile measures the reconciliation of up to 100,000 objects and
// holds it against targets, on this machine's loopback interface alone.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubescribe/kubescribe/test/e2e/bench"
)

func main() {
	o := bench.Options{Real: []int{1000, 10_000}, Generated: []int{10_000, 100_000}, Held: 10_000}
	flag.IntVar(&o.Runs, "runs", 3, "how often each case is measured: the quickest counts")
	flag.StringVar(&o.JSON, "json", "", "`file` for the figures as JSON (default: printed behind the table)")
	flag.Var((*sizes)(&o.Real), "real", "numbers of objects on a real control plane")
	flag.Var((*sizes)(&o.Generated), "generated", "numbers of objects on a generated state")
	flag.IntVar(&o.Held, "held", o.Held, "how many changes are held back")
	flag.StringVar(&o.Logs, "logs", "", "`directory` in which the logs are kept (default: they go)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := bench.Run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench-reconcile: %v\n", err)
		os.Exit(1)
	}
}
