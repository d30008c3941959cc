package e2e_test

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestServices: the five services as five processes against a NATS server of its
// own write each version once and in order, while each of them in turn is killed
// in the middle of changes and started again, and then the NATS server restarts.
func TestServices(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "services")
	nats := startBus(t)
	f := &fleet{world: w, nats: nats.ClientURL(), running: map[string]*harness.Daemon{}}
	f.config = w.file(t, "config.yaml", `
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: "`+w.remote.URL+`"}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: live}
spec: {remoteRef: {name: live}}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: live}
spec:
  destinationRef: {name: live, namespace: default}
  namespaces: [`+ns+`]
  rules: [{apiGroups: ["*"], resources: ["*"]}]
`)
	for _, name := range services {
		f.start(t, name)
	}
	for _, name := range services {
		must(t, f.running[name].AwaitReady(within(t, startLimit)))
	}
	w.settle(t, scope(ns))
	w.sentinel(t, ns)

	burst := &harness.Burst{Namespace: ns, Objects: 400, Clients: 2}
	running := begin(within(t, 2*stepLimit), w, burst)
	for i, name := range services {
		await(t, "the next to kill", func() bool { return burst.Answered() >= 100*(i+1) })
		f.running[name].Kill()
		f.start(t, name)
	}
	await(t, "the NATS server's turn", func() bool { return burst.Answered() >= 100*(len(services)+1) })
	nats.restart(t)
	writes := running.wait(t)
	must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	report(t, harness.Versions(w.history(t), writes))
	for _, name := range services {
		must(t, f.running[name].AwaitReady(within(t, startLimit)))
		stop(t, f.running[name])
	}
}

// services are the programs of the five services.
var services = []string{"watcher", "router", "stream", "reconciler", "git-writer"}

// fleet is the five services, each its own process.
type fleet struct {
	*world
	nats    string // URL
	config  string // file
	running map[string]*harness.Daemon
}

// start starts one of the services.
func (f *fleet) start(t *testing.T, name string) {
	t.Helper()
	c := harness.Command{
		Bins: bins, Program: name, Log: filepath.Join(f.dir, name+".log"),
		Args: []string{"--nats", f.nats, "--listen", "127.0.0.1:0"},
	}
	switch name {
	case "watcher":
		c.Args = append(c.Args, "--config", f.config, "--kubeconfig", f.cluster.Kubeconfig(), "--cluster", "e2e")
	case "git-writer":
		c.Args = append(c.Args, "--cache-dir", filepath.Join(f.dir, "cache"))
		c.Env = []string{"KUBESCRIBE_GIT_USERNAME=" + user, "KUBESCRIBE_GIT_PASSWORD_FILE=" + f.options.Password}
	}
	d, err := harness.StartDaemon(within(t, startLimit), c)
	must(t, err)
	watchOver(t, d.Process)
	f.running[name] = d
}

// busServer is a NATS server with an install on it.
type busServer struct {
	*server.Server
	options server.Options
}

// startBus runs a NATS server until the test ends.
func startBus(t *testing.T) *busServer {
	t.Helper()
	s := &busServer{options: server.Options{
		ServerName: "e2e", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: bus.MaxPayload + 64<<10,
	}}
	s.start(t)
	t.Cleanup(s.stop)
	address, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("the NATS server listens on %v", s.Addr())
	}
	s.options.Port = address.Port // the same after a restart
	b, err := bus.Connect(within(t, stepLimit), bus.Config{URL: s.ClientURL(), Name: "e2e", Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer b.Close()
	must(t, b.Provision(within(t, stepLimit), bus.Options{Replicas: 1}))
	return s
}

func (s *busServer) start(t *testing.T) {
	t.Helper()
	var err error
	s.Server, err = server.NewServer(&s.options)
	must(t, err)
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
}

func (s *busServer) stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

// restart stops the server and starts it on the same store and address.
func (s *busServer) restart(t *testing.T) {
	t.Helper()
	s.stop()
	s.start(t)
}

// TestServiceWithoutNATS: a service that cannot reach its NATS server, or finds
// no install there, goes on trying and says so.
func TestServiceWithoutNATS(t *testing.T) {
	d, err := harness.StartDaemon(within(t, startLimit), harness.Command{
		Bins: bins, Program: "router", Log: filepath.Join(t.TempDir(), "router.log"),
		Args: []string{"--nats", "nats://127.0.0.1:1", "--listen", "127.0.0.1:0"},
	})
	must(t, err)
	watchOver(t, d.Process)
	awaitNotReady(t, d, "router", "nats://127.0.0.1:1")
	stop(t, d)

	for _, url := range []string{"here", "nats://scribe:" + password + "@127.0.0.1:1"} {
		p, err := harness.StartProcess(harness.Command{
			Bins: bins, Program: "router", Log: filepath.Join(t.TempDir(), "router.log"),
			Args: []string{"--nats", url, "--listen", "127.0.0.1:0"},
		})
		must(t, err)
		watchOver(t, p)
		if code, err := p.Exit(within(t, stepLimit)); code != 2 || err != nil {
			t.Errorf("%s: exit code %d, %v: %s", fmt.Sprintf("%.8s", url), code, err, p.Output())
		}
	}
}
