package kubescribe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/services/kubescribe/internal/datadir"
	"github.com/kubescribe/kubescribe/services/kubescribe/internal/embedded"
	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/services/router"
	"github.com/kubescribe/kubescribe/services/stream"
	"github.com/kubescribe/kubescribe/services/watcher"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/service"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Config is what one process runs with.
type Config struct {
	DataDir     string
	Listen      string
	Watcher     watcher.Config
	Credentials gitwriter.Credentials
	Signing     gitwriter.Signing
}

// replica is the name by which this process shares work: the lock of its data directory
// lets no other one reach the bus, and one that is started again takes over at once.
const replica = "kubescribe"

// env is what roles are built from.
type env struct {
	Config
	dir     *datadir.Dir
	bus     *bus.Bus
	log     *slog.Logger
	metrics prometheus.Registerer
	writer  *gitwriter.Writer
	watcher *watcher.Watcher
}

// roles are all roles, in the order in which they stop: sources first, so that
// what is under way can still land. What has not stays on the bus. Watcher and
// git-writer may take half a second more than they give themselves; all together
// leave a second of [service.StopLimit] for closing the bus.
var roles = []struct {
	name       string
	stopWithin time.Duration
	build      func(context.Context, *env) (service.Role, error)
}{
	{"watcher", 1500 * time.Millisecond, func(ctx context.Context, e *env) (service.Role, error) {
		w, err := watcher.New(ctx, e.Watcher, watcher.Deps{Bus: e.bus, Log: e.log, Metrics: e.metrics, Replica: replica})
		if err != nil {
			return service.Role{}, err
		}
		e.watcher = w
		return service.Role{Run: w.Run, Ready: w.Ready}, nil
	}},
	{"router", 750 * time.Millisecond, func(_ context.Context, e *env) (service.Role, error) {
		r := router.New(router.Deps{Bus: e.bus, Log: e.log, Metrics: e.metrics, Replica: replica})
		return service.Role{Run: r.Run, Ready: r.Ready}, nil
	}},
	{"stream", 750 * time.Millisecond, func(ctx context.Context, e *env) (service.Role, error) {
		s, err := stream.New(ctx, stream.Deps{Bus: e.bus, Log: e.log, Metrics: e.metrics, Owner: e.Watcher.Owner, Replica: replica})
		if err != nil {
			return service.Role{}, err
		}
		return service.Role{Run: s.Run, Ready: s.Ready}, nil
	}},
	{"reconciler", 500 * time.Millisecond, func(ctx context.Context, e *env) (service.Role, error) {
		r, err := reconciler.New(ctx, reconciler.Deps{Bus: e.bus, Log: e.log, Metrics: e.metrics, Replica: replica})
		if err != nil {
			return service.Role{}, err
		}
		return service.Role{Run: r.Run, Ready: r.Ready}, nil
	}},
	{"git-writer", 3500 * time.Millisecond, func(ctx context.Context, e *env) (service.Role, error) {
		cfg := gitwriter.Config{CacheDir: e.dir.Join("git"), Credentials: e.Credentials, Signing: e.Signing}
		w, err := gitwriter.New(ctx, cfg, gitwriter.Deps{Bus: e.bus, Log: e.log, Metrics: e.metrics, Replica: replica})
		if err != nil {
			return service.Role{}, err
		}
		e.writer = w
		return service.Role{Run: w.Run, Ready: w.Ready}, nil
	}},
}

// RoleNames lists the roles, in the order in which they stop.
func RoleNames() []string {
	var names []string
	for _, r := range roles {
		names = append(names, r.name)
	}
	return names
}

// Process is a process that has started: its bus is up and its roles are built.
type Process struct {
	Addr    net.Addr // of /healthz, /readyz and /metrics
	Bus     *bus.Bus
	Writer  *gitwriter.Writer
	Watcher *watcher.Watcher
	Roles   []service.Role
	log     *slog.Logger
	dir     *datadir.Dir
	server  *embedded.Server
}

// Start locks the data directory, starts the bus, provisions it and builds the
// roles. It runs nothing yet. Close is due even if Run is never called.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (p *Process, err error) {
	p = &Process{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
			p = nil
		}
	}()
	if p.dir, err = datadir.Open(cfg.DataDir); err != nil {
		return p, err
	}
	if p.server, err = embedded.Start(p.dir, log); err != nil {
		return p, err
	}
	p.Bus, err = bus.Connect(ctx, bus.Config{
		InProcess: p.server, Username: p.server.Access.User, Password: p.server.Access.Password, Name: "kubescribe", Log: log,
	})
	if err != nil {
		return p, err
	}
	if err := p.Bus.Provision(ctx, bus.Options{Replicas: 1}); err != nil {
		return p, err
	}
	if err := p.dir.Claim(datadir.Install{
		Incarnation: p.Bus.Install.Incarnation, Parts: subject.Parts, LiveShards: subject.LiveShards, WriteShards: subject.WriteShards,
		Cluster: cfg.Watcher.Cluster,
	}); err != nil {
		return p, err
	}
	if err := cfg.share(p.dir); err != nil {
		return p, err
	}
	reg := service.NewRegistry()
	e := &env{Config: cfg, dir: p.dir, bus: p.Bus, log: log, metrics: reg}
	for _, r := range roles {
		role, err := r.build(ctx, e)
		if err != nil {
			return p, fmt.Errorf("%s: %w", r.name, err)
		}
		role.Name, role.StopWithin = r.name, r.stopWithin
		p.Roles = append(p.Roles, role)
	}
	p.Writer, p.Watcher = e.writer, e.watcher
	admin, addr, err := service.Admin(cfg.Listen, reg, p.Roles)
	if err != nil {
		return p, err
	}
	p.Addr = addr
	p.Roles = append(p.Roles, admin)
	return p, nil
}

// DataDir is where the bus is kept, as an absolute path.
func (p *Process) DataDir() string { return p.dir.Path }

// Run runs the roles until ctx ends or one of them cannot go on, and stops them
// in order. So it is when the bus cannot store anything any more: another start finds all that it
// has stored.
func (p *Process) Run(ctx context.Context) error {
	return service.RunAll(ctx, p.log, append([]service.Role{{Name: "bus", Run: p.server.Watch}}, p.Roles...))
}

// Close stops the bus and gives the data directory back.
func (p *Process) Close() error {
	if p.Bus != nil {
		p.Bus.Close()
	}
	if p.server != nil {
		p.server.Stop()
	}
	if p.dir != nil {
		return p.dir.Close()
	}
	return nil
}

// share gives watcher and git-writer the keys of a data directory: what waits on the bus may be
// sealed, whatever is mirrored now. What comes as files is not read from the cluster, where it may
// not even be.
func (c *Config) share(dir *datadir.Dir) (err error) {
	if c.Watcher.Recipient, err = dir.Key(); err != nil {
		return err
	}
	if c.Watcher.MarkKey, err = dir.MarkKey(); err != nil {
		return err
	}
	c.Watcher.Skip = c.Credentials.HasFiles
	c.Credentials.Identity = datadir.KeyFile(dir.Path)
	return nil
}
