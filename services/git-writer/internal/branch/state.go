package branch

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// state is what a run is told of a base folder.
type state struct {
	entries []event.Entry
	others  int // files that hold no resource, but for the marker
}

// listed is a file of a base folder.
type listed struct {
	path string // below the folder
	blob plumbing.Hash
	kind kind
}

// kind is what a file's mode and path say of it.
type kind byte

const (
	other    kind = iota
	resource      // it stands where an object's file stands
	suspect       // what it holds has to be looked at
	folder        // the folder's own marker
)

// kindOf tells what a file is by its path below the base folder.
func kindOf(p string, regular bool) kind {
	_, err := manifest.ParsePath(p)
	switch {
	case !regular:
		return other
	case p == marker.File:
		return folder
	case err == nil, errors.Is(err, manifest.ErrShortened):
		return resource
	case isManifest(p):
		return suspect
	}
	return other
}

// isManifest is whether a file's name says that it may be a manifest.
func isManifest(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// state looks at a folder as it is on the remote now.
func (s *session) state(ctx context.Context, a *admission) (state, error) {
	if err := s.refresh(ctx); err != nil {
		return state{}, err
	}
	if err := s.stillOurs(a); err != nil {
		return state{}, err
	}
	var files []listed
	var look []plumbing.Hash
	for e, err := range s.repo.List(ctx, a.BaseFolder) {
		if err != nil {
			return state{}, err
		}
		f := listed{path: below(a.BaseFolder, e.Path), blob: e.Hash}
		f.kind = kindOf(f.path, e.IsFile())
		if f.kind == resource && s.seen.several(f.blob) {
			f.kind = suspect // and not a change that a run would leave again each time
		}
		if f.kind == suspect || f.kind == resource && manifest.IsSealedPath(f.path) { // its content hash stands within
			look = append(look, f.blob)
		}
		files = append(files, f)
	}
	holds, err := s.contents(ctx, look)
	if err != nil {
		return state{}, err
	}
	st := describe(files, holds)
	return st, s.keepStateFromLFS(ctx, a, files, st)
}

// stillOurs ends the session if somebody has changed the marker of a folder since
// it was looked at: whose the folder is has to be decided anew.
func (s *session) stillOurs(a *admission) error {
	e, ok, err := s.repo.Entry(marker.Path(a.BaseFolder))
	if err != nil || !ok {
		return err
	}
	if e.Hash != a.replaces && e.Hash != plumbing.ComputeHash(plumbing.BlobObject, a.marker) {
		return errReconfigured
	}
	return nil
}

func below(folder, p string) string {
	if folder == "" {
		return p
	}
	return strings.TrimPrefix(p, folder+"/")
}

// describe makes a state of the files of a folder, in their order, and of what
// those hold that had to be looked at. What is in another base folder within this
// one is none of ours.
func describe(files []listed, holds map[plumbing.Hash]file.Contents) state {
	within := map[string]bool{}
	for _, f := range files {
		if f.kind == suspect && path.Base(f.path) == marker.File && holds[f.blob].Marker {
			within[path.Dir(f.path)] = true
		}
	}
	var st state
	for _, f := range files {
		what := event.Resource
		switch {
		case f.kind == folder:
			continue
		case f.kind == other, f.kind == suspect && holds[f.blob].Resources == 0, inside(within, f.path):
			st.others++
			continue
		case f.kind == suspect, holds[f.blob].Resources > 1:
			what = event.Foreign
		}
		st.entries = append(st.entries, event.Entry{Path: f.path, Hash: contentHash(f.path, f.blob, holds), What: what})
	}
	return st
}

// inside is whether a file is below one of folders.
func inside(folders map[string]bool, p string) bool {
	if len(folders) == 0 {
		return false
	}
	for end := strings.LastIndexByte(p, '/'); end > 0; end = strings.LastIndexByte(p[:end], '/') {
		if folders[p[:end]] {
			return true
		}
	}
	return false
}
