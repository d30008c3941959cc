package janitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Sweep removes from a stream what nobody needs any more and what was stored before some
// time; whenever that was, if room has to be made. A crash leaves the rest for the next one.
func (j *Janitor) Sweep(ctx context.Context, stream string, old time.Time) error {
	s := sweep{Janitor: j, stream: stream, gone: map[event.DestinationKey]bool{}}
	level, err := j.bus.Level(ctx, stream)
	if err != nil {
		return err
	}
	s.pressed = level.Pressed()
	holds, err := j.bus.Extent(ctx, stream)
	if err != nil {
		return err
	}
	s.before = holds.Last + 1
	if !s.pressed {
		since, err := j.bus.SeqSince(ctx, stream, old)
		if err != nil {
			return err
		}
		s.before = min(s.before, since) // what was stored meanwhile was not looked at
	}
	if s.before <= holds.First {
		return nil
	}
	if s.subjects, err = j.bus.Subjects(ctx, stream, ">"); err != nil {
		return err
	}
	trims, err := s.plan(ctx)
	if err != nil {
		return fmt.Errorf("finding what may go of %s: %w", stream, err)
	}
	for _, t := range trims {
		if err := s.trim(ctx, t); err != nil {
			return err
		}
	}
	if after, err := j.bus.Level(ctx, stream); err == nil {
		j.log.Debug("stream trimmed", "stream", stream, "bytes", level.Bytes, "left", after.Bytes, "filters", len(trims), "pressed", s.pressed)
	}
	return nil
}

// sweep is one look at a stream. Its order counts: how far the stream reaches, by before, is
// read first, and who is registered after that, so that what was registered meanwhile has
// nothing below it; cursors are read before it is read whether a run is under way, so that
// one which begins in between needs nothing up to the cursor.
type sweep struct {
	*Janitor
	stream   string
	pressed  bool
	before   uint64
	subjects Subjects
	gone     map[event.DestinationKey]bool // of those that were looked for
}

func (s *sweep) plan(ctx context.Context) ([]Trim, error) {
	switch s.stream {
	case subject.Events:
		return s.events(ctx)
	case subject.Live:
		return s.live(ctx)
	default:
		return s.write(ctx)
	}
}

func (s *sweep) trim(ctx context.Context, t Trim) error {
	if t.Newest {
		newest, err := s.bus.Newest(ctx, s.stream, t.Filter)
		if err != nil {
			return err
		}
		t.Before = min(t.Before, newest)
	}
	if t.Before < 2 { // 0 would be all
		return nil
	}
	return s.bus.Purge(ctx, s.stream, t.Filter, t.Before)
}

func (s *sweep) events(ctx context.Context) ([]Trim, error) {
	e := Events{Subjects: s.subjects, Bookmarks: map[string]bool{}, Gone: s.gone, Before: s.before}
	for part := range subject.Parts {
		_, c, err := s.bus.Checkpoint(ctx, subject.Live, subject.LivePart(part))
		if err != nil {
			return nil, err
		}
		e.Routed[part] = c.Seq
	}
	for subj := range s.subjects {
		if ev, err := subject.ParseEvent(subj); err == nil && ev.Mark != nil {
			if err := s.look(ctx, *ev.Mark); err != nil {
				return nil, err
			}
		}
	}
	keys, err := s.cursors.Written(ctx, subject.Bookmarks)
	for _, k := range keys {
		e.Bookmarks[k] = true
	}
	return e.Trims(), err
}

func (s *sweep) live(ctx context.Context) ([]Trim, error) {
	l := Live{Subjects: s.subjects, Takers: map[event.DestinationKey]Taker{}, Gone: s.gone, Before: s.before, Pressed: s.pressed}
	for subj, n := range s.subjects {
		_, k, err := subject.ParseLiveData(subj)
		if err != nil {
			continue
		}
		if err := s.look(ctx, k); err != nil {
			return nil, err
		}
		if _, known := l.Takers[k]; known || s.gone[k] || n < 2 {
			continue
		}
		if l.Takers[k], err = s.taker(ctx, k); err != nil {
			return nil, err
		}
	}
	for part := range subject.Parts {
		newest, err := s.bus.Newest(ctx, subject.Live, subject.LivePart(part))
		if err != nil {
			return nil, err
		}
		l.Newest[part] = newest
	}
	return l.Trims(), nil
}

func (s *sweep) taker(ctx context.Context, k event.DestinationKey) (Taker, error) {
	_, c, err := s.bus.Checkpoint(ctx, subject.Write, subject.WriteDestination(k))
	if err != nil {
		return Taker{}, err
	}
	t := Taker{Cursor: c.Seq}
	rec, _, err := s.phases.Newest(ctx, subject.DestinationToken(k))
	if errors.Is(err, bus.ErrNoMessage) {
		return t, nil
	}
	// Of a run whose first MARK is not shown yet that is not behind the cursor: it is shown
	// before anything behind it is taken.
	if rec.Running() {
		t.Run = rec.From
	}
	return t, err
}

func (s *sweep) write(ctx context.Context) ([]Trim, error) {
	w := Write{
		Subjects: s.subjects, Newest: map[event.DestinationKey]uint64{}, Points: map[event.DestinationKey]string{},
		Branches: map[string]Branch{}, Gone: s.gone, Before: s.before,
	}
	for subj := range s.subjects {
		key, k, err := subject.ParseWriteData(subj)
		if err != nil {
			if k, err = subject.ParseWriteCheckpoint(subj); err != nil {
				continue
			}
		}
		if err := s.look(ctx, k); err != nil {
			return nil, err
		}
		if s.gone[k] {
			continue
		}
		if w.Newest[k], err = s.bus.Newest(ctx, subject.Write, subject.WriteDestination(k)); err != nil {
			return nil, err
		}
		if key == "" || w.Points[k] == key {
			continue
		}
		if w.Points[k], err = s.pointsTo(ctx, k, key); err != nil {
			return nil, err
		}
		if w.Points[k] != key {
			continue
		}
		hint, _, err := s.cursors.Newest(ctx, subject.HintKey(key))
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return nil, err
		}
		w.Branches[key] = Branch{Position: hint.Position, Held: hint.Held}
	}
	return w.Trims(), nil
}

// pointsTo is the branch of a destination. That it is another one than is asked about is
// the word of the registry's leader.
func (s *sweep) pointsTo(ctx context.Context, k event.DestinationKey, key string) (string, error) {
	if d, registered := s.registry.Get(k); registered && d.BranchKey == key {
		return key, nil
	}
	d, _, err := s.destinations.Newest(ctx, subject.DestinationToken(k))
	if errors.Is(err, bus.ErrNoMessage) {
		return "", fmt.Errorf("destination %s has left just now", k)
	}
	return d.BranchKey, err
}

// look sees whether a destination is registered: at the registry's leader, if it does not
// seem to be.
func (s *sweep) look(ctx context.Context, k event.DestinationKey) error {
	if _, known := s.gone[k]; known {
		return nil
	}
	if _, registered := s.registry.Get(k); registered {
		s.gone[k] = false
		return nil
	}
	_, _, err := s.destinations.Newest(ctx, subject.DestinationToken(k))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return err
	}
	s.gone[k] = err != nil
	return nil
}
