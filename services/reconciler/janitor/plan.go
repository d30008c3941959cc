package janitor

import (
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Trim is messages of a stream that may go: those under a filter below a sequence.
type Trim struct {
	Filter string
	Before uint64
	Newest bool // but the newest of all under the filter stays: somebody begins behind it
}

// Subjects is how many messages a stream holds under each subject.
type Subjects map[string]uint64

// Events is what is known of KS_EVENTS.
type Events struct {
	Subjects Subjects
	Routed   [subject.Parts]uint64 // the newest message that each part's router has consumed
	// Bookmarks are the keys of those that watchers resume from: some follow a type in single
	// namespaces.
	Bookmarks map[string]bool
	Gone      map[event.DestinationKey]bool // not registered
	Before    uint64                        // what may go for its age
}

// Trims is what may go of KS_EVENTS: what the router has consumed, but for the message at
// its cursor, by which it knows the log again; the newest of each type, behind which its
// watcher resumes; and the newest MARK of each destination in each lane, by which the lane
// knows what it has answered. Of fences the newest stays.
func (e Events) Trims() []Trim {
	byNamespace := map[string]bool{} // types, by the filter for all of their changes
	for s := range e.Subjects {
		if ev, err := subject.ParseEvent(s); err == nil && ev.Mark == nil && ev.Namespace != "" &&
			e.Bookmarks[subject.BookmarkKey(ev.Cluster, ev.Group, ev.Resource, ev.Namespace)] {
			byNamespace[typeOf(ev)] = true
		}
	}
	held := map[Trim]uint64{}
	for s, n := range e.Subjects {
		ev, err := subject.ParseEvent(s)
		switch {
		case err != nil: // a fence, or nobody's
		case ev.Mark != nil:
			gone := e.Gone[*ev.Mark]
			t := Trim{s, min(e.Before, e.Routed[ev.Part]), !gone}
			held[t] = n
			if gone {
				held[t]++ // one alone may go, too
			}
		case byNamespace[typeOf(ev)]:
			held[Trim{s, min(e.Before, e.Routed[ev.Part]), true}] = n
		default:
			held[Trim{typeOf(ev), min(e.Before, e.Routed[ev.Part]), true}] += n
		}
	}
	trims := []Trim{}
	for t, n := range held {
		if n > 1 && t.Before > 1 {
			trims = append(trims, t)
		}
	}
	for s, n := range e.Subjects {
		if _, _, err := subject.ParseEventFence(s); err == nil && n > 1 {
			trims = append(trims, Trim{s, e.Before, true})
		}
	}
	return trims
}

func typeOf(e subject.Event) string {
	return subject.EventType(e.Part, e.Cluster, e.Group, e.Resource, "")
}

// Taker is how far a destination's stream has consumed KS_LIVE.
type Taker struct {
	Cursor uint64 // the newest message that it has consumed
	Run    uint64 // the first MARK of the run that is under way, from which on it reads again; 0: none
}

// Live is what is known of KS_LIVE.
type Live struct {
	Subjects Subjects
	Newest   [subject.Parts]uint64          // message of each part's router: its checkpoint
	Takers   map[event.DestinationKey]Taker // of registered destinations
	Gone     map[event.DestinationKey]bool  // not registered
	Before   uint64                         // what may go for its age
	// Pressed says that room has to be made: what a run would read again goes, too. Should
	// that be needed, the run is made again.
	Pressed bool
}

// Trims is what may go of KS_LIVE: what destinations' streams have consumed, but for the
// message at their cursor, and what a run that is under way needs. The newest message of
// each router stays.
func (l Live) Trims() []Trim {
	trims := []Trim{}
	for s, n := range l.Subjects {
		if part, err := subject.ParseLiveCheckpoint(s); err == nil && s == subject.LiveCheckpoint(part) {
			trims = append(trims, trim(s, n, min(l.Before, l.Newest[part]))...)
			continue
		}
		part, k, err := subject.ParseLiveData(s)
		if err != nil {
			continue
		}
		if l.Gone[k] {
			trims = append(trims, trim(s, n+1, min(l.Before, l.Newest[part]))...)
			continue
		}
		t := l.Takers[k] // of one that is not known yet nothing is consumed
		before := min(l.Before, l.Newest[part], t.Cursor)
		if t.Run > 0 && !l.Pressed {
			before = min(before, t.Run)
		}
		trims = append(trims, trim(s, n, before)...)
	}
	return trims
}

// Branch is how far a branch has what is in KS_WRITE.
type Branch struct {
	Position uint64   // the newest message that it needs no more
	Held     []uint64 // what of that it reads again
}

// needs is the first message that has to stay.
func (b Branch) needs() uint64 {
	first := b.Position
	for _, seq := range b.Held {
		first = min(first, seq)
	}
	return first
}

// Write is what is known of KS_WRITE.
type Write struct {
	Subjects Subjects
	Newest   map[event.DestinationKey]uint64 // message of each destination's stream: its checkpoint
	Points   map[event.DestinationKey]string // to which branch each registered destination points, by key
	Branches map[string]Branch               // by key
	Gone     map[event.DestinationKey]bool   // not registered
	Before   uint64                          // what may go for its age
}

// Trims is what may go of KS_WRITE: what is on the remotes, but for the message at a
// branch's position, and what a limit of commits holds back; what a destination wrote to a
// branch that it does not point to any more, because that is not committed; and
// checkpoints. The newest message of each destination's stream stays, as long as the
// destination does.
func (w Write) Trims() []Trim {
	trims := []Trim{}
	for s, n := range w.Subjects {
		if k, err := subject.ParseWriteCheckpoint(s); err == nil {
			trims = append(trims, w.of(k, s, n, w.Before)...)
			continue
		}
		key, k, err := subject.ParseWriteData(s)
		switch {
		case err != nil:
		case !w.Gone[k] && w.Points[k] == key:
			trims = append(trims, w.of(k, s, n, min(w.Before, w.Branches[key].needs()))...)
		default:
			trims = append(trims, w.of(k, s, n+1, w.Before)...) // nobody reads the last one either
		}
	}
	return trims
}

// of is what may go of a destination's messages under a subject.
func (w Write) of(k event.DestinationKey, s string, n, before uint64) []Trim {
	if w.Gone[k] {
		return trim(s, n+1, before)
	}
	return trim(s, n, min(before, w.Newest[k]))
}

// trim is what may go of n messages under a subject: nothing where one at most is there.
func trim(s string, n, before uint64) []Trim {
	if n < 2 || before < 2 {
		return nil
	}
	return []Trim{{Filter: s, Before: before}}
}
