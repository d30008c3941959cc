package cli

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/kubescribe/kubescribe/services/kubescribe"
	"github.com/kubescribe/kubescribe/services/kubescribe/internal/screen"
	"github.com/kubescribe/kubescribe/services/watcher"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/service"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
)

// runFlags are the flags of kubescribe run.
type runFlags struct {
	repo, branch, baseFolder string
	namespaces               []string
	adopt                    bool
	recipients               []string
	secrets                  watcher.SecretOptions
	config                   string
	crds                     bool
	gitCredentials           string
	cluster                  string
	kubeconfig, context      string
	dataDir                  string
	listen                   string
	verbose                  bool
	rate                     watcher.Rate
}

const runLong = `Mirror a cluster into a Git repository for as long as the command runs.

With --repo, everything in the cluster goes to one folder of one branch; with
--config, what the documents of a file say; with --crds, what the custom resources in
the cluster say (kubectl apply -f deploy/crds installs them), whose changes are
followed. The API server is found as kubectl finds it. A second start resumes where the first stopped.

A remote that names a Secret is opened by that alone: a directory below
--git-credentials, with a file for each key, or without one the Secret in the
cluster, which takes the right to list and watch it. For others, credentials for https
come from KUBESCRIBE_GIT_USERNAME and the file named by
KUBESCRIBE_GIT_PASSWORD_FILE, else from git's credential helpers; for ssh from
the agent, and hosts must stand in known_hosts. Commits are signed with the SSH
private key in the file that KUBESCRIBE_GIT_SIGNING_KEY_FILE names, if it names one;
KUBESCRIBE_GIT_SIGNING_PASSPHRASE_FILE names a file with its passphrase.

Secrets are mirrored encrypted (SOPS with age), to whoever --recipient or a destination's
spec.encryption.recipients names; without a recipient they are not mirrored. What of the
installation's own keys is needed for that is made in --data-dir, below keys.`

func runCommand(env Env) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run {--repo URL | --config FILE | --crds}", Short: "Mirror a cluster into Git", Long: runLong, Args: noArgs,
		Example: "  kubescribe run --repo https://git.example.com/platform/live.git\n" +
			"  kubescribe run --repo git@git.example.com:platform/live.git --namespace shop --namespace billing",
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), env, cmd, f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.repo, "repo", "", "`URL` or path of the Git repository")
	fs.StringVar(&f.branch, "branch", v1alpha1.DefaultBranch, "`branch` that is written to")
	fs.StringVar(&f.baseFolder, "base-folder", v1alpha1.DefaultBaseFolder, "`folder` of the repository that is written to, . for its root")
	fs.StringArrayVar(&f.namespaces, "namespace", nil, "mirror only this `namespace`; may be given several times")
	fs.BoolVar(&f.adopt, "adopt", false, "take over a base folder that holds resources already")
	fs.StringArrayVar(&f.recipients, "recipient", nil, "public `key` (age1...) of one who may read Secrets in Git; may be given several times")
	fs.StringVar(&f.config, "config", "", "`file` with GitRemote, GitDestination, WatchRule and ClusterWatchRule documents")
	fs.BoolVar(&f.crds, "crds", false, "take these documents from the cluster's custom resources, and follow their changes")
	gitCredentials(fs, &f.gitCredentials, env)
	fs.StringVar(&f.cluster, "cluster", "", "`name` of the cluster (default: as the kubeconfig calls it)")
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `file` (default: $KUBECONFIG, ~/.kube/config)")
	fs.StringVar(&f.context, "context", "", "`name` of the kubeconfig context (default: the current one)")
	rate := flag.NewFlagSet("", flag.ContinueOnError)
	f.rate.Flags(rate)
	f.secrets.Flags(rate)
	fs.AddGoFlagSet(rate)
	fs.StringVar(&f.dataDir, "data-dir", "", "`directory` of the message bus (default: ~/.local/share/kubescribe/cluster-CLUSTER)")
	fs.StringVar(&f.listen, "listen", "127.0.0.1:8080", "`address` of /healthz, /readyz and /metrics")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "log debug messages too")
	return cmd
}

func run(ctx context.Context, env Env, cmd *cobra.Command, f runFlags) error {
	docs, err := documents(cmd, f)
	if err != nil {
		return err
	}
	rc, cluster, err := watcher.LoadREST(f.kubeconfig, f.context)
	if err != nil {
		return usageError{err}
	}
	if err := f.rate.Apply(rc); err != nil {
		return usageError{err}
	}
	never, err := f.secrets.Never()
	if err != nil {
		return usageError{err}
	}
	if f.cluster != "" {
		cluster = f.cluster
	}
	if err := watcher.CheckCluster(cluster); err != nil {
		return usageError{err}
	}
	creds, key := credentials(env, f.gitCredentials), signing(env)
	if err := errors.Join(creds.Validate(), key.Validate()); err != nil {
		return usageError{err}
	}
	if f.dataDir == "" {
		if f.dataDir, err = defaultDataDir(env.Getenv, cluster); err != nil {
			return err
		}
	}
	if err := service.CheckListen(ctx, f.listen); err != nil {
		return usageError{err}
	}
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	scr := screen.New(env.Stderr)
	log := service.NewLogger(scr.Log(), level)
	klog.SetSlogLogger(log.With("role", "client-go")) // it would write its own format to stderr

	log.Info("starting", "version", env.Version, "cluster", cluster, "server", rc.Host)
	cfg := kubescribe.Config{
		DataDir: f.dataDir, Listen: f.listen,
		Watcher:     watcher.Config{Cluster: cluster, Documents: docs, REST: rc, Owner: env.Owner, NoSecrets: never},
		Credentials: creds, Signing: key,
	}
	return service.Bounded(ctx, log, func() error { return serve(ctx, cfg, f.repo != "", scr, log) })
}

// gitCredentials declares the flag that says where Secrets are.
func gitCredentials(fs *pflag.FlagSet, dir *string, env Env) {
	fs.StringVar(dir, "git-credentials", env.Getenv("KUBESCRIBE_GIT_CREDENTIALS_DIR"), "`directory` of the Secrets that remotes name, with cluster/namespace/name/key; else $KUBESCRIBE_GIT_CREDENTIALS_DIR")
}

// credentials are those for Git: Secrets in a directory, and what the environment says.
func credentials(env Env, dir string) gitwriter.Credentials {
	return gitwriter.Credentials{
		Dir: dir, Username: env.Getenv("KUBESCRIBE_GIT_USERNAME"), PasswordFile: env.Getenv("KUBESCRIBE_GIT_PASSWORD_FILE"),
		AgentSocket: env.Getenv("SSH_AUTH_SOCK"), KnownHosts: env.Getenv("SSH_KNOWN_HOSTS"),
	}
}

// signing is what signs commits, as the environment says it.
func signing(env Env) gitwriter.Signing {
	return gitwriter.Signing{
		KeyFile: env.Getenv("KUBESCRIBE_GIT_SIGNING_KEY_FILE"), PassphraseFile: env.Getenv("KUBESCRIBE_GIT_SIGNING_PASSPHRASE_FILE"),
	}
}

// serve starts everything, runs it until ctx ends and closes it. With only one
// destination, given by flags, it ends when that is refused.
func serve(ctx context.Context, cfg kubescribe.Config, only bool, scr *screen.Screen, log *slog.Logger) error {
	p, err := kubescribe.Start(ctx, cfg, log)
	if err != nil {
		return unlessStopped(ctx, err, log)
	}
	log.Info("kubescribe is running", "data_dir", p.DataDir(), "listen", p.Addr.String())
	rctx, stop := context.WithCancelCause(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		follow(rctx, stop, p, newPhases(cfg.Watcher.Cluster), only, scr, log)
	}()
	err = p.Run(rctx)
	stop(nil)
	<-shown
	log.Info("kubescribe has stopped")
	if cause := context.Cause(rctx); errors.Is(cause, errRefused) {
		err = errors.Join(cause, err)
	}
	return errors.Join(err, p.Close())
}

// defaultDataDir is one directory for each cluster.
func defaultDataDir(getenv func(string) string, cluster string) (string, error) {
	home, err := dataHome(getenv)
	return filepath.Join(home, safeName(cluster)), err
}

// dataHome is where data directories are, if nothing else is said: where the XDG
// base directory specification puts a user's data.
func dataHome(getenv func(string) string) (string, error) {
	base := getenv("XDG_DATA_HOME")
	if base == "" {
		home := getenv("HOME")
		if home == "" {
			return "", usage("there is no $HOME to keep data in: name a directory with --data-dir")
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "kubescribe"), nil
}

// safeName makes one path component of a cluster's name.
func safeName(cluster string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == ':' || r < ' ' {
			return '_'
		}
		return r
	}, "cluster-"+cluster)
}
