package model

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// found is what an exploration has seen.
type found struct {
	states, ends int
	cut          bool // there were more states than it was to look at
	broken       error
	way          []step // to what is broken
	trace        []string
}

func (f found) String() string {
	words := fmt.Sprintf("%d states, %d of them at rest", f.states, f.ends)
	if f.cut {
		words += ", and more beyond"
	}
	if f.broken != nil {
		words += fmt.Sprintf("\n%v, after\n  %s", f.broken, strings.Join(f.trace, "\n  "))
	}
	return words
}

// fingerprint stands for a world: that two of so many share one cannot be expected.
type fingerprint [16]byte

func (w *world) fingerprint(buffer *[]byte) (f fingerprint) {
	*buffer = w.encode((*buffer)[:0])
	sum := sha256.Sum256(*buffer)
	copy(f[:], sum[:])
	return f
}

// node is a state that was reached: from which, and how.
type node struct {
	from int32
	step
}

// explore visits every state that a scene can lead to, each once, nearest first, until
// one is broken, or there are more than limit.
func explore(s scene, limit int) found {
	type open struct {
		*world
		at int32
	}
	var f found
	var buffer []byte
	start := s.open()
	nodes := []node{{from: -1}}
	visited := map[fingerprint]struct{}{start.fingerprint(&buffer): {}}
	queue := []open{{start, 0}}
	for len(queue) > 0 {
		w := queue[0]
		queue[0] = open{}
		queue = queue[1:]
		steps, quiet := w.steps()
		if quiet {
			f.ends++
			if f.broken = w.rest(); f.broken != nil {
				f.states, f.way = len(visited), wayTo(nodes, w.at)
				return f.told(s)
			}
		}
		for _, st := range steps {
			n, err := w.after(st)
			if err != nil {
				nodes = append(nodes, node{w.at, st})
				f.broken, f.states, f.way = err, len(visited), wayTo(nodes, int32(len(nodes)-1))
				return f.told(s)
			}
			key := n.fingerprint(&buffer)
			if _, seen := visited[key]; seen {
				continue
			}
			if len(visited) >= limit {
				f.cut = true
				continue
			}
			visited[key] = struct{}{}
			nodes = append(nodes, node{w.at, st})
			queue = append(queue, open{n, int32(len(nodes) - 1)})
		}
	}
	f.states = len(visited)
	return f
}

// wayTo is the steps to a node.
func wayTo(nodes []node, at int32) (way []step) {
	for ; nodes[at].from >= 0; at = nodes[at].from {
		way = append(way, nodes[at].step)
	}
	slices.Reverse(way)
	return way
}

// told tells the way in words.
func (f found) told(s scene) found {
	w := s.open()
	for _, st := range f.way {
		f.trace = append(f.trace, w.words(st))
		w, _ = w.after(st)
	}
	return f
}

// walk goes one way at random until everything is at rest and nothing is left to
// befall it.
func walk(s scene, seed uint64) (f found) {
	r := rand.New(rand.NewPCG(seed, 0))
	w := s.open()
	for {
		steps, quiet := w.steps()
		if quiet {
			f.ends++
			if f.broken = w.rest(); f.broken != nil {
				return f.told(s)
			}
		}
		if len(steps) == 0 {
			return f
		}
		st := steps[r.IntN(len(steps))]
		f.way = append(f.way, st)
		f.states++
		if w, f.broken = w.after(st); f.broken != nil {
			return f.told(s)
		}
	}
}
