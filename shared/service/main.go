package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Exit codes of every kubescribe program.
const (
	ExitOK    = 0
	ExitError = 1
	ExitUsage = 2
)

// Env is what a role is built from.
type Env struct {
	Bus     *bus.Bus
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Owner is this process, for those who look at who does what: its host, and the port of
	// its --listen. No two at a time have one name, and one that is started again as it was has
	// its predecessor's, and with it its shards.
	Owner string
}

// Process is a program that runs one role against a NATS server.
type Process struct {
	Name   string   // also that of its user of the NATS server
	Host   string   // its name
	Args   []string // without the program's name
	Stderr io.Writer
	// Flags declares the role's own flags; may be nil.
	Flags func(*flag.FlagSet)
	// Check finds what is wrong with the flags' values before anything is
	// started; may be nil. Its error exits with ExitUsage.
	Check func() error
	// Build makes the role once the bus is there and verified.
	Build func(context.Context, Env) (Role, error)
}

// goGC is how much garbage, in percent of what is in use, is let grow before it is
// collected. Reading a large cluster or folder makes a lot of it in a moment; Go's own
// 100 costs up to half more memory than this, and saves a few percent of the time.
const goGC = 50

// Main runs the process until ctx ends and returns its exit code. What went
// wrong stands on Stderr, once.
func (p Process) Main(ctx context.Context) int {
	if was := debug.SetGCPercent(goGC); was != 100 { // GOGC says otherwise
		debug.SetGCPercent(was)
	}
	fs := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	fs.SetOutput(p.Stderr)
	to := bus.Config{As: subject.User(p.Name), Name: p.Name}
	to.Flags(fs.StringVar, "nats://127.0.0.1:4222", to.As)
	listen := fs.String("listen", "127.0.0.1:8080", "`address` of /healthz, /readyz and /metrics")
	verbose := fs.Bool("verbose", false, "log debug messages too")
	if p.Flags != nil {
		p.Flags(fs)
	}
	if err := fs.Parse(p.Args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return ExitOK
		}
		return ExitUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(p.Stderr, "%s: unexpected argument %q; see %s --help\n", p.Name, fs.Arg(0), p.Name)
		return ExitUsage
	}
	if name := emptyFlag(fs); name != "" {
		fmt.Fprintf(p.Stderr, "%s: --%s is empty: give it a value, or leave it out\n", p.Name, name)
		return ExitUsage
	}
	if err := to.Check(); err != nil {
		fmt.Fprintf(p.Stderr, "%s: %v\n", p.Name, err)
		return ExitUsage
	}
	if err := CheckListen(ctx, *listen); err != nil {
		fmt.Fprintf(p.Stderr, "%s: %v\n", p.Name, err)
		return ExitUsage
	}
	if p.Check != nil {
		if err := p.Check(); err != nil {
			fmt.Fprintf(p.Stderr, "%s: %v\n", p.Name, err)
			return ExitUsage
		}
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	to.Log = NewLogger(p.Stderr, level)
	err := Bounded(ctx, to.Log, func() error { return p.run(ctx, to, *listen) })
	if err != nil {
		to.Log.Error("stopped", "role", p.Name, "err", err)
		return ExitError
	}
	return ExitOK
}

// Owner names a process by its host and the port that it listens on.
func Owner(host string, listens net.Addr) string {
	_, port, _ := net.SplitHostPort(listens.String()) // "" where it has none, which names nobody else
	return net.JoinHostPort(host, port)
}

// emptyFlag finds a flag that was given with nothing in it: what a script has not
// set must not come to mean the default.
func emptyFlag(fs *flag.FlagSet) (name string) {
	fs.Visit(func(f *flag.Flag) {
		if f.Value.String() == "" {
			name = f.Name
		}
	})
	return name
}

// run connects while /readyz already answers, so that a person sees what a
// process that cannot reach its bus is waiting for.
func (p Process) run(ctx context.Context, cfg bus.Config, listen string) error {
	reg := NewRegistry()
	var owner string // known before roles run
	role := &pending{why: errors.New("connecting to NATS at " + cfg.URL)}
	roles := []Role{{Name: p.Name, Ready: role.Ready, StopWithin: StopLimit - adminStop - time.Second, Run: func(ctx context.Context) error {
		b, err := bus.Connect(ctx, cfg)
		if err != nil {
			return stopped(ctx, err)
		}
		defer b.Close()
		if err := p.verify(ctx, b, cfg.Log, role); err != nil {
			return stopped(ctx, err)
		}
		r, err := p.Build(ctx, Env{b, cfg.Log, reg, owner})
		if err != nil {
			return stopped(ctx, err)
		}
		role.become(func() error { return errors.Join(b.Ready(), r.Ready()) })
		return runOn(ctx, b, r)
	}}}
	admin, addr, err := Admin(listen, reg, roles)
	if err != nil {
		return err
	}
	owner = Owner(p.Host, addr)
	cfg.Log.Info("starting", "role", p.Name, "listen", addr.String(), "nats", cfg.URL)
	return RunAll(ctx, cfg.Log, append(roles, admin))
}

// runOn runs a role for as long as the install is the one that it was built on.
func runOn(ctx context.Context, b *bus.Bus, r Role) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan error, 1)
	go func() {
		defer cancel()
		watched <- b.Watch(ctx)
	}()
	err := r.Run(ctx)
	cancel()
	return errors.Join(<-watched, err)
}

// verify waits for an install: services may start before it is provisioned.
func (p Process) verify(ctx context.Context, b *bus.Bus, log *slog.Logger, role *pending) error {
	var backoff fault.Backoff
	for {
		err := b.Verify(ctx)
		if err == nil || fault.ClassOf(err) == fault.Terminate {
			return err
		}
		role.wait(err)
		log.Warn("bus is not usable yet, retrying", "err", err)
		if err := fault.Wait(ctx, backoff.Next()); err != nil {
			return err
		}
	}
}

// stopped drops an error that only says that ctx ended.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
