// Package plan decides what the reconciler does next about one destination, as pure
// functions of what is known of it.
//
//	nothing ──begin──▶ cluster ──▶ repo ──▶ compare ──▶ content ──▶ results ──▶ closed
//	                      │          │         │           │                      │
//	                      └──────────┴─ retry ─┴───────────┘                      └──▶ begin
//
// A run waits for the states of its lanes, for that of the repository, for its
// comparison, for contents, and, once it has handed in its results, for the
// destination's stream to close it.
package plan

import (
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Situation is what is known of a destination at one moment.
type Situation struct {
	Now time.Time

	Key        event.DestinationKey
	Registered bool
	Revision   uint64 // of the registered destination
	Interval   time.Duration

	Exists bool // Record is in KS_PHASE
	Record event.PhaseRecord
	Ends   map[subject.Side]event.End // of the record's attempt
	Series bool                       // there are series of the destination

	// What this process did in the record's attempt.
	AskedStates   map[int]bool
	AskedContents map[int]bool
	Comparison    Comparison
	Wanted        []int     // the lanes whose contents the results want, once compared
	Room          int       // for contents, in bytes: a run holds no more at a time, but for one object
	Failed        string    // why the states cannot be compared
	Progress      time.Time // when it last got further
}

// Comparison is how far the comparison of an attempt is.
type Comparison int

// The steps of a comparison.
const (
	NotCompared Comparison = iota
	Comparing
	Compared
)

// Kind is what there is to do.
type Kind int

// The kinds of action.
const (
	Wait        Kind = iota // until Until, or until something is known that was not
	Begin                   // a run, because of Reason
	AskStates               // of the lanes Parts
	Compare                 // the states
	AskContents             // of the lanes Parts, of no more bytes than Room
	Leave                   // the contents of the lanes Parts: there is no room for them
	HandIn                  // the results
	Retry                   // make another attempt, because of Reason
	Purge                   // the series of the destination: its run has closed
	Remove                  // whatever is left of a destination that is not registered
)

// Action is what to do next.
type Action struct {
	Kind   Kind
	Reason string
	Parts  []int
	Room   int
	Until  time.Time // zero: no moment changes anything
	// UnlessStalled says that a destination whose writer waits for a person gets no
	// other attempt: it would wait for the same.
	UnlessStalled bool
}

const (
	// stuckAfter is how long lanes may say nothing, and handing in may fail.
	stuckAfter = 10 * time.Minute
	// writerStuckAfter is how long those behind them may, who have a backlog to work
	// off: what is before the BARRIER has to be pushed first, and results wait while
	// KS_WRITE is full.
	writerStuckAfter = 30 * time.Minute
)

// Next is what to do about a destination.
func Next(s Situation) Action {
	rec := s.Record
	switch {
	case !s.Registered:
		return Action{Kind: Remove}
	case !s.Exists:
		return Action{Kind: Begin, Reason: event.ReasonNewDestination}
	case uncovered(rec, s.Revision):
		return Action{Kind: Begin, Reason: event.ReasonSpecChanged}
	case rec.Running():
		return running(s)
	case s.Series && !Dry(rec.Reason): // a comparison's are a person's to read, until the next run has closed
		return Action{Kind: Purge}
	case rec.Next != "":
		return Action{Kind: Begin, Reason: rec.Next}
	case rec.Continues():
		return Action{Kind: Begin, Reason: event.ReasonContinued}
	case s.Interval <= 0:
		return Action{}
	}
	if due := driftCheck(s.Key, rec, s.Interval); s.Now.Before(due) {
		return Action{Until: due}
	}
	return Action{Kind: Begin, Reason: event.ReasonDriftCheck}
}

// uncovered reports whether the newest run is none of the destination as it is
// registered. One without lanes is of a version of this program that compared
// nothing.
func uncovered(rec event.PhaseRecord, revision uint64) bool {
	return rec.Registered != revision || len(rec.Parts) == 0
}

func running(s Situation) Action {
	if _, handedIn := s.Ends[subject.SideRun]; handedIn {
		return writer(s, "the results have not been taken for ")
	}
	if why := failed(s); why != "" {
		return retry(s, why)
	}
	if missing := without(s.Ends, s.Record.Parts, subject.SideCluster); len(missing) > 0 {
		return lanes(s, AskStates, missing, s.AskedStates, "no state of a lane has come for "+stuckAfter.String())
	}
	if _, ok := s.Ends[subject.SideRepo]; !ok {
		return writer(s, "the repository's state has not come for ")
	}
	switch s.Comparison {
	case NotCompared:
		return Action{Kind: Compare}
	case Comparing:
		return Action{}
	case Compared:
	}
	if missing := without(s.Ends, s.Wanted, subject.SideContent); len(missing) > 0 {
		return contents(s, missing)
	}
	return closes(s, Action{Kind: HandIn})
}

// contents asks one lane after the other for contents, for as long as there is room: what
// those before have left is known only then.
func contents(s Situation, missing []int) Action {
	room := s.Room
	for _, part := range s.Wanted {
		room -= s.Ends[subject.SideContent(part)].Bytes
	}
	if room <= 0 {
		return closes(s, Action{Kind: Leave, Parts: missing})
	}
	a := lanes(s, AskContents, missing[:1], s.AskedContents, "no contents of a lane have come for "+stuckAfter.String())
	if a.Kind == AskContents {
		a.Room = room
	}
	return a
}

// failed is why the attempt comes to nothing, "" if it may still.
func failed(s Situation) string {
	if s.Failed != "" {
		return s.Failed
	}
	sides := []subject.Side{subject.SideRepo}
	for part := range subject.Parts {
		sides = append(sides, subject.SideCluster(part), subject.SideContent(part))
	}
	for _, side := range sides {
		if why := s.Ends[side].Failed; why != "" {
			return string(side) + ": " + why
		}
	}
	return ""
}

// without is the lanes that have not ended a side.
func without(ends map[subject.Side]event.End, parts []int, side func(int) subject.Side) []int {
	return slices.DeleteFunc(slices.Clone(parts), func(p int) bool {
		_, ok := ends[side(p)]
		return ok
	})
}

// lanes asks those of which something is missing, once each, and waits for them.
func lanes(s Situation, ask Kind, missing []int, asked map[int]bool, stuckBecause string) Action {
	if unasked := slices.DeleteFunc(slices.Clone(missing), func(p int) bool { return asked[p] }); len(unasked) > 0 {
		return Action{Kind: ask, Parts: unasked}
	}
	if stuck := s.Progress.Add(stuckAfter); s.Now.Before(stuck) {
		return Action{Until: stuck}
	}
	return retry(s, stuckBecause)
}

// closes hands the results in, or closes what is left of them, and gives that up when it
// goes on failing. KS_SNAP may be full of what runs have gathered, which none of them can
// close: another attempt removes this one's share.
func closes(s Situation, a Action) Action {
	if s.Now.Before(s.Progress.Add(stuckAfter)) {
		return a
	}
	return retry(s, "the results could not be handed in for "+stuckAfter.String())
}

// writer waits for the destination's stream or the git-writer.
func writer(s Situation, stuckBecause string) Action {
	if stuck := s.Progress.Add(writerStuckAfter); s.Now.Before(stuck) {
		return Action{Until: stuck}
	}
	a := retry(s, stuckBecause+writerStuckAfter.String())
	a.UnlessStalled = a.Kind == Retry
	return a
}

// retry is another attempt, not before the one under way has had its time: one
// that fails at once must not spin.
func retry(s Situation, why string) Action {
	if earliest := s.Record.Since.Add(patience(s.Record.Attempt)); s.Now.Before(earliest) {
		return Action{Until: earliest}
	}
	return Action{Kind: Retry, Reason: why}
}
