package harness

import (
	"context"
	"path/filepath"
)

// KubescribeOptions says what `kubescribe run` is given.
type KubescribeOptions struct {
	Bins       Bins
	Kubeconfig string
	Repo       string // --repo; empty when Args say where to
	Username   string // for the remote; empty for none
	Password   string // file
	DataDir    string
	Cluster    string   // --cluster; empty for the kubeconfig's own
	Args       []string // more flags
	Env        []string // more settings
	Log        string   // file; empty: beside DataDir
}

// Command is what StartKubescribe runs.
func (o KubescribeOptions) Command() Command {
	args := []string{"run", "--listen", "127.0.0.1:0", "--data-dir", o.DataDir}
	for flag, value := range map[string]string{"--kubeconfig": o.Kubeconfig, "--repo": o.Repo, "--cluster": o.Cluster} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	c := Command{Bins: o.Bins, Program: "kubescribe", Args: append(args, o.Args...), Env: o.Env, Log: o.Log}
	if c.Log == "" {
		c.Log = filepath.Clean(o.DataDir) + ".log"
	}
	if o.Username != "" {
		c.Env = append(c.Env[:len(c.Env):len(c.Env)], "KUBESCRIBE_GIT_USERNAME="+o.Username, "KUBESCRIBE_GIT_PASSWORD_FILE="+o.Password)
	}
	return c
}

// StartKubescribe starts `kubescribe run` and returns once its log says on which
// address it answers: it need not be ready. Started again with the same options
// it resumes where the last one ended.
func StartKubescribe(ctx context.Context, o KubescribeOptions) (*Daemon, error) {
	return StartDaemon(ctx, o.Command())
}
