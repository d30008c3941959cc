package gitwriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/branch"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Replayed is a commit that a replay has made.
type Replayed = branch.Replayed

// ErrOccupied says that a directory is not free for a repository.
var ErrOccupied = errors.New("it is there already, and not empty")

// Replay writes recorded messages of KS_WRITE, those of one destination in their order,
// into a new repository, bare, at a path that holds nothing: by the code that writes live
// ones, with the same dates and positions, and as the destination is registered now. Each
// commit is handed to made. It returns how many changes came to what; sealed ones are left
// out where creds has no identity.
//
// Nothing is stored on the bus, and the destination's remote is not contacted: the files
// that stood there before are missing, and no commit is signed. It needs git, for git
// receive-pack. After an error the repository holds what came before it.
func Replay(ctx context.Context, on *bus.Bus, creds Credentials, d bus.Registered, dir string, recorded iter.Seq2[bus.Message, error], made func(Replayed) error, log *slog.Logger) (outcomes map[outcome.Outcome]int, err error) {
	dir, err = initRepository(ctx, dir, d.Branch)
	if err != nil {
		return nil, err
	}
	cache, err := os.MkdirTemp("", "kubescribe-replay-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the replay: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cache)) }()
	r := branch.Replay{
		Destination: d, Incarnation: on.Install.Incarnation, Repository: dir, CacheDir: filepath.Join(cache, "branch"), Log: log,
		At: func(ctx context.Context, seq uint64) (bus.Message, error) {
			return on.MessageAt(ctx, subject.Write, seq)
		},
	}
	if creds.Identity != "" {
		r.Identities = opener{Config: Config{Credentials: creds}}.identities
	}
	return r.Run(ctx, recorded, made)
}

// initRepository makes a bare repository of a directory that is empty, or not there.
func initRepository(ctx context.Context, dir, branch string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("making a repository: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("making a repository: %w", err)
	}
	if len(there) > 0 {
		return "", fmt.Errorf("making a repository in %s: %w", dir, ErrOccupied)
	}
	out, err := exec.CommandContext(ctx, "git", "init", "--quiet", "--bare", "--initial-branch="+branch, "--", dir).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("making a repository in %s: git init: %w: %s", dir, err, bytes.TrimSpace(out))
	}
	return dir, nil
}
