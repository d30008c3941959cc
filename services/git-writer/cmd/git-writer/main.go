// Command git-writer runs the git-writer against a NATS server.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/service"
)

func main() {
	first, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(first, func() { stop(); cancel() }) // from then on a second signal ends the process at once
	cfg := gitwriter.Config{CacheDir: gitwriter.DefaultCacheDir(), Credentials: gitwriter.Credentials{
		Username: os.Getenv("KUBESCRIBE_GIT_USERNAME"), PasswordFile: os.Getenv("KUBESCRIBE_GIT_PASSWORD_FILE"),
		Dir: os.Getenv("KUBESCRIBE_GIT_CREDENTIALS_DIR"), Identity: os.Getenv("KUBESCRIBE_CREDENTIALS_IDENTITY_FILE"),
		AgentSocket: os.Getenv("SSH_AUTH_SOCK"), KnownHosts: os.Getenv("SSH_KNOWN_HOSTS"),
	}, Signing: gitwriter.Signing{KeyFile: os.Getenv("KUBESCRIBE_GIT_SIGNING_KEY_FILE"), PassphraseFile: os.Getenv("KUBESCRIBE_GIT_SIGNING_PASSPHRASE_FILE")}}
	host, _ := os.Hostname() // "" names nobody, which is all it costs
	code := service.Process{
		Name: "git-writer", Host: host, Args: os.Args[1:], Stderr: os.Stderr,
		Flags: cfg.Flags,
		Check: func() error { return cfg.Validate() },
		Build: func(ctx context.Context, e service.Env) (service.Role, error) {
			w, err := gitwriter.New(ctx, cfg, gitwriter.Deps{Bus: e.Bus, Log: e.Log, Metrics: e.Metrics, Replica: e.Owner})
			if err != nil {
				return service.Role{}, err
			}
			return service.Role{Name: "git-writer", Run: w.Run, Ready: w.Ready}, nil
		},
	}.Main(ctx)
	os.Exit(code)
}
