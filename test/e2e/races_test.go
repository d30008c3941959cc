package e2e_test

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// envRaces says how many of a hundred races are run, and by its presence that those are
// which take a minute. Without it ten are.
const envRaces = "KUBESCRIBE_RACES"

// TestRaces has something happen at each instant of a run: the run is brought to
// the instant by making a service stand still, then somebody changes the cluster or
// the repository, and then a service, or the NATS server, is killed and started
// again, or none is. In the end an independent comparison says that Git equals the
// cluster, no version and no deletion is missing, doubled or out of order, and what
// somebody else has pushed is in the branch, and says what it said.
//
// Before each run somebody has changed the repository, so that it has results of
// each kind. A tenth of the races runs, another one with each commit, or as many as
// KUBESCRIBE_RACES says.
func TestRaces(t *testing.T) {
	long(t)
	r := newRaces(t)
	for _, race := range draw(t, table()) {
		t.Run(race.name(), func(t *testing.T) {
			r.race(t, race, func() {
				if race.killed != nobody {
					r.again(r.whole, race.killed)
				}
			})
		})
	}
}

// race is one of the table.
type race struct {
	at     instant
	what   happening
	killed string
	reason string // of the run
}

func (r race) name() string {
	return fmt.Sprintf("%s/%s/%s killed/%s", r.at.name, r.what.name, r.killed, r.reason)
}

const nobody = "nobody"

// Whom a race kills, and why there is a run: changes are held back until it is done,
// or they are not.
var (
	victims = append([]string{nobody, natsServer}, services...)
	reasons = []string{event.ReasonWatchGap, event.ReasonRequested}
)

// table is every victim at every instant, in a run of each sort, with two of the
// happenings: so that each happening meets each of the others, too.
func table() (all []race) {
	for i, at := range instants {
		for v, killed := range victims {
			for k, reason := range reasons {
				for _, n := range []int{0, len(happenings) / 2} {
					all = append(all, race{at, happenings[(i+v+k+n)%len(happenings)], killed, reason})
				}
			}
		}
	}
	return all
}

// TestRacesTable: in the races every instant, happening, victim and sort of run meets
// every one of the others, and no race is there twice.
func TestRacesTable(t *testing.T) {
	names, pairs := map[string]bool{}, map[[2]string]bool{}
	for _, r := range table() {
		names[r.name()] = true
		met := []string{r.at.name, r.what.name, r.killed, r.reason}
		for i, one := range met {
			for _, other := range met[:i] {
				pairs[[2]string{one, other}] = true
			}
		}
	}
	i, h, v, k := len(instants), len(happenings), len(victims), len(reasons)
	if got, want := len(pairs), i*h+i*v+i*k+h*v+h*k+v*k; got != want {
		t.Errorf("%d pairs meet, want %d", got, want)
	}
	if got, want := len(names), 2*i*v*k; got != want {
		t.Errorf("%d races, want %d", got, want)
	}
}

// draw returns the races of a test that are to be run, one at least: about as many of a
// hundred as KUBESCRIBE_RACES says.
func draw[R interface{ name() string }](t *testing.T, races []R) []R {
	t.Helper()
	percent := uint64(10)
	if word, set := os.LookupEnv(envRaces); set {
		var err error
		if percent, err = strconv.ParseUint(word, 10, 7); err != nil {
			t.Fatalf("%s: %v", envRaces, err)
		}
	}
	lot := func(r R) uint32 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(head() + t.Name() + r.name())) // never fails: hash.Hash
		return h.Sum32()
	}
	least := lot(slices.MinFunc(races, func(a, b R) int { return cmp.Compare(lot(a), lot(b)) }))
	return slices.DeleteFunc(slices.Clone(races), func(r R) bool { return uint64(lot(r))*100 > max(uint64(least)*100, math.MaxUint32*percent) })
}

// head is the commit that is tested, "" where it is no clone: the same races each time.
var head = sync.OnceValue(func() string {
	commit, err := gittest.Git(".", "rev-parse", "HEAD")
	if err != nil {
		return ""
	}
	return commit
})

// happening is something that happens at an instant, in a namespace that has what is
// raced for.
type happening struct {
	name string
	do   func(*testing.T, *races, string)
}

// raced are objects: of the first one the file is missing before the run, that of the
// second one differs.
var raced = []string{"missing", "different", "equal"}

var happenings = []happening{
	{"created", func(t *testing.T, r *races, ns string) {
		r.apply(t, configMap(ns, "new", "1"))
		r.apply(t, configMap(ns, "orphan", "real now"))
	}},
	{"deleted", func(t *testing.T, r *races, ns string) {
		for _, name := range raced {
			r.remove(t, configMap(ns, name, ""))
		}
	}},
	{"made again", func(t *testing.T, r *races, ns string) {
		for _, name := range raced {
			r.remove(t, configMap(ns, name, ""))
			r.apply(t, configMap(ns, name, "of another uid"))
		}
	}},
	{"updated", func(t *testing.T, r *races, ns string) {
		for _, name := range raced {
			r.apply(t, configMap(ns, name, "2"))
		}
	}},
	{"there and back", func(t *testing.T, r *races, ns string) {
		for _, value := range []string{"2", "1"} {
			for _, name := range []string{"different", "equal"} {
				r.apply(t, configMap(ns, name, value))
			}
		}
	}},
	{"a foreign commit", func(t *testing.T, r *races, ns string) {
		r.others.commit(t, map[string]string{"apps/note.txt": ns})
		r.others.disfigure(t, map[string]string{"live/" + ns + "/configmaps/equal.yaml": "data: {value: theirs}\n"})
		r.others.push(t)
	}},
}

// race is one race, in a namespace of its own.
func (r *races) race(t *testing.T, c race, strike func()) {
	t.Helper()
	ns := r.namespace(t, "race")
	for _, name := range raced {
		r.apply(t, configMap(ns, name, "1"))
	}
	r.landed(t, ns)
	r.others.pull(t)
	dir := "live/" + ns + "/configmaps/"
	r.others.remove(t, dir+"missing.yaml")
	r.others.disfigure(t, map[string]string{dir + "different.yaml": "data: {value: theirs}\n", dir + "orphan.yaml": configMap(ns, "orphan", "0")})
	r.others.push(t)

	before := r.closed(t, "")
	r.reach(t, c.at, before.Run, func() { r.ask(t, c.reason) })
	c.what.do(t, r, ns)
	strike()
	r.goOn(c.at.last())
	rec := r.closed(t, before.Run)
	r.landed(t, ns)
	if c.what.name == "a foreign commit" { // behind the BARRIER, it is for the next drift check
		r.ask(t, event.ReasonRequested)
		r.closed(t, rec.Run)
	}
	r.settle(t, scope())
	r.others.check(t, r.world)
	history := r.history(t)
	report(t, harness.Versions(history, r.writes))
	report(t, harness.Deletions(history, r.writes))
}
