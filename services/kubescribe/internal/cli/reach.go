package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/services/kubescribe/internal/embedded"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// reachWait bounds how long a command waits for the bus: a server that runs answers
// at once.
const reachWait = 5 * time.Second

// reach says how a command reaches the bus.
type reach struct {
	dataDir string
	nats    bus.Access
}

// reachLong is said in the help of every command that works on the bus.
const reachLong = `The bus is that of the "kubescribe run" whose data directory --data-dir names (by
default the one below ~/.local/share/kubescribe, if there is one alone), or the NATS
server that --nats names.`

func (r *reach) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.dataDir, "data-dir", "", "`directory` that kubescribe run keeps its message bus in")
	r.nats.Flags(cmd.Flags().StringVar, "", subject.UserOperator)
}

// check refuses what cannot be meant.
func (r *reach) check() error {
	switch {
	case r.nats.URL != "" && r.dataDir != "":
		return usage("--nats and --data-dir exclude each other: kubescribe run says in its data directory where its bus is")
	case r.nats.URL == "":
		if given := r.nats.Args(); len(given) > 0 {
			return usage("%s goes with --nats", given[0])
		}
		return nil
	}
	if err := r.nats.Check(); err != nil {
		return usage("%w", err)
	}
	return nil
}

// open connects. A data directory that was found, and not given, is noted, so that
// what a person is told to type next is complete.
func (r *reach) open(ctx context.Context, env Env) (*bus.Bus, error) {
	cfg := bus.Config{Access: r.nats, As: subject.UserOperator, Name: "kubescribe-" + env.Owner, Log: slog.New(slog.DiscardHandler)}
	mend := "; does a NATS server run there?"
	if r.nats.URL == "" {
		if r.dataDir == "" {
			dir, err := onlyDataDir(env.Getenv)
			if err != nil {
				return nil, err
			}
			r.dataDir = dir
		}
		access, err := embedded.ReadAccess(r.dataDir)
		if err != nil {
			return nil, fmt.Errorf("%w; is kubescribe running with --data-dir %s?", err, r.dataDir)
		}
		cfg.URL, cfg.Username, cfg.Password = access.URL, access.User, access.Password
		mend = "; is kubescribe running with --data-dir " + r.dataDir + "?"
	}
	ctx, cancel := context.WithTimeout(ctx, reachWait)
	defer cancel()
	b, err := bus.Connect(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, mend)
	}
	if err := b.Verify(ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("%s is not usable: %w%s", cfg.URL, err, mend)
	}
	return b, nil
}

// typed is the flags with which another command reaches the same bus.
func (r *reach) typed() string {
	if r.nats.URL == "" {
		return " --data-dir " + shell(r.dataDir)
	}
	var words strings.Builder
	for _, arg := range r.nats.Args() {
		words.WriteString(" " + shell(arg))
	}
	return words.String()
}

// shell is a word as a shell takes it.
func shell(word string) string {
	if !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-:,=@", r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// onlyDataDir is the one data directory that there is where they are by default.
func onlyDataDir(getenv func(string) string) (string, error) {
	home, err := dataHome(getenv)
	if err != nil {
		return "", err
	}
	switch dirs := embedded.FindAccess(home); len(dirs) {
	case 0:
		return "", fmt.Errorf("no data directory of kubescribe run is in %s: name it with --data-dir, or a NATS server with --nats", home)
	case 1:
		return dirs[0], nil
	default:
		return "", errors.New("which one? name a data directory with --data-dir:\n  " + strings.Join(dirs, "\n  "))
	}
}
