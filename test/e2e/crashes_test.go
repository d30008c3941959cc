package e2e_test

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/faultpoint"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

const (
	// envCrashCells says which part of the crash table is played: a tenth, or all, or each second cell (odd
	// or even), on one NATS node, or a third on three.
	envCrashCells = "KUBESCRIBE_CRASH_CELLS"
	// envCrashSeed draws the cells, and what is left to chance in them; else the commit does.
	envCrashSeed = "KUBESCRIBE_CRASH_SEED"
)

// TestCrashes plays the crash table: at each durable step of each service, right before it
// and right behind it, the service is killed, or the answer to the step is lost; at a third of
// them the step fails, too, or stands still for a while; in half of the cells a NATS server is
// killed in the same moment. What was killed is started again, all of it under load, on NATS servers that forget the ID of a message after a second. In the
// end what a test's own watch was delivered is held against Git's history, version by version, for
// each of two destinations.
func TestCrashes(t *testing.T) {
	part := cmp.Or(os.Getenv(envCrashCells), "tenth")
	cells := drawn(crashTable(), part)
	if cells == nil {
		t.Fatalf("%s=%s: it is tenth, all, odd, even or three-nodes", envCrashCells, part)
	}
	t.Logf("%s=%s %s=%s: %d cells", envCrashCells, part, envCrashSeed, seed(), len(cells))
	c := newCrashes(t, part == "three-nodes")
	for _, cell := range cells {
		t.Run(cell.name(), func(t *testing.T) { c.play(t, cell) })
	}
	c.checkPoints(t)
	for name, sum := range c.sums {
		t.Logf("%d cells, %s: %+v", len(cells), name, *sum)
		if sum.Returned == 0 || sum.Repeated == 0 || sum.Deleted == 0 || sum.Foreign == 0 {
			t.Errorf("%s had not all that it is to have: %+v", name, *sum)
		}
	}
}

// crash is a cell of the table.
type crash struct {
	faultpoint.Point
	act  faultpoint.Action
	with bool // a NATS server is killed in the same moment
	at   situation
}

func (c crash) name() string {
	name := c.Role + "/" + c.Point.Name() + "/" + string(c.act)
	if c.with {
		name += " and NATS"
	}
	return name
}

// lot is a number that depends on the seed and the cell alone.
func (c crash) lot() uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(seed() + c.name())) // never fails: hash.Hash
	return h.Sum32()
}

// chance is one of n numbers, from 0 on. The lowest bits of a lot depend on little of it.
func (c crash) chance(n uint32) int { return int((c.lot() >> 8) % n) }

func seed() string { return cmp.Or(os.Getenv(envCrashSeed), head()) }

// kills reports whether the service is killed in the cell.
func (c crash) kills() bool {
	return c.act == faultpoint.CrashBefore || c.act == faultpoint.CrashAfter
}

// crashTable is every point in every situation in which it is reached, times what happens
// there. At which third of them the step fails or stands still, too, is drawn by the seed.
func crashTable() (table []crash) {
	odd := map[faultpoint.Action]bool{}
	for i, p := range faultpoint.Points {
		at, ok := situations[p.Role+": "+p.Name()]
		if !ok {
			continue
		}
		for k, act := range []faultpoint.Action{faultpoint.CrashBefore, faultpoint.CrashAfter, faultpoint.Lose} {
			table = append(table, crash{p, act, (i+k)%2 == 0, at})
		}
		if more := (crash{Point: p}).chance(6); more < 2 {
			act := []faultpoint.Action{faultpoint.Fail, faultpoint.Stall}[more]
			table = append(table, crash{p, act, odd[act], at})
			odd[act] = !odd[act]
		}
	}
	return table
}

// drawn is a part of the table: each second cell, or those with the lowest lots and one at least of each
// role.
func drawn(table []crash, part string) (cells []crash) {
	if first, half := map[string]int{"odd": 0, "even": 1}[part]; half {
		for i := first; i < len(table); i += 2 {
			cells = append(cells, table[i])
		}
		return cells
	}
	n, known := map[string]int{"tenth": len(table) / 10, "all": len(table), "three-nodes": len(table) / 3}[part]
	if !known {
		return nil
	}
	lots := slices.SortedFunc(slices.Values(table), func(a, b crash) int { return cmp.Compare(a.lot(), b.lot()) })
	roles := map[string]bool{}
	in := map[string]bool{}
	for _, c := range lots {
		if !roles[c.Role] {
			roles[c.Role], in[c.name()] = true, true
		}
	}
	for _, c := range lots {
		if len(in) < n {
			in[c.name()] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(table), func(c crash) bool { return !in[c.name()] })
}

// TestCrashTable: every fault point is in the table, or it is said where else what it
// leaves is tested; a NATS server is killed in half of the cells; and each part that is
// drawn has every role.
func TestCrashTable(t *testing.T) {
	points := map[string]bool{}
	for _, p := range faultpoint.Points {
		name := p.Role + ": " + p.Name()
		points[name] = true
		if _, played := situations[name]; played == (elsewhere[name] != "") {
			t.Errorf("%s: played: %t, elsewhere: %q", name, played, elsewhere[name])
		}
	}
	for name := range situations {
		if !points[name] {
			t.Errorf("%s is no point", name)
		}
	}
	for name := range elsewhere {
		if !points[name] {
			t.Errorf("%s is no point", name)
		}
	}
	all := crashTable()
	const seeds = 100
	of := map[string]map[faultpoint.Action]int{}
	for i := range seeds {
		t.Setenv(envCrashSeed, fmt.Sprint(i))
		for _, c := range crashTable() {
			name := c.Role + ": " + c.Point.Name()
			if of[name] == nil {
				of[name] = map[faultpoint.Action]int{}
			}
			of[name][c.act]++
		}
	}
	for name := range situations {
		for _, act := range []faultpoint.Action{faultpoint.CrashBefore, faultpoint.CrashAfter, faultpoint.Lose} {
			if of[name][act] != seeds {
				t.Errorf("%s, %s: %d times of %d", name, act, of[name][act], seeds)
			}
		}
		if of[name][faultpoint.Fail] == 0 || of[name][faultpoint.Stall] == 0 {
			t.Errorf("%s never fails, or never stands still: %v", name, of[name])
		}
	}
	with := len(slices.DeleteFunc(slices.Clone(all), func(c crash) bool { return !c.with }))
	if d := 2*with - len(all); d < -3 || d > 3 {
		t.Errorf("a NATS server is killed in %d of %d cells", with, len(all))
	}
	for part, least := range map[string]int{"tenth": len(all) / 10, "all": len(all), "odd": len(all) / 2, "even": len(all) / 2, "three-nodes": len(all) / 3} {
		roles, some := map[string]bool{}, drawn(all, part)
		for _, c := range some {
			roles[c.Role] = true
		}
		if len(roles) != len(services) || len(some) < least {
			t.Errorf("%s: %d cells of the roles %v", part, len(some), roles)
		}
	}
	halves := map[string]bool{}
	for _, c := range append(drawn(all, "odd"), drawn(all, "even")...) {
		halves[c.name()] = true
	}
	if len(halves) != len(all) {
		t.Errorf("the halves have %d of %d cells", len(halves), len(all))
	}
	if drawn(all, "half") != nil {
		t.Error("a part that is none is one")
	}
}

// TestNoFaultPoints: what is built without the tag holds nothing of fault points, and
// what is built with it does.
func TestNoFaultPoints(t *testing.T) {
	words := []string{faultpoint.Env, faultpoint.ErrLost.Error(), string(faultpoint.CrashBefore), string(faultpoint.CrashAfter)}
	for _, program := range services {
		for folder, want := range map[string]bool{string(bins): false, string(faulty()): true} {
			b, err := os.ReadFile(filepath.Join(folder, program))
			must(t, err)
			for _, word := range words {
				if bytes.Contains(b, []byte(word)) != want {
					t.Errorf("%s in %s: %t, want %t", word, filepath.Join(folder, program), !want, want)
				}
			}
		}
	}
}

// faulty is where the services with fault points are.
func faulty() harness.Bins { return harness.Bins(filepath.Join(string(bins), "faulty")) }

// checkPoints fails the test where a service has reached a point that is not in the list
// of those that its role has.
func (c *crashes) checkPoints(t *testing.T) {
	t.Helper()
	listed := map[string]bool{}
	for _, p := range faultpoint.Points {
		listed[p.Role+": "+p.Name()] = true
	}
	for _, role := range services {
		seen, err := os.ReadFile(c.order(role) + faultpoint.Seen)
		must(t, err)
		for point := range strings.SplitSeq(strings.TrimSpace(string(seen)), "\n") {
			if name := role + ": " + point; !listed[name] {
				t.Errorf("%s is reached, and not listed: see shared/faultpoint/points.go", name)
			}
		}
	}
	if t.Failed() {
		return
	}
	for _, role := range services {
		seen, _ := os.ReadFile(c.order(role) + faultpoint.Seen)
		fmt.Fprintf(t.Output(), "%s has reached %s\n", role, strings.Join(slices.Compact(slices.Sorted(strings.SplitSeq(strings.TrimSpace(string(seen)), "\n"))), ", "))
	}
}
