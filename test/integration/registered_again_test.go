package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
)

// TestRegisteredAgain: a destination that is removed and made again at once, while the bus remembers
// the IDs of all that was published for the former one, has what happened meanwhile by a run, and
// each version that comes then, once.
func TestRegisteredAgain(t *testing.T) {
	t.Parallel()
	for name, destinations := range map[string][]string{"alone": {"d"}, "beside another one": {"d", "other"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := prepareMirror(t, "{}", destinations, "configmaps")
			for n := range 20 {
				m.cluster.put("configmaps", "shop", fmt.Sprint("kept-", n), "1")
			}
			roles := m.startAll(reconciler.Deps{})
			live := func(when string) {
				t.Helper()
				for _, d := range destinations {
					m.until(when+" "+d+" is live", func() bool { p := m.phase(d); return p.Phase == event.LiveProcessing && !p.Running() })
				}
			}
			live("at first")
			of := func() (versions []string) {
				out, err := gittest.Git(m.stand.dir, "log", "--reverse", "--format=%(trailers:key=Kubescribe-Origin,valueonly,separator=) %(trailers:key=Kubescribe-Resource-Version,valueonly,separator=)", "main", "--", "live/shop")
				if err != nil {
					return nil // there is no branch yet
				}
				for line := range strings.Lines(out) {
					if v, is := strings.CutPrefix(strings.TrimSpace(line), "live "); is {
						versions = append(versions, v)
					}
				}
				return versions
			}
			var want []string // those from while it was gone may be there beside them
			put := func(name, text string) {
				t.Helper()
				want = append(want, fmt.Sprint(m.cluster.put("configmaps", "shop", name, text)))
				m.until(name+" "+text+" is on the remote", func() bool { return slices.Contains(of(), want[len(want)-1]) })
			}
			put("kept-0", "A")
			put("kept-0", "B")

			both := m.docs
			without := *both
			without.GitDestinations = slices.DeleteFunc(slices.Clone(both.GitDestinations), func(d v1alpha1.GitDestination) bool { return d.Name == "d" })
			without.ClusterWatchRules = slices.DeleteFunc(slices.Clone(both.ClusterWatchRules), func(r v1alpha1.ClusterWatchRule) bool { return r.Name == "d" })
			roles["watcher"].stop()
			m.docs = &without
			w := m.start("watcher", reconciler.Deps{})
			m.until("it has left", func() bool { return m.phase("d").Run == "" })
			m.cluster.put("configmaps", "shop", "kept-0", "A")
			m.cluster.put("configmaps", "shop", "new", "1")
			m.cluster.remove("configmaps", "shop", "kept-1")
			w.stop()
			m.docs = both
			m.start("watcher", reconciler.Deps{})
			live("made again,")
			m.until("its folder is equal", func() bool {
				return m.filesIn("live/shop/configmaps/") == 20 && strings.Contains(m.stand.git("show", "main:live/shop/configmaps/kept-0.yaml"), "text: A")
			})
			put("kept-0", "B")
			put("kept-0", "A")
			got := of()
			if once := slices.Compact(slices.Sorted(slices.Values(got))); !slices.Equal(got, once) { // all are of three digits
				t.Errorf("the versions are %q", got)
			}
			for _, v := range want {
				if !slices.Contains(got, v) {
					t.Errorf("version %s is not among %q", v, got)
				}
			}
			if len(destinations) > 1 && m.stand.git("rev-parse", "main:live/shop") != m.stand.git("rev-parse", "main:other/shop") {
				t.Error("the two folders differ")
			}
		})
	}
}
