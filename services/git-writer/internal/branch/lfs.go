package branch

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/attributes"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// Where a .gitattributes says filter=lfs, a pointer to an object on an LFS server has to
// stand. A manifest that stands there as it is shows as modified in every clone, and the
// first one to commit makes a pointer of it. So a destination is refused whose files an
// attribute sends that way, until somebody has changed that.
//
// What stands in the way of nothing is no reason: the marker and some usual paths are
// tried when a destination is admitted, the files that are there when a run asks for
// them, and each path before it is written. A commit that is built again on one that
// brings such a line lands once more; the next one does not.

// lfsError is why a destination is refused its folder.
type lfsError struct {
	path   string // of the file that would go through Git LFS
	folder string // the base folder
	by     attributes.Where
}

// Error names the line, and what to do about it.
func (e *lfsError) Error() string {
	const shown = 200
	return fmt.Sprintf("%s goes through Git LFS: line %d of %s (%.*s) has pointers stand for files like %s: add the line %q at the end of that file, or choose another --base-folder (spec.baseFolder)",
		marker.Name(e.folder), e.by.Line, e.by.File, shown, e.by.Text, e.path, attributes.Exempt(e.folder, e.by.File))
}

// usual are paths below a base folder that any destination may come to write.
var usual = []string{
	marker.File,
	manifest.Identity{Resource: "namespaces", Name: "shop"}.Path(),
	manifest.Identity{Resource: "configmaps", Namespace: "shop", Name: "web"}.Path(),
	manifest.Identity{Group: "apps", Resource: "deployments", Namespace: "shop", Name: "web"}.Path(),
}

// tried is what of a destination goes through Git LFS as far as can be told before it
// writes: by what applies to its folder as a whole, and to the path that it was last
// refused for. Nil: nothing does.
func (s *session) tried(ctx context.Context, d bus.Registered) (*lfsError, error) {
	var paths []string
	for _, p := range usual {
		paths = append(paths, path.Join(d.BaseFolder, p))
	}
	folders := map[string]bool{}
	addAbove(folders, marker.Path(d.BaseFolder))
	if p, is := s.lfs[d.Key]; is && inFolder(p, d.BaseFolder) {
		paths = append(paths, p)
		addAbove(folders, p)
	}
	rules, err := s.rules(ctx, folders)
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if by, through := rules.LFS(p); through {
			return &lfsError{p, d.BaseFolder, by}, nil
		}
	}
	return nil, nil
}

// keepFromLFS ends the session if one of its writes would go through Git LFS: the next
// one refuses the destination for it.
func (s *session) keepFromLFS(ctx context.Context, writes []write) error {
	folders, of := map[string]bool{}, map[string]bool{}
	for _, w := range writes {
		if dir := path.Dir(w.path); !of[dir] {
			of[dir] = true
			addAbove(folders, w.path)
		}
	}
	rules, err := s.rules(ctx, folders)
	if err != nil || rules.None() {
		return err
	}
	for _, w := range writes {
		if w.Op != event.Delete && s.refuseFor(w.destination.Key, rules, w.path) {
			return errReconfigured
		}
	}
	return nil
}

// keepStateFromLFS is keepFromLFS of the marker and the objects of a folder that holds
// these files.
func (s *session) keepStateFromLFS(ctx context.Context, a *admission, files []listed, st state) error {
	folders := map[string]bool{}
	addAbove(folders, marker.Path(a.BaseFolder))
	for _, f := range files {
		if path.Base(f.path) == attributes.Name {
			addAbove(folders, path.Join(a.BaseFolder, f.path))
		}
	}
	rules, err := s.rules(ctx, folders)
	if err != nil || rules.None() {
		return err
	}
	if s.refuseFor(a.Key, rules, marker.Path(a.BaseFolder)) {
		return errReconfigured
	}
	for _, e := range st.entries {
		if e.What == event.Resource && s.refuseFor(a.Key, rules, path.Join(a.BaseFolder, e.Path)) {
			return errReconfigured
		}
	}
	return nil
}

// refuseFor is whether a path goes through Git LFS: its destination is then refused for it
// by the next session.
func (s *session) refuseFor(k event.DestinationKey, rules attributes.Rules, p string) bool {
	_, through := rules.LFS(p)
	if through {
		s.lfs[k] = p
	}
	return through
}

// rules are those of the .gitattributes in folders, at the head. They are read again
// only where the tree holds other ones.
func (s *session) rules(ctx context.Context, folders map[string]bool) (attributes.Rules, error) {
	paths := make(map[string]string, len(folders))
	for folder := range folders {
		paths[path.Join(folder, attributes.Name)] = folder
	}
	stand, err := s.repo.Files(slices.Collect(maps.Keys(paths)))
	if err != nil || maps.Equal(stand, s.attributes.stand) {
		return s.attributes.rules, err
	}
	contents := map[plumbing.Hash][]byte{}
	err = s.repo.ReadBlobs(ctx, slices.Collect(maps.Values(stand)), func(blob plumbing.Hash, content []byte) { contents[blob] = content })
	if err != nil {
		return attributes.Rules{}, err
	}
	files := map[string][]byte{}
	for p, blob := range stand {
		files[paths[p]] = contents[blob]
	}
	s.attributes.stand, s.attributes.rules = stand, attributes.Parse(files)
	return s.attributes.rules, nil
}

// addAbove adds the folders whose .gitattributes apply to a path.
func addAbove(folders map[string]bool, p string) {
	for _, folder := range attributes.Above(p) {
		folders[folder] = true
	}
}
