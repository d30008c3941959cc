package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// burstObjects are created, and each is updated once.
const burstObjects = 1000

// TestBurst: each of the 2,000 versions that the API server answered is a commit
// of its own, in order per object, none twice, within 30 s of the last answer.
func TestBurst(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "burst")
	burst := newBurst(t, w, ns)
	w.startReady(t)
	w.settle(t, scope())

	writes, err := burst.Run(within(t, stepLimit), w.cfg)
	must(t, err)
	w.checkBurst(t, ns, writes)
}

// TestBurstKilled: the same, while kubescribe is killed three times in the middle
// and started again.
func TestBurstKilled(t *testing.T) {
	long(t)
	w := newWorld(t, cluster)
	ns := w.namespace(t, "killed")
	burst := newBurst(t, w, ns)
	k := w.startReady(t)
	w.settle(t, scope())

	running := begin(within(t, 2*stepLimit), w, burst)
	killed := 0 // commits there were then
	for _, when := range []func() bool{
		func() bool { return burst.Answered() >= 300 },
		func() bool { return burst.Answered() >= 900 },
		func() bool { return w.count(t) >= killed+300 }, // catching up
	} {
		await(t, "the time to kill", when)
		k.Kill()
		killed = w.count(t)
		t.Logf("killed after %d answers and %d commits", burst.Answered(), killed)
		k = w.start(t)
	}
	w.checkBurst(t, ns, running.wait(t))
}

// TestBurstWithoutAPIServer: killing the API server in the middle, while kubescribe
// runs on and sees it refuse, answer half and come back, loses no final state and
// doubles nothing. It comes as a reader: one who may do everything would never see
// an API server that does not know its roles yet, and forbids what it will allow.
func TestBurstWithoutAPIServer(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, ownCluster(t))
	w.asReader(t)
	ns := w.namespace(t, "restarted")
	k := w.startReady(t)
	w.settle(t, scope())

	burst := &harness.Burst{Namespace: ns, Objects: burstObjects, Clients: 16, Stubborn: true} // of a cluster that goes
	running := begin(within(t, 3*stepLimit), w, burst)
	await(t, "a third of the burst", func() bool { return burst.Answered() >= 700 })
	w.cluster.Kill()
	awaitNotReady(t, k, "watcher", "connection refused")
	must(t, w.cluster.Restart(within(t, startLimit)))
	running.wait(t)

	w.settle(t, scope())
	must(t, k.AwaitReady(within(t, startLimit)))
	w.sentinel(t, ns)
	w.settle(t, scope()) // nothing came behind
	w.history(t)
}

// TestDeletedBehindItsBack: an API server that was restarted has forgotten what
// it had told, so what was deleted while kubescribe stood still is found by what
// is missing.
func TestDeletedBehindItsBack(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, ownCluster(t))
	ns := w.namespace(t, "behind")
	k := w.startReady(t)
	for n := range 20 {
		w.apply(t, sample(sampleConfigMap, ns, n))
	}
	w.settle(t, scope())

	must(t, k.Pause())
	must(t, w.cluster.Restart(within(t, startLimit)))
	for n := range 20 {
		w.remove(t, sample(sampleConfigMap, ns, n))
	}
	must(t, k.Resume())

	w.settle(t, scope())
	w.sentinel(t, ns)
	w.settle(t, scope()) // nothing came behind
	w.history(t)
	if bytes.Count(k.Output(), []byte("forgot our version")) == 0 {
		t.Error("the API server had forgotten nothing: this test has not tested what it is for")
	}
}

// ownCluster starts a control plane that a test may kill.
func ownCluster(t *testing.T) *harness.ControlPlane {
	t.Helper()
	cp, err := harness.StartControlPlane(within(t, startLimit), harness.ControlPlaneOptions{
		Bins: bins, Dir: filepath.Join(t.TempDir(), "controlplane"), Fast: true,
	})
	must(t, err)
	t.Cleanup(func() { cp.Kill() })
	return cp
}

// newBurst makes a burst whose objects go, once nothing watches them any more:
// the tests that come next need not mirror them.
func newBurst(t *testing.T, w *world, ns string) *harness.Burst {
	t.Helper()
	burst := &harness.Burst{Namespace: ns, Objects: burstObjects, Clients: 16}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
		defer cancel()
		if err := burst.Remove(ctx, w.cfg); err != nil {
			t.Error(err)
		}
	})
	return burst
}

// checkBurst checks that every answered version of a burst is in history as it
// should be.
func (w *world) checkBurst(t *testing.T, ns string, writes []harness.Written) {
	t.Helper()
	if len(writes) != 2*burstObjects {
		t.Fatalf("%d writes were answered, want %d", len(writes), 2*burstObjects)
	}
	var last time.Time
	for _, written := range writes {
		if written.At.After(last) {
			last = written.At
		}
	}
	ctx, cancel := context.WithDeadline(t.Context(), last.Add(burstLimit))
	defer cancel()
	if err := w.awaitVersions(ctx, "", writes...); err != nil {
		t.Error(err)
	}
	t.Logf("%s from the last answer to the last commit", time.Since(last).Round(time.Millisecond))

	w.sentinel(t, ns) // nothing comes behind
	history, err := w.remote.History()
	must(t, err)
	report(t, harness.Versions(history, writes))
	for _, c := range history {
		if c.Origin == "live" && len(c.Files) != 1 {
			t.Errorf("%.8s %s: changes %d files, want 1", c.Hash, c.Subject, len(c.Files))
		}
	}
	w.settle(t, scope())
}

// underWay is a burst that runs beside the test.
type underWay struct {
	done   chan struct{}
	writes []harness.Written
	err    error
}

func begin(ctx context.Context, w *world, burst *harness.Burst) *underWay {
	u := &underWay{done: make(chan struct{})}
	go func() {
		defer close(u.done)
		u.writes, u.err = burst.Run(ctx, w.cfg)
	}()
	return u
}

func (u *underWay) wait(t *testing.T) []harness.Written {
	t.Helper()
	<-u.done
	must(t, u.err)
	return u.writes
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	must(t, harness.Poll(within(t, stepLimit), 2*time.Millisecond, what, func(context.Context) error {
		if !is() {
			return errors.New("not yet")
		}
		return nil
	}))
}
