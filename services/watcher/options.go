package watcher

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/seal"
)

// Options are the settings of a watcher that runs by itself.
type Options struct {
	Cluster    string
	Kubeconfig string
	Context    string
	Config     string
	Resources  bool // the documents are the cluster's custom resources
	// CredentialsRecipient is the git-writer's public key; empty: no remote's Secret is read, and
	// no Secret is mirrored.
	CredentialsRecipient string
	MarkKeyFile          string // of the key that mirrored Secrets are marked with; empty: none is mirrored
	Secrets              SecretOptions
	Rate                 Rate
	loaded               Config
}

// Flags declares the options; what they are set to is the default.
func (o *Options) Flags(fs *flag.FlagSet) {
	fs.StringVar(&o.CredentialsRecipient, "credentials-recipient", o.CredentialsRecipient, "public `key` (age1...) of the git-writer, to which Secrets are sealed: those that remotes name, and those that are mirrored; else $KUBESCRIBE_CREDENTIALS_RECIPIENT; without one no remote's is read and none is mirrored")
	fs.StringVar(&o.MarkKeyFile, "mark-key", o.MarkKeyFile, "`file` with the key (kubescribe keygen watcher FILE) that mirrored Secrets are marked with; else $KUBESCRIBE_MARK_KEY_FILE; without one none is mirrored")
	o.Secrets.Flags(fs)
	fs.StringVar(&o.Cluster, "cluster", "", "`name` of the cluster on the bus and in Git (default: as the kubeconfig calls it)")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig `file`")
	o.Rate.Flags(fs)
	fs.StringVar(&o.Context, "context", "", "`name` of the kubeconfig context")
	fs.StringVar(&o.Config, "config", "", "`file` with GitRemote, GitDestination, WatchRule and ClusterWatchRule documents")
	fs.BoolVar(&o.Resources, "crds", false, "take the documents from the cluster's custom resources (deploy/crds), and follow their changes")
}

// Load reads the files that the options name.
func (o *Options) Load() error {
	var docs *v1alpha1.Documents
	switch {
	case o.Config == "" && !o.Resources:
		return errors.New("nothing to watch: name a configuration file with --config, or take the cluster's custom resources with --crds")
	case o.Config != "" && o.Resources:
		return errors.New("--config and --crds exclude each other: either a file says what goes where, or the cluster")
	case o.Config != "":
		var err error
		if docs, err = LoadDocuments(o.Config); err != nil {
			return err
		}
	}
	rc, name, err := LoadREST(o.Kubeconfig, o.Context)
	if err != nil {
		return err
	}
	if err := o.Rate.Apply(rc); err != nil {
		return err
	}
	if o.Cluster != "" {
		name = o.Cluster
	}
	if err := CheckCluster(name); err != nil {
		return err
	}
	o.loaded = Config{Cluster: name, Documents: docs, REST: rc}
	if o.loaded.NoSecrets, err = o.Secrets.Never(); err != nil {
		return err
	}
	if o.MarkKeyFile != "" {
		if o.loaded.MarkKey, err = ReadMarkKey(o.MarkKeyFile); err != nil {
			return err
		}
	}
	if o.CredentialsRecipient != "" {
		if o.loaded.Recipient, err = seal.ParseRecipient(o.CredentialsRecipient); err != nil {
			return fmt.Errorf("--credentials-recipient or KUBESCRIBE_CREDENTIALS_RECIPIENT: %w", err)
		}
	}
	return nil
}

// Watcher makes the watcher that the loaded options describe.
func (o *Options) Watcher(ctx context.Context, d Deps, owner string) (*Watcher, error) {
	cfg := o.loaded
	cfg.Owner = owner
	return New(ctx, cfg, d)
}

// CheckCluster refuses names that cannot stand in a destination's key.
func CheckCluster(name string) error {
	if name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("the cluster's name %q is empty or holds a slash: give it another with --cluster", name)
	}
	return nil
}
