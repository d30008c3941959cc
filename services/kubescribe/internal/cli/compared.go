package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// comparison is what a run that writes nothing has found.
type comparison struct {
	outcome     event.Outcome
	differences []difference // by path
}

// difference is one file that a run would make, change or remove.
type difference struct {
	event.Entry        // what a run would do
	git         string // hash of the file's content, of one that is there and stays
	left        bool   // there was no room for the cluster's content
}

// readComparison reads what a comparison has found, with the cluster's contents of
// what is different, which go to contents. bus.ErrSeries if it is not there any more.
func (a *awaiter) readComparison(ctx context.Context, rec event.PhaseRecord, contents contents) (comparison, error) {
	run, err := a.closed(ctx, rec, subject.SideRun)
	if err != nil {
		return comparison{}, err
	}
	if run.Outcome == nil {
		return comparison{}, fmt.Errorf("%w: run %s has no outcome", bus.ErrSeries, rec.Run)
	}
	c := comparison{outcome: *run.Outcome}
	changed := map[string]int{} // by path, where in differences
	for _, part := range run.Parts {
		end, err := a.closed(ctx, rec, subject.SideResult(part))
		if err != nil {
			return comparison{}, err
		}
		before := len(c.differences)
		for e, err := range a.bus.Entries(ctx, a.series(rec, subject.SideResult(part)), end) {
			if err != nil {
				return comparison{}, err
			}
			c.differences = append(c.differences, difference{Entry: e})
		}
		of := c.differences[before:]
		if end.Wanted == 0 {
			continue
		}
		if end, err = a.closed(ctx, rec, subject.SideContent(part)); err != nil {
			return comparison{}, err
		}
		leave(of, end.Left.Count())
		for change, err := range a.bus.Contents(ctx, a.series(rec, subject.SideContent(part)), end) {
			if err == nil {
				err = contents.put(change.Manifest)
			}
			if err != nil {
				return comparison{}, err
			}
		}
	}
	slices.SortFunc(c.differences, func(a, b difference) int { return strings.Compare(a.Path, b.Path) })
	for i, d := range c.differences {
		if d.What == event.ResultReconcile {
			changed[d.Path] = i
		}
	}
	if len(changed) == 0 {
		return c, nil
	}
	end, err := a.closed(ctx, rec, subject.SideRepo)
	if err != nil {
		return comparison{}, err
	}
	for e, err := range a.bus.Entries(ctx, a.series(rec, subject.SideRepo), end) {
		if err != nil {
			return comparison{}, err
		}
		if i, ok := changed[e.Path]; ok {
			c.differences[i].git = e.Hash
		}
	}
	return c, nil
}

// leave marks the last n of a lane's differences that want contents: those were left.
func leave(of []difference, n int) {
	for i := len(of) - 1; i >= 0 && n > 0; i-- {
		if of[i].What != event.ResultDelete {
			of[i].left = true
			n--
		}
	}
}

// closed is the end of a side that has one.
func (a *awaiter) closed(ctx context.Context, rec event.PhaseRecord, side subject.Side) (event.End, error) {
	end, err := a.bus.SeriesEnd(ctx, a.series(rec, side))
	if errors.Is(err, bus.ErrNoMessage) {
		err = fmt.Errorf("%w: %s of run %s is not there any more", bus.ErrSeries, side, rec.Run)
	}
	return end, err
}

// readGit reads the contents in Git of what is different and may be shown.
func (s *session) readGit(ctx context.Context, creds gitwriter.Credentials, c comparison, cache string, contents contents) error {
	seen := map[string]bool{}
	var hashes []string
	for _, d := range c.differences {
		if d.git != "" && !sensitive(d.Path) && !seen[d.git] {
			seen[d.git] = true
			hashes = append(hashes, d.git)
		}
	}
	if len(hashes) == 0 {
		return nil
	}
	cfg := gitwriter.Config{CacheDir: cache, Credentials: creds}
	var failed error
	err := gitwriter.ReadBlobs(ctx, s.bus, cfg, s.all, s.destination, hashes, func(_ string, content []byte) {
		failed = errors.Join(failed, contents.put(content))
	})
	return errors.Join(err, failed)
}

// contents keeps contents of files in a directory, by their hash: what a cluster and a
// repository differ in may be more than fits into memory.
type contents struct{ *os.Root }

func (c contents) put(content []byte) error {
	return c.WriteFile(manifest.Hash(content), content, 0o600)
}

// get is the content of a hash; ok is false if it is not known.
func (c contents) get(hash string) (content []byte, ok bool) {
	if hash == "" {
		return nil, false
	}
	content, err := c.ReadFile(hash)
	return content, err == nil
}

// sensitive reports whether the content of the object whose file has this path is not
// to be shown.
func sensitive(path string) bool {
	id, err := manifest.ParsePath(path)
	return manifest.IsSealedPath(path) || (err == nil || errors.Is(err, manifest.ErrShortened)) && event.IsSecrets(id.Group, id.Resource)
}
