package branch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/message"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// admission is a destination that may write to its folder.
type admission struct {
	bus.Registered
	marker   []byte
	words    message.Words // of its commits
	replaces plumbing.Hash // the marker that stood there, and may be replaced; zero: none
}

// mark is the operation that goes with each commit: a no-op where the marker
// stands. Where another was put there since the folder was looked at it is a
// conflict, so that a commit that is built again never goes into a folder that
// somebody else has taken; nor do two installs that begin at once take over from
// each other.
func (a *admission) mark() repo.Op {
	return repo.Op{Path: marker.Path(a.BaseFolder), Content: a.marker, New: true, Replaces: a.replaces}
}

// admit decides which destinations may write to their folders.
func (s *session) admit(ctx context.Context) error {
	s.recheck = false
	refused := map[event.DestinationKey]Refusal{}
	var reasons []Refusal
	all := s.destinations()
	if first, is := first(all); is && first.Credentials != s.Credentials {
		return errReconfigured // another worker is about to take over
	}
	overlapping := overlaps(all)
	for k, d := range all {
		want := marker.Of(d.Destination, s.Bus.Install.Incarnation)
		folder, err := s.folder(ctx, d.BaseFolder)
		if err != nil {
			return err
		}
		r := Refusal{Revision: d.Revision}
		if o, is := overlapping[k]; is {
			r.Reason, r.Why = event.StalledFolderOverlaps, o
		} else if d.Credentials != s.Credentials {
			r.Reason, r.Why = event.StalledCredentialsDiffer, otherSecret{d.Credentials, s.Credentials}
		} else if err := marker.Admit(folder, want, d.Adopt); err != nil {
			r.Reason, r.Why = event.StalledFolderNotOurs, err
		} else if through, err := s.tried(ctx, d); err != nil {
			return err
		} else if through != nil {
			r.Reason, r.Why = event.StalledFilesInLFS, through
		}
		if r.Why != nil {
			if err := s.refuse(ctx, k, r); err != nil {
				return err
			}
			refused[k] = r
			r.Why = fmt.Errorf("destination %s: %w", k, r.Why)
			reasons = append(reasons, r)
			continue
		}
		was, err := s.wasRefused(ctx, k)
		if err != nil {
			return err
		}
		if was {
			// What came while it was refused was not written. Only once the run
			// is asked for does the status stop saying so.
			if err := s.askOf(ctx, k, event.ReasonAdmitted); err != nil {
				return err
			}
		}
		words, err := message.ParseWords(d.Wording)
		if err != nil && s.odd[k] != d.Revision { // by a newer version: this one has words of its own
			s.odd[k] = d.Revision
			s.Log.Warn("the templates of commit messages are not used", "destination", k.String(), "err", err)
		}
		a := &admission{Registered: d, marker: want.Bytes(), words: words}
		if folder.Marker != nil {
			a.replaces = plumbing.ComputeHash(plumbing.BlobObject, folder.Marker)
		}
		s.admitted[k] = a
		delete(s.lfs, k)
		s.marked = s.marked || marker.ByInstall(folder.Marker, s.Bus.Install.Incarnation)
		s.rehearses(d)
		if err := s.status(ctx, k, func(st *event.Status) { admittedStatus(st, d) }); err != nil {
			return err
		}
	}
	maps.DeleteFunc(s.rehearsals, func(k event.DestinationKey, _ *rehearsal) bool { _, is := all[k]; return !is })
	s.show(func(sn *Snapshot) { sn.Refused, sn.DryRun = reasons, !anyWrites(all) })
	s.Worker.refused = refused
	return nil
}

// refuse says that a destination is refused. Its status decides: without it nobody
// would know that changes were dropped, so nothing is dropped before it is kept.
func (s *session) refuse(ctx context.Context, k event.DestinationKey, r Refusal) error {
	s.recheck = true
	level := slog.LevelError
	if was := s.refused[k]; was.Revision == r.Revision && was.Reason == r.Reason { // said before; /readyz goes on saying it
		level = slog.LevelDebug
	}
	s.Log.Log(ctx, level, "destination refused", "destination", k.String(), "err", r.Why)
	return s.status(ctx, k, func(st *event.Status) { st.Stalled = stalled(st.Stalled, r.Reason, r.Why.Error()) })
}

// freed reports whether a destination that was refused for the folder of another one
// is to be looked at again: that one has left.
func (s *session) freed() bool {
	for _, r := range s.refused {
		var o overlap
		if errors.As(r.Why, &o) && !o.stands(s.Registry) {
			return true
		}
	}
	return false
}

// wasRefused reports whether a destination was refused the last time that
// anybody looked, in this process or in one before it.
func (w *Worker) wasRefused(ctx context.Context, k event.DestinationKey) (bool, error) {
	if _, was := w.refused[k]; was {
		return true, nil
	}
	st, _, err := w.Statuses.Newest(ctx, subject.DestinationToken(k))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return false, err
	}
	return st.Stalled.Refused(), nil
}

// folder looks at a base folder.
func (s *session) folder(ctx context.Context, name string) (marker.Folder, error) {
	f := marker.Folder{Name: name}
	file := marker.Path(name)
	for end, c := range file + "/" {
		if c != '/' {
			continue
		}
		e, ok, err := s.repo.Entry(file[:end])
		if err != nil {
			return f, err
		}
		last := end == len(file)
		switch {
		case !ok && last:
			f.Manifests, err = s.manifests(ctx, name)
			return f, err
		case !ok:
			return f, nil
		case last && e.IsFile():
			f.Marker, err = s.repo.ReadBlob(ctx, e.Hash)
			return f, err
		case last || !e.IsDir():
			f.Blocked = &repo.PathConflictError{Path: file, At: e.Path, Mode: e.Mode}
			return f, nil
		}
	}
	return f, nil
}

// manifests counts the files of a folder that look like some.
func (s *session) manifests(ctx context.Context, folder string) (n int, err error) {
	for e, err := range s.repo.List(ctx, folder) {
		if err != nil {
			return n, err
		}
		if isManifest(e.Path) {
			n++
		}
	}
	return n, nil
}
