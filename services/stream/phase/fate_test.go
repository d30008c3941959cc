package phase

import (
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

func TestFateOf(t *testing.T) {
	update, gone := event.Change{Op: event.Update, Hash: "a"}, event.Change{Op: event.Delete}
	for _, tt := range []struct {
		name  string
		c     event.Change
		last  string
		known bool
		mode  event.PruneMode
		want  Fate
	}{
		{"nothing known", update, "", false, event.PruneAlways, Forwarded},
		{"another content", update, "b", true, event.PruneAlways, Forwarded},
		{"the same content", update, "a", true, event.PruneAlways, Suppressed},
		{"made again", update, "", true, event.PruneAlways, Forwarded},
		{"gone", gone, "a", true, event.PruneOnEvent, Forwarded},
		{"gone, nothing known", gone, "", false, event.PruneAlways, Forwarded},
		{"gone before", gone, "", true, event.PruneAlways, Suppressed},
		{"gone, nothing may be removed", gone, "a", true, event.PruneNever, Pruned},
		{"a change, nothing may be removed", update, "b", true, event.PruneNever, Forwarded},
	} {
		if got := FateOf(tt.c, tt.last, tt.known, tt.mode); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
