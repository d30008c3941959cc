// Command mutants breaks kubescribe in each way that mutants.List names, and fails unless a
// test notices each. It is run in the root of the repository.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"

	"github.com/kubescribe/kubescribe/test/integration/mutants"
)

func main() {
	only := flag.String("only", "", "`expression` that the names of the mutants match (default: all)")
	flag.Parse()
	chosen, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: -only has to be a regular expression: %v\n", err)
		os.Exit(2)
	}
	list := slices.DeleteFunc(mutants.List(), func(m mutants.Mutant) bool { return !chosen.MatchString(m.Name) })
	if len(list) == 0 {
		fmt.Fprintln(os.Stderr, "mutants: none has a name that -only matches")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := (mutants.Runner{Root: ".", Out: os.Stdout}).Run(ctx, list); err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		os.Exit(1)
	}
}
