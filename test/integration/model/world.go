// Package model plays the protocol of docs/adr/0005-reconciliation.md: the roles' own
// decisions run against a modelled bus, cluster and remote, in every order there is,
// or in many at random.
//
// What decides is the product's: phase.Next, phase.FateOf and phase.Passed of the
// stream, plan.Next, plan.Requested and diff.Merge of the reconciler, index.Merge,
// Index.Publications, mark.Asked, mark.Answer, mark.ToCome, owing.Debt and owing.CaughtUp of the watcher, ledger.Batch and
// ledger.Position of the git-writer, Rule.SelectsType and manifest.ParsePath of
// shared. What is modelled is what they do it with: one step is one message stored, one
// push, or one read of the cluster. Between any two steps everybody else may move, and
// whoever moves may die, or be paused: then another takes over while it goes on with what
// it had in hand.
//
// Modelled by the rules of the code and not by the code itself, because they are one
// with their I/O there: who resumes where (a watch behind the type's newest event, a
// ledger behind its newest message), that a compare-and-swap refuses who is behind, that
// of a series the first end counts, and the joining of results with their contents.
//
// An object that a destination selects no more is deleted from it, and one that it begins to
// select is made: to the destination that is the same.
//
// Not modelled: time (whatever waits may wait for ever, and who has waited long enough
// is a step like any other), types that come and go, exclusions, dead letters, PARKED,
// several destinations, rewritten history, and messages that are out of the order of
// their subject: JetStream keeps it.
package model

import (
	"slices"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/owing"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// content is what a manifest says, in one letter; 0: there is nothing.
type content byte

// theirs is what other people write into the repository; the cluster never says so.
const theirs content = 'f'

// hash is as long as a blob id, and of its letters.
func (c content) hash() string { return hashes[c] }

var hashes = func() (h [256]string) {
	for c := 'a'; c <= 'f'; c++ {
		h[c] = strings.Repeat(string(c), 40)
	}
	return h
}()

func (c content) String() string {
	if c == 0 {
		return "nothing"
	}
	return strings.ToUpper(string(rune(c)))
}

// object is one object of the cluster, or an orphan: a file whose object never was.
type object struct {
	typ     int
	cluster content // at first
	file    content // in the repository, at first
	orphan  bool
}

// scene is where a play begins, and what may happen in it.
type scene struct {
	objects []object
	types   []string      // resources of the core group
	rules   [][]string    // the resources that the destination selects; the first at first
	listed  bool          // the types have been listed before the play begins
	before  []step        // what has befallen, and come to rest, before it begins
	room    int           // for contents in a run; 0: for all
	routers bool          // events may wait for the router; otherwise each is routed as it is stored
	owners  int           // how many processes hold the destination's stream
	plans   int           // how many reconcilers plan its runs
	pushes  int           // how many git-writers push to its branch
	window  time.Duration // for how long live changes join one commit
	left    budget
	broken  breakage
}

// budget is how often something may happen that nobody has to bear for ever.
type budget struct {
	writes                                       int // of the cluster
	watcher, stream, reconciler, writer          int // crashes
	lost                                         int // answers, and acknowledgements
	paused                                       int // of the crashes, those that are none: the process wakes later
	foreign                                      int // commits of other people
	late                                         int // times that a type is not to be had in time
	drifts, requests, impatient, changes, forget int
	compares                                     int // asked for by a person
}

// breakage is a part of the protocol that is left out, to see that it is needed.
type breakage int

const (
	nothing     breakage = iota
	noMark               // the lane is frozen some time after its MARK
	noBarrier            // the repository is looked at before what was forwarded has landed
	noPassed             // what passed behind a MARK is not remembered
	resultsLast          // what should be held back is written before the results
	noHold               // what should be held back is passed over
	noPosition           // the git-writer goes on behind its hint, whatever the branch holds
	noCAS                // a push replaces what the branch holds, whatever it was built on
	noRival              // what another git-writer has pushed is built on as if it were somebody else's
	earlyIndex           // a list counts as the index at once, whatever the watch has delivered
	notOwed              // nobody asks for what was missing in an answer
	notSkipped           // nobody asks for what was skipped, once a gap is closed
	noMore               // what a run leaves is left for good
	listAnew             // each type is listed as for the first time when the rules change
	noLook               // what stood when the git-writer last looked stands now
	longMemory           // what was forwarded before a run is suppressed behind it
)

// world is everything at one moment. What its slices and maps hold is never changed,
// so a copy of them is a copy of it.
type world struct {
	*stage
	left budget

	cluster  []version // every version there ever was, in order: its place is its resourceVersion
	oldest   int       // the API server forgot what came before
	registry int       // how many versions of the destination are registered

	followers []follower // of the types
	lanes     []lane
	live      []message
	write     []message
	asked     []string // REQUEST_RUN
	handled   bool     // the first of them, not yet acknowledged
	rec       event.PhaseRecord
	exists    bool // rec is in KS_PHASE
	rev       int  // of rec
	runs      int  // begun
	snap      []series
	late      []late // of processes that were paused

	streams     []stream
	reconcilers []reconciler
	writers     []writer
	hint        int // of the git-writers, in KS_CURSOR

	files   []content // of the branch; the last one holds no resource of ours
	commits []commit
	unseen  bool // other people have committed since the newest run began
	gap     bool // versions were forgotten: the watch did not deliver them
}

// stage is what a scene is made of, and does not change.
type stage struct {
	scene
	paths        []string
	order        []int // of the files, by path
	laneOf       []int // of the types
	parts        []int // of the lanes
	destinations []event.Destination
}

// version is what a write made of an object.
type version struct {
	object int
	content
	uid int
}

// follower is the watch of a type.
type follower struct {
	bookmark int  // durable; none: never listed
	at       int  // position
	lost     bool // what came since the bookmark was forgotten
	told     bool // who was missing it knows of this index
	index    index.Index
	seen     index.Overlay
	list     index.Index // arrived, and ahead of at; or the first one, before the bookmark
	listAt   int
	since    int // when it was first listed: what came since, the watch delivers
}

// none is the position of who has none.
const none = -1

// lane is KS_EVENTS, the requests to the lane's owner, and what that one remembers.
type lane struct {
	events    []message
	routed    int
	known     int // to the router: a revision of the registry
	states    []request
	resources []request
	frozen    *series
	owed      owing.Debt[resource] // never changed, but replaced
}

type kind byte

const (
	change kind = iota
	mark
	barrier
	checkpoint
)

// message is one of KS_EVENTS, KS_LIVE or KS_WRITE.
type message struct {
	kind
	object  int // of a change
	content content
	version int
	resume  int // in KS_EVENTS: where a watch may go on
	written int // in KS_EVENTS: the revision of the registry that its watcher wrote
	lane    int
	epoch   phase.Epoch // of a mark, a barrier or a result
	result  bool
	cursor  int // in KS_WRITE: how much of KS_LIVE was consumed
	state   phase.State
	words   string // all of it, but for what follows from where it stands
	said    string // state
}

type request struct {
	epoch      phase.Epoch
	registered int
	reason     string
	room       int
}

// series is one of KS_SNAP.
type series struct {
	epoch   phase.Epoch
	side    subject.Side
	end     event.End
	entries []event.Entry
	at      map[string]content // contents, by path
	upTo    []int              // of a lane's state, by type: the position at its MARK
}

// stream is a process that holds the destination's stream.
type stream struct {
	open   bool
	head   int // messages of KS_WRITE, when it last looked
	cursor int
	lead   int
	state  phase.State
	shown  bool          // KS_PHASE says so
	recent []phase.Last  // by object
	passed *phase.Passed // never changed, but replaced
}

// commit is one write as it came to the branch.
type commit struct {
	file int
	content
	version  int // of the object; of a run's deletion, the newest before its MARK, or none
	foreign  bool
	position int // in KS_WRITE
	result   bool
}

const cluster = "c"

var key = event.DestinationKey{Cluster: cluster, Namespace: "n", Name: "d"}

// open makes a world of a scene.
func (s scene) open() *world {
	st := &stage{scene: s}
	w := &world{stage: st, registry: 1}
	for _, t := range s.types {
		part := subject.Part(cluster, "", t)
		if !slices.Contains(st.parts, part) {
			st.parts = append(st.parts, part)
		}
		st.laneOf = append(st.laneOf, slices.Index(st.parts, part))
	}
	for _, resources := range s.rules {
		st.destinations = append(st.destinations, event.Destination{
			Key: key, Rules: []event.Rule{{Groups: []string{""}, Resources: resources}},
			Prune: event.Prune{Mode: event.PruneAlways, MaxFiles: 1000},
		})
	}
	for i, o := range s.objects {
		st.paths = append(st.paths, pathOf(s.types[o.typ], i))
		if o.cluster != 0 {
			w.cluster = append(w.cluster, version{i, o.cluster, 1})
		}
		w.files = append(w.files, o.file)
	}
	st.paths = append(st.paths, "docs/all.yaml")
	w.files = append(w.files, theirs)
	for i := range st.paths {
		st.order = append(st.order, i)
	}
	slices.SortFunc(st.order, func(a, b int) int { return strings.Compare(st.paths[a], st.paths[b]) })
	w.lanes = make([]lane, len(st.parts))
	for l := range w.lanes {
		w.lanes[l].known = 1
	}
	w.followers = make([]follower, len(s.types))
	for t := range w.followers {
		w.followers[t] = follower{at: none, bookmark: none, since: none}
		if s.listed {
			w.followers[t] = follower{at: len(w.cluster), bookmark: len(w.cluster), since: len(w.cluster), index: w.list(t)}
		}
	}
	w.streams = make([]stream, max(s.owners, 1))
	w.reconcilers = make([]reconciler, max(s.plans, 1))
	w.writers = make([]writer, max(s.pushes, 1))
	st.broken = nothing // until the play begins
	for _, b := range s.before {
		w.settleDown()
		w.left = budget{writes: 1, foreign: 1, changes: 1}
		w, _ = w.after(b)
		w.left = budget{}
	}
	if len(s.before) > 0 {
		w.settleDown()
	}
	w.left, st.broken = s.left, s.broken
	return w
}

// settleDown plays one way to rest.
func (w *world) settleDown() {
	for n := 0; ; n++ {
		steps, quiet := w.steps()
		if quiet {
			return
		}
		if n > 1000 {
			panic("no rest: " + w.words(steps[0]))
		}
		next, _ := w.after(steps[0])
		*w = *next
	}
}

func (w *world) clone() *world {
	c := *w
	c.followers = slices.Clone(w.followers)
	c.lanes = slices.Clone(w.lanes)
	c.streams = slices.Clone(w.streams)
	c.reconcilers = slices.Clone(w.reconcilers)
	c.writers = slices.Clone(w.writers)
	return &c
}

// add is append without sharing what is behind the end.
func add[T any](s []T, v ...T) []T { return append(s[:len(s):len(s)], v...) }

// with is a copy of a slice with one element replaced.
func with[T any](s []T, i int, v T) []T {
	c := slices.Clone(s)
	c[i] = v
	return c
}

// stands is what an object is in the cluster after its first upTo versions.
func (w *world) stands(object, upTo int) (v version, rv int) {
	for i := upTo - 1; i >= 0; i-- {
		if w.cluster[i].object == object {
			return w.cluster[i], i + 1
		}
	}
	return version{object: object}, 0
}

// destination is the newest one that is registered.
func (w *world) destination() event.Destination { return w.destinations[w.registry-1] }

func (w *world) follows(typ int) bool {
	return w.destination().Rules[0].SelectsType("", "v1", w.types[typ])
}

func (w *world) selects(object int) bool {
	return w.selectedBy(w.destination(), object)
}

// selectedBy reports whether rules select an object: those of a scene tell types apart.
func (w *world) selectedBy(d event.Destination, object int) bool {
	return d.Rules[0].SelectsType("", "v1", w.types[w.objects[object].typ])
}

func (w *world) identity(object int) event.Object {
	return event.Object{APIVersion: "v1", Resource: w.types[w.objects[object].typ], Namespace: "n", Name: name(object)}
}

// end is the first end of a series.
func (w *world) end(of phase.Epoch, side subject.Side) *series {
	for i := range w.snap {
		if s := &w.snap[i]; s.epoch == of && s.side == side {
			return s
		}
	}
	return nil
}

// store closes a series, unless somebody has.
func (w *world) store(s series) {
	if w.end(s.epoch, s.side) == nil {
		w.snap = add(w.snap, s)
	}
}
