package cli

import (
	"fmt"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// stand is how far the newest run of a destination is.
type stand struct {
	record event.PhaseRecord
	ends   map[subject.Side]event.End // of the record's attempt
	status event.Status
	// behind says that the run that was asked for begins once this one has closed.
	behind bool
}

// line is how far the run is, for a person. It changes only when something does.
func (s stand) line() string {
	line := fmt.Sprintf("run %s (%s): %s", s.record.Run, s.record.Reason, s.stage())
	if s.record.Attempt > 1 {
		line = fmt.Sprintf("run %s (%s), attempt %d: %s", s.record.Run, s.record.Reason, s.record.Attempt, s.stage())
	}
	if s.behind {
		line += "; the run that was asked for follows it"
	}
	if s.record.Running() {
		line += s.trouble()
	}
	return line
}

// trouble is what keeps the destination, for the end of a line.
func (s stand) trouble() string {
	if s.status.Stalled == nil {
		return ""
	}
	return "; the destination is stalled, " + s.status.Stalled.Reason + ": " + s.status.Stalled.Message
}

func (s stand) stage() string {
	lanes := s.missing(s.record.Parts, subject.SideCluster)
	_, repo := s.ends[subject.SideRepo]
	compared, wanted := s.compared()
	contents := s.missing(wanted, subject.SideContent)
	_, handedIn := s.ends[subject.SideRun]
	switch {
	case !s.record.Running():
		return ending(s.record)
	case handedIn:
		return "results are being written"
	case compared && len(wanted) > 0:
		return fmt.Sprintf("compared, contents of %d of %d lanes are there", len(wanted)-contents, len(wanted))
	case compared:
		return "compared"
	case lanes > 0:
		return fmt.Sprintf("%d of %d lanes answered", len(s.record.Parts)-lanes, len(s.record.Parts))
	case repo:
		return "the repository answered, comparing"
	}
	return fmt.Sprintf("all %d lanes answered, waiting for the repository", len(s.record.Parts))
}

// ending is how a run has closed.
func ending(rec event.PhaseRecord) string {
	switch {
	case rec.Reason == event.ReasonCompare:
		return "closed"
	case settled(rec):
		return "closed, its results are on their way"
	case continued(rec) && rec.Outcome.Run == rec.Run:
		return fmt.Sprintf("closed, its results are on their way; another one follows for %d more", rec.Outcome.Left.Count())
	}
	return "closed without results, because more changed meanwhile than is remembered; another one follows"
}

// followed is what became of a run behind which another one has begun.
func followed(run string, rec event.PhaseRecord) string {
	if continued(rec) && rec.Outcome.Run == run {
		return fmt.Sprintf(" has closed; another one follows for %d more", rec.Outcome.Left.Count())
	}
	return " was replaced by another"
}

// missing is how many lanes have not closed a side.
func (s stand) missing(parts []int, side func(int) subject.Side) (n int) {
	for _, p := range parts {
		if _, ok := s.ends[side(p)]; !ok {
			n++
		}
	}
	return n
}

// compared reports whether results are there, and of which lanes contents are wanted.
func (s stand) compared() (is bool, wanted []int) {
	for p := range subject.Parts {
		end, ok := s.ends[subject.SideResult(p)]
		is = is || ok
		if end.Wanted > 0 {
			wanted = append(wanted, p)
		}
	}
	return is, wanted
}

// next are the sides that may be closed by now, and are not known to be.
func (s stand) next() []subject.Side {
	sides := []subject.Side{subject.SideRun}
	if s.missing(s.record.Parts, subject.SideCluster) > 0 {
		for _, p := range s.record.Parts {
			sides = append(sides, subject.SideCluster(p))
		}
	} else {
		sides = append(sides, subject.SideRepo)
	}
	if _, ok := s.ends[subject.SideRepo]; ok {
		for p := range subject.Parts {
			sides = append(sides, subject.SideResult(p))
		}
	}
	_, wanted := s.compared()
	for _, p := range wanted {
		sides = append(sides, subject.SideContent(p))
	}
	var unknown []subject.Side
	for _, side := range sides {
		if _, ok := s.ends[side]; !ok {
			unknown = append(unknown, side)
		}
	}
	return unknown
}
