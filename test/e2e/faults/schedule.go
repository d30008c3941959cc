// Package faults says which faults a chaos run plays, and when. It knows nothing of how
// they are played.
package faults

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind is a fault that can be played.
type Kind struct {
	Name        string
	Least, Most time.Duration // from its beginning until it is mended
}

// Group is what shares a fate: one fault at a time is played in it, so that what is left
// of it can go on. Groups are broken at the same time as chance has it.
type Group struct {
	Name    string
	Targets []string
	Kinds   []Kind
}

// Fault is one that is to be played.
type Fault struct {
	Kind   string
	Target string
	At     time.Duration // since the beginning of the run
	For    time.Duration
	Lot    uint64 // decides what else is left to chance in it
}

// Cycle is the time in which each kind of a group has its turn.
const Cycle = time.Minute

// Schedule is what is played in each of the groups, one after the other: in each whole
// [Cycle] every kind once, in an order and with pauses that are left to chance, as far as it
// ends before the run does. It depends on nothing but what it is given.
func Schedule(seed uint64, length time.Duration, groups []Group) [][]Fault {
	all := make([][]Fault, len(groups))
	for i, g := range groups {
		chance := rand.New(rand.NewPCG(seed, number(g.Name)))
		for begin := time.Duration(0); begin < length; begin += Cycle {
			for _, f := range g.cycle(chance) {
				if f.At += begin; f.At+f.For <= length {
					all[i] = append(all[i], f)
				}
			}
		}
	}
	return all
}

// cycle is every kind once. What of the cycle they do not take are the pauses.
func (g Group) cycle(chance *rand.Rand) []Fault {
	faults, rest := make([]Fault, len(g.Kinds)), Cycle
	for i, k := range chance.Perm(len(g.Kinds)) {
		kind := g.Kinds[k]
		lasts := kind.Least + time.Duration(chance.Int64N(int64(kind.Most-kind.Least)+1))
		faults[i] = Fault{Kind: kind.Name, Target: g.Targets[chance.IntN(len(g.Targets))], For: lasts, Lot: chance.Uint64()}
		rest -= lasts
	}
	pauses := make([]time.Duration, len(faults)) // before each of them, in all
	for i := range pauses {
		pauses[i] = time.Duration(chance.Int64N(int64(rest) + 1))
	}
	slices.Sort(pauses)
	taken := time.Duration(0)
	for i := range faults {
		faults[i].At = pauses[i] + taken
		taken += faults[i].For
	}
	return faults
}

func number(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails: hash.Hash
	return h.Sum64()
}
