// Package datadir owns the directory in which kubescribe keeps its bus.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// layoutLine is the first of VERSION: the version of what stands in the directory.
const layoutLine = "layout 1\n"

// Errors a person can do something about.
var (
	ErrInUse        = errors.New("the data directory is in use")
	ErrOtherVersion = errors.New("the data directory is from another version")
	ErrOtherInstall = errors.New("the data directory holds the store of another install")
	ErrOtherCluster = errors.New("the data directory is another cluster's")
)

// Dir is a data directory that this process alone uses.
type Dir struct {
	Path string
	lock *flock.Flock
}

// Open makes the directory if need be and locks it: two servers on one store
// lose acknowledged messages. The lock goes with the process, however it ends.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("opening data directory: %w; choose another with --data-dir", err)
	}
	// Before the lock, which would leave a file in somebody else's directory.
	if err := checkOurs(path); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(path, "LOCK"))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("opening data directory %s: %w; choose another with --data-dir", path, err)
	}
	if !got {
		return nil, fmt.Errorf("%w by another kubescribe: %s; stop that one, or choose another with --data-dir", ErrInUse, path)
	}
	d := &Dir{path, lock}
	if err := d.checkVersion(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// checkOurs refuses a directory that holds something and is no data directory.
func checkOurs(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("opening data directory: %w; choose another with --data-dir", err)
	}
	var stranger string
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "VERSION":
			return nil
		case name == "LOCK", strings.HasPrefix(name, ".VERSION-"): // what a crash before VERSION was there leaves
		default:
			stranger = name
		}
	}
	if stranger != "" {
		return fmt.Errorf("%s is not empty and not a kubescribe data directory (it holds %s and no VERSION): choose another with --data-dir", path, stranger)
	}
	return nil
}

// checkVersion reads VERSION, or writes it into a directory that has none.
func (d *Dir) checkVersion() error {
	file := d.Join("VERSION")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return d.Write("VERSION", []byte(layoutLine))
	}
	if err != nil {
		return fmt.Errorf("opening data directory: %w", err)
	}
	if got := string(b); !strings.HasPrefix(got, layoutLine) {
		first, _, _ := strings.Cut(got, "\n")
		return fmt.Errorf("%w: %s says %q, this program writes %q; run the version that made it, or choose another with --data-dir", ErrOtherVersion, file, first, strings.TrimSpace(layoutLine))
	}
	return nil
}

// Install is what a directory holds.
type Install struct {
	Incarnation                    string // of the bus
	Parts, LiveShards, WriteShards int
	Cluster                        string // the name of the one that is mirrored
}

func (i Install) bus() string {
	return fmt.Sprintf("incarnation %s\nshards %d %d %d\n", i.Incarnation, i.Parts, i.LiveShards, i.WriteShards)
}

// Claim notes in VERSION, once, what the directory holds, and refuses anything
// else. A bus that took the place of another counts anew, while what stands in
// Git says how far the old one had come. A cluster of another name would leave
// the destinations of the first behind, whose changes nobody captures any more.
// A crash before Claim leaves nothing to claim.
func (d *Dir) Claim(i Install) error {
	file := d.Join("VERSION")
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("claiming data directory: %w", err)
	}
	noted := strings.TrimPrefix(string(b), layoutLine)
	if noted == "" || noted == i.bus() { // the latter: by a version that did not note the cluster
		return d.Write("VERSION", []byte(layoutLine+i.bus()+"cluster "+i.Cluster+"\n"))
	}
	cluster, ours := strings.CutPrefix(noted, i.bus())
	if !ours {
		return fmt.Errorf("%w: %s says %q, but the store beside it says %q; put the store back that was there, or begin anew with another --data-dir", ErrOtherInstall, file, noted, i.bus())
	}
	if name := strings.TrimSuffix(strings.TrimPrefix(cluster, "cluster "), "\n"); name != i.Cluster {
		return fmt.Errorf("%w: %s mirrors cluster %q, not %q: go on with --cluster '%s', or keep this cluster in another --data-dir", ErrOtherCluster, d.Path, name, i.Cluster, name)
	}
	return nil
}

// Join is a path within the directory.
func (d *Dir) Join(name ...string) string { return filepath.Join(append([]string{d.Path}, name...)...) }

// Write replaces a file, readable by its owner alone. After a crash the file is
// the old or the new one, whole; once it returns, it is the new one, whatever loses power.
func (d *Dir) Write(name string, content []byte) error {
	dir, base := filepath.Split(d.Join(name))
	f, err := os.CreateTemp(dir, "."+base+"-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", d.Join(name), err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.Join(name))
	}
	if err == nil {
		return syncDir(dir)
	}
	return fmt.Errorf("writing %s: %w", d.Join(name), errors.Join(err, os.Remove(f.Name())))
}

// syncDir has the names in a directory outlast the machine's power.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing a directory: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close releases the directory.
func (d *Dir) Close() error { return d.lock.Close() }
