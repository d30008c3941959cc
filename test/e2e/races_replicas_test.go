package e2e_test

import (
	"os"
	"slices"
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestRacesOfReplicas: of two of a service either may be killed, at each instant of a
// run, and the other one brings it to its end.
func TestRacesOfReplicas(t *testing.T) {
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

// TestRacesOfWatchers: of two watchers the one that came last has the lanes. Where it
// is killed the other one takes them back, and nothing is missing of what came between.
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
	change()
	r.landed(t, ns)
	awaitNotReady(t, r.running["watcher"], "another owner has taken over")
	r.running["watcher 2"].Kill()
	change()
	must(t, r.running["watcher"].AwaitReady(within(t, 2*stepLimit)))
	change()
	history := r.landed(t, ns)
	r.settle(t, scope())
	report(t, harness.Versions(history, r.writes))
	report(t, harness.Deletions(history, r.writes))
}
