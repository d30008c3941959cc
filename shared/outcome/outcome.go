// Package outcome is the one list of what becomes of a change on its way: in metrics, in
// logs and in a replay it has the same words.
package outcome

// Outcome is what became of an event, a change or a result.
type Outcome string

// The outcomes.
const (
	Routed       Outcome = "routed"
	Unregistered Outcome = "unregistered"

	Held       Outcome = "held"
	Forwarded  Outcome = "forwarded"
	Suppressed Outcome = "suppressed"
	Pruned     Outcome = "pruned"
	Late       Outcome = "late"
	Covered    Outcome = "covered"
	Marked     Outcome = "marked"

	Committed Outcome = "committed"
	Unchanged Outcome = "unchanged"
	Coalesced Outcome = "coalesced"
	Foreign   Outcome = "foreign"
	Outdated  Outcome = "outdated"
	Refused   Outcome = "refused"
	Overrun   Outcome = "overrun"
	Missing   Outcome = "missing"
	Cut       Outcome = "cut"
	DryRun    Outcome = "dry_run"
	Sealed    Outcome = "sealed"

	DeadLettered Outcome = "dead_lettered"
)

// Explained is an outcome, and what it means.
type Explained struct {
	Outcome
	By      string // the services that give it
	Meaning string
}

// All is every outcome, in the order of the way.
func All() []Explained {
	return []Explained{
		{Routed, "router", "sent on to the destinations that it is for"},
		{Unregistered, "router, stream, git-writer", "dropped: its destination is gone, or was registered since"},
		{Held, "stream, git-writer", "waits: for a run to close, or for its object's next commit"},
		{Forwarded, "stream", "sent on to the branch of its destination"},
		{Suppressed, "stream", "dropped: the same content as the last one of its object"},
		{Pruned, "stream", "dropped: a deletion, and prune.mode is Never"},
		{Late, "stream", "dropped: a result of a run, and something newer of its object had passed"},
		{Covered, "stream", "dropped: it may be an old one, and the run that follows has it"},
		{Marked, "stream", "it was a MARK: a lane was frozen there for a run"},
		{Committed, "git-writer", "in a commit"},
		{Unchanged, "git-writer", "no commit: its content stood there already"},
		{Coalesced, "git-writer", "no commit: a newer version of its object took its place while the limit of commits held it"},
		{Foreign, "git-writer", "no commit: the file holds several resources"},
		{Outdated, "git-writer", "no commit: a run wanted the file removed, and it has changed since"},
		{Refused, "git-writer", "dropped: its destination may not write to its folder"},
		{Overrun, "git-writer", "dropped: how it was sealed is out of date, and the run that follows has it"},
		{Missing, "git-writer", "no commit: it was removed from the bus while the limit of commits held it"},
		{Cut, "git-writer", "no commit: it was given up, because the bus had no room for what waits for the remote"},
		{DryRun, "git-writer", "in a commit that was not pushed: its destination is in DryRun"},
		{Sealed, "replay", "left out: it is sealed, and there is no key"},
		{DeadLettered, "git-writer", "kept in KS_DLQ: it can never be written"},
	}
}
