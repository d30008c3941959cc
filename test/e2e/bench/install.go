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

// destination is the one there is, or the first one.
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

// mirror is a destination that has some namespaces' objects in a folder of its name; none:
// those of all.
type mirror struct {
	name       string
	namespaces []string
}

func (m mirror) key() event.DestinationKey {
	return event.DestinationKey{Cluster: destination.Cluster, Namespace: destination.Namespace, Name: m.name}
}

// start starts the services, for the one destination, and waits until each is ready.
func (i *install) start(ctx context.Context, kubeconfig string) error {
	if err := i.configure(kinds, mirror{name: destination.Name}); err != nil {
		return err
	}
	return i.startRoles(ctx, kubeconfig, roles...)
}

// configure has destinations of some kinds on the remote, once the watcher starts.
func (i *install) configure(of []kind, mirrors ...mirror) error {
	var rules strings.Builder
	for _, k := range of {
		fmt.Fprintf(&rules, "\n  - {apiGroups: [%q], resources: [%s]}", k.group, k.resource)
	}
	var docs strings.Builder
	fmt.Fprintf(&docs, `apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: %q}
`, i.remote.URL)
	for _, m := range mirrors {
		fmt.Fprintf(&docs, `---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: %[1]s}
spec: {remoteRef: {name: live}, baseFolder: %[1]s, adopt: true, interval: 24h}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: %[1]s}
spec:
  destinationRef: {name: %[1]s, namespace: %[2]s}
  namespaces: [%[3]s]
  rules:%[4]s
`, m.name, destination.Namespace, strings.Join(m.namespaces, ", "), rules.String())
	}
	if err := os.WriteFile(i.config(), []byte(docs.String()), 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

func (i *install) config() string { return filepath.Join(i.dir, "config.yaml") }

// startRoles starts some of the services and waits until each is ready.
func (i *install) startRoles(ctx context.Context, kubeconfig string, names ...string) error {
	for _, name := range names {
		var args []string
		switch name {
		case "watcher":
			args = []string{"--config", i.config(), "--kubeconfig", kubeconfig, "--cluster", destination.Cluster}
		case "git-writer":
			args = []string{"--cache-dir", filepath.Join(i.dir, "cache")}
		}
		if err := i.run(ctx, name, args...); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := i.running[name].AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// withoutGC keeps no push waiting for the remote's gc, as hosting services do not.
func (i *install) withoutGC() error {
	_, err := gittest.Git(i.remote.Dir, "config", "receive.autogc", "false")
	return err
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
