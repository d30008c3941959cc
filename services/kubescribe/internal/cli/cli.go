// Package cli is kubescribe's command line.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubescribe/kubescribe/shared/service"
)

// Env is what a command line gets from its process.
type Env struct {
	Args    []string
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	Version string
	Owner   string // this process, for those who look at who does what
}

// usageError is something that was typed wrong.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage makes an error of what was typed.
func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitError ends a command with a code of its own, and where that is all there is to
// say, without an error.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return fmt.Sprint(e.err) }
func (e exitError) Unwrap() error { return e.err }

// Main runs a command until it is done or ctx ends, and returns the exit code: 2
// for what was typed wrong, 1 for everything else that goes wrong.
func Main(ctx context.Context, env Env) int {
	root := &cobra.Command{
		Use:           "kubescribe",
		Short:         "Write a Kubernetes cluster into Git as it changes",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return checkGiven(cmd.Flags()) },
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetArgs(env.Args)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; see %s --help", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(runCommand(env), getCommand(env), reconcileCommand(env), approveCommand(env), diffCommand(env), dlqCommand(env), explainCommand(env), keygenCommand(env), provisionCommand(env), replayCommand(env), tailCommand(env), versionCommand(env))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return service.ExitOK
	}
	var own exitError
	if errors.As(err, &own) && own.err == nil {
		return own.code
	}
	fmt.Fprintf(env.Stderr, "%s: %v\n", cmd.CommandPath(), err)
	if own.code != service.ExitOK {
		return own.code
	}
	var typed usageError
	if errors.As(err, &typed) || isUnknown(cmd, root) {
		return service.ExitUsage
	}
	return service.ExitError
}

// checkGiven refuses flags that were given with nothing in them: what a script
// has not set must not come to mean the default.
func checkGiven(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if slices.Contains(values, "") {
			err = usage("--%s is empty: give it a value, or leave it out", f.Name)
		}
	})
	return err
}

// unlessStopped drops the error of a start that was told to stop: it has done as
// it was told, and the next start begins where this one got to.
func unlessStopped(ctx context.Context, err error, log *slog.Logger) error {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	log.Info("stopped before everything had started", "err", err)
	return nil
}

// isUnknown reports whether no command was found: cobra says so on the root,
// which does nothing that could go wrong otherwise.
func isUnknown(cmd, root *cobra.Command) bool { return cmd == root }

func versionCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(env.Stdout, "kubescribe %s (%s, %s/%s)\n", env.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// noArgs is cobra.NoArgs as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("unexpected argument %q; see %s --help", args[0], cmd.CommandPath())
	}
	return nil
}
