package branch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// registryWait bounds how long a change may wait for the registry.
const registryWait = 10 * time.Second

// taken is what a message was: a write, a barrier, or nothing that is left to do.
type taken struct {
	write   *write
	barrier *barrier
}

// take makes something of a message. One that is wrong by itself goes to the dead
// letters; a change whose destination is gone or refused is dropped, counted.
func (s *session) take(ctx context.Context, m bus.Message) (t taken, err error) {
	if s.freed() {
		return t, errReconfigured
	}
	_, k, err := subject.ParseWriteData(m.Subject)
	if err != nil {
		return t, err
	}
	s.touch(k)
	kind, err := event.KindOf(m.Header)
	if err == nil && kind == event.KindRepoState {
		var b event.Barrier
		if b, err = event.ParseBarrier(m.Header); err == nil {
			return taken{barrier: &barrier{Barrier: b, destination: k}}, nil
		}
	}
	if err == nil && kind != event.KindChange {
		err = fmt.Errorf("%w: a %s among the writes", event.ErrMalformed, kind)
	}
	var c event.Change
	if err == nil {
		c, err = parse(m)
	}
	if errors.Is(err, event.ErrMalformed) {
		s.Log.Error("write sent to the dead letters", "destination", k.String(), "seq", m.Seq, "err", err)
		s.countNow(outcome.DeadLettered, c.Origin)
		return t, s.record.letter(ctx, k, m, err)
	}
	if err != nil {
		return t, err
	}
	a, why, err := s.owner(ctx, k, c.Registry)
	switch {
	case err != nil:
		return t, err // not consumed: it is read again by the next session
	case a == nil:
		s.tally.add(why.outcome, c.Origin, 1)
		return t, nil
	}
	switch err := s.encrypt(&c, a.Registered, m.Time); {
	case errors.Is(err, errOverrun):
		s.Log.Warn("a sensitive object is left to the next comparison", "destination", k.String(), "object", c.Object.String(), "why", err.Error())
		s.tally.add(outcome.Overrun, c.Origin, 1)
		return t, nil
	case errors.Is(err, errNeverWritten):
		s.Log.Error("write sent to the dead letters", "destination", k.String(), "seq", m.Seq, "object", c.Object.String(), "err", err)
		s.countNow(outcome.DeadLettered, c.Origin)
		if c.SealedTo == "" {
			m.Data = nil // it is not kept in clear
		}
		return t, s.record.letter(ctx, k, m, err)
	case err != nil:
		return t, err
	}
	m.Data = c.Manifest
	m.Header = nil // it is in c, and takes more than most manifests; see deadLetter
	w := newWrite(c, m, a.Destination)
	return taken{write: &w}, nil
}

// parse reads a change. Of a file that a run found without an object, the object
// is who the path says; the path itself is that of an object, and so never the
// marker's.
func parse(m bus.Message) (event.Change, error) {
	c, err := event.ParseChange(m.Header, m.Data)
	if err != nil || c.Path == "" {
		return c, err
	}
	id, err := manifest.ParsePath(c.Path)
	switch {
	case errors.Is(err, manifest.ErrShortened):
	case err != nil:
		return c, fmt.Errorf("%w: path %q: %w", event.ErrMalformed, c.Path, err)
	case c.Name == "":
		c.Object = event.Object{Group: id.Group, Resource: id.Resource, Namespace: id.Namespace, Name: id.Name}
	}
	return c, nil
}

// without says why nobody is admitted.
type without struct {
	outcome outcome.Outcome // of what it wanted to write
	why     string
}

// owner is who may write for a destination what names a revision of the registry, as of
// that revision at least; nil, and why, if nobody may. Where the destination was removed
// and registered again since, that is meant for the former one: maybe for another folder,
// by other rules. The run that the new one begins with finds what it needs of it.
// errReconfigured: the session knows too little.
func (s *session) owner(ctx context.Context, k event.DestinationKey, registry uint64) (*admission, without, error) {
	hold, cancel := context.WithTimeout(ctx, registryWait)
	defer cancel()
	if err := s.Registry.Wait(hold, registry); err != nil {
		return nil, without{}, err
	}
	now, registered := s.Registry.Get(k)
	was, admitted := s.admitted[k]
	refusal, refused := s.refused[k]
	switch {
	case !registered:
		return nil, without{outcome.Unregistered, "the destination is not registered"}, nil
	case registry < now.Since():
		return nil, without{outcome.Unregistered, "the destination was registered since"}, nil
	case admitted && now.Revision == was.Revision:
		return was, without{}, nil
	case now.BranchKey != s.BranchKey:
		return nil, without{outcome.Refused, "the destination writes to another branch now"}, nil
	case refused && refusal.Revision == now.Revision:
		return nil, without{outcome.Refused, refusal.Reason + ": " + refusal.Why.Error()}, nil
	}
	return nil, without{}, errReconfigured
}
