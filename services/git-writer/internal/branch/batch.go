package branch

import (
	"cmp"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/message"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// write is a change on its way into a commit.
type write struct {
	event.Change
	msg         bus.Message // as it stands in KS_WRITE
	destination event.Destination
	path        string        // of the file, in the repository
	blob        plumbing.Hash // of the manifest; zero: the file goes
	stood       plumbing.Hash // what it replaces, which was looked into
	twin        string        // of an encrypted file, where that of its object in clear would stand; "" of any other
	clear       plumbing.Hash // what stands there, and goes with it; zero: nothing does
	anew        string        // why it is encrypted anew: see anew
}

func newWrite(c event.Change, m bus.Message, d event.Destination) write {
	w := write{Change: c, msg: m, destination: d, path: c.Path}
	if w.path == "" {
		w.path = manifest.Identity{Group: c.Group, Resource: c.Resource, Namespace: c.Namespace, Name: c.Name}.Path()
	}
	w.path = path.Join(d.BaseFolder, w.path)
	if manifest.IsSealedPath(w.path) {
		w.twin = manifest.UnsealedPath(w.path)
	}
	if len(c.Manifest) > 0 {
		w.blob = plumbing.ComputeHash(plumbing.BlobObject, c.Manifest)
	}
	return w
}

// contentHash is that of the file at a path, by its blob: see event.Change.
func contentHash(path string, blob plumbing.Hash, holds map[plumbing.Hash]file.Contents) string {
	if c := holds[blob]; manifest.IsSealedPath(path) && c.Encrypted != nil {
		return c.Encrypted.Hash.String()
	}
	return blob.String()
}

// outdated is whether a run wants a file removed that was changed since it was seen: its
// last write is newer than what the run knows.
func (w write) outdated(holds map[plumbing.Hash]file.Contents) bool {
	return w.Replaces != "" && !w.stood.IsZero() && w.Replaces != contentHash(w.path, w.stood, holds)
}

// encryptedAlready is whether the file that stands is the same content for the same readers. As
// it is encrypted to something else each time, its blob does not tell.
func (w write) encryptedAlready(holds map[plumbing.Hash]file.Contents) bool {
	return w.SealedTo != "" && w.clear.IsZero() && w.Hash == contentHash(w.path, w.stood, holds)
}

// leaves is whether the file that stands is left as it is: it is what it should be, or
// not for the write to change.
func (w write) leaves(holds map[plumbing.Hash]file.Contents) bool {
	return w.stood == w.blob || w.encryptedAlready(holds) || w.outdated(holds) || holds[w.stood].Resources > 1
}

// holds is what the file of a write holds once it is written.
func (w write) holds() file.Contents {
	if w.SealedTo == "" {
		return file.Contents{Resources: 1}
	}
	return file.Parse(w.Manifest)
}

// anew is why a file is encrypted anew, though its object is not known to have changed; "" of any
// other.
func anew(stood, now file.Contents) string {
	was, is := stood.Encrypted, now.Encrypted
	switch none := (file.Encrypted{}).Key; {
	case was == nil || is == nil || was.Key == none || is.Key == none:
		return ""
	case was.Key != is.Key:
		return "encrypted anew, marked with another key"
	case was.Mark == is.Mark:
		return "the same content, encrypted anew"
	}
	return ""
}

// blockedBy is whether what is in the way of one path is in the way of the write: it is
// the one, or to be below something that is no directory.
func (w write) blockedBy(taken *repo.PathConflictError) bool {
	below := taken.At != taken.Path && strings.HasPrefix(w.path, taken.At+"/")
	return w.path == taken.Path || below && w.Op != event.Delete
}

// ops are what the write does. Where something else stands by the time the commit lands
// than what was looked into, it is not replaced unseen.
func (w write) ops() []repo.Op {
	ops := []repo.Op{{Path: w.path, Content: w.Manifest, Delete: w.Op == event.Delete, New: true, Replaces: w.stood}}
	if !w.clear.IsZero() {
		ops = append(ops, repo.Op{Path: w.twin, Delete: true, New: true, Replaces: w.clear})
	}
	return ops
}

// found takes in what stands where the write goes, and of what holds one resource, what stands
// where it would in clear: before its type was sensitive it did.
func (w *write) found(stand map[string]plumbing.Hash, holds map[plumbing.Hash]file.Contents) {
	w.stood, w.clear = stand[w.path], plumbing.ZeroHash
	if blob, ok := stand[w.twin]; ok && w.twin != "" && holds[blob].Resources <= 1 {
		w.clear = blob
	}
}

// asWrite is what decides where it belongs.
func (w write) asWrite() ledger.Write {
	return ledger.Write{
		Seq: w.msg.Seq, Destination: w.destination.Key, Origin: w.Origin, Run: w.Run, Attempt: w.Attempt,
		Path: w.path, Size: len(w.Manifest), More: w.More, Time: w.msg.Time, Window: w.destination.Window, Limit: w.destination.MaxCommits,
	}
}

// newCommit is what a group becomes, with the marker of its folder. What its message says
// is held stays true where it is built again: all that was built before it is, too.
func (s *session) newCommit(g ledger.Commit[write], a *admission) repo.Commit {
	last := g.Writes[len(g.Writes)-1]
	d := last.destination
	ops := []repo.Op{a.mark()}
	byPath := make(map[string]write, len(g.Writes))
	for _, w := range g.Writes {
		ops = append(ops, w.ops()...)
		byPath[w.path] = w
		if w.Op == event.Delete && w.stood.IsZero() && !w.clear.IsZero() {
			byPath[w.twin] = w // it is all there was of the object
		}
	}
	when := last.Time
	if when.IsZero() {
		when = last.msg.Time
	}
	author := cmp.Or(sharedAuthor(d, g.Writes), d.Author, d.Committer)
	at := message.Position{Incarnation: s.Bus.Install.Incarnation, BranchKey: d.BranchKey, Seq: g.Through, Stored: g.Stored, Held: g.Held.Seqs()}
	return repo.Commit{
		Ops:       ops,
		Author:    repo.Signature{Name: author.Name, Email: author.Email, When: when.UTC()},
		Committer: repo.Signature{Name: d.Committer.Name, Email: d.Committer.Email, When: last.msg.Time.UTC()},
		Position:  g.Through,
		Sign:      s.sign,
		Message: func(changes []repo.Change) string {
			var items []message.Item
			for _, c := range changes {
				w, ok := byPath[c.Path]
				if !ok {
					continue // the marker, or a file in clear: its object's other file says so
				}
				item := message.Item{Change: w.Change, Effect: c.What, Note: w.anew}
				if by := authorOf(d, w.Change); by != author {
					item.CoAuthor = by
				}
				items = append(items, item)
			}
			switch {
			case len(items) == 1:
				return message.Live(items[0], d.Key, at, a.words)
			case len(items) > 1 && last.Origin == event.Live:
				return message.Window(items, d.Key, at, a.words)
			}
			return message.Reconcile(items, d.Key, at, a.words)
		},
	}
}
