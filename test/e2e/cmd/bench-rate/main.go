// Command bench-rate stores changes at a rate and says how far a git-writer falls behind
// them, on this machine's loopback interface alone.
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
	var o bench.RateOptions
	flag.IntVar(&o.Rate, "rate", 500, "changes a second")
	flag.IntVar(&o.Seconds, "seconds", 20, "for how long")
	flag.IntVar(&o.Files, "files", 10_000, "how many files the folder has")
	flag.StringVar(&o.JSON, "json", "", "`file` for the figures as JSON (default: printed behind the table)")
	flag.StringVar(&o.Logs, "logs", "", "`directory` in which the git-writer's log is kept (default: it goes)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := bench.Rate(ctx, o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench-rate: %v\n", err)
		os.Exit(1)
	}
}
