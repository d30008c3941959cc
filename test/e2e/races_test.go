package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// allRaces says by its presence that every race is run, not one of ten.
const allRaces = "KUBESCRIBE_RACES"

// TestRaces has something happen at each instant of a run: the run is brought to
// the instant by making a service stand still, then somebody changes the cluster or
// the repository, and then the service goes on, or is killed and started again.
// In the end an independent comparison says that Git equals the cluster, and no
// version is missing, doubled or out of order.
//
// Before each run somebody has changed the repository, so that it has results of
// each kind. A tenth of the races runs, another one with each commit; all of them
// run when KUBESCRIBE_RACES is set.
func TestRaces(t *testing.T) {
	r := newRaces(t)
	n := 0
	for _, at := range instants {
		for _, what := range happenings {
			for _, how := range []string{"goes on", "is killed"} {
				for _, reason := range []string{event.ReasonWatchGap, event.ReasonRequested} {
					name := fmt.Sprintf("%s/%s/%s %s/%s", at.name, what.name, at.stands[len(at.stands)-1], how, reason)
					n++
					if os.Getenv(allRaces) == "" && !drawn(r.seed, name) {
						continue
					}
					t.Run(name, func(t *testing.T) { r.race(t, n, at, what, how == "is killed", reason) })
				}
			}
		}
	}
}

// drawn picks a tenth.
func drawn(seed, name string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(seed + name)) // never fails: hash.Hash
	return h.Sum32()%10 == 0
}

// instant is a moment of a run, reached by having services stand still in turn: each
// once the run has come as far as it can without the next.
type instant struct {
	name   string
	stands []string                                // the last one stands still at the instant
	there  []func(*races, event.PhaseRecord) error // whether the run has come so far, for each
}

var instants = []instant{
	{"asked for", []string{"watcher"}, []func(*races, event.PhaseRecord) error{(*races).asked}},
	{"marked", []string{"router"}, []func(*races, event.PhaseRecord) error{(*races).marked}},
	{"routed", []string{"stream"}, []func(*races, event.PhaseRecord) error{(*races).routed}},
	{"before the barrier", []string{"git-writer"}, []func(*races, event.PhaseRecord) error{(*races).barrier}},
	{"before the comparison", []string{"git-writer", "reconciler"}, []func(*races, event.PhaseRecord) error{(*races).barrier, (*races).repository}},
	{"before the contents", []string{"git-writer", "watcher"}, []func(*races, event.PhaseRecord) error{(*races).barrier, (*races).compared}},
	{"before the results", []string{"git-writer", "stream"}, []func(*races, event.PhaseRecord) error{(*races).barrier, (*races).handedIn}},
}

// happening is something that happens at an instant. It returns the versions that
// must be in the history then.
type happening struct {
	name string
	do   func(*testing.T, *races, string) []harness.Written
}

var happenings = []happening{
	{"created", func(t *testing.T, r *races, ns string) []harness.Written {
		return []harness.Written{r.apply(t, configMap(ns, "new", "1")), r.apply(t, configMap(ns, "orphan", "real now"))}
	}},
	{"deleted", func(t *testing.T, r *races, ns string) []harness.Written {
		return []harness.Written{r.remove(t, configMap(ns, "missing", "")), r.remove(t, configMap(ns, "different", "")), r.remove(t, configMap(ns, "equal", ""))}
	}},
	{"made again", func(t *testing.T, r *races, ns string) []harness.Written {
		var all []harness.Written
		for _, name := range []string{"missing", "different", "equal"} {
			all = append(all, r.remove(t, configMap(ns, name, "")), r.apply(t, configMap(ns, name, "of another uid")))
		}
		return all
	}},
	{"updated", func(t *testing.T, r *races, ns string) []harness.Written {
		var all []harness.Written
		for _, name := range []string{"missing", "different", "equal"} {
			all = append(all, r.apply(t, configMap(ns, name, "2")))
		}
		return all
	}},
	{"there and back", func(t *testing.T, r *races, ns string) []harness.Written {
		var all []harness.Written
		for _, value := range []string{"2", "1"} {
			for _, name := range []string{"different", "equal"} {
				all = append(all, r.apply(t, configMap(ns, name, value)))
			}
		}
		return all
	}},
	{"a foreign commit", func(t *testing.T, r *races, ns string) []harness.Written {
		r.others.commit(t, map[string]string{"apps/note.txt": ns, "live/" + ns + "/configmaps/equal.yaml": "data: {value: theirs}\n"})
		r.others.push(t)
		return nil
	}},
}

// races is the five services and a repository that somebody else works on, too.
type races struct {
	*fleet
	whole  *testing.T // of all races: services outlive the one in which they are started
	seed   string
	bus    *bus.Bus
	phases *bus.Bucket[event.PhaseRecord]
	key    event.DestinationKey
	others *others
}

func newRaces(t *testing.T, namespaces ...string) *races {
	t.Helper()
	w := newWorld(t, cluster)
	nats := startBus(t)
	r := &races{
		whole: t,
		fleet: &fleet{world: w, nats: nats.ClientURL(), running: map[string]*harness.Daemon{}},
		key:   event.DestinationKey{Cluster: "e2e", Namespace: "default", Name: "live"}, others: newOthers(t, w),
	}
	if head, err := gittest.Git(".", "rev-parse", "HEAD"); err == nil {
		r.seed = head
	}
	r.mirror(t, namespaces...)
	b, err := bus.Connect(within(t, stepLimit), bus.Config{URL: r.nats, Name: "races", Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(b.Close)
	must(t, b.Verify(within(t, stepLimit)))
	r.bus = b
	r.phases, err = bus.OpenBucket[event.PhaseRecord](within(t, stepLimit), b, subject.BucketPhase)
	must(t, err)
	for _, name := range services {
		r.start(t, name)
	}
	r.closed(t, "")
	return r
}

// mirror writes the configuration: everything in those namespaces, or in all.
func (r *races) mirror(t *testing.T, namespaces ...string) {
	t.Helper()
	r.config = r.file(t, "config.yaml", strings.NewReplacer("URL", r.remote.URL, "NAMESPACES", strings.Join(namespaces, ", ")).Replace(`
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: "URL"}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: live}
spec: {remoteRef: {name: live}, interval: 0s}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: live}
spec:
  destinationRef: {name: live, namespace: default}
  namespaces: [NAMESPACES]
  rules: [{apiGroups: ["*"], resources: ["*"]}]
`))
}

// reach brings a run to an instant: who stands still lets the next one through only
// once the next one stands still.
func (r *races) reach(t *testing.T, at instant, before event.PhaseRecord, reason string) event.PhaseRecord {
	t.Helper()
	t.Cleanup(func() { // where it failed
		for _, name := range at.stands {
			_ = r.running[name].Resume()
		}
	})
	must(t, r.running[at.stands[0]].Pause())
	r.ask(t, reason)
	var rec event.PhaseRecord
	for i, name := range at.stands {
		if i > 0 {
			must(t, r.running[name].Pause())
			must(t, r.running[at.stands[i-1]].Resume())
		}
		must(t, harness.Poll(within(t, stepLimit), 5*time.Millisecond, "the run to be "+at.name, func(context.Context) error {
			if rec = r.record(t); rec.Run == before.Run {
				return errors.New("it has not begun")
			}
			return at.there[i](r, rec)
		}))
	}
	return rec
}

// TestRacesOfRules narrows and widens the rules at each instant of a run: Git ends
// equal to what the new ones select.
func TestRacesOfRules(t *testing.T) {
	w := newWorld(t, cluster)
	kept, taken := w.namespace(t, "kept"), w.namespace(t, "taken")
	r := newRaces(t, kept)
	selected := false // taken is
	for n, at := range instants {
		t.Run(at.name, func(t *testing.T) {
			for _, ns := range []string{kept, taken} {
				r.apply(t, configMap(ns, "a", fmt.Sprint(n)))
				r.apply(t, configMap(ns, fmt.Sprintf("b-%d", n), "1"))
			}
			r.sentinel(t, kept)
			r.others.pull(t)
			r.others.remove(t, "live/"+kept+"/configmaps/a.yaml")
			r.others.commit(t, nil)
			r.others.push(t)
			rec := r.reach(t, at, r.record(t), event.ReasonRequested)
			r.running["watcher"].Kill()
			selected = !selected
			namespaces := []string{kept}
			if selected {
				namespaces = append(namespaces, taken)
			}
			r.mirror(t, namespaces...)
			r.start(r.whole, "watcher")
			for _, ns := range []string{kept, taken} {
				r.apply(t, configMap(ns, "a", fmt.Sprintf("%d again", n)))
			}
			if last := at.stands[len(at.stands)-1]; last != "watcher" {
				must(t, r.running[last].Resume())
			}
			r.closed(t, rec.Run)
			r.sentinel(t, kept)
			if files, err := r.remote.Files("live/" + taken); !selected && (err != nil || len(files) > 0) {
				t.Errorf("%d files of what is not selected are left, %v", len(files), err)
			}
			r.settle(t, scope(namespaces...))
			report(t, harness.Doubles(r.history(t)))
		})
	}
}

// race is one race, in a namespace of its own.
func (r *races) race(t *testing.T, n int, at instant, what happening, kill bool, reason string) {
	ns := r.namespace(t, fmt.Sprintf("race%d", n))
	for _, name := range []string{"missing", "different", "equal"} {
		r.apply(t, configMap(ns, name, "1"))
	}
	r.sentinel(t, ns)
	r.others.pull(t)
	dir := "live/" + ns + "/configmaps/"
	r.others.remove(t, dir+"missing.yaml")
	r.others.commit(t, map[string]string{dir + "different.yaml": "data: {value: theirs}\n", dir + "orphan.yaml": configMap(ns, "orphan", "0")})
	r.others.push(t)

	before := r.record(t)
	rec := r.reach(t, at, before, reason)
	writes := what.do(t, r, ns)
	last := at.stands[len(at.stands)-1]
	if kill {
		r.running[last].Kill()
		r.start(r.whole, last)
	} else {
		must(t, r.running[last].Resume())
	}
	r.closed(t, before.Run)
	must(t, r.awaitVersions(within(t, stepLimit), "", written(writes)...))
	r.sentinel(t, ns)
	if what.name == "a foreign commit" { // behind the BARRIER, it is for the next drift check
		r.ask(t, event.ReasonRequested)
		r.closed(t, rec.Run)
	}
	r.settle(t, scope())
	report(t, harness.Versions(r.history(t), written(writes)))
	if got := r.record(t); got.Phase != event.LiveProcessing {
		t.Errorf("the phase is %s", got.Phase)
	}
}

// written leaves out deletions: their commits name no version that was answered.
func written(all []harness.Written) []harness.Written {
	var versions []harness.Written
	for _, w := range all {
		if !w.Deleted {
			versions = append(versions, w)
		}
	}
	return versions
}

// record is the destination's entry in KS_PHASE.
func (r *races) record(t *testing.T) event.PhaseRecord {
	t.Helper()
	rec, _, err := r.phases.Newest(within(t, stepLimit), subject.DestinationToken(r.key))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		t.Fatal(err)
	}
	return rec
}

// ask asks for a run.
func (r *races) ask(t *testing.T, reason string) {
	t.Helper()
	q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: r.key, Reason: reason}
	must(t, r.bus.Ask(within(t, stepLimit), subject.CtlRun(r.key), q))
}

// closed waits until the newest run has closed, which must be another than one that
// was before.
func (r *races) closed(t *testing.T, before string) {
	t.Helper()
	must(t, harness.Poll(within(t, startLimit), 10*time.Millisecond, "a run to close", func(context.Context) error {
		if rec := r.record(t); rec.Run == before || rec.Running() || rec.Run == "" || rec.Next != "" {
			return fmt.Errorf("it is %+v", rec)
		}
		return nil
	}))
}

func (r *races) series(rec event.PhaseRecord, side subject.Side) subject.Series {
	return subject.Series{Destination: r.key, Run: rec.Run, Attempt: rec.Attempt, Side: side}
}

// ended is nil once a side has closed its series.
func (r *races) ended(rec event.PhaseRecord, side subject.Side) error {
	_, err := r.bus.SeriesEnd(context.Background(), r.series(rec, side))
	return err
}

// newest is nil once the newest message of a stream under a filter is of the run.
func (r *races) newest(rec event.PhaseRecord, stream, filter string) error {
	m, err := r.bus.LastFor(context.Background(), stream, filter)
	if err != nil {
		return err
	}
	if v := m.Header[event.HeaderRun]; len(v) != 1 || v[0] != rec.Run {
		return errors.New("the newest message is of something else")
	}
	return nil
}

func (r *races) asked(rec event.PhaseRecord) error {
	var errs []error
	for _, p := range rec.Parts {
		_, err := r.bus.LastFor(context.Background(), subject.Ctl, subject.CtlClusterState("e2e", p, rec.Run, rec.Attempt))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *races) marked(rec event.PhaseRecord) error {
	var errs []error
	for _, p := range rec.Parts {
		errs = append(errs, r.newest(rec, subject.Events, subject.EventMark(p, "e2e", r.key)), r.ended(rec, subject.SideCluster(p)))
	}
	return errors.Join(errs...)
}

func (r *races) routed(rec event.PhaseRecord) error {
	var errs []error
	for _, p := range rec.Parts {
		errs = append(errs, r.newest(rec, subject.Live, subject.LiveData(p, r.key)))
	}
	return errors.Join(errs...)
}

func (r *races) barrier(rec event.PhaseRecord) error {
	errs := []error{r.newest(rec, subject.Write, subject.WriteDestination(r.key))}
	for _, p := range rec.Parts {
		errs = append(errs, r.ended(rec, subject.SideCluster(p)))
	}
	return errors.Join(errs...)
}

func (r *races) repository(rec event.PhaseRecord) error { return r.ended(rec, subject.SideRepo) }

func (r *races) compared(rec event.PhaseRecord) error {
	return r.ended(rec, subject.SideResult(subject.Part("e2e", "", "configmaps")))
}

func (r *races) handedIn(rec event.PhaseRecord) error { return r.ended(rec, subject.SideRun) }

// pull brings the clone to what the branch is.
func (o *others) pull(t *testing.T) {
	t.Helper()
	o.git(t, "fetch", "-q", "origin", harness.Branch)
	o.git(t, "reset", "-q", "--hard", "FETCH_HEAD")
}

// remove removes a file.
func (o *others) remove(t *testing.T, path string) {
	t.Helper()
	must(t, os.Remove(filepath.Join(o.clone, path)))
}
