package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// jetStream is a stock client of a NATS server's streams.
func jetStream(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	return js
}

// TestRefusedInstalls: each service that finds an install which it must not use ends with 1, and
// says what to do.
func TestRefusedInstalls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		made func(*testing.T, jetstream.JetStream)
		want []string
	}{
		{"two installs in one account", func(t *testing.T, js jetstream.JetStream) {
			label(t, js, "KS_LIVE", "kubescribe.dev/incarnation", "another")
		}, []string{"KS_LIVE", "another", "two installs share this NATS account; give each its own"}},
		{"other shards", func(t *testing.T, js jetstream.JetStream) {
			label(t, js, "KS_WRITE", "kubescribe.dev/write-shards", "16")
		}, []string{"KS_WRITE", "kubescribe.dev/write-shards=16, this program has 8: run the version that made it"}},
		{"streams are missing", func(t *testing.T, js jetstream.JetStream) {
			must(t, js.DeleteStream(within(t, stepLimit), "KS_LIVE"))
		}, []string{"KS_LIVE", "are gone while others remain: restore them, or remove the rest and start afresh with --adopt"}},
		{"a stream of somebody else", func(t *testing.T, js jetstream.JetStream) {
			label(t, js, "KS_EVENTS", "kubescribe.dev/incarnation", "")
		}, []string{"KS_EVENTS", "was not made by kubescribe: use another NATS account"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cluster)
			f := newFleet(t, w)
			f.mirror(t, mirror{"live", []string{"default"}})
			js := jetStream(t, f.nats)
			_, err := js.Publish(within(t, stepLimit), "ks.ev.fence.0.e2e", nil) // it is in use
			must(t, err)
			tt.made(t, js)
			for _, name := range services {
				args := []string{"--nats", f.nats, "--listen", "127.0.0.1:0"}
				switch name {
				case "watcher":
					args = append(args, "--config", f.config, "--kubeconfig", cluster.Kubeconfig())
				case "git-writer":
					args = append(args, "--cache-dir", t.TempDir())
				}
				ends(t, name, args, tt.want...)
			}
		})
	}
}

// ends runs a program, which is to end with 1 and say all of that.
func ends(t *testing.T, program string, args []string, want ...string) {
	t.Helper()
	p, err := harness.StartProcess(harness.Command{Bins: bins, Program: program, Args: args, Log: filepath.Join(t.TempDir(), program+".log")})
	must(t, err)
	t.Cleanup(p.Kill)
	code, err := p.Exit(within(t, stepLimit))
	must(t, err)
	for _, words := range want {
		if said := string(p.Output()); code != 1 || !strings.Contains(said, words) {
			t.Errorf("%s ends with %d and does not say %q: %s", program, code, words, said)
		}
	}
}

// label sets what stands in the metadata of a stream; nothing stands there any more where it is "".
func label(t *testing.T, js jetstream.JetStream, stream, key, value string) {
	t.Helper()
	s, err := js.Stream(within(t, stepLimit), stream)
	must(t, err)
	cfg := s.CachedInfo().Config
	if cfg.Metadata[key] = value; value == "" {
		delete(cfg.Metadata, key)
	}
	_, err = js.UpdateStream(within(t, stepLimit), cfg)
	must(t, err)
}

// TestNATSCredentials: a service that the NATS server refuses ends with 1 and says so. One that was
// connected before, or is when they are withdrawn, goes on trying, and goes on once they count again.
func TestNATSCredentials(t *testing.T) {
	t.Parallel()
	f, ns := startServices(t)
	w := f.world
	f.newestRun(t) // what comes from now on is no part of it
	w.sentinel(t, ns)
	const open, shut = "PASSWORD: ", "PASSWORD: another_"
	must(t, f.server.Reconfigure(open, shut))
	must(t, f.server.Reload())
	for _, name := range services {
		awaitNotReady(t, f.running[name], "bus connection is ")
	}
	written := w.apply(t, configMap(ns, "meanwhile", "x"))
	ends(t, "router", []string{"--nats", f.nats, "--nats-password-file", f.password, "--listen", "127.0.0.1:0"}, "the server refused the credentials")
	must(t, f.server.Reconfigure(shut, open))
	must(t, f.server.Reload())
	must(t, w.awaitVersions(within(t, stepLimit), "", written))
	w.settle(t, scope(ns))
	for _, name := range services {
		must(t, f.running[name].AwaitReady(within(t, startLimit)))
		stop(t, f.running[name])
	}
}

// TestNATSNodeLost: of three NATS servers one is lost with its disk. Nobody has to do anything: what
// changes meanwhile arrives, each version once, without a run. Once another is in its place, and has all
// that the others have, any other may go.
func TestNATSNodeLost(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "node")
	servers, err := harness.StartNATSCluster(within(t, startLimit), harness.NATSClusterOptions{Bins: bins, Dir: t.TempDir(), MaxPayload: maxPayload})
	must(t, err)
	t.Cleanup(servers.Kill)
	f := newFleetOn(t, w, servers.Nodes[0], servers.URL, 3)
	f.mirror(t, mirror{"live", []string{ns}})
	for _, name := range services {
		f.start(t, name)
	}
	f.newestRun(t) // what comes from now on is no part of it
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	sameRun := f.newestRun(t)
	var writes []harness.Written
	change := func(when string) {
		t.Helper()
		since := len(writes)
		for n := range 20 {
			writes = append(writes, w.apply(t, configMap(ns, fmt.Sprintf("web-%d", n%3), fmt.Sprint(when, n))))
		}
		must(t, w.awaitVersions(within(t, stepLimit), "", writes[since:]...))
	}
	for i, node := range servers.Nodes {
		node.Kill()
		must(t, os.RemoveAll(filepath.Join(node.Dir, "store")))
		change(fmt.Sprint("without ", i, ": "))
		must(t, node.Restart(within(t, startLimit)))
		change(fmt.Sprint("with ", i, " again: "))
		f.replicated(t)
	}
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	report(t, harness.Versions(w.history(t), writes))
	sameRun(t, "in the end")
	for _, name := range services {
		must(t, f.running[name].AwaitReady(within(t, startLimit)))
		stop(t, f.running[name])
	}
}

// replicated waits until each NATS server has all of each stream.
func (f *fleet) replicated(t *testing.T) {
	t.Helper()
	js := jetStream(t, f.nats)
	must(t, harness.Poll(within(t, startLimit), 100*time.Millisecond, "each server to have all", func(ctx context.Context) error {
		names := js.StreamNames(ctx)
		for name := range names.Name() {
			s, err := js.Stream(ctx, name)
			if err != nil {
				return err
			}
			c := s.CachedInfo().Cluster
			if c == nil || len(c.Replicas) != 2 {
				return fmt.Errorf("%s has %+v", name, c)
			}
			for _, r := range c.Replicas {
				if !r.Current || r.Offline {
					return fmt.Errorf("of %s %+v", name, *r)
				}
			}
		}
		return names.Err()
	}))
}

// TestNATSAwayTooLong: while the NATS server is away the API server forgets what has happened: etcd
// is compacted, and it is restarted. Then the newest versions arrive, what was deleted is deleted, and all
// goes on.
func TestNATSAwayTooLong(t *testing.T) {
	t.Parallel()
	for _, stopped := range []bool{false, true} {
		t.Run(map[bool]string{false: "the watcher waits", true: "the watcher is started again"}[stopped], func(t *testing.T) {
			t.Parallel()
			cp := ownCluster(t)
			w := newWorld(t, cp)
			ns := w.namespace(t, "away")
			f := newFleet(t, w)
			f.mirror(t, mirror{"live", []string{ns}})
			for _, name := range services {
				f.start(t, name)
			}
			f.newestRun(t) // what comes from now on is no part of it
			for n := range 20 {
				w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n), "before"))
			}
			w.sentinel(t, ns)
			w.settle(t, scope(ns))

			f.server.Kill()
			for n := range 300 {
				w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n%10), fmt.Sprint(n)))
			}
			w.apply(t, configMap(ns, "never-seen", "x"))
			w.remove(t, configMap(ns, "never-seen", ""))
			w.remove(t, configMap(ns, "kept-19", ""))
			awaitNotReady(t, f.running["watcher"], "bus connection is ")
			compact(t, cp)
			must(t, cp.Restart(within(t, startLimit)))
			if stopped {
				f.running["watcher"].Kill()
				f.start(t, "watcher")
				awaitNotReady(t, f.running["watcher"], "connecting to NATS at ")
			}
			must(t, f.server.Restart(within(t, startLimit)))
			_, err := harness.AwaitEqual(within(t, startLimit), w.cfg, w.remote.Repository, scope(ns))
			must(t, err)
			if log := string(f.running["watcher"].Output()); !strings.Contains(log, "the API server forgot our version, listing") {
				t.Error("the watcher does not say what it has met")
			}
			must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(ns, "kept-0", "at last"))))
			w.settle(t, scope(ns))
			w.history(t)
			for _, name := range services {
				must(t, f.running[name].AwaitReady(within(t, startLimit)))
				stop(t, f.running[name])
			}
		})
	}
}

// compact has etcd forget all that there was before what there is now.
func compact(t *testing.T, cp *harness.ControlPlane) {
	t.Helper()
	socket := filepath.Join(filepath.Dir(cp.Kubeconfig()), "etcd.sock")
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	ask := func(what, body string) (revision string) {
		t.Helper()
		req, err := http.NewRequestWithContext(within(t, stepLimit), http.MethodPost, "http://etcd/v3/kv/"+what, strings.NewReader(body))
		must(t, err)
		resp, err := client.Do(req)
		must(t, err)
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		must(t, err)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("etcd answers %s to %s: %s", resp.Status, what, b)
		}
		var answer struct{ Header struct{ Revision string } }
		must(t, json.Unmarshal(b, &answer))
		return answer.Header.Revision
	}
	newest := ask("range", `{"key": "AA=="}`)
	ask("compaction", fmt.Sprintf(`{"revision": %q, "physical": true}`, newest))
}

// TestBusLost: the NATS server has lost all that it had, under services that run. They say so, and
// end once an install is made anew, which is not the one that they know. Started again, with leave to
// take the folder over, they make Git equal.
func TestBusLost(t *testing.T) {
	long(t)
	t.Parallel()
	f, ns := startServices(t)
	w := f.world
	f.newestRun(t) // what comes from now on is no part of it
	w.apply(t, configMap(ns, "kept", "1"))
	w.apply(t, configMap(ns, "gone", "1"))
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	f.server.Kill()
	must(t, os.RemoveAll(filepath.Join(f.server.Dir, "store")))
	must(t, f.server.Restart(within(t, startLimit)))
	for _, name := range services {
		t.Logf("%s: %s", name, awaitNotReady(t, f.running[name], name))
	}
	w.remove(t, configMap(ns, "gone", ""))
	w.apply(t, configMap(ns, "kept", "2"))
	f.start(t, "router 2")
	awaitNotReady(t, f.running["router 2"], "no kubescribe streams on this NATS server: provision it first")
	must(t, f.connect(t).Provision(within(t, stepLimit), bus.Options{}))
	for _, name := range services {
		code, err := f.running[name].Exit(within(t, stepLimit))
		must(t, err)
		if said := f.running[name].Tail(2); code != 1 || !strings.Contains(said, "the install on this NATS server was made anew") || !strings.Contains(said, "start it again") {
			t.Errorf("%s ends with %d: %s", name, code, said)
		}
		f.start(t, name)
	}
	awaitNotReady(t, f.running["git-writer"], "another kubescribe install")
	f.adopt = true
	f.mirror(t, mirror{"live", []string{ns}})
	f.again(t, "watcher")
	w.settle(t, scope(ns))
	must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(ns, "kept", "3"))))
	w.settle(t, scope(ns))
	for _, name := range append([]string{"router 2"}, services...) {
		must(t, f.running[name].AwaitReady(within(t, startLimit)))
		stop(t, f.running[name])
	}
}
