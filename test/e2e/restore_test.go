package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestClusterRestored: a cluster that is restored from a backup of 100 writes ago,
// while kubescribe looks on or stands still, ends equal to Git: what was undone is
// undone there. Each version that came before has its commit, and so has each that comes
// then, with resourceVersions that were given out before.
func TestClusterRestored(t *testing.T) {
	long(t)
	t.Parallel()
	for _, standing := range []bool{false, true} {
		if standing && os.Getenv(envRaces) == "" {
			continue // it takes a minute: make races does it
		}
		t.Run(map[bool]string{false: "looking on", true: "stopped meanwhile"}[standing], func(t *testing.T) {
			cp := ownCluster(t)
			w := newWorld(t, cp)
			ns := w.namespace(t, "restored")
			k := w.startReady(t)
			for n := range 40 {
				w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n), "before"))
			}
			w.fill(t, ns, 150) // so that what is undone is no mass deletion
			w.sentinel(t, ns)
			w.settle(t, scope())

			state, backup := filepath.Join(filepath.Dir(cp.Kubeconfig()), "etcd"), filepath.Join(t.TempDir(), "backup")
			cp.Kill()
			must(t, os.CopyFS(backup, os.DirFS(state)))
			must(t, cp.Restart(within(t, startLimit)))
			var writes []harness.Written
			for n := range 100 { // what case 2 removes is there, and case 1 makes some of it again
				switch n % 3 {
				case 0:
					writes = append(writes, w.apply(t, configMap(ns, fmt.Sprintf("undone-%d", n), "1")))
				case 1:
					writes = append(writes, w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n%40), fmt.Sprint(n))))
				case 2:
					writes = append(writes, w.remove(t, configMap(ns, fmt.Sprintf("kept-%d", n%40), "")))
				}
			}
			w.sentinel(t, ns)
			w.settle(t, scope())
			history := w.history(t)
			report(t, harness.Versions(history, writes))
			report(t, harness.Deletions(history, writes))
			undone := w.tip(t)

			if standing {
				stop(t, k)
			}
			cp.Kill()
			must(t, os.RemoveAll(state))
			must(t, os.CopyFS(state, os.DirFS(backup)))
			must(t, cp.Restart(within(t, startLimit)))
			if standing {
				k = w.startReady(t)
			}
			_, err := harness.AwaitEqual(within(t, startLimit), w.cfg, w.remote.Repository, scope())
			must(t, err)
			writes = nil
			for n := range 3 {
				for _, name := range []string{"after", "kept-1"} {
					writes = append(writes, w.apply(t, configMap(ns, name, fmt.Sprintf("after %d", n))))
				}
			}
			must(t, w.awaitVersions(within(t, stepLimit), undone, writes...))
			w.settle(t, scope())
			history, err = w.remote.History(undone + "..HEAD")
			must(t, err)
			report(t, harness.Versions(history, writes))
			stop(t, k)
		})
	}
}

// wentBack is what a git-writer says of a bus that is older than the branch.
const wentBack = "KS_WRITE does not hold what the branch holds, reconciling"

// TestBusRestored: all of a bus is an older copy, and the API server, restarted, has nothing of what
// happened since but how it ends. The services find nothing wrong among themselves: what they
// write, the BARRIER of a run first, stands at sequences that the branch has gone through before. By the branch the git-writer
// sees that; Git ends equal, without a drift check, and goes on, each version a commit.
func TestBusRestored(t *testing.T) {
	long(t)
	t.Parallel()
	cp := ownCluster(t)
	w := newWorld(t, cp)
	ns := w.namespace(t, "restored")
	f := newFleet(t, w)
	f.mirror(t, mirror{"live", []string{ns}})
	start := func(names ...string) {
		t.Helper()
		for _, name := range names {
			f.start(t, name)
		}
	}
	stopAll := func() {
		t.Helper()
		for _, name := range services {
			stop(t, f.running[name])
		}
		f.server.Kill()
	}
	start(services...)
	f.newestRun(t)      // what comes from now on is no part of it
	for n := range 30 { // so that what goes is no mass deletion
		w.apply(t, configMap(ns, fmt.Sprintf("kept-%d", n), "before"))
	}
	w.sentinel(t, ns)
	w.settle(t, scope(ns))

	stopAll()
	store, backup := filepath.Join(f.server.Dir, "store"), filepath.Join(t.TempDir(), "backup")
	must(t, os.CopyFS(backup, os.DirFS(store)))
	must(t, f.server.Restart(within(t, startLimit)))
	start(services...)
	var lost []harness.Written
	for n := range 40 {
		lost = append(lost, w.apply(t, configMap(ns, "kept-0", fmt.Sprint(n))))
	}
	lost = append(lost, w.apply(t, configMap(ns, "gone", "1")))
	must(t, w.awaitVersions(within(t, stepLimit), "", lost...))
	w.sentinel(t, ns)

	stopAll()
	must(t, os.RemoveAll(store))
	must(t, os.CopyFS(store, os.DirFS(backup)))
	w.remove(t, configMap(ns, "gone", ""))
	must(t, cp.Restart(within(t, startLimit)))
	must(t, f.server.Restart(within(t, startLimit)))
	start("watcher", "router", "stream", "reconciler")
	for n := range 10 {
		w.apply(t, configMap(ns, fmt.Sprintf("new-%d", n), "after"))
	}
	b := f.connect(t)
	must(t, harness.Poll(within(t, stepLimit), 20*time.Millisecond, "KS_WRITE to hold the BARRIER of a run", func(ctx context.Context) error {
		m, err := b.LastFor(ctx, subject.Write, "ks.write.d.>")
		if err != nil {
			return err
		}
		if kind, err := event.KindOf(m.Header); kind != event.KindRepoState {
			return fmt.Errorf("the newest of it is a %s, %v", kind, err)
		}
		return nil
	}))
	start("git-writer")
	_, err := harness.AwaitEqual(within(t, startLimit), w.cfg, w.remote.Repository, scope(ns))
	must(t, err)
	if log := string(f.running["git-writer"].Output()); !strings.Contains(log, wentBack) {
		t.Error("the git-writer does not say what it has found")
	}
	restored := w.tip(t)
	var writes []harness.Written
	for n := range 3 {
		writes = append(writes, w.apply(t, configMap(ns, "kept-0", fmt.Sprint("after ", n))))
	}
	must(t, w.awaitVersions(within(t, stepLimit), restored, writes...))
	w.settle(t, scope(ns))
	history, err := w.remote.History(restored + "..HEAD")
	must(t, err)
	report(t, harness.Versions(history, writes))
	for _, name := range services {
		must(t, f.running[name].AwaitReady(within(t, startLimit)))
		stop(t, f.running[name])
	}
}

// TestDataDirRestored: a data directory is put back as it was some time ago, under one process
// that has all the roles. It sees that Git is further, has it compared, and goes on.
func TestDataDirRestored(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "restored")
	w.options.Args = []string{"--namespace", ns}
	k := w.startReady(t)
	w.apply(t, configMap(ns, "kept", "before"))
	w.sentinel(t, ns)
	stop(t, k)
	backup := filepath.Join(t.TempDir(), "backup")
	must(t, os.CopyFS(backup, os.DirFS(w.options.DataDir)))
	k = w.startReady(t)
	for n := range 10 {
		w.apply(t, configMap(ns, "kept", fmt.Sprint(n)))
	}
	w.apply(t, configMap(ns, "gone", "1"))
	w.sentinel(t, ns)
	stop(t, k)

	must(t, os.RemoveAll(w.options.DataDir))
	must(t, os.CopyFS(w.options.DataDir, os.DirFS(backup)))
	w.remove(t, configMap(ns, "gone", ""))
	w.apply(t, configMap(ns, "kept", "after"))
	k = w.start(t)
	must(t, harness.Poll(within(t, stepLimit), 20*time.Millisecond, "it to say what it has found", func(context.Context) error {
		if !strings.Contains(string(k.Output()), wentBack) {
			return errors.New("its log does not say it")
		}
		return nil
	}))
	w.settle(t, scope(ns))
	must(t, w.awaitVersions(within(t, stepLimit), w.tip(t), w.apply(t, configMap(ns, "kept", "at last"))))
	w.settle(t, scope(ns))
	must(t, k.AwaitReady(within(t, startLimit)))
	stop(t, k)
}

// TestKeysLost: all keys of a data directory are lost while Secrets wait that are sealed to one of
// them. Others are made, what waits is left to a comparison, and all Secrets are written anew.
func TestKeysLost(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "keyless")
	owner := newReader(t, w, "owner")
	w.options.Args = []string{"--namespace", ns, "--recipient", owner.recipient}
	in := scope(ns)
	in.Decrypt = owner.decrypt
	w.apply(t, secret(ns, "db", "first"))
	k := w.startReady(t)
	w.settle(t, in)

	address := strings.TrimPrefix(strings.TrimSuffix(w.remote.URL, "/live.git"), "http://")
	must(t, w.remote.Close())
	w.apply(t, secret(ns, "db", "second"))
	w.apply(t, secret(ns, "web", "first"))
	awaitNotReady(t, k, "branch main of ", "connection refused")
	waits := regexp.MustCompile(`\nkubescribe_git_writer_lag_messages{[^}]*} ([2-9])\n`)
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "both to wait", func(ctx context.Context) error {
		_, metrics, err := k.Get(ctx, "/metrics")
		if err == nil && !waits.MatchString(metrics) {
			err = errors.New("the metrics do not say so")
		}
		return err
	}))
	k.Kill()
	must(t, os.RemoveAll(filepath.Join(w.options.DataDir, "keys")))
	w.serve(t, address)
	k = w.start(t)
	w.settle(t, in)
	w.apply(t, secret(ns, "db", "third"))
	w.settle(t, in)
	must(t, k.AwaitReady(within(t, startLimit)))
	if dead := w.get(t).DeadLetters; dead != 0 {
		t.Errorf("%d were sent to the dead letters", dead)
	}
	stop(t, k)
}
