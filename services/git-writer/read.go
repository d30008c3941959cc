package gitwriter

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// ErrNoBlob says that a branch does not hold a file of some content any more.
var ErrNoBlob = errors.New("the branch does not hold such a file any more")

// ReadBlobs reads the files of a destination's branch that have these contents, by
// their hashes, and hands each to take, in no order. It fetches no history and no
// other file, where the server can do so, opens remotes as the writer of all
// destinations does, and changes nothing but the cache directory, which it has for
// itself.
func ReadBlobs(ctx context.Context, on *bus.Bus, cfg Config, all map[event.DestinationKey]bus.Registered, d event.Destination, hashes []string, take func(hash string, content []byte)) error {
	sealed, err := bus.OpenBucket[event.Credential](ctx, on, subject.BucketCredential)
	if err != nil {
		return err
	}
	open := opener{Config: cfg, sealed: sealed}
	b := repo.New(repo.Config{
		URL: d.URL, Branch: d.Branch, Dir: cfg.CacheDir,
		Auth: func(ctx context.Context) (repo.Access, error) {
			return open.access(ctx, all, d.URL, d.Credentials)
		},
	})
	defer b.Close()
	if _, err := b.Fetch(ctx); err != nil {
		return err
	}
	ids := make([]plumbing.Hash, len(hashes))
	for i, h := range hashes {
		ids[i] = plumbing.NewHash(h)
	}
	err = b.ReadBlobs(ctx, ids, func(h plumbing.Hash, content []byte) { take(h.String(), content) })
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fmt.Errorf("%w: %w", ErrNoBlob, err)
	}
	return err
}
