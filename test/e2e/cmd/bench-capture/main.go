// Command bench-capture starts kubescribe beside a cluster that has many objects of many
// types and holds what that takes against targets, on this machine's loopback interface
// alone.
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
	var o bench.CaptureOptions
	flag.IntVar(&o.Runs, "runs", 3, "how often it is started: the quickest counts, and the most memory")
	flag.IntVar(&o.Types, "types", 50, "how many types are selected")
	flag.IntVar(&o.Each, "each", 100, "how many objects of each type there are")
	flag.IntVar(&o.Changes, "changes", 100, "how many changes are made afterwards")
	flag.StringVar(&o.JSON, "json", "", "`file` for the figures as JSON (default: printed behind the table)")
	flag.StringVar(&o.Logs, "logs", "", "`directory` in which the logs are kept (default: they go)")
	flag.Parse()
	if min(o.Runs, o.Types, o.Each, o.Changes) < 1 {
		fmt.Fprintln(os.Stderr, "bench-capture: each of the numbers has to be at least 1")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := bench.Capture(ctx, o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench-capture: %v\n", err)
		os.Exit(1)
	}
}
