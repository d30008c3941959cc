// Package cluster runs a Kubernetes control plane inside this process.
package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Up runs the control plane until ctx ends, then stops it: controllers first,
// then the API server, then etcd. When the API server can be used it writes one
// line to stdout. It returns nil only if ctx ended it, and otherwise an error
// that names the log file.
//
// The process must exit after Up. Before the ready line there is nothing worth an
// orderly stop, and kube-apiserver does not know one then: Up just returns, and
// the exit is like a kill, which all that is in opts.Dir survives.
//
// Up makes opts.Dir the working directory of the process, which keeps the paths
// of etcd's Unix sockets within their length limit however long opts.Dir is.
func Up(ctx context.Context, opts Options, stdout io.Writer) error {
	dir, err := enterDir(opts.Dir)
	if err != nil {
		return err
	}
	unlock, err := lockDir()
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	defer unlock()
	logPath := filepath.Join(dir, logFile)
	if err := startLog(); err != nil {
		return err
	}

	if err := run(ctx, opts, dir, stdout); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w (log: %s)", err, logPath)
	}
	return nil
}

// run does the work of Up once the working directory is ours and logs go to a file.
func run(ctx context.Context, opts Options, dir string, stdout io.Writer) error {
	st, listener, err := loadState(opts.Port)
	if err != nil {
		return err
	}

	etcd, err := startEtcd(ctx, opts.UnsafeNoFsync)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	server, err := startAPIServer(st, listener, opts.Audit)
	if err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	if err := waitReady(ctx, st, server); err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	defer etcd.Close()
	defer server.stop()
	if err := writeKubeconfigs(st); err != nil {
		return err
	}

	controllers := startControllers(st)
	defer controllers.stop()
	fmt.Fprintf(stdout, "ready: kubeconfig %s, %s\n", filepath.Join(dir, kubeconfigFile), st.url())

	select {
	case <-ctx.Done():
		return nil
	case <-server.done:
		return fmt.Errorf("kube-apiserver stopped by itself: %w", server.err)
	case <-controllers.done:
		return fmt.Errorf("the controllers stopped by themselves: %w", controllers.err)
	case err := <-etcd.Err():
		return fmt.Errorf("etcd stopped by itself: %w", err)
	}
}

// enterDir creates dir, makes it the working directory and returns its absolute path.
func enterDir(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.Chdir(dir)
}
