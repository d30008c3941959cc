package diff

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/kubescribe/kubescribe/shared/event"
)

// State is one side's entries, sorted by path. An error ends it.
type State = iter.Seq2[event.Entry, error]

// source is a state that is read one entry at a time.
type source struct {
	name  string
	next  func() (event.Entry, error, bool)
	stop  func()
	entry event.Entry
	have  bool // entry is the next one
	began bool // entry is one that was read
	ended bool
}

func pull(name string, s State) *source {
	next, stop := iter.Pull2(s)
	return &source{name: name, next: next, stop: stop}
}

// peek is the next entry, nil behind the last one. The order is checked here: a
// merge of what is not sorted would take for absent what is there.
func (s *source) peek() (*event.Entry, error) {
	if s.have {
		return &s.entry, nil
	}
	if s.ended {
		return nil, nil
	}
	e, err, ok := s.next()
	switch {
	case !ok:
		s.ended = true
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", s.name, err)
	case s.began && e.Path <= s.entry.Path:
		return nil, fmt.Errorf("%w: %s has %q behind %q", ErrState, s.name, e.Path, s.entry.Path)
	}
	s.entry, s.have, s.began = e, true, true
	return &s.entry, nil
}

func (s *source) advance() { s.have = false }

// laneSet is the states of all lanes as one.
type laneSet struct {
	parts   []int
	sources []*source
	at      int // whose entry peek gave
}

func pullLanes(lanes map[int]State) *laneSet {
	l := &laneSet{parts: slices.Sorted(maps.Keys(lanes))}
	for _, p := range l.parts {
		l.sources = append(l.sources, pull(fmt.Sprintf("lane %d", p), lanes[p]))
	}
	return l
}

// peek is the first entry of all lanes, and its lane.
func (l *laneSet) peek() (*event.Entry, int, error) {
	var first *event.Entry
	for i, s := range l.sources {
		e, err := s.peek()
		switch {
		case err != nil:
			return nil, 0, err
		case e == nil:
		case e.What != event.Resource:
			return nil, 0, fmt.Errorf("%w: %s has a %s, %q", ErrState, s.name, e.What, e.Path)
		case first == nil || e.Path < first.Path:
			first, l.at = e, i
		case e.Path == first.Path:
			return nil, 0, fmt.Errorf("%w: %q is in lane %d and in lane %d", ErrState, e.Path, l.parts[l.at], l.parts[i])
		}
	}
	if first == nil {
		return nil, 0, nil
	}
	return first, l.parts[l.at], nil
}

func (l *laneSet) advance() { l.sources[l.at].advance() }

func (l *laneSet) stop() {
	for _, s := range l.sources {
		s.stop()
	}
}
