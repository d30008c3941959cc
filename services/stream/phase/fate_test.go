package phase

import (
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

func TestFateOf(t *testing.T) {
	none, behind := Effects{Forward: true}, Effects{Forward: true, Remember: true}
	update, gone := event.Change{Op: event.Update, Hash: "a"}, event.Change{Op: event.Delete}
	for _, tt := range []struct {
		name  string
		c     event.Change
		fx    Effects
		last  string
		known bool
		mode  event.PruneMode
		want  Fate
	}{
		{"nothing known", update, none, "", false, event.PruneAlways, Forwarded},
		{"another content", update, none, "b", true, event.PruneAlways, Forwarded},
		{"the same content", update, none, "a", true, event.PruneAlways, Suppressed},
		{"the same content, behind a MARK", update, behind, "a", true, event.PruneAlways, Forwarded},
		{"made again", update, none, "", true, event.PruneAlways, Forwarded},
		{"gone", gone, none, "a", true, event.PruneOnEvent, Forwarded},
		{"gone, nothing known", gone, none, "", false, event.PruneAlways, Forwarded},
		{"gone before", gone, none, "", true, event.PruneAlways, Suppressed},
		{"gone, nothing may be removed", gone, none, "a", true, event.PruneNever, Pruned},
		{"a change, nothing may be removed", update, none, "b", true, event.PruneNever, Forwarded},
	} {
		if got := FateOf(tt.c, tt.fx, tt.last, tt.known, tt.mode); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
