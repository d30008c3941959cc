// Command soak has kubescribe bring changes of a real control plane to a remote for long,
// and says whether what it holds grows, on this machine's loopback interface alone.
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
	var o bench.SoakOptions
	flag.IntVar(&o.Minutes, "minutes", 60, "for how long changes come")
	flag.StringVar(&o.JSON, "json", "", "`file` for the figures as JSON (default: printed behind the table)")
	flag.StringVar(&o.Logs, "logs", "", "`directory` in which the logs are kept (default: they go)")
	flag.Parse()
	if o.Minutes < 1 {
		fmt.Fprintln(os.Stderr, "soak: -minutes has to be at least 1")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := bench.Soak(ctx, o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
		os.Exit(1)
	}
}
