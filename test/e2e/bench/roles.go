package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// roles are the programs of the five services, in the order in which they start.
var roles = []string{"git-writer", "stream", "router", "reconciler", "watcher"}

// start starts the services, for the one destination, and waits until each is ready.
func (i *install) start(ctx context.Context, kubeconfig string) error {
	if err := i.configure(kinds, mirror{name: destination.Name}); err != nil {
		return err
	}
	return i.startRoles(ctx, kubeconfig, roles...)
}

// startRoles starts some of the services and waits until each is ready.
func (i *install) startRoles(ctx context.Context, kubeconfig string, names ...string) error {
	for _, name := range names {
		if err := i.startRole(ctx, kubeconfig, name); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := i.running[name].AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startRole starts a service, or one more of it: the name has a number behind then.
func (i *install) startRole(ctx context.Context, kubeconfig, name string) error {
	var args []string
	switch program(name) {
	case "watcher":
		args = []string{"--config", i.config(), "--kubeconfig", kubeconfig, "--cluster", destination.Cluster}
	case "git-writer":
		args = []string{"--cache-dir", filepath.Join(i.dir, "cache", name)}
	}
	return i.run(ctx, name, args...)
}

// program is the one that goes by a name.
func program(name string) string {
	program, _, _ := strings.Cut(name, " ")
	return program
}

// run starts one service.
func (i *install) run(ctx context.Context, name string, args ...string) error {
	return i.launch(ctx, name, append([]string{"--nats", i.url, "--listen", "127.0.0.1:0"}, args...)...)
}

// launch starts a program that is to run until it is dismissed.
func (i *install) launch(ctx context.Context, name string, args ...string) error {
	d, err := harness.StartDaemon(ctx, harness.Command{
		Bins: i.bins, Program: program(name), Log: filepath.Join(i.logs, name+".log"), Args: args,
	})
	if err != nil {
		return err
	}
	i.mu.Lock()
	i.running[name] = d
	i.mu.Unlock()
	go func() {
		<-d.Exited()
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.running[name] == d {
			i.end(fmt.Errorf("%s has ended; its log ends with:\n%s", name, d.Tail(10)))
		}
	}()
	return nil
}

// dismiss has a process be none of the install's any more: it may end.
func (i *install) dismiss(name string) *harness.Daemon {
	i.mu.Lock()
	defer i.mu.Unlock()
	d := i.running[name]
	delete(i.running, name)
	return d
}
