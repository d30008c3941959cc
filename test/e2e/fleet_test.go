package e2e_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// services are the programs of the five services.
var services = []string{"watcher", "router", "stream", "reconciler", "git-writer"}

// natsServer is the NATS server, where a service can be named.
const natsServer = "NATS server"

// fleet is the five services, each its own process, and their NATS server.
type fleet struct {
	*world
	server   *harness.NATS
	config   string                     // file
	interval string                     // from one drift check to the next
	running  map[string]*harness.Daemon // by its name: that of its program, or with a number behind
}

// newFleet starts a NATS server with an install on it, and no service yet.
func newFleet(t *testing.T, w *world) *fleet {
	t.Helper()
	server, err := harness.StartNATS(within(t, startLimit), bins, t.TempDir(), bus.MaxPayload+64<<10)
	must(t, err)
	t.Cleanup(func() { server.Kill() }) // the last one
	f := &fleet{world: w, server: server, interval: "0s", running: map[string]*harness.Daemon{}}
	t.Cleanup(func() { f.logs(t) })
	must(t, f.connect(t).Provision(within(t, stepLimit), bus.Options{Replicas: 1}))
	return f
}

// connect is a connection of the test's own.
func (f *fleet) connect(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(within(t, stepLimit), bus.Config{URL: f.server.URL, Name: "e2e", Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(b.Close)
	return b
}

// mirror is a destination of everything in some namespaces, or in all, to a folder
// of its name.
type mirror struct {
	name       string
	namespaces []string
}

// mirror writes the configuration: these destinations.
func (f *fleet) mirror(t *testing.T, mirrors ...mirror) {
	t.Helper()
	var config strings.Builder
	fmt.Fprintf(&config, `
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: %q}
`, f.remote.URL)
	for _, m := range mirrors {
		config.WriteString(strings.NewReplacer("NAMESPACES", strings.Join(m.namespaces, ", "), "NAME", m.name, "INTERVAL", f.interval).Replace(`---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: NAME}
spec: {remoteRef: {name: live}, baseFolder: NAME, interval: INTERVAL}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: NAME}
spec:
  destinationRef: {name: NAME, namespace: default}
  namespaces: [NAMESPACES]
  rules: [{apiGroups: ["*"], resources: ["*"]}]
`))
	}
	f.config = f.file(t, "config.yaml", config.String())
}

// logs shows the end of each service's log if the test has failed, and checks that
// none holds the password.
func (f *fleet) logs(t *testing.T) {
	t.Helper()
	for name := range f.running {
		b, err := os.ReadFile(f.log(name))
		must(t, err)
		if all := strings.Split(strings.TrimSpace(string(b)), "\n"); t.Failed() {
			t.Logf("the log of %s ends with:\n%s", name, strings.Join(all[max(0, len(all)-40):], "\n"))
		}
		checkNoPassword(t, "the log of "+name, string(b))
	}
}

func (f *fleet) log(name string) string { return filepath.Join(f.dir, name+".log") }

// start starts one of the services, or one more of it, until the test ends.
func (f *fleet) start(t *testing.T, name string) {
	t.Helper()
	program, _, _ := strings.Cut(name, " ")
	c := harness.Command{Program: program}
	switch program {
	case "watcher":
		f.startWatcher(t, name, f.cluster, "e2e")
		return
	case "git-writer":
		c.Args = []string{"--cache-dir", filepath.Join(f.dir, "cache of "+name)}
		c.Env = []string{"KUBESCRIBE_GIT_USERNAME=" + user, "KUBESCRIBE_GIT_PASSWORD_FILE=" + f.options.Password}
	}
	f.run(t, name, c)
}

// startWatcher starts a watcher of a cluster, with the configuration that was written last.
func (f *fleet) startWatcher(t *testing.T, name string, of *harness.ControlPlane, cluster string) {
	t.Helper()
	f.run(t, name, harness.Command{Program: "watcher", Args: []string{"--config", f.config, "--kubeconfig", of.Kubeconfig(), "--cluster", cluster}})
}

// run starts a program of the fleet.
func (f *fleet) run(t *testing.T, name string, c harness.Command) {
	t.Helper()
	c.Bins, c.Log = bins, f.log(name)
	c.Args = append([]string{"--nats", f.server.URL, "--listen", "127.0.0.1:0"}, c.Args...)
	d, err := harness.StartDaemon(within(t, startLimit), c)
	must(t, err)
	t.Cleanup(d.Kill)
	f.running[name] = d
}

// again kills a service, or the NATS server, and starts it again.
func (f *fleet) again(t *testing.T, name string) {
	t.Helper()
	if name == natsServer {
		must(t, f.server.Restart(within(t, startLimit)))
		return
	}
	f.running[name].Kill()
	f.start(t, name)
}

// stand has a service stand still, as many as there are of it.
func (f *fleet) stand(t *testing.T, program string) {
	t.Helper()
	for _, d := range f.running {
		if d.Name == program {
			must(t, d.Pause())
		}
	}
}

// goOn ends that.
func (f *fleet) goOn(program string) {
	for _, d := range f.running {
		if d.Name == program {
			_ = d.Resume() // one that was killed meanwhile need not
		}
	}
}
