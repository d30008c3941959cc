package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// leaseRoles are the roles of the services, as they stand in KS_LEASE.
var leaseRoles = map[string]string{
	"watcher": subject.LeaseWatcher("e2e"), "router": subject.LeaseRouter, "stream": subject.LeaseStream,
	"reconciler": subject.LeaseReconciler, "git-writer": subject.LeaseGitWriter,
}

// TestReplicas: while changes flow, each service is scaled from one to three and back, and then
// restarted one replica after the other. Each replica gets its share, what stops gives back what it had
// before its lease would have gone by itself, commits come on without a long gap, and each version is in
// Git once and in order.
func TestReplicas(t *testing.T) {
	t.Parallel()
	f, ns := startServices(t)
	w := f.world
	expired := f.expired(t)
	traffic := &harness.Traffic{Namespace: ns, Objects: 100, Rate: 50}
	stopped, ended := make(chan struct{}), make(chan struct{})
	var writes []harness.Written
	var failed error
	go func() {
		defer close(ended)
		writes, failed = traffic.Run(within(t, 4*stepLimit), stopped, w.cfg)
	}()
	enough := func(n int) {
		t.Helper()
		n += traffic.Answered()
		await(t, "changes to flow", func() bool { return traffic.Answered() >= n })
	}
	enough(50)
	arrivals := w.followTips(t)
	restarted := map[string][2]time.Time{}
	for _, name := range services {
		f.start(t, name+" 2")
		f.start(t, name+" 3")
	}
	for name, role := range leaseRoles {
		f.shared(t, role, 3)
		for _, n := range []string{"", " 2", " 3"} {
			must(t, f.running[name+n].AwaitReady(within(t, stepLimit)))
		}
	}
	enough(50)
	for _, name := range services {
		stop(t, f.running[name])
		stop(t, f.running[name+" 3"])
	}
	for _, role := range leaseRoles {
		f.shared(t, role, 1)
	}
	enough(50)
	for _, name := range services { // one after the other
		begun := time.Now()
		f.start(t, name)
		f.shared(t, leaseRoles[name], 2)
		stop(t, f.running[name+" 2"])
		f.shared(t, leaseRoles[name], 1)
		enough(20)
		restarted[name] = [2]time.Time{begun, time.Now()}
	}
	close(stopped)
	<-ended
	must(t, failed)
	must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	report(t, harness.Versions(w.history(t), writes))
	report(t, expired())
	tips := arrivals()
	for _, name := range services {
		gap := harness.LongestGap(tips, restarted[name][0], restarted[name][1])
		t.Logf("%s restarted: %s at most without a commit", name, gap.Round(time.Millisecond))
		if gap > gapLimit {
			t.Errorf("%s restarted: no commit came for %s, and %s are promised", name, gap, gapLimit)
		}
	}
}

// gapLimit is for how long no commit may come while a service is restarted in order. A lease
// that nobody gives back would take twice as long.
const gapLimit = 5 * time.Second

// followTips follows the branch until it is asked what it was seen to be.
func (w *world) followTips(t *testing.T) (seen func() []harness.Tip) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tips, done := make(chan harness.Tip), make(chan struct{})
	var all []harness.Tip
	go w.remote.FollowTips(ctx, tips)
	go func() {
		defer close(done)
		for tip := range tips {
			all = append(all, tip)
		}
	}()
	seen = func() []harness.Tip {
		cancel()
		<-done
		return all
	}
	t.Cleanup(func() { seen() })
	return seen
}

// expired follows KS_LEASE, and tells which leases have gone by themselves since.
func (f *fleet) expired(t *testing.T) (keys func() []string) {
	t.Helper()
	nc, err := nats.Connect(f.server.URL)
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	kv, err := js.KeyValue(within(t, stepLimit), subject.BucketLease)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	watch, err := kv.WatchAll(ctx, jetstream.UpdatesOnly())
	must(t, err)
	var mu sync.Mutex
	var gone []string
	before := map[string][]string{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range watch.Updates() {
			if e == nil {
				continue
			}
			mu.Lock()
			// Given back is a deletion; what the server removes is a purge.
			if e.Operation() == jetstream.KeyValuePurge && strings.Contains(e.Key(), ".shard.") {
				gone = append(gone, fmt.Sprintf("the lease %s has gone by itself, behind %v", e.Key(), before[e.Key()]))
			}
			before[e.Key()] = append(before[e.Key()], fmt.Sprintf("%s %s %s", e.Created().Format("05.000"), e.Operation(), e.Value()))
			mu.Unlock()
		}
	}()
	t.Cleanup(cancel)
	return func() []string {
		must(t, errors.Join(watch.Stop()))
		cancel()
		<-done
		mu.Lock()
		defer mu.Unlock()
		return gone
	}
}
