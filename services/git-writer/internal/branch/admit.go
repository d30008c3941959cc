package branch

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// admit decides which destinations may write to their folders.
func (s *session) admit(ctx context.Context) error {
	s.recheck = false
	refused := map[event.DestinationKey]uint64{}
	var reasons []Refusal
	for k, d := range s.destinations() {
		want := marker.Of(d.Destination, s.Bus.Install.Incarnation)
		folder, err := s.folder(ctx, d.BaseFolder)
		if err != nil {
			return err
		}
		if err := marker.Admit(folder, want, d.Adopt); err != nil {
			refused[k] = d.Revision
			reasons = append(reasons, Refusal{d.Revision, fmt.Errorf("destination %s: %w", k, err)})
			s.recheck = true
			s.Log.Error("destination refused", "destination", k.String(), "err", err)
			why := err.Error()
			// This one decides: without it nobody would know that changes were
			// dropped, so nothing is dropped before it is kept.
			if err := s.status(ctx, k, func(st *event.Status) { st.Stalled = stalled(st.Stalled, event.StalledFolderNotOurs, why) }); err != nil {
				return err
			}
			continue
		}
		was, err := s.wasRefused(ctx, k)
		if err != nil {
			return err
		}
		if was {
			// What came while it was refused was not written. Only once the run
			// is asked for does the status stop saying so.
			q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: event.ReasonAdmitted}
			if err := s.Bus.Ask(ctx, subject.CtlRun(k), q); err != nil {
				return err
			}
		}
		s.admitted[k] = d
		s.unmarked[k] = string(folder.Marker) != string(want.Bytes())
		if err := s.status(ctx, k, func(st *event.Status) { st.Stalled = nil }); err != nil {
			return err
		}
	}
	s.show(func(sn *Snapshot) { sn.Refused = reasons })
	s.Worker.refused = refused
	return nil
}

// wasRefused reports whether a destination was refused the last time that
// anybody looked, in this process or in one before it.
func (w *Worker) wasRefused(ctx context.Context, k event.DestinationKey) (bool, error) {
	if _, was := w.refused[k]; was {
		return true, nil
	}
	st, _, err := w.Statuses.Get(ctx, subject.DestinationToken(k))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return false, err
	}
	return st.Stalled != nil && st.Stalled.Reason == event.StalledFolderNotOurs, nil
}

// folder looks at a base folder.
func (s *session) folder(ctx context.Context, name string) (marker.Folder, error) {
	f := marker.Folder{Name: name}
	e, ok, err := s.repo.Entry(marker.Path(name))
	if err != nil {
		return f, err
	}
	if ok {
		if f.Marker, err = s.repo.ReadBlob(ctx, e.Hash); err != nil {
			return f, err
		}
		return f, nil
	}
	for e, err := range s.repo.List(ctx, name) {
		if err != nil {
			return f, err
		}
		switch strings.ToLower(path.Ext(e.Path)) {
		case ".yaml", ".yml", ".json":
			f.Manifests++
		}
	}
	return f, nil
}
