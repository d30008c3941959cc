package branch

import (
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

const (
	// plannedFiles bounds how many files of a destination are known to differ from Git: some
	// megabytes. Beyond that all are forgotten, and compared with Git again.
	plannedFiles = 20_000
	// So many commits, and changes of each, are shown.
	shownCommits = 10
	shownChanges = 5
)

// rehearsal is what is known of a destination in DryRun: which files would not stand as they
// do in Git, had its commits been pushed, and those of its commits that are not shown yet. It
// lasts as long as the worker: whoever is new compares with Git, and shows again what comes again.
type rehearsal struct {
	files map[string]planned // by path
	news  event.DryRun
}

// planned is a file that would not stand as it does in Git.
type planned struct {
	git   plumbing.Hash // what stands there; zero: nothing does
	blob  plumbing.Hash // what would; zero: nothing would
	holds file.Contents
}

func newRehearsal() *rehearsal { return &rehearsal{files: map[string]planned{}} }

// over puts what would stand at a path over what stands there in Git. Where that is not what it
// was any more, it counts: somebody else has changed it.
func (r *rehearsal) over(path string, git, stand map[string]plumbing.Hash, holds map[plumbing.Hash]file.Contents) {
	p, is := r.files[path]
	switch {
	case !is:
	case p.git != git[path]:
		delete(r.files, path)
	case p.blob.IsZero():
		delete(stand, path)
	default:
		stand[path], holds[p.blob] = p.blob, p.holds
	}
}

// apply takes in the operations of a commit, and is what they would change.
func (r *rehearsal) apply(ops []repo.Op) (changes []repo.Change) {
	for _, op := range ops {
		git, stood := op.Replaces, op.Replaces
		if p, is := r.files[op.Path]; is && (op.Replaces == p.git || op.Replaces == p.blob) {
			git, stood = p.git, p.blob
		}
		next := planned{git: git}
		if !op.Delete {
			next.blob = plumbing.ComputeHash(plumbing.BlobObject, op.Content)
			next.holds = written(op)
		}
		if next.blob == stood {
			continue
		}
		changes = append(changes, repo.Change{Path: op.Path, What: effect(stood, next.blob)})
		r.plan(op.Path, next)
	}
	return changes
}

func (r *rehearsal) plan(path string, p planned) {
	if p.blob == p.git {
		delete(r.files, path)
		return
	}
	if len(r.files) >= plannedFiles {
		clear(r.files)
	}
	r.files[path] = p
}

// effect is what becomes of a file, by its blobs before and after.
func effect(was, is plumbing.Hash) repo.What {
	switch {
	case was.IsZero():
		return repo.Created
	case is.IsZero():
		return repo.Deleted
	}
	return repo.Updated
}

// written is what a file holds that an operation writes.
func written(op repo.Op) file.Contents {
	if manifest.IsSealedPath(op.Path) {
		return file.Parse(op.Content)
	}
	return file.Contents{Resources: 1}
}

// wouldBe is a commit as it is shown.
func wouldBe(when time.Time, subject string, changes []repo.Change) event.DryRun {
	c := event.WouldBe{Time: when, Subject: subject, Files: len(changes)}
	for _, change := range changes[:min(len(changes), shownChanges)] {
		c.Changes = append(c.Changes, change.What.String()+" "+change.Path)
	}
	return event.DryRun{Commits: 1, Files: len(changes), Newest: []event.WouldBe{c}}
}

// with is what is shown, once there is news. Neither of the two is changed.
func with(was, news event.DryRun) event.DryRun {
	was.Commits += news.Commits
	was.Files += news.Files
	newest := append(news.Newest[:len(news.Newest):len(news.Newest)], was.Newest...)
	was.Newest = newest[:min(len(newest), shownCommits)]
	return was
}
