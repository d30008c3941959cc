package watcher

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/kubescribe/kubescribe/services/watcher/internal/capture"
	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/internal/registry"
	"github.com/kubescribe/kubescribe/services/watcher/internal/unmatched"
	"github.com/kubescribe/kubescribe/services/watcher/owing"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// discoverEvery is how often the served types are looked at without a reason.
	discoverEvery = 30 * time.Second
	// discoverAfter is the wait, after a definition changed, before looking: the server
	// serves a new type a moment after it says so.
	discoverAfter = 150 * time.Millisecond
	// discoverAgain is when to look again where the server did not answer, or a group did not.
	// The latter may fail for months: each time it is twice as long, up to discoverEvery. So it
	// is when to look whether another version of a type is still preferred.
	discoverAgain = 2 * time.Second
	// missingFor is how long a type that is not named any more may go on being
	// watched, if its watch does not end by itself.
	missingFor = 2 * time.Minute
)

// workerKey is what one worker follows.
type workerKey struct {
	resource  schema.GroupResource
	namespace string // "" for all
}

// running is a worker and the way to stop it.
type running struct {
	*capture.Worker
	typ       discover.Type
	namespace string // "" for all
	cancel    context.CancelFunc
	done      chan struct{}
	givenUp   atomic.Bool   // patience ran out: no run waits for it until its index is exact
	missing   time.Time     // since when discovery does not name it; guarded by session.mu
	preferred discover.Type // what the last look preferred, the zero one if part of its group failed; guarded by session.mu
}

// GroupResource is what it follows.
func (r *running) GroupResource() schema.GroupResource { return r.typ.GroupResource() }

// Version is the one that it follows.
func (r *running) Version() string { return r.typ.Version }

// Follows is the namespace that it follows, "" for all.
func (r *running) Follows() string { return r.namespace }

// session is the time during which a watcher holds its lanes.
type session struct {
	*Watcher
	clusterID    string
	destinations []event.Destination
	selector     *selection.Selector      // of their rules
	synced       registry.Synced          // the revisions of the destinations
	registered   uint64                   // the registry's revision that holds exactly our destinations
	lanes        [subject.Parts]*bus.Lane // nil: another watcher's
	requests     []*bus.Responder
	failing      map[schema.GroupVersion]error   // what failed when discover last looked; its alone
	left         map[event.DestinationKey]string // what was said to be selected in other versions; discover's alone
	notServed    map[event.DestinationKey]string // what was said to be sensitive and not served; discover's alone
	before       map[workerKey]bool              // what was followed before, and is not known to be served or gone; nil: not read; discover's alone
	contents     chan struct{}                   // held by the one answer whose contents are in memory

	noting  sync.Mutex             // held while what is owed is read from the bus and noted
	mu      sync.Mutex             // never held while waiting
	workers map[workerKey]*running // guarded by mu; changed by discover alone
	failed  []string               // groups whose types are unknown; guarded by mu
	known   chan struct{}          // closed once the types are known
	owed    map[lane]debt          // what the newest answers lacked; guarded by mu

	generations map[schema.GroupResource]int64       // of the definitions of custom types; guarded by mu
	again       map[schema.GroupResource]*time.Timer // when a type whose definition has changed is looked at once more; guarded by mu
	rereads     chan struct{}                        // held by workers that list their objects again

	unserved  map[string][]unmatched.Remark // what rules name and is not served; guarded by mu
	elsewhere []unmatched.Followed          // what other watchers follow; guarded by mu
}

// newSession begins with nothing followed.
func newSession(w *Watcher, clusterID string, destinations []event.Destination, selector *selection.Selector, synced registry.Synced) *session {
	return &session{
		Watcher: w, clusterID: clusterID, destinations: destinations, selector: selector,
		synced: synced,
		left:   map[event.DestinationKey]string{}, notServed: map[event.DestinationKey]string{},
		contents: make(chan struct{}, 1), workers: map[workerKey]*running{}, known: make(chan struct{}), owed: map[lane]debt{},
		generations: map[schema.GroupResource]int64{}, again: map[schema.GroupResource]*time.Timer{}, rereads: make(chan struct{}, rereads),
	}
}

// run works until ctx ends or a lane is lost, as a worker or a request finds out. Nothing of a
// lane may change for days, and a former owner may have been late to take it: who holds it takes
// it again then.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(nil)
	kick := make(chan struct{}, 1)
	for _, of := range definitions {
		all.Go(func() { s.followDefinitions(ctx, follower{of: of, kick: kick, defined: s.defined}) })
	}
	all.Go(func() { s.report(ctx) })
	for _, r := range s.requests {
		handle := r.Handle
		r.Handle = func(ctx context.Context, q event.Request) error {
			err := handle(ctx, q)
			if errors.Is(err, bus.ErrFenced) {
				cancel(err)
			}
			return err
		}
		all.Go(func() { r.Run(ctx) })
	}
	s.discover(ctx, cancel, kick)
	all.Wait()
	s.stopAll()
	return context.Cause(ctx)
}

// discover keeps a worker on each selected type that is served.
func (s *session) discover(ctx context.Context, lost context.CancelCauseFunc, kick <-chan struct{}) {
	said := "" // what was last logged as wrong
	again := fault.Backoff{Min: discoverAgain, Max: discoverEvery}
	for ctx.Err() == nil {
		wait := discoverEvery
		found, err := discover.Types(ctx, s.discovery)
		if err == nil {
			said = ""
			undecided := s.adjust(ctx, lost, found)
			err := s.vanished(ctx, found)
			if err != nil && ctx.Err() == nil {
				s.log.Warn("cannot see which types are gone, retrying", "err", err)
			}
			switch {
			case err != nil:
				wait = again.Next()
			case len(found.Failed) > 0:
				wait = again.Next()
			case undecided:
				wait = discoverAgain
				again.Reset()
			default:
				again.Reset()
			}
		} else if ctx.Err() == nil {
			wait = discoverAgain
			if g := fault.Gist(err); g != said {
				said = g
				s.log.Warn("cannot see which types are served, retrying", "err", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-kick:
			again.Reset()
			_ = fault.Wait(ctx, discoverAfter)
		}
	}
}

// adjust starts and stops workers. It is undecided where a type may have to be followed in
// another version, as another look will tell.
func (s *session) adjust(ctx context.Context, lost context.CancelCauseFunc, found discover.Found) (undecided bool) {
	want := map[workerKey]discover.Type{}
	for _, t := range found.Types {
		if s.lanes[s.part(t)] == nil {
			continue
		}
		for _, ns := range s.namespacesOf(t) {
			want[workerKey{t.GroupResource(), ns}] = t
		}
	}
	var failed []string
	unknown := map[string]bool{}
	for gv := range found.Failed {
		failed = append(failed, owing.Group(gv.Group))
		unknown[gv.Group] = true
	}
	s.sayFailing(found.Failed)
	s.sayLeft(found.Types)
	s.sayNotServed(found)
	s.noteTypes(found)
	slices.Sort(failed)

	s.mu.Lock()
	leaving := map[workerKey]*running{}
	for key, r := range s.workers {
		t, wanted := want[key]
		if wanted && !r.ended() {
			before, failing := r.preferred, unknown[key.resource.Group]
			r.preferred = t
			if failing {
				r.preferred = discover.Type{}
			}
			if !switches(r.typ, before, t, failing) {
				r.missing = time.Time{}
				delete(want, key)
				undecided = undecided || t != r.typ && !failing
				continue
			}
		}
		if !wanted && !r.ended() {
			// The watch may still hold deletions that nobody has read: it ends by
			// itself, with a 404. Cutting it short would lose them.
			if r.missing.IsZero() {
				r.missing = time.Now()
			}
			if unknown[key.resource.Group] || time.Since(r.missing) < missingFor {
				continue
			}
		}
		r.cancel()
		leaving[key] = r
		delete(s.workers, key)
	}
	s.mu.Unlock()
	for key, r := range leaving { // one may be waiting for its lane
		<-r.done
		if _, wanted := want[key]; !wanted {
			s.forget(ctx, key)
		}
	}
	for key, t := range want {
		if unknown[key.resource.Group] && s.waits(ctx, key, t, found) {
			delete(want, key)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, t := range want {
		s.workers[key] = s.start(ctx, lost, key, t)
	}
	s.failed = slices.Compact(failed)
	select {
	case <-s.known:
	default:
		close(s.known)
		s.log.Info("capturing", "cluster", s.cfg.Cluster, "server", s.cfg.REST.Host, "types", len(s.workers))
	}
	return undecided
}

// switches tells whether a type that is followed as it is has to be followed as the API server
// prefers it now: that makes all its objects others. While part of its group fails, the server
// names what is left of it, and while API servers are upgraded each names its own: it has to be
// what the look before said, too.
func switches(is, before, now discover.Type, failing bool) bool {
	return now != is && now == before && !failing
}

// waits tells whether a type that nobody follows yet has to wait for the version that it was
// followed in, as far as is known: while that fails, the server prefers another.
func (s *session) waits(ctx context.Context, key workerKey, t discover.Type, found discover.Found) bool {
	b, _, err := s.bookmarks.Get(ctx, subject.BookmarkKey(s.cfg.Cluster, key.resource.Group, key.resource.Resource, key.namespace))
	if err != nil {
		return !errors.Is(err, bus.ErrNoMessage)
	}
	return b.ClusterID == s.clusterID && fails(t, b.APIVersion, found)
}

// fails tells whether a type was followed in another version than the server prefers now, which
// is one that does not answer.
func fails(now discover.Type, before string, found discover.Found) bool {
	return before != now.Version && found.Failed[schema.GroupVersion{Group: now.Group, Version: before}] != nil
}

// sayFailing logs which API groups have begun to fail, and which have ended.
func (s *session) sayFailing(now map[schema.GroupVersion]error) {
	for gv, err := range now {
		if s.failing[gv] == nil {
			s.log.Warn("an API group does not answer, its types keep as they are", "group", gv.String(), "err", err)
		}
	}
	for gv := range s.failing {
		if now[gv] == nil {
			s.log.Info("an API group does not fail any more", "group", gv.String())
		}
	}
	s.failing = now
}

// sayNotServed logs which types that a destination says to be sensitive are not served: one that is
// misspelled would be mirrored in clear.
func (s *session) sayNotServed(found discover.Found) {
	for _, d := range s.destinations {
		none := strings.Join(notServed(d, found), ", ")
		if none != "" && none != s.notServed[d.Key] {
			s.log.Warn("types that spec.encryption.types names are not served: nothing of that name is mirrored, encrypted or not; see that they are what kubectl api-resources shows", "destination", d.Key.String(), "types", none)
		}
		s.notServed[d.Key] = none
	}
}

// notServed are the types that are sensitive to a destination and not served, as far as is known.
func notServed(d event.Destination, found discover.Found) (none []string) {
	for _, t := range d.Sensitive {
		failing := false
		for gv := range found.Failed {
			failing = failing || gv.Group == t.Group
		}
		if !failing && !slices.ContainsFunc(found.Types, func(served discover.Type) bool { return served.Group == t.Group && served.Resource == t.Resource }) {
			none = append(none, schema.GroupResource{Group: t.Group, Resource: t.Resource}.String())
		}
	}
	return none
}

// sayLeft logs which types rules select in versions that are not followed: whoever
// wrote them would wait for objects that never come.
func (s *session) sayLeft(served []discover.Type) {
	for _, d := range s.destinations {
		left := strings.Join(leftBy(d, served), ", ")
		if left != "" && left != s.left[d.Key] {
			s.log.Warn("apiVersions of rules are not those that the API server prefers, in which alone objects are mirrored: "+
				"name these versions, or none; until then the files of these types stay as they are", "destination", d.Key.String(), "types", left)
		}
		s.left[d.Key] = left
	}
}

// leftBy are the types that a destination's rules select in other versions alone, each
// with the version to name.
func leftBy(d event.Destination, served []discover.Type) (left []string) {
	for _, t := range served {
		if leaves(d, t) {
			left = append(left, t.GroupResource().String()+" "+t.Version)
		}
	}
	return left
}

// part is the lane of a type.
func (s *session) part(t discover.Type) int { return subject.Part(s.cfg.Cluster, t.Group, t.Resource) }

// namespacesOf is where a type is to be followed: nowhere, in every namespace
// (""), or in some.
func (s *session) namespacesOf(t discover.Type) []string {
	var some []string
	for _, d := range s.destinations {
		if selection.LeftOut(d, t.GroupResource()) {
			continue
		}
		for _, r := range d.Rules {
			if !r.SelectsType(t.Group, t.Version, t.Resource) {
				continue
			}
			if len(r.Namespaces) == 0 {
				return []string{""}
			}
			if t.Namespaced {
				some = append(some, r.Namespaces...)
			}
		}
	}
	slices.Sort(some)
	return slices.Compact(some)
}

// start begins to follow a type. It is called with mu held.
func (s *session) start(ctx context.Context, lost context.CancelCauseFunc, key workerKey, t discover.Type) *running {
	part := s.part(t)
	namespaced := func(ns string) dynamic.ResourceInterface {
		return s.dynamic.Resource(t.GroupVersionResource).Namespace(ns)
	}
	var client dynamic.ResourceInterface = s.dynamic.Resource(t.GroupVersionResource)
	if key.namespace != "" {
		client = namespaced(key.namespace)
	}
	if see := s.patterns.See(t, key.namespace); see != nil {
		client = unmatched.Seen(client, see)
	}
	var destinations []event.Destination
	for _, d := range s.destinations {
		if touches(d, t, key.namespace) {
			destinations = append(destinations, d)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &running{typ: t, namespace: key.namespace, cancel: cancel, done: make(chan struct{})}
	r.Worker = capture.New(capture.Config{
		Type: t, Namespace: key.namespace, Cluster: s.cfg.Cluster, ClusterID: s.clusterID, Part: part,
		Client: client, Namespaced: namespaced, Lane: s.lanes[part], Bus: s.bus, Bookmarks: s.bookmarks,
		Destinations: destinations, Selection: s.selector.Of(t.GroupVersionResource), Sealing: s.sealing(),
		AskRun: func(ctx context.Context, d event.DestinationKey, reason string) error {
			return s.askRun(ctx, part, d, reason)
		},
		CaughtUp: func(ctx context.Context, d event.DestinationKey) error {
			return s.caughtUp(ctx, part, d, t.GroupResource())
		},
		OnExact: func(ctx context.Context) error {
			r.givenUp.Store(false)
			return s.settle(ctx, part, r)
		},
		Rereads: s.rereads, Generation: s.generations[key.resource], Registry: s.registered, Log: s.log, Events: s.events,
	})
	go func() {
		defer close(r.done)
		defer cancel()
		switch err := r.Run(ctx); {
		case errors.Is(err, capture.ErrTypeGone):
			s.log.Info("type is no longer served", "resource", key.resource.String())
		case err != nil:
			lost(err)
		}
	}()
	return r
}

func (r *running) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// forget drops the bookmark of a type that is not served any more: should it
// come back, it begins anew.
func (s *session) forget(ctx context.Context, key workerKey) {
	k := subject.BookmarkKey(s.cfg.Cluster, key.resource.Group, key.resource.Resource, key.namespace)
	if err := s.bookmarks.Delete(ctx, k); err != nil && ctx.Err() == nil {
		s.log.Warn("bookmark not removed", "resource", key.resource.String(), "err", err)
	}
}

func (s *session) stopAll() {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.workers))
	s.mu.Unlock()
	for _, r := range all {
		r.cancel()
	}
	for _, r := range all {
		<-r.done
	}
}
