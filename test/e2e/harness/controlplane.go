package harness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ControlPlaneOptions says how a control plane runs.
type ControlPlaneOptions struct {
	Bins  Bins
	Dir   string // all of its state
	Audit bool   // write AuditLog
	// Fast leaves out syncing etcd to disk: a crash of the machine may lose
	// data, a kill of the process does not.
	Fast bool
}

// ControlPlane is a real API server with controllers and etcd in one process.
type ControlPlane struct {
	*Process
	opts ControlPlaneOptions
}

// StartControlPlane starts a control plane and returns once it can be used.
func StartControlPlane(ctx context.Context, opts ControlPlaneOptions) (*ControlPlane, error) {
	c := &ControlPlane{opts: opts}
	if err := c.Restart(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Restart kills what still runs and starts the control plane on the same state,
// with the same address and credentials, and returns once it can be used. When it
// fails, nothing runs.
func (c *ControlPlane) Restart(ctx context.Context) error {
	if c.Process != nil {
		c.Kill()
	}
	args := []string{"up", "--dir", c.opts.Dir}
	if c.opts.Audit {
		args = append(args, "--audit")
	}
	if c.opts.Fast {
		args = append(args, "--unsafe-no-fsync")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the control plane: %w", err)
	}
	c.Process, err = StartProcess(Command{
		Bins: c.opts.Bins, Program: "controlplane", Args: args, Log: filepath.Join(c.opts.Dir, "console.log"), Stdout: w,
	})
	_ = w.Close() // the process has its own
	if err != nil {
		_ = r.Close()
		return err
	}
	ready := make(chan bool, 1)
	go func() {
		defer func() { _ = r.Close() }()
		lines := bufio.NewReader(r)
		line, _ := lines.ReadString('\n') // at its end without a line, the process is gone
		ready <- strings.HasPrefix(line, "ready:")
		_, _ = io.Copy(io.Discard, lines)
	}()
	select {
	case is := <-ready:
		if is {
			return nil
		}
		err = errors.New("it ended before it was ready")
	case <-ctx.Done():
		err = fmt.Errorf("it is not ready yet: %w", ctx.Err())
	}
	c.Kill()
	return fmt.Errorf("starting the control plane: %w; see %s and controlplane.log beside it:\n%s", err, c.Log, c.Tail(5))
}

// Kubeconfig is the file by which the cluster's administrator reaches it.
func (c *ControlPlane) Kubeconfig() string { return filepath.Join(c.opts.Dir, "kubeconfig") }

// LimitedKubeconfig is the same for [LimitedUser].
func (c *ControlPlane) LimitedKubeconfig() string {
	return filepath.Join(c.opts.Dir, "kubeconfig-unprivileged")
}

// LimitedUser may do nothing until RBAC says so.
const LimitedUser = "limited"

// AuditLog is the file in which the API server notes every request.
func (c *ControlPlane) AuditLog() string { return filepath.Join(c.opts.Dir, "audit.log") }

// UserAgent is how the harness presents itself to API servers.
const UserAgent = "harness"

// REST is an administrator's client configuration without a rate limit.
func (c *ControlPlane) REST() (*rest.Config, error) { return RESTFrom(c.Kubeconfig()) }

// RESTFrom is a client configuration from a kubeconfig, without a rate limit.
func RESTFrom(kubeconfig string) (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	cfg.QPS, cfg.UserAgent = -1, UserAgent
	return cfg, nil
}
