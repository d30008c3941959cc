package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// services are the programs of the five services.
var services = []string{"watcher", "router", "stream", "reconciler", "git-writer"}

// natsServer is the NATS server, where a service can be named.
const natsServer = "NATS server"

// fleet is the five services, each its own process, and their NATS server.
type fleet struct {
	*world
	bins     harness.Bins               // of the services
	server   *harness.NATS              // the first one
	nats     string                     // URL, of all NATS servers
	password string                     // file, of each service's NATS user
	config   string                     // file
	interval string                     // from one drift check to the next
	adopt    bool                       // folders of another install
	labels   map[string]string          // by the mirror: that its objects must have
	env      func(name string) []string // more settings of a service; may be nil
	running  map[string]*harness.Daemon // by its name: that of its program, or with a number behind
	listens  map[string]string          // where each did last: one that is started again does there
}

// newFleet starts a NATS server with an install on it, and no service yet.
func newFleet(t *testing.T, w *world) *fleet {
	t.Helper()
	server, err := harness.StartNATS(within(t, startLimit), bins, t.TempDir(), maxPayload)
	must(t, err)
	t.Cleanup(func() { server.Kill() }) // the last one
	return newFleetOn(t, w, server, server.URL, 1)
}

// maxPayload is what a NATS server has to take.
const maxPayload = bus.MaxPayload + 64<<10

// newFleetOn makes an install on NATS servers that run.
func newFleetOn(t *testing.T, w *world, server *harness.NATS, url string, replicas int) *fleet {
	t.Helper()
	f := &fleet{world: w, bins: bins, server: server, nats: url, interval: "0s", running: map[string]*harness.Daemon{}, listens: map[string]string{}}
	t.Cleanup(func() { f.logs(t) })
	password, err := harness.NATSPassword(t.TempDir())
	must(t, err)
	f.password = password
	must(t, f.connect(t).Provision(within(t, stepLimit), bus.Options{Replicas: replicas}))
	return f
}

// connect is a connection of the test's own.
func (f *fleet) connect(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(within(t, stepLimit), bus.Config{Access: bus.Access{URL: f.nats}, Name: "e2e", Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(b.Close)
	return b
}

// forgets has NATS remember the IDs of messages for a second only: nothing may rest on that
// they are known again.
func (f *fleet) forgets(t *testing.T) {
	t.Helper()
	nc, err := nats.Connect(f.nats)
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	for _, name := range []string{subject.Events, subject.Live, subject.Write, subject.Snap, subject.Ctl, subject.DLQ} {
		st, err := js.Stream(within(t, stepLimit), name)
		must(t, err)
		cfg := st.CachedInfo().Config
		cfg.Duplicates = time.Second
		_, err = js.UpdateStream(within(t, stepLimit), cfg)
		must(t, err)
	}
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
		labelled := ""
		if label := f.labels[m.name]; label != "" {
			labelled = ", objectSelector: {matchExpressions: [{key: " + label + ", operator: Exists}]}"
		}
		config.WriteString(strings.NewReplacer("LABELLED", labelled, "NAMESPACES", strings.Join(m.namespaces, ", "), "NAME", m.name, "INTERVAL", f.interval, "ADOPT", fmt.Sprint(f.adopt)).Replace(`---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: NAME}
spec: {remoteRef: {name: live}, baseFolder: NAME, interval: INTERVAL, adopt: ADOPT}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: NAME}
spec:
  destinationRef: {name: NAME, namespace: default}
  namespaces: [NAMESPACES]
  rules: [{apiGroups: ["*"], resources: ["*"]LABELLED}]
`))
	}
	f.config = f.file(t, "config.yaml", config.String())
}

// logs shows the end of each service's log if the test has failed, and checks that
// none holds the password, and that each line is JSON: but for those of a test that has
// failed, which may have asked where each process stood.
func (f *fleet) logs(t *testing.T) {
	t.Helper()
	failed := t.Failed()
	said, err := os.ReadFile(f.server.Log)
	must(t, err)
	for _, refused := range natsRefused.FindAll(said, -1) {
		t.Errorf("a service has not the permission for what it does on the bus: %s", refused)
	}
	for name := range f.running {
		b, err := os.ReadFile(f.log(name))
		must(t, err)
		if all := strings.Split(strings.TrimSpace(string(b)), "\n"); failed {
			t.Logf("the log of %s ends with:\n%s", name, strings.Join(all[max(0, len(all)-40):], "\n"))
		}
		checkNoPassword(t, "the log of "+name, string(b))
		for line := range bytes.Lines(b) {
			if !failed && !json.Valid(line) {
				t.Errorf("the log of %s holds what is no JSON: %s", name, line)
			}
		}
	}
}

// natsRefused is how the log of a NATS server says that a user has not the permission for something.
var natsRefused = regexp.MustCompile(`[^\n]* Violation [^\n]*`)

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

// run starts a program of the fleet, at the address that it had.
func (f *fleet) run(t *testing.T, name string, c harness.Command) {
	t.Helper()
	c.Bins, c.Log = f.bins, f.log(name)
	if f.env != nil {
		c.Env = append(c.Env, f.env(name)...)
	}
	c.Args = append([]string{"--nats", f.nats, "--nats-password-file", f.password, "--listen", cmp.Or(f.listens[name], "127.0.0.1:0")}, c.Args...)
	d, err := harness.StartDaemon(within(t, startLimit), c)
	must(t, err)
	t.Cleanup(d.Kill)
	f.running[name], f.listens[name] = d, strings.TrimPrefix(d.URL, "http://")
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

// shared waits until all shards of a role are held, by so many replicas.
func (f *fleet) shared(t *testing.T, role string, replicas int) {
	t.Helper()
	leases, err := bus.OpenBucket[event.Lease](within(t, stepLimit), f.connect(t), subject.BucketLease)
	must(t, err)
	must(t, harness.Poll(within(t, stepLimit), 100*time.Millisecond, fmt.Sprintf("%d replicas of %s to share all there is", replicas, role), func(ctx context.Context) error {
		all, err := leases.All(ctx)
		if err != nil {
			return err
		}
		held, owners := 0, map[string]int{}
		for key, e := range all {
			if strings.HasPrefix(key, role+".shard.") {
				held++
				owners[e.Record.Owner]++
			}
		}
		if held < subject.Parts || len(owners) != replicas {
			return fmt.Errorf("they have %v", owners)
		}
		return nil
	}))
}
