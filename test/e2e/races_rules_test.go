package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestRacesOfRules narrows and widens the rules at each instant of a run: Git ends
// equal to what the new ones select, and of what both select no version is missing.
func TestRacesOfRules(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	kept, taken := w.namespace(t, "kept"), w.namespace(t, "taken")
	r := newRaces(t, kept)
	selected := false // taken is
	for n, at := range instants {
		t.Run(at.name, func(t *testing.T) {
			for _, ns := range []string{kept, taken} {
				r.apply(t, configMap(ns, "a", fmt.Sprint(n)))
				r.apply(t, configMap(ns, fmt.Sprintf("b-%d", n), "1"))
			}
			r.landed(t, kept)
			r.others.pull(t)
			r.others.remove(t, "live/"+kept+"/configmaps/a.yaml")
			r.others.disfigure(t, nil)
			r.others.push(t)
			before := r.closed(t, "")
			r.reach(t, at, before.Run, func() { r.ask(t, event.ReasonRequested) })
			selected = !selected
			namespaces := []string{kept}
			if selected {
				namespaces = append(namespaces, taken)
			}
			r.mirror(t, mirror{"live", namespaces})
			r.again(r.whole, "watcher")
			for _, ns := range []string{kept, taken} {
				for _, value := range []string{"again", "and again"} {
					r.apply(t, configMap(ns, "a", fmt.Sprintf("%d %s", n, value)))
				}
			}
			r.goOn(at.last())
			r.closed(t, before.Run)
			r.landed(t, kept)
			if files, err := r.remote.Files("live/" + taken); !selected && (err != nil || len(files) > 0) {
				t.Errorf("%d files of what is not selected are left, %v", len(files), err)
			}
			r.settle(t, scope(namespaces...))
			r.others.check(t, r.world)
			report(t, harness.Versions(r.history(t), slices.DeleteFunc(slices.Clone(r.writes), func(w harness.Written) bool {
				return !strings.Contains(w.Resource, " "+kept+"/")
			})))
		})
	}
}
