package branch

import (
	"path"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/message"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// A commit of a run is cut at so many files and bytes.
const (
	runFiles = 5000
	runBytes = 50 << 20
)

// write is a change on its way into a commit.
type write struct {
	event.Change
	msg         bus.Message // as it stands in KS_WRITE
	destination event.Destination
}

// path is where the change's object stands in the repository.
func (w write) path() string {
	id := manifest.Identity{Group: w.Group, Resource: w.Resource, Namespace: w.Namespace, Name: w.Name}
	return path.Join(w.destination.BaseFolder, id.Path())
}

func (w write) op() repo.Op {
	return repo.Op{Path: w.path(), Content: w.Manifest, Delete: w.Op == event.Delete}
}

// group cuts consecutive changes into commits: one for each live change; what
// lists and runs found goes together, as long as it is of one destination, no
// path comes twice and the bounds hold, so that no version is lost and
// positions stay contiguous.
func group(all []write) [][]write {
	var commits [][]write
	var open []write
	paths := map[string]bool{}
	size := 0
	for _, w := range all {
		if len(open) > 0 {
			first := open[0]
			if w.Origin != event.Reconcile || first.Origin != event.Reconcile ||
				w.destination.Key != first.destination.Key || paths[w.path()] ||
				len(open) >= runFiles || size+len(w.Manifest) > runBytes {
				commits, open, size = append(commits, open), nil, 0
				clear(paths)
			}
		}
		open = append(open, w)
		paths[w.path()] = true
		size += len(w.Manifest)
	}
	if len(open) > 0 {
		commits = append(commits, open)
	}
	return commits
}

// commit is what a group becomes, with the marker of its folder.
func commit(group []write, mark repo.Op, incarnation string) repo.Commit {
	last := group[len(group)-1]
	d := last.destination
	ops := []repo.Op{mark}
	byPath := make(map[string]event.Change, len(group))
	for _, w := range group {
		ops = append(ops, w.op())
		byPath[w.path()] = w.Change
	}
	when := last.Time
	if when.IsZero() {
		when = last.msg.Time
	}
	at := message.Position{Incarnation: incarnation, BranchKey: d.BranchKey, Seq: last.msg.Seq}
	return repo.Commit{
		Ops:       ops,
		Author:    repo.Signature{Name: d.Committer.Name, Email: d.Committer.Email, When: when.UTC()},
		Committer: repo.Signature{Name: d.Committer.Name, Email: d.Committer.Email, When: last.msg.Time.UTC()},
		Position:  last.msg.Seq,
		Message: func(changes []repo.Change) string {
			var items []message.Item
			for _, c := range changes {
				if ch, ok := byPath[c.Path]; ok {
					items = append(items, message.Item{Change: ch, Effect: c.What})
				}
			}
			if len(items) == 1 {
				return message.Live(items[0], d.Key, at)
			}
			return message.Reconcile(items, d.Key, at)
		},
	}
}
