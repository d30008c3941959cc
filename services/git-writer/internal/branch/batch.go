package branch

import (
	"path"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/message"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// A commit of a run is cut once it has so many files or bytes.
const (
	runFiles = 5000
	runBytes = 50 << 20
)

// write is a change on its way into a commit.
type write struct {
	event.Change
	msg         bus.Message // as it stands in KS_WRITE
	destination event.Destination
	path        string        // of the file, in the repository
	blob        plumbing.Hash // of the manifest; zero: the file goes
	stood       plumbing.Hash // of a run's write: what it replaces, which was looked into
}

func newWrite(c event.Change, m bus.Message, d event.Destination) write {
	w := write{Change: c, msg: m, destination: d, path: c.Path}
	if w.path == "" {
		w.path = manifest.Identity{Group: c.Group, Resource: c.Resource, Namespace: c.Namespace, Name: c.Name}.Path()
	}
	w.path = path.Join(d.BaseFolder, w.path)
	if len(c.Manifest) > 0 {
		w.blob = plumbing.ComputeHash(plumbing.BlobObject, c.Manifest)
	}
	return w
}

// op is what the write does. A run decided on what it saw: where something else
// stands by the time the commit lands, it is not replaced unseen.
func (w write) op() repo.Op {
	return repo.Op{Path: w.path, Content: w.Manifest, Delete: w.Op == event.Delete, New: w.Origin == event.Reconcile, Replaces: w.stood}
}

// open is a commit to which more writes may belong. The zero value is one of none.
type open struct {
	last  write
	files int
	size  int
	paths map[string]bool // of a run's
}

// takes is whether a write belongs to the commit: a live change is one of its own;
// what a run found goes together, as long as it is of one destination and one
// attempt, no path comes twice and the bounds hold, so that no version is lost and
// positions stay contiguous.
func (o *open) takes(w write) bool {
	return o.files == 0 || o.paths != nil && !o.full() && w.Origin == event.Reconcile &&
		w.destination.Key == o.last.destination.Key && w.Run == o.last.Run && w.Attempt == o.last.Attempt && !o.paths[w.path]
}

func (o *open) full() bool { return o.files >= runFiles || o.size >= runBytes }

// waits is whether more of the run is to be had for the commit.
func (o *open) waits() bool { return o.paths != nil && o.last.More && !o.full() }

// add puts a write into the commit, or begins the next one with it.
func (o *open) add(w write) (begun bool) {
	if begun = !o.takes(w); begun {
		*o = open{}
	}
	if w.Origin == event.Reconcile {
		if o.paths == nil {
			o.paths = map[string]bool{}
		}
		o.paths[w.path] = true
	}
	o.last, o.files, o.size = w, o.files+1, o.size+len(w.Manifest)
	return begun
}

// group cuts consecutive changes into commits.
func group(all []write) (commits [][]write) {
	var o open
	begin := 0
	for i, w := range all {
		if o.add(w) {
			commits, begin = append(commits, all[begin:i]), i
		}
	}
	if begin < len(all) {
		commits = append(commits, all[begin:])
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
		byPath[w.path] = w.Change
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
