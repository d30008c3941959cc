package phase

import (
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

func TestFateOf(t *testing.T) {
	none, behind := Effects{Forward: true}, Effects{Forward: true, Remember: true}
	newest, older := Epoch{Run: "run-2", Attempt: 1}, Epoch{Run: "run-1", Attempt: 1}
	last := func(of Epoch, hash string) Last { return Last{Known: true, Of: of, Hash: hash} }
	update, gone := event.Change{Op: event.Update, Hash: "a"}, event.Change{Op: event.Delete}
	again := event.Change{Op: event.Update, Hash: "a", Retry: 7}
	for _, tt := range []struct {
		name string
		c    event.Change
		fx   Effects
		last Last
		mode event.PruneMode
		want Fate
	}{
		{"nothing known", update, none, Last{}, event.PruneAlways, Forwarded},
		{"another content", update, none, last(newest, "b"), event.PruneAlways, Forwarded},
		{"the same content", update, none, last(newest, "a"), event.PruneAlways, Suppressed},
		{"the same content, and a run since", update, none, last(older, "a"), event.PruneAlways, Forwarded},
		{"the same content, and another attempt since", update, none, last(Epoch{Run: "run-2"}, "a"), event.PruneAlways, Forwarded},
		{"the same content, behind a MARK", update, behind, last(newest, "a"), event.PruneAlways, Forwarded},
		{"the same content, which was a dead letter", again, none, last(newest, "a"), event.PruneAlways, Forwarded},
		{"gone, which was a dead letter", event.Change{Op: event.Delete, Retry: 7}, none, last(newest, ""), event.PruneAlways, Forwarded},
		{"gone, which was a dead letter, nothing may be removed", event.Change{Op: event.Delete, Retry: 7}, none, last(newest, ""), event.PruneNever, Pruned},
		{"made again", update, none, last(newest, ""), event.PruneAlways, Forwarded},
		{"gone", gone, none, last(newest, "a"), event.PruneOnEvent, Forwarded},
		{"gone, nothing known", gone, none, Last{}, event.PruneAlways, Forwarded},
		{"gone before", gone, none, last(newest, ""), event.PruneAlways, Suppressed},
		{"gone, nothing may be removed", gone, none, last(newest, "a"), event.PruneNever, Pruned},
		{"a change, nothing may be removed", update, none, last(newest, "b"), event.PruneNever, Forwarded},
	} {
		if got := FateOf(tt.c, State{Epoch: newest}, tt.fx, tt.last, tt.mode); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
