// Command bench-e2e has a real control plane's objects change while kubescribe brings them
// to a remote, and holds what that takes against targets, on this machine's loopback
// interface alone.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/kubescribe/kubescribe/test/e2e/bench"
)

func main() {
	var o bench.E2EOptions
	only := flag.String("only", "", "`expression` that the names of what is measured match, of these (default: all):\n"+strings.Join(bench.E2EScenarios(), "\n"))
	flag.IntVar(&o.Runs, "runs", 1, "how often each rate is measured: the one with the lowest p99 counts, at full speed with the most changes")
	flag.IntVar(&o.Seconds, "seconds", 15, "for how long changes come")
	flag.IntVar(&o.Kills, "kills", 3, "how often each role is killed")
	flag.StringVar(&o.JSON, "json", "", "`file` for the figures as JSON (default: printed behind the table)")
	flag.StringVar(&o.Logs, "logs", "", "`directory` in which the logs are kept (default: they go)")
	flag.Parse()
	err := error(nil)
	if o.Only, err = regexp.Compile(*only); err != nil || min(o.Runs, o.Seconds, o.Kills) < 1 {
		fmt.Fprintln(os.Stderr, "bench-e2e: -only has to be a regular expression, and each of the numbers at least 1")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := bench.E2E(ctx, o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench-e2e: %v\n", err)
		os.Exit(1)
	}
}
