package harness

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Versions says what is wrong with a history, of what was written: a version
// that has no commit of its own. Everything that [Doubles] says, it says too.
func Versions(history []Commit, writes []Written) []string {
	have := map[string]bool{}
	for _, c := range history {
		if c.Version != "" {
			have[c.Resource+" at "+c.Version] = true
		}
	}
	var wrong []string
	for _, w := range writes {
		if key := w.Resource + " at " + w.Version; !w.Deleted && !have[key] {
			wrong = append(wrong, key+": has no commit")
		}
	}
	return append(wrong, Doubles(history)...)
}

// Doubles says what is wrong with a history in itself: a version that a
// destination has twice, versions of one object that are not in the cluster's
// order, positions that do not grow, a commit of kubescribe's that changes
// nothing. A run may bring back a version whose file somebody else has changed, or that the
// API server serves otherwise since the definition of its type changed.
func Doubles(history []Commit) []string {
	var wrong []string
	seen := map[string]string{}
	newest := map[string]uint64{}
	positions := map[string]uint64{}
	redefined := map[string]bool{} // types
	foreign := map[string]bool{}   // files that somebody else was the last to change
	for _, c := range history {
		restored := c.Origin == "reconcile" && slices.ContainsFunc(c.Files, func(f FileChange) bool { return foreign[f.Path] })
		for _, f := range c.Files {
			foreign[f.Path] = !c.Ours
		}
		if !c.Ours {
			continue
		}
		if c.Position <= positions[c.Ledger] {
			wrong = append(wrong, fmt.Sprintf("%.8s %s: its position %d is not above %d", c.Hash, c.Subject, c.Position, positions[c.Ledger]))
		}
		positions[c.Ledger] = c.Position
		if len(c.Files) == 0 {
			wrong = append(wrong, fmt.Sprintf("%.8s %s: changes nothing", c.Hash, c.Subject))
		}
		if c.Version == "" {
			continue
		}
		_, of, _ := strings.Cut(c.Resource, " ")
		of, name, _ := strings.Cut(of, " ")
		if of == "customresourcedefinitions.apiextensions.k8s.io" && c.Files[0].Status == "M" {
			redefined[name] = true
		}
		restored = restored || c.Origin == "reconcile" && redefined[of]
		object := c.Placement + ": " + c.Resource
		key := object + " at " + c.Version
		if first, twice := seen[key]; twice && !restored {
			wrong = append(wrong, fmt.Sprintf("%s: committed by %.8s and %.8s", key, first, c.Hash))
		}
		seen[key] = c.Hash
		version, err := strconv.ParseUint(c.Version, 10, 64)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%.8s %s: has the version %q", c.Hash, c.Subject, c.Version))
			continue
		}
		if version < newest[object] {
			wrong = append(wrong, fmt.Sprintf("%s: committed after version %d", key, newest[object]))
		}
		newest[object] = max(version, newest[object])
	}
	return wrong
}

// OfPlacement is what is in a history of one destination, and what others have
// committed in between.
func OfPlacement(history []Commit, placement string) []Commit {
	return slices.DeleteFunc(slices.Clone(history), func(c Commit) bool { return c.Ours && c.Placement != placement })
}

// Deletions says what is wrong with the deletions in a history of one destination,
// of what was written, all of it in its order: a file that was removed more often
// than its object, and one that still stood when its object was made again. A run
// may remove a file that somebody else has put there.
func Deletions(history []Commit, writes []Written) []string {
	paths := pathsOf(history)
	objects := map[string]*mortal{}
	gone := map[string]bool{} // resources that were deleted since their last version
	for _, w := range writes {
		path := paths[w.Resource]
		if objects[path] == nil {
			objects[path] = &mortal{again: map[string]bool{}}
		}
		if w.Deleted {
			objects[path].deaths++
		} else {
			objects[path].again[w.Version] = gone[w.Resource]
		}
		gone[w.Resource] = w.Deleted
	}
	var wrong []string
	for _, c := range history {
		for _, f := range c.Files {
			o := objects[f.Path]
			switch {
			case o == nil:
			case !c.Ours && f.Status == "A":
				o.orphans++
			case !c.Ours:
			case f.Status != "D":
				if o.again[c.Version] && f.Status != "A" {
					wrong = append(wrong, fmt.Sprintf("%.8s %s: the object was deleted before, its file was not", c.Hash, c.Subject))
				}
				delete(o.again, c.Version) // a run may bring it back
			case c.Origin == "reconcile" && o.orphans > 0:
				o.orphans--
			case o.deaths > 0:
				o.deaths--
			default:
				wrong = append(wrong, fmt.Sprintf("%.8s %s: deletes %s once more than the cluster did", c.Hash, c.Subject, f.Path))
			}
		}
	}
	return wrong
}

// mortal is what became of an object whose file has a path.
type mortal struct {
	deaths  int             // deletions that are not in the history so far
	orphans int             // how often somebody else has put the file there
	again   map[string]bool // versions, and whether the object had been deleted before
}

// pathsOf are the files of resources, by the commits that are about one.
func pathsOf(history []Commit) map[string]string {
	paths := map[string]string{}
	for _, c := range history {
		for _, f := range c.Files {
			if c.Resource != "" && !strings.HasSuffix(f.Path, marker) {
				paths[c.Resource] = f.Path
			}
		}
	}
	return paths
}
