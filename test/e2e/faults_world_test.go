package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/faults"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// chaos is the five services, two of each, on three NATS servers, each on a network of its own.
// Every way from one party to another can be harmed, every party unplugged, killed, stopped, or
// given another time of day, and the disks of NATS servers and git-writers filled.
type chaos struct {
	*fleet
	ctx     context.Context
	ns      string
	parties map[string]*party
	nodes   map[string]*harness.NATS
	places  map[string]*harness.Place   // of both, by their names
	disks   map[string]*harness.Disk    // of NATS servers and git-writers, by their names
	between map[[2]string]*harness.Link // from a NATS server to another
	bus     *bus.Bus                    // a test's own, by no link
	others  *others

	load      *flow
	watch     *harness.Watch
	delivered []harness.Delivery // to watches that have ended
	own       []harness.Written  // of the traffic's namespace, and not the traffic's
	probes    int
}

// party is a process of a service.
type party struct {
	*harness.Daemon
	command  harness.Command
	toNodes  []*harness.Link // in the order of faults.Nodes
	toAPI    *harness.Link   // of a watcher
	toRemote *harness.Link   // of a git-writer
}

// start starts the process, or starts it again.
func (p *party) start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	p.Daemon, err = harness.StartDaemon(ctx, p.command)
	return err
}

// chaosRemote is the URL of the remote. Each git-writer has a proxy of its own to it.
const chaosRemote = "http://git.example.test/live.git"

// newChaos starts all of it, and waits until Git equals the cluster.
func newChaos(t *testing.T, length time.Duration) *chaos {
	t.Helper()
	c := &chaos{
		ctx: t.Context(), parties: map[string]*party{}, nodes: map[string]*harness.NATS{},
		places: map[string]*harness.Place{}, disks: map[string]*harness.Disk{}, between: map[[2]string]*harness.Link{},
	}
	w, links := newWorld(t, cluster), harness.NewLinks()
	c.startNATS(t, w, links, length)
	c.others = newOthers(t, w)
	c.ns = w.namespace(t, "chaos")
	for n := range stills {
		w.apply(t, configMap(c.ns, still(n), "1"))
	}
	c.labels, c.interval = map[string]string{"shared": sharedLabel}, "15s"
	address := strings.TrimSuffix(strings.TrimPrefix(w.remote.URL, "http://"), "/live.git")
	w.remote.URL = chaosRemote
	c.mirror(t, mirror{"live", []string{c.ns}}, mirror{"shared", []string{c.ns}})
	for _, service := range faults.Services {
		for _, name := range faults.Replicas(service) {
			c.join(t, links, service, name, address)
		}
	}
	t.Cleanup(func() { c.keep(t) })
	c.settle(t, scope(c.ns))
	return c
}

// keep keeps the logs of a run that has failed, with where each process of a service stood.
func (c *chaos) keep(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	dir, err := os.MkdirTemp("", "kubescribe-faults-")
	must(t, err)
	keep := func(name, log string) {
		b, err := os.ReadFile(log)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name+".log"), b, 0o600))
	}
	for name, p := range c.parties {
		if !exited(p.Process) {
			must(t, errors.Join(p.Resume(), p.Signal(syscall.SIGQUIT)))
			<-p.Exited()
		}
		keep(name, p.Log)
	}
	for name, n := range c.nodes {
		keep(name, n.Log)
	}
	t.Logf("all logs, with where each process of a service stood, are in %s", dir)
}

// stills are objects that only somebody else changes, in Git.
const stills = 20

func still(n int) string { return fmt.Sprintf("still-%02d", n%stills) }

// diskSize is that of a disk, for what a run of a length stores.
func diskSize(length time.Duration) int64 {
	return 256<<20 + int64(length.Seconds())*(4<<20)
}

// startNATS starts the NATS servers, each on a disk of its own, with an install on them.
func (c *chaos) startNATS(t *testing.T, w *world, links *harness.Links, length time.Duration) {
	t.Helper()
	o := harness.NATSClusterOptions{Bins: bins, Dir: t.TempDir(), MaxPayload: maxPayload, Clocks: true}
	for i, node := range faults.Nodes {
		c.mount(t, node, o.NodeStore(i), diskSize(length))
		o.Places = append(o.Places, c.place(t, node))
	}
	o.Route = func(from, to int, address string) (string, error) {
		l, err := links.To(o.Places[from].Host, address)
		if err != nil {
			return "", err
		}
		t.Cleanup(l.Close)
		c.between[[2]string{faults.Nodes[from], faults.Nodes[to]}] = l
		return l.Address, nil
	}
	servers, err := harness.StartNATSCluster(within(t, startLimit), o)
	must(t, err)
	t.Cleanup(servers.Kill)
	for i, node := range faults.Nodes {
		c.nodes[node] = servers.Nodes[i]
	}
	c.fleet = newFleetOn(t, w, servers.Nodes[0], servers.URL, harness.NATSNodes)
	c.forgets(t)
	c.bus = c.connect(t)
	must(t, c.bus.Verify(within(t, stepLimit)))
}

// mount mounts a disk for somebody.
func (c *chaos) mount(t *testing.T, whose, dir string, size int64) {
	t.Helper()
	d, err := harness.MountDisk(dir, size)
	must(t, err)
	t.Cleanup(func() { must(t, d.Unmount()) })
	c.disks[whose] = d
}

// place makes a place on the network for somebody.
func (c *chaos) place(t *testing.T, whose string) *harness.Place {
	t.Helper()
	p, err := network.Place()
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	c.places[whose] = p
	return p
}

// join starts a process of a service, with ways of its own to whom it speaks to.
func (c *chaos) join(t *testing.T, links *harness.Links, service, name, remote string) {
	t.Helper()
	place := c.place(t, name)
	to := func(address string) *harness.Link {
		l, err := links.To(place.Host, address)
		must(t, err)
		t.Cleanup(l.Close)
		return l
	}
	p := &party{}
	var urls []string
	for _, node := range faults.Nodes {
		l := to(strings.TrimPrefix(c.nodes[node].URL, "nats://"))
		p.toNodes, urls = append(p.toNodes, l), append(urls, "nats://"+l.Address)
	}
	// A process is known by the name of its host, which is the same for all here, and its port.
	listen := fmt.Sprintf("%s:%d", place.Address, 8080+len(c.parties))
	p.command = harness.Command{
		Bins: bins, Program: service, Log: c.log(name), Clock: true, Place: place,
		Args: []string{"--nats", strings.Join(urls, ","), "--nats-password-file", c.password, "--listen", listen},
	}
	switch service {
	case "watcher":
		p.toAPI = to(strings.TrimPrefix(c.cfg.Host, "https://"))
		file := c.kubeconfig(t, name, p.toAPI.Address)
		p.command.Args = append(p.command.Args, "--config", c.config, "--kubeconfig", file, "--cluster", "e2e")
	case "git-writer":
		p.toRemote = to(remote)
		dir := filepath.Join(c.dir, "cache of "+name)
		c.mount(t, name, dir, diskSize(0))
		p.command.Args = append(p.command.Args, "--cache-dir", dir)
		p.command.Env = []string{"KUBESCRIBE_GIT_USERNAME=" + user, "KUBESCRIBE_GIT_PASSWORD_FILE=" + c.options.Password, "HTTP_PROXY=http://" + p.toRemote.Address}
	}
	must(t, p.start(t.Context()))
	t.Cleanup(func() { p.Kill() }) // the last one
	c.parties[name], c.running[name] = p, p.Daemon
}

// kubeconfig is a file by which somebody reaches the API server at another address.
func (c *chaos) kubeconfig(t *testing.T, whose, address string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.cluster.Kubeconfig())
	must(t, err)
	for _, of := range config.Clusters {
		of.Server, of.TLSServerName = "https://"+address, "127.0.0.1" // its certificate is for that
	}
	file := filepath.Join(c.dir, whose+".kubeconfig")
	must(t, clientcmd.WriteToFile(*config, file))
	return file
}

// begin has the traffic and a test's own watch begin.
func (c *chaos) begin(t *testing.T) {
	t.Helper()
	var err error
	c.watch, err = harness.WatchConfigMaps(t.Context(), c.cfg, c.ns)
	must(t, err)
	t.Cleanup(func() { c.watch.Stop() }) // the last one
	c.load = &flow{
		Traffic: harness.Traffic{Namespace: c.ns, Objects: 200, Rate: 100, Returns: true, Label: sharedLabel},
		begun:   time.Now(), end: make(chan struct{}), done: make(chan struct{}),
	}
	go func() {
		defer close(c.load.done)
		c.load.writes, c.load.err = c.load.Run(c.ctx, c.load.end, c.cfg)
	}()
	t.Cleanup(func() { <-c.load.done }) // its context ends with the test
	await(t, "changes to flow", func() bool { return c.load.Answered() > 20 })
}

// inShared reports whether an object has the label of those that have two destinations.
func inShared(name string) bool {
	var n int
	if got, _ := fmt.Sscanf(name, "traffic-%d", &n); got == 1 {
		return n%4 == 0
	}
	return name == sharedSentinel
}

// The objects that are written behind all that was written before, and which of them has the
// label.
const (
	sentinel       = "sentinel"
	sharedSentinel = "sentinel-shared"
)

// labelled is a manifest with the label.
func labelled(manifest string) string {
	return strings.Replace(manifest, "metadata:\n", "metadata:\n  labels: {"+sharedLabel+": \"\"}\n", 1)
}

// sharedScope is the folder of what has the label, all of which is in some namespaces.
func sharedScope(namespaces ...string) harness.Scope {
	return harness.Scope{Folder: "shared", Selects: func(id harness.Identity) bool {
		return slices.Contains(namespaces, id.Namespace) && inShared(id.Name)
	}}
}

// mark writes another version of both, with nothing else under way, and returns them.
func (c *chaos) mark(ctx context.Context) ([]harness.Written, error) {
	var marks []harness.Written
	for _, name := range []string{sentinel, sharedSentinel} {
		manifest := configMap(c.ns, name, fmt.Sprint(len(c.own)))
		if inShared(name) {
			manifest = labelled(manifest)
		}
		w, err := c.objects.Apply(ctx, manifest)
		if err != nil {
			return nil, err
		}
		c.own, marks = append(c.own, w), append(marks, w)
	}
	return marks, nil
}

// killAPIServer kills the API server and starts it again, at a moment in which all that was
// written is on the bus, and lets changes flow on once the watchers follow it again: it forgets
// what was before, so of what came in between nobody else could be told more than the newest.
func (c *chaos) killAPIServer() error {
	defer c.load.Hold()()
	ctx, cancel := context.WithTimeout(c.ctx, 2*stepLimit)
	defer cancel()
	marks, err := c.mark(ctx)
	if err != nil {
		return err
	}
	delivered, err := c.watch.Until(ctx, marks)
	c.delivered = append(c.delivered, delivered...)
	if err != nil {
		return err
	}
	err = harness.Poll(ctx, 50*time.Millisecond, "what was written to be on the bus", func(ctx context.Context) error {
		return c.newestOnBus(ctx, event.HeaderRevision, marks[len(marks)-1].Version)
	})
	if err != nil {
		return err
	}
	if err := c.cluster.Restart(ctx); err != nil {
		return err
	}
	if c.watch, err = harness.WatchConfigMaps(c.ctx, c.cfg, c.ns); err != nil {
		return err
	}
	return harness.Poll(ctx, time.Second, "the watchers to follow it again", func(ctx context.Context) error {
		if err := c.newestOnBus(ctx, event.HeaderName, fmt.Sprint(probe, c.probes)); err == nil {
			return nil
		}
		c.probes++
		_, err := c.objects.Apply(ctx, configMap(c.ns, fmt.Sprint(probe, c.probes), "1"))
		return errors.Join(err, errors.New("what was written now is not on the bus yet"))
	})
}

// probe begins the names of objects that are written until one is on the bus.
const probe = "probe-"

// newestOnBus is nil if the newest message of the namespace says that in a header.
func (c *chaos) newestOnBus(ctx context.Context, header, value string) error {
	m, err := c.bus.LastFor(ctx, subject.Events, subject.EventChange(subject.Part("e2e", "", "configmaps"), "e2e", "", "configmaps", c.ns))
	if err == nil && !slices.Equal(m.Header[header], []string{value}) {
		err = fmt.Errorf("the newest is %v", m.Header)
	}
	return err
}

// intrude pushes to the branch as somebody else: a file of theirs, and one of ours, which will
// not last.
func (o *others) intrude(ctx context.Context, ns string) error {
	n := len(o.commits)
	note, content := "apps/note.txt", fmt.Sprint(n)
	git := func(args ...string) (err error) {
		_, err = gittest.Git(o.clone, args...)
		return err
	}
	write := func(path, content string) error {
		path = filepath.Join(o.clone, path)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(content), 0o644) //nolint:gosec // as people's files are
		}
		return err
	}
	steps := []func() error{
		func() error { return git("fetch", "-q", "origin", harness.Branch) },
		func() error { return git("reset", "-q", "--hard", "FETCH_HEAD") },
		func() error { return write(note, content) },
		func() error { return write("live/"+ns+"/configmaps/"+still(n)+".yaml", "data: {value: theirs}\n") },
		func() error { return git("add", ".") },
		func() error { return git("commit", "-q", "-m", "Work on two files") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	err := harness.Poll(ctx, time.Millisecond, "others to get a push through", func(context.Context) error {
		err := git("push", "-q", "origin", harness.Branch)
		if err != nil && strings.Contains(err.Error(), "rejected") {
			return errors.Join(err, git("pull", "-q", "--rebase", "origin", harness.Branch))
		}
		return err
	})
	if err != nil {
		return err
	}
	hash, err := gittest.Git(o.clone, "rev-parse", "HEAD")
	o.commits, o.files[note] = append(o.commits, hash), content
	return err
}

// landed waits until what was written has landed at both destinations.
func (c *chaos) landed(t *testing.T) {
	t.Helper()
	since := c.tip(t)
	marks, err := c.mark(within(t, stepLimit))
	must(t, err)
	wanted := map[string]bool{keyOf("shared").String() + " " + marks[1].Version: true}
	for _, m := range marks {
		wanted[keyOf("live").String()+" "+m.Version] = true
	}
	must(t, harness.Poll(within(t, convergeLimit), 50*time.Millisecond, "the last versions to have their commits", func(context.Context) error {
		tip, err := c.remote.Tip()
		if err != nil {
			return err
		}
		news, err := c.remote.History(since + ".." + tip)
		if err != nil {
			return err
		}
		for _, commit := range news {
			delete(wanted, commit.Placement+" "+commit.Version)
		}
		since = tip
		if len(wanted) > 0 {
			return fmt.Errorf("these have none: %v", slices.Collect(maps.Keys(wanted)))
		}
		return nil
	}))
}

// convergeLimit is how long it may take until all has landed: it is no measure.
const convergeLimit = 2 * time.Minute
