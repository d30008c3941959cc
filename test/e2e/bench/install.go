package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// startLimit bounds starting something; caseLimit one case, far above what it takes.
const (
	startLimit = time.Minute
	caseLimit  = 5 * time.Minute
)

// roles are the programs of the five services, in the order in which they start.
var roles = []string{"git-writer", "stream", "router", "reconciler", "watcher"}

// destination is the one there is.
var destination = event.DestinationKey{Cluster: "bench", Namespace: "default", Name: "live"}

// install is the five services on a bus and a remote of their own.
type install struct {
	bins     harness.Bins
	dir      string
	logs     string
	nats     *server.Server
	watching *nats.Conn
	traffic  traffic
	bus      *bus.Bus
	phases   *bus.Bucket[event.PhaseRecord]
	remote   *harness.Remote
	running  map[string]*harness.Daemon
	ended    context.Context // with one of them
	end      context.CancelCauseFunc
}

// newInstall makes a bus and an empty remote; start starts the services.
func newInstall(ctx context.Context, bins harness.Bins, dir, logs string) (i *install, err error) {
	i = &install{bins: bins, dir: dir, logs: logs, running: map[string]*harness.Daemon{}}
	i.ended, i.end = context.WithCancelCause(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, i.close())
		}
	}()
	i.nats, err = server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(dir, "nats"), SyncAlways: true, MaxPayload: bus.MaxPayload + 64<<10,
	})
	if err != nil {
		return i, fmt.Errorf("starting the NATS server: %w", err)
	}
	i.nats.Start()
	if !i.nats.ReadyForConnections(startLimit) {
		return i, errors.New("the NATS server is not ready")
	}
	if i.bus, err = bus.Connect(ctx, bus.Config{InProcess: i.nats, Name: "bench", Log: slog.New(slog.DiscardHandler)}); err != nil {
		return i, err
	}
	if err := i.bus.Provision(ctx, bus.Options{Replicas: 1}); err != nil {
		return i, err
	}
	if i.phases, err = bus.OpenBucket[event.PhaseRecord](ctx, i.bus, subject.BucketPhase); err != nil {
		return i, err
	}
	if i.watching, err = nats.Connect("", nats.InProcessServer(i.nats)); err != nil {
		return i, fmt.Errorf("watching the bus: %w", err)
	}
	if err := i.traffic.follow(i.watching); err != nil {
		return i, err
	}
	if i.remote, err = harness.ServeRemote(harness.RemoteOptions{Dir: filepath.Join(dir, "git")}); err != nil {
		return i, err
	}
	return i, gittest.AllowFilter(i.remote.Dir, true) // as hosting services do
}

// start starts the services and waits until each is ready.
func (i *install) start(ctx context.Context, kubeconfig string) error {
	var rules strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&rules, "\n  - {apiGroups: [%q], resources: [%s]}", k.group, k.resource)
	}
	config := filepath.Join(i.dir, "config.yaml")
	err := os.WriteFile(config, []byte(`apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: "`+i.remote.URL+`"}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: live}
spec: {remoteRef: {name: live}, baseFolder: `+folder+`, adopt: true, interval: 24h}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: live}
spec:
  destinationRef: {name: live, namespace: default}
  rules:`+rules.String()+"\n"), 0o600)
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	for _, name := range roles {
		var args []string
		switch name {
		case "watcher":
			args = []string{"--config", config, "--kubeconfig", kubeconfig, "--cluster", destination.Cluster}
		case "git-writer":
			args = []string{"--cache-dir", filepath.Join(i.dir, "cache")}
		}
		if err := i.run(ctx, name, args...); err != nil {
			return err
		}
	}
	for _, name := range roles {
		if err := i.running[name].AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// run starts one service.
func (i *install) run(ctx context.Context, name string, args ...string) error {
	d, err := harness.StartDaemon(ctx, harness.Command{
		Bins: i.bins, Program: name, Log: filepath.Join(i.logs, name+".log"),
		Args: append([]string{"--nats", i.nats.ClientURL(), "--listen", "127.0.0.1:0"}, args...),
	})
	if err != nil {
		return err
	}
	i.running[name] = d
	go func() {
		<-d.Exited()
		i.end(fmt.Errorf("%s has ended; its log ends with:\n%s", name, d.Tail(10)))
	}()
	return nil
}

// within is a context for one step, which ends too when one of the services does.
func (i *install) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(i.ended, cancel)
	return ctx, func() { stop(); cancel() }
}

// cause adds to an error that a service has ended, if one has.
func (i *install) cause(err error) error {
	if err != nil {
		err = errors.Join(err, context.Cause(i.ended))
	}
	return err
}

// quiet checks that no service has logged an error: nothing that fails here is meant to.
func (i *install) quiet() error {
	for name, d := range i.running {
		for line := range bytes.Lines(d.Output()) {
			if bytes.Contains(line, []byte(`"level":"ERROR"`)) {
				return fmt.Errorf("%s has logged an error: %s", name, line)
			}
		}
	}
	return nil
}

// close ends everything. What has to be proven was.
func (i *install) close() error {
	for _, d := range i.running {
		d.Kill()
	}
	i.end(nil)
	if i.watching != nil {
		i.watching.Close()
	}
	if i.bus != nil {
		i.bus.Close()
	}
	if i.nats != nil {
		i.nats.Shutdown()
		i.nats.WaitForShutdown()
	}
	if i.remote != nil {
		return i.remote.Close()
	}
	return nil
}
