package watcher

import (
	"context"
	"errors"
	"flag"

	"github.com/kubescribe/kubescribe/shared/fault"
)

// Options are the settings of a watcher that runs by itself.
type Options struct {
	Cluster    string
	Kubeconfig string
	Context    string
	Config     string
}

// Flags declares the options.
func (o *Options) Flags(fs *flag.FlagSet) {
	fs.StringVar(&o.Cluster, "cluster", "", "`name` of the cluster on the bus and in Git (default: as the kubeconfig calls it)")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig `file`")
	fs.StringVar(&o.Context, "context", "", "`name` of the kubeconfig context")
	fs.StringVar(&o.Config, "config", "", "`file` with GitRemote, GitDestination, WatchRule and ClusterWatchRule documents (required)")
}

// Watcher makes the watcher that the options describe.
func (o Options) Watcher(ctx context.Context, d Deps, owner string) (*Watcher, error) {
	if o.Config == "" {
		return nil, fault.As(fault.Terminate, errors.New("nothing to watch: name a configuration file with --config"))
	}
	docs, err := LoadDocuments(o.Config)
	if err != nil {
		return nil, err
	}
	rc, name, err := LoadREST(o.Kubeconfig, o.Context)
	if err != nil {
		return nil, err
	}
	if o.Cluster != "" {
		name = o.Cluster
	}
	return New(ctx, Config{Cluster: name, Documents: docs, REST: rc, Owner: owner}, d)
}
