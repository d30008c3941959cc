package branch

import (
	"context"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
)

// seenFiles bounds twice how many files' contents a worker remembers: some megabytes.
const seenFiles = 50_000

// seen remembers what files hold, by blob: it never changes. Those not asked for
// longest go first.
type seen struct {
	young, old map[plumbing.Hash]file.Contents
}

func (s *seen) get(blob plumbing.Hash) (file.Contents, bool) {
	c, ok := s.young[blob]
	if !ok {
		if c, ok = s.old[blob]; ok {
			s.put(blob, c)
		}
	}
	return c, ok
}

// several is whether a file is known to hold several resources. Only of those asking is
// remembered: a whole folder is asked about.
func (s *seen) several(blob plumbing.Hash) bool {
	if s.young[blob].Resources < 2 && s.old[blob].Resources < 2 {
		return false
	}
	c, _ := s.get(blob)
	return c.Resources > 1
}

func (s *seen) put(blob plumbing.Hash, c file.Contents) {
	if s.young == nil || len(s.young) >= seenFiles {
		s.young, s.old = map[plumbing.Hash]file.Contents{}, s.young
	}
	s.young[blob] = c
}

// contents looks into files: those not known are fetched together.
func (s *session) contents(ctx context.Context, blobs []plumbing.Hash) (map[plumbing.Hash]file.Contents, error) {
	holds := make(map[plumbing.Hash]file.Contents, len(blobs))
	var unknown []plumbing.Hash
	for _, blob := range blobs {
		if _, twice := holds[blob]; twice {
			continue
		}
		c, ok := s.seen.get(blob)
		if !ok {
			unknown = append(unknown, blob)
		}
		holds[blob] = c
	}
	err := s.repo.ReadBlobs(ctx, unknown, func(blob plumbing.Hash, content []byte) {
		holds[blob] = file.Parse(content)
		s.seen.put(blob, holds[blob])
	})
	return holds, err
}
