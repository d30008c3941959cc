package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// published is what stands in the lane of ConfigMaps, as "object version content", up to the
// object that comes last.
func (in *install) published(last string) (lines []string) {
	in.Helper()
	for _, m := range in.read(subject.Events, subject.EventPart(configmaps), named(last)) {
		if kind, _ := event.KindOf(m.Header); kind != event.KindChange {
			continue
		}
		c := in.change(m)
		_, text, _ := strings.Cut(string(c.Manifest), "text: ")
		text, _, _ = strings.Cut(text, "\n")
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Name, c.ResourceVersion, strings.Trim(text, `"`))))
	}
	return lines
}

// TestWatcherBehindItsIndex: an index that was listed at a later version than that from which the
// watch is resumed is not taken for what the lane has published: each version in between is, also one that
// says what the list says.
func TestWatcherBehindItsIndex(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	c.put("configmaps", "shop", "web", "A")
	w, _ := in.watcher(rc, documents(t, "d"))
	in.state("d", "run-1", configmaps)
	want := []string{fmt.Sprintf("web %d B", c.put("configmaps", "shop", "web", "B"))}
	in.published("web")
	w.stop()
	in.reconciled("d")

	first := c.put("configmaps", "shop", "api", "A") // the list has it no more
	c.remove("configmaps", "shop", "api")
	want = append(want, fmt.Sprintf("api %d A", first), fmt.Sprintf("api %d", first+1))
	for _, text := range []string{"A", "B", "A"} {
		want = append(want, fmt.Sprintf("web %d %s", c.put("configmaps", "shop", "web", text), text))
	}
	c.tells("configmaps", first-1)
	before := c.lists("configmaps")
	in.watcher(rc, documents(t, "d"))
	in.until("it has listed what there is", func() bool { return c.lists("configmaps") > before })
	c.tells("configmaps", first)
	in.published("api") // and by then it has what it has listed
	c.tells("configmaps")
	want = append(want, fmt.Sprintf("last %d A", c.put("configmaps", "shop", "last", "A")))
	if got := in.published("last"); !slices.Equal(got, want) {
		t.Errorf("it published %q, want %q", got, want)
	}
	if entries, _ := in.state("d", "run-2", configmaps); paths(entries) != "shop/configmaps/last.yaml shop/configmaps/web.yaml" {
		t.Errorf("it answered %s", paths(entries))
	}
}
