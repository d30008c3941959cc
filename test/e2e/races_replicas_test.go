package e2e_test

import (
	"os"
	"slices"
	"testing"

	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestRacesOfReplicas: of two of a service either may be killed, at each instant of a
// run, and the other one brings it to its end.
func TestRacesOfReplicas(t *testing.T) {
	long(t)
	r := newRaces(t)
	doubled := []string{"router", "stream", "reconciler", "git-writer"}
	for _, program := range doubled {
		r.start(t, program+" 2")
	}
	var all []race
	for i, at := range instants {
		for k, program := range doubled {
			victim := program
			if (i+k)%2 == 1 {
				victim += " 2"
			}
			all = append(all, race{at, happenings[(i+k)%len(happenings)], victim, reasons[i%len(reasons)]})
		}
	}
	for _, race := range draw(t, all) {
		t.Run(race.name(), func(t *testing.T) {
			r.race(t, race, func() {
				r.running[race.killed].Kill()
				delete(r.running, race.killed)
			})
			r.start(r.whole, race.killed)
		})
	}
}

// TestRacesOfWatchers: two watchers share the lanes and the configuration. Where one is killed, or
// stands still until the other has taken all from it and goes on then, nothing is missing of what
// came between, and nothing is there twice.
func TestRacesOfWatchers(t *testing.T) {
	if os.Getenv(envRaces) == "" {
		t.Skip("it takes a minute: make races does it")
	}
	r := newRaces(t)
	ns := r.namespace(t, "watchers")
	change := func() {
		for _, what := range []string{"updated", "made again", "there and back"} {
			happenings[slices.IndexFunc(happenings, func(h happening) bool { return h.name == what })].do(t, r, ns)
		}
	}
	for _, name := range raced {
		r.apply(t, configMap(ns, name, "1"))
	}
	r.landed(t, ns)
	r.start(t, "watcher 2")
	r.shared(t, subject.LeaseWatcher("e2e"), 2)
	change()
	r.landed(t, ns)
	for _, name := range []string{"watcher", "watcher 2"} {
		must(t, r.running[name].AwaitReady(within(t, stepLimit)))
	}
	r.running["watcher 2"].Kill()
	change()
	r.landed(t, ns)
	r.start(t, "watcher 2")
	r.shared(t, subject.LeaseWatcher("e2e"), 2)
	must(t, r.running["watcher"].Pause())
	r.shared(t, subject.LeaseWatcher("e2e"), 1)
	change()
	r.landed(t, ns)
	must(t, r.running["watcher"].Resume())
	change()
	r.shared(t, subject.LeaseWatcher("e2e"), 2)
	history := r.landed(t, ns)
	r.settle(t, scope())
	report(t, harness.Versions(history, r.writes))
	report(t, harness.Deletions(history, r.writes))
}
