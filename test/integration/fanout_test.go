package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestFanOut: of 1,000 destinations, whose names no header of one message has room for, each gets each
// version of an object once, in order, while routers are killed.
func TestFanOut(t *testing.T) {
	long(t)
	t.Parallel()
	const many, versions = 1000, 4
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps")
	var names []string
	for n := range many {
		names = append(names, fmt.Sprintf("%s-%04d", strings.Repeat("team", 24), n))
	}
	in.watcher(rc, documents(t, names...))
	routers := []role{in.router(), in.router()}
	last := subject.LiveDestination(key(names[many-1]))
	for n := range versions {
		c.put("configmaps", "shop", "web", fmt.Sprint(n))
		in.until("some have it", func() bool { return in.holdsUnder(subject.Live, subject.AllLive) > n*many })
		routers[0].bus.Close() // in the middle of whatever it does
		routers[0].stop()
		routers = append(routers[1:], in.router())
	}
	c.put("configmaps", "shop", "last", "x")
	in.read(subject.Live, last, named("last"))
	in.until("all have all", func() bool { return in.holdsUnder(subject.Live, "ks.live.d.>") >= (versions+1)*many })
	for subj, n := range in.counts(subject.Live, "ks.live.d.>") {
		if n != versions+1 {
			t.Fatalf("%s has %d messages, want %d", subj, n, versions+1)
		}
	}
	for _, name := range []string{names[0], names[many/2], names[many-1]} {
		var got []string
		for _, m := range in.read(subject.Live, subject.LiveDestination(key(name)), named("last")) {
			if kind, _ := event.KindOf(m.Header); kind == event.KindChange {
				got = append(got, in.change(m).ResourceVersion)
			}
		}
		if want := "[101 102 103 104 105]"; fmt.Sprint(got) != want {
			t.Errorf("%s has the versions %v, want %s", name, got, want)
		}
	}
}

// counts is how many messages a stream holds under a filter, by subject.
func (in *install) counts(stream, filter string) map[string]uint64 {
	in.Helper()
	st, err := in.js.Stream(in.Context(), stream)
	if err != nil {
		in.Fatal(err)
	}
	info, err := st.Info(in.Context(), jetstream.WithSubjectFilter(filter))
	if err != nil {
		in.Fatal(err)
	}
	return info.State.Subjects
}

// holdsUnder is how many messages a stream holds under a filter.
func (in *install) holdsUnder(stream, filter string) (all int) {
	in.Helper()
	for _, n := range in.counts(stream, filter) {
		all += int(n)
	}
	return all
}
