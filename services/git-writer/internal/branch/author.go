package branch

import (
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// authorOf is who made a change, by what the destination says of its field manager; nobody,
// where it says nothing. What a run found is nobody's: it may put right what somebody else
// has done in Git.
func authorOf(d event.Destination, c event.Change) event.Person {
	if c.Origin != event.Live || c.FieldManager == "" {
		return event.Person{}
	}
	for _, a := range d.Authors {
		if manifest.MatchesManager(a.FieldManager, c.FieldManager) {
			return a.Person
		}
	}
	return event.Person{}
}

// sharedAuthor is who made all of the changes; nobody, where they are not one's.
func sharedAuthor(d event.Destination, writes []write) event.Person {
	by := authorOf(d, writes[0].Change)
	for _, w := range writes[1:] {
		if authorOf(d, w.Change) != by {
			return event.Person{}
		}
	}
	return by
}
