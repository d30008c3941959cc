package cluster

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// Options says what `controlplane up` runs and where it keeps its data.
type Options struct {
	Dir           string // all state, secrets and logs; created if missing
	Port          int    // API server port; 0 keeps the stored one, or picks a free one
	Audit         bool   // write Dir/audit.log
	UnsafeNoFsync bool   // etcd does not fsync: faster, loses data on power loss
}

const usage = `Usage: controlplane up --dir DIR [flags]

Runs kube-apiserver, controllers and etcd on 127.0.0.1 until SIGTERM or SIGINT.
Prints one "ready:" line to stdout when the API server can be used. The same
DIR always comes back with the same URL, data, certificates and tokens.

`

// ParseArgs reads the command line after the program's name. It returns
// flag.ErrHelp, with the help written to help, if that is what was asked for;
// any other error is bad usage.
func ParseArgs(args []string, help io.Writer) (Options, error) {
	var o Options
	fs := flag.NewFlagSet("controlplane up", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.Dir, "dir", "", "`directory` for all state, secrets and logs (required)")
	fs.IntVar(&o.Port, "port", 0, "API server `port` (default: the one stored in --dir, or a free one)")
	fs.BoolVar(&o.Audit, "audit", false, "write an audit log to DIR/audit.log")
	fs.BoolVar(&o.UnsafeNoFsync, "unsafe-no-fsync", false, "do not fsync etcd: faster, but a machine crash may lose or corrupt data")

	flags := args
	if len(args) > 0 && args[0] == "up" {
		flags = args[1:]
	}
	err := fs.Parse(flags)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(help)
		fmt.Fprint(help, usage)
		fs.PrintDefaults()
		return o, err
	case len(args) == 0 || args[0] != "up":
		return o, errors.New(`the one command is "up"`)
	case err != nil:
		return o, err
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.Dir == "":
		return o, errors.New("--dir is required")
	case o.Port < 0 || o.Port > 65535:
		return o, fmt.Errorf("--port %d is not between 0 and 65535", o.Port)
	}
	return o, nil
}
