package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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

// TestServices: the five services as five processes against a NATS server of its
// own write each version once and in order, while each of them in turn is killed
// in the middle of changes and started again, and then the NATS server is. No restart
// leads to a run.
func TestServices(t *testing.T) {
	t.Parallel()
	f, ns := startServices(t)
	w := f.world
	w.settle(t, scope(ns))
	w.sentinel(t, ns)
	sameRun := f.newestRun(t)

	burst := &harness.Burst{Namespace: ns, Objects: 400, Clients: 2}
	running := begin(within(t, 2*stepLimit), w, burst)
	for i, name := range services {
		await(t, "the next to kill", func() bool { return burst.Answered() >= 100*(i+1) })
		sameRun(t, "before the "+name+" is killed")
		f.again(t, name)
	}
	await(t, "the NATS server's turn", func() bool { return burst.Answered() >= 100*(len(services)+1) })
	f.again(t, natsServer)
	writes := running.wait(t)
	must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	report(t, harness.Versions(w.history(t), writes))
	for _, name := range services {
		must(t, f.running[name].AwaitReady(within(t, startLimit)))
	}
	sameRun(t, "in the end")
	for _, name := range services {
		stop(t, f.running[name])
	}
}

// newestRun returns what fails the test unless the destination's newest run is the one
// that it is now, which has closed, at the same attempt, and nobody has asked for another.
func (f *fleet) newestRun(t *testing.T) func(t *testing.T, when string) {
	t.Helper()
	b := f.connect(t)
	must(t, b.Verify(within(t, stepLimit)))
	phases, err := bus.OpenBucket[event.PhaseRecord](within(t, stepLimit), b, subject.BucketPhase)
	must(t, err)
	key := keyOf("live")
	var before event.PhaseRecord
	must(t, harness.Poll(within(t, stepLimit), 10*time.Millisecond, "a run to close", func(ctx context.Context) (err error) {
		before, _, err = phases.Newest(ctx, subject.DestinationToken(key))
		if err == nil && before.Running() {
			err = fmt.Errorf("it is %+v", before)
		}
		return err
	}))
	return func(t *testing.T, when string) {
		t.Helper()
		ctx := within(t, stepLimit)
		now, _, err := phases.Newest(ctx, subject.DestinationToken(key))
		must(t, err)
		if now.Run != before.Run || now.Attempt != before.Attempt || now.Running() || now.Next != "" {
			t.Errorf("%s there is another run than %s: %+v", when, before.Run, now)
		}
		for _, filter := range []string{subject.CtlRun(key), subject.CtlRunsBehind(key)} {
			if m, err := b.LastFor(ctx, subject.Ctl, filter); !errors.Is(err, bus.ErrNoMessage) {
				t.Errorf("%s a run is asked for: %s, %v", when, m.Data, err)
			}
		}
	}
}

// startServices starts the five services, with a destination of a namespace.
func startServices(t *testing.T) (f *fleet, ns string) {
	t.Helper()
	w := newWorld(t, cluster)
	ns = w.namespace(t, "services")
	f = newFleet(t, w)
	f.mirror(t, mirror{"live", []string{ns}})
	for _, name := range services {
		f.start(t, name)
	}
	for _, name := range services {
		must(t, f.running[name].AwaitReady(within(t, startLimit)))
	}
	return f, ns
}

// TestLogsMadeAnew: where one of the streams is another one than those who read it
// have read, because it was lost and made anew, they go on by themselves. Git ends equal
// to the cluster, and no version is there twice.
func TestLogsMadeAnew(t *testing.T) {
	long(t)
	t.Parallel()
	f, ns := startServices(t)
	w := f.world
	for n := range 30 { // so that what goes is no mass deletion
		w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n), "1"))
		w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n), "2"))
	}
	w.sentinel(t, ns)
	for n, log := range []struct{ stream, reader string }{{"KS_LIVE", "stream"}, {"KS_EVENTS", "router"}, {"KS_WRITE", "git-writer"}} {
		stop(t, f.running[log.reader])
		w.apply(t, configMap(ns, fmt.Sprintf("made-%d", n), "before"))
		w.apply(t, configMap(ns, "kept-0", log.stream))
		w.remove(t, configMap(ns, fmt.Sprintf("kept-%d", 1+n), ""))
		f.recreate(t, log.stream)
		w.apply(t, configMap(ns, fmt.Sprintf("made-%d", n), "after"))
		f.start(t, log.reader)
		_, err := harness.AwaitEqual(within(t, startLimit), w.cfg, w.remote.Repository, scope(ns))
		must(t, err)
		must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(ns, "kept-0", "after "+log.stream))))
	}
	w.settle(t, scope(ns))
	history, err := w.remote.History()
	must(t, err)
	report(t, slices.DeleteFunc(harness.Doubles(history), func(problem string) bool {
		return strings.Contains(problem, "its position") // KS_WRITE counts anew
	}))
	for _, name := range services {
		must(t, f.running[name].AwaitReady(within(t, startLimit)))
		stop(t, f.running[name])
	}
}

// recreate makes a stream anew, empty.
func (f *fleet) recreate(t *testing.T, stream string) {
	t.Helper()
	nc, err := nats.Connect(f.server.URL)
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	st, err := js.Stream(within(t, stepLimit), stream)
	must(t, err)
	cfg := st.CachedInfo().Config
	must(t, js.DeleteStream(within(t, stepLimit), stream))
	_, err = js.CreateStream(within(t, stepLimit), cfg)
	must(t, err)
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
