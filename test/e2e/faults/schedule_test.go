package faults_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/faults"
)

// seeds is how many are tried of all there are.
const seeds = 500

// TestSchedule: in every minute each kind is played, on one target of its group at a time,
// and mended before the end. A shorter run is mended before its end, too.
func TestSchedule(t *testing.T) {
	t.Parallel()
	groups := faults.Groups()
	for _, length := range []time.Duration{10 * time.Second, faults.Cycle, 150 * time.Second} {
		for seed := range uint64(seeds) {
			for i, played := range faults.Schedule(seed, length, groups) {
				until, times := time.Duration(0), map[string]int{}
				for _, f := range played {
					if f.At < until || f.For < 0 {
						t.Fatalf("seed %d: %+v begins before the one before it has ended, at %s", seed, f, until)
					}
					until = f.At + f.For
					times[f.Kind]++
				}
				if until > length {
					t.Fatalf("seed %d: %s is mended at %s, after %s", seed, groups[i].Name, until, length)
				}
				for _, k := range groups[i].Kinds {
					if whole := int(length / faults.Cycle); times[k.Name] < whole {
						t.Fatalf("seed %d, %s: %s: %d times in %s", seed, groups[i].Name, k.Name, times[k.Name], length)
					}
				}
			}
		}
	}
}

// TestScheduleDependsOnSeed: the same seed gives the same, another one another, and no
// target is left out for good.
func TestScheduleDependsOnSeed(t *testing.T) {
	t.Parallel()
	groups := faults.Groups()
	played := map[string]map[string]bool{}
	for seed := range uint64(seeds) {
		one := faults.Schedule(seed, faults.Cycle, groups)
		if !reflect.DeepEqual(one, faults.Schedule(seed, faults.Cycle, groups)) {
			t.Fatalf("seed %d: it is not the same twice", seed)
		}
		if reflect.DeepEqual(one, faults.Schedule(seed+1, faults.Cycle, groups)) {
			t.Fatalf("seed %d: the next one gives the same", seed)
		}
		for _, group := range one {
			for _, f := range group {
				if played[f.Target] == nil {
					played[f.Target] = map[string]bool{}
				}
				played[f.Target][f.Kind] = true
			}
		}
	}
	for _, g := range groups {
		for _, target := range g.Targets {
			for _, k := range g.Kinds {
				if !played[target][k.Name] {
					t.Errorf("%s: %s never happens", target, k.Name)
				}
			}
		}
	}
}

// TestUnplugged: each party that leases are about is unplugged for less than one lasts, and for
// more. So is each NATS node.
func TestUnplugged(t *testing.T) {
	t.Parallel()
	const lease = 10 * time.Second
	shorter, longer := map[string]bool{}, map[string]bool{}
	for seed := range uint64(seeds) {
		for _, group := range faults.Schedule(seed, faults.Cycle, faults.Groups()) {
			for _, f := range group {
				if f.Kind == faults.ServiceUnplugged || f.Kind == faults.NodeUnplugged {
					shorter[f.Target] = shorter[f.Target] || f.For < lease/2
					longer[f.Target] = longer[f.Target] || f.For > lease+time.Second
				}
			}
		}
	}
	targets := slices.Clone(faults.Nodes)
	for _, s := range faults.Services {
		targets = append(targets, faults.Replicas(s)...)
	}
	for _, target := range targets {
		if !shorter[target] || !longer[target] {
			t.Errorf("%s is unplugged for less than a lease: %t, for more: %t", target, shorter[target], longer[target])
		}
	}
}

// TestGroupsFit: what a group plays in a minute leaves time to go on without a fault.
func TestGroupsFit(t *testing.T) {
	t.Parallel()
	for _, g := range faults.Groups() {
		longest := time.Duration(0)
		for _, k := range g.Kinds {
			longest += k.Most
		}
		if longest > faults.Cycle-5*time.Second {
			t.Errorf("%s: up to %s of %s are faults", g.Name, longest, faults.Cycle)
		}
	}
}
