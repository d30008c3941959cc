package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// burstObjects are created, and each is updated once.
const burstObjects = 1000

// TestBurst: each of the 2,000 versions that the API server answered is a commit
// of its own, in order per object, none twice, within 30 s of the last answer.
func TestBurst(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "burst")
	w.startReady(t)
	w.settle(t, scope())

	burst := &harness.Burst{Namespace: ns, Objects: burstObjects, Clients: 16}
	writes, err := burst.Run(within(t, stepLimit), w.cfg)
	must(t, err)
	w.checkBurst(t, ns, writes)
}

// TestBurstKilled: the same, while kubescribe is killed three times in the middle
// and started again.
func TestBurstKilled(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "killed")
	k := w.startReady(t)
	w.settle(t, scope())

	burst := &harness.Burst{Namespace: ns, Objects: burstObjects, Clients: 16}
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

// TestBurstWithoutAPIServer: killing the API server in the middle loses no final
// state and doubles nothing.
func TestBurstWithoutAPIServer(t *testing.T) {
	cp, err := harness.StartControlPlane(within(t, startLimit), harness.ControlPlaneOptions{
		Bins: bins, Dir: filepath.Join(t.TempDir(), "controlplane"), Fast: true,
	})
	must(t, err)
	t.Cleanup(func() { cp.Kill() })
	w := newWorld(t, cp)
	ns := w.namespace(t, "restarted")
	k := w.startReady(t)
	w.settle(t, scope())

	burst := &harness.Burst{Namespace: ns, Objects: burstObjects, Clients: 16, Stubborn: true}
	running := begin(within(t, 3*stepLimit), w, burst)
	gone := beginGone(within(t, 3*stepLimit), w, ns, running.done)
	await(t, "a third of the burst", func() bool { return burst.Answered() >= 700 })
	cp.Kill()
	must(t, cp.Restart(within(t, startLimit)))
	running.wait(t)
	t.Logf("%d more objects came and went", gone.wait(t))

	w.settle(t, scope())
	w.sentinel(t, ns)
	w.settle(t, scope()) // nothing came behind
	w.history(t)
	t.Logf("the API server had forgotten %d positions", bytes.Count(k.Output(), []byte("forgot our version")))
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

// comings creates objects and deletes them again, one after the other, through
// whatever happens to the API server.
type comings struct {
	done chan struct{}
	n    int
	err  error
}

// beginGone goes on until the burst is done.
func beginGone(ctx context.Context, w *world, ns string, until <-chan struct{}) *comings {
	c := &comings{done: make(chan struct{})}
	stubborn := func(do func(context.Context, string) (harness.Written, error), manifest string) error {
		return harness.Poll(ctx, 10*time.Millisecond, "the API server to take a change", func(ctx context.Context) error {
			_, err := do(ctx, manifest)
			if apierrors.IsNotFound(err) {
				return nil // deleted, and the answer was lost
			}
			return err
		})
	}
	go func() {
		defer close(c.done)
		for {
			select {
			case <-until:
				return
			default:
			}
			manifest := configMap(ns, fmt.Sprintf("gone-%d", c.n), "soon gone")
			if c.err = stubborn(w.objects.Apply, manifest); c.err != nil {
				return
			}
			if c.err = stubborn(w.objects.Delete, manifest); c.err != nil {
				return
			}
			c.n++
		}
	}()
	return c
}

func (c *comings) wait(t *testing.T) int {
	t.Helper()
	<-c.done
	must(t, c.err)
	return c.n
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
