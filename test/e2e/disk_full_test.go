package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// disk is a small file system of its own.
type disk struct{ dir string }

// mountDisk mounts one of so many bytes at a directory, until the test ends.
func mountDisk(t *testing.T, dir string, size int) disk {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a disk can be full where a small one can be mounted, and here it cannot (%v): run this as root, or with the capability CAP_SYS_ADMIN, as CI does", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk{dir}
}

func (d disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill takes all the room that there is.
func (d disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.ballast())
	must(t, err)
	_, err = io.Copy(f, zeros{})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk ended with %v", err)
	}
	_ = f.Close() // it is full
}

// free gives it back.
func (d disk) free(t *testing.T) {
	t.Helper()
	must(t, os.Remove(d.ballast()))
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestNATSDiskFull: a NATS server whose disk is full takes nothing more, and says so; what it took
// before goes on to Git. Once there is room, and it was restarted, what happened meanwhile arrives,
// each version once.
func TestNATSDiskFull(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "full")
	dir := t.TempDir()
	store := mountDisk(t, filepath.Join(dir, "store"), 128<<20)
	server, err := harness.StartNATS(within(t, startLimit), bins, dir, maxPayload)
	must(t, err)
	t.Cleanup(func() { server.Kill() })
	// What streams may hold is more than there is room for: that is how a disk comes to be full.
	must(t, server.Reconfigure("sync_interval: always", "sync_interval: always, max_file_store: 64GB"))
	must(t, server.Restart(within(t, startLimit)))
	f := newFleetOn(t, w, server, server.URL, 1)
	f.mirror(t, mirror{"live", []string{ns}})
	for _, name := range services {
		f.start(t, name)
	}
	f.newestRun(t) // what comes from now on is no part of it
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	sameRun := f.newestRun(t)

	store.fill(t)
	var writes []harness.Written
	for n := range 10 {
		writes = append(writes, w.apply(t, configMap(ns, "web", fmt.Sprint(n))))
	}
	t.Logf("the watcher: %s", awaitNotReady(t, f.running["watcher"], "cannot publish"))
	store.free(t)
	must(t, server.Restart(within(t, startLimit)))
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

// TestDataDirFull: kubescribe run ends once its data directory has no room for what is to be stored,
// and says so. Whoever starts it again before there is finds the same; after it, what happened meanwhile
// arrives, each version once.
func TestDataDirFull(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "full")
	d := mountDisk(t, filepath.Join(w.dir, "small"), 128<<20)
	w.options.DataDir, w.options.Log = filepath.Join(d.dir, "data"), filepath.Join(w.dir, "log")
	w.options.Args = []string{"--namespace", ns}
	k := w.startReady(t)
	w.sentinel(t, ns)
	w.settle(t, scope(ns))

	d.fill(t)
	var writes []harness.Written
	for n := range 10 {
		writes = append(writes, w.apply(t, configMap(ns, "web", fmt.Sprint(n))))
	}
	code, err := k.Exit(within(t, stepLimit))
	must(t, err)
	said := words(k.Process)
	t.Logf("it says: %s", said)
	for _, want := range []string{"the store in " + w.options.DataDir, "no space left on device", "make room there if its disk is full, and start kubescribe again"} {
		if code != 1 || !strings.Contains(said, want) {
			t.Errorf("it ends with %d and does not say %q: %s", code, want, said)
		}
	}
	code, said = runToEnd(t, w.options.Command().Args...)
	t.Logf("started again: %s", said)
	if code != 1 || !strings.Contains(said, w.options.DataDir) || !strings.Contains(said, "no space left on device") {
		t.Errorf("started again it ends with %d: %s", code, said)
	}
	d.free(t)
	k = w.startReady(t)
	must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	report(t, harness.Versions(w.history(t), writes))
	stop(t, k)
}

// TestGitWriterDiskFull: a git-writer whose disk is full says so, with what the system says, and
// goes on by itself once there is room.
func TestGitWriterDiskFull(t *testing.T) {
	t.Parallel()
	f, ns := startServices(t)
	w := f.world
	f.newestRun(t) // what comes from now on is no part of it
	w.sentinel(t, ns)
	w.settle(t, scope(ns))
	sameRun := f.newestRun(t)
	stop(t, f.running["git-writer"])
	cache := mountDisk(t, filepath.Join(f.dir, "cache of git-writer"), 16<<20)
	cache.fill(t)
	f.start(t, "git-writer")
	var writes []harness.Written
	for n := range 10 {
		writes = append(writes, w.apply(t, configMap(ns, "web", fmt.Sprint(n))))
	}
	said := awaitNotReady(t, f.running["git-writer"], "branch main of ", "no space left on device")
	t.Logf("it says: %s", said)
	if !strings.Contains(said, cache.dir) {
		t.Errorf("it does not say where: %s", said)
	}
	if code, table := runToEnd(t, "get", "--nats", f.nats); code != 0 || !strings.Contains(table, "Failed") {
		t.Errorf("get ends with %d: %s", code, table)
	}
	cache.free(t)
	must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
	w.settle(t, scope(ns))
	report(t, harness.Versions(w.history(t), writes))
	sameRun(t, "in the end")
	must(t, f.running["git-writer"].AwaitReady(within(t, startLimit)))
	for _, name := range services {
		stop(t, f.running[name])
	}
}
