package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/watcher/internal/capture"
	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/mark"
	"github.com/kubescribe/kubescribe/services/watcher/owing"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// errNotExact ends a freeze that came upon a type whose index was lost, or that
// appeared, since it was waited for.
var errNotExact = errors.New("a type has no exact index")

// errLater has a request come again.
var errLater = errors.New("KS_PHASE does not show the attempt yet")

// answerState carries out one REQUEST_CLUSTER_STATE: it freezes the indexes of all
// types of the lane that the destination's rules touch, stores the MARK, and
// answers with what it froze.
//
// A crash before the MARK leaves the request: it is carried out anew. One between
// the MARK and the end of the series leaves a lane that was frozen and nobody who
// knows how: the request comes again, and ends the series as failed.
func (s *session) answerState(ctx context.Context, q event.Request) error {
	d, ok, err := s.asked(ctx, q)
	if err != nil || !ok {
		return err
	}
	series := subject.Series{Destination: d.Key, Run: q.Run, Attempt: q.Attempt, Side: subject.SideCluster(q.Part)}
	switch _, err := s.bus.SeriesEnd(ctx, series); {
	case err == nil: // answered, and the acknowledgement was lost, or what comes before it
		return s.oweRecalled(ctx, d, q.Part)
	case !errors.Is(err, bus.ErrNoMessage):
		return err
	}
	rec, err := s.record(ctx, d.Key)
	if err != nil {
		return err
	}
	newest, err := s.lastMark(ctx, q.Part, d.Key)
	if err != nil {
		return err
	}
	switch mark.Answer(rec, newest, q) {
	case mark.Drop: // answered perhaps, and the acknowledgement lost until the run had closed
		return s.oweRecalled(ctx, d, q.Part)
	case mark.Later:
		return errLater
	case mark.Fail:
		s.freezes.WithLabelValues("failed").Inc()
		s.log.Warn("the lane was frozen by a watcher that did not say how: another attempt is needed", "destination", d.Key.String(), "run", q.Run, "attempt", q.Attempt, "part", q.Part)
		_, err := s.bus.WriteSeries(series).Close(ctx, event.End{Failed: "the watcher that froze the lane ended before it answered"})
		return err
	case mark.Carry:
	}
	f, err := s.frozen(ctx, d, q)
	if err != nil {
		return err
	}
	return s.answerFrozen(ctx, d, q, series, f)
}

// asked is the destination that a request is about; ok is false if it left while
// the request was waiting.
func (s *session) asked(ctx context.Context, q event.Request) (d event.Destination, ok bool, err error) {
	select {
	case <-s.known:
	case <-ctx.Done():
		return d, false, ctx.Err()
	}
	if q.Registered > s.registered {
		// A session with a newer configuration takes over just now.
		return d, false, fmt.Errorf("the run covers revision %d of the registry, this session goes by %d", q.Registered, s.registered)
	}
	i := slices.IndexFunc(s.destinations, func(d event.Destination) bool { return d.Key == q.Destination })
	if i < 0 {
		return d, false, nil
	}
	return s.destinations[i], true, nil
}

// frozen is what the types of a lane were, for one destination, at its MARK.
type frozen struct {
	types      []frozenType
	exact      []*running // the workers whose indexes they are
	incomplete []string
}

type frozenType struct {
	schema.GroupVersionResource
	objects []capture.Frozen
}

func (f frozen) has(t discover.Type) bool {
	return slices.ContainsFunc(f.types, func(ft frozenType) bool { return ft.GroupVersionResource == t.GroupVersionResource })
}

// frozen waits for the indexes, and freezes them.
func (s *session) frozen(ctx context.Context, d event.Destination, q event.Request) (f frozen, err error) {
	for {
		late, err := awaitAll(ctx,
			func(ctx context.Context) []*running { return s.await(ctx, d, q.Part) },
			func(ctx context.Context) error {
				_, err := discover.Types(ctx, s.discovery)
				return err
			}, s.Patience)
		if err != nil {
			return f, err
		}
		for _, r := range late {
			r.givenUp.Store(true)
		}
		err = s.lanes[q.Part].Freeze(ctx, func() (string, bus.Output, error) {
			if f, err = s.freeze(d, q.Part, late); err != nil {
				return "", bus.Output{}, err
			}
			m := event.Mark{
				Cluster: s.cfg.Cluster, Part: q.Part, Destination: d.Key.String(), Run: q.Run, Attempt: q.Attempt, Registry: s.registered,
			}
			h, body := m.Message()
			return subject.MarkID(m), bus.Output{Subject: subject.EventMark(q.Part, s.cfg.Cluster, d.Key), Header: h, Data: body}, nil
		})
		if !errors.Is(err, errNotExact) {
			return f, err
		}
	}
}

// awaitAll waits until await has nothing left to wait for. It gives up what is left
// after patience, if the API server was up when it began and when it ended: what an
// outage keeps from being listed is waited for.
func awaitAll[T any](ctx context.Context, await func(context.Context) []T, up func(context.Context) error, patience time.Duration) ([]T, error) {
	var backoff fault.Backoff
	for {
		began := up(ctx)
		wctx, cancel := context.WithTimeout(ctx, patience)
		late := await(wctx)
		cancel()
		if len(late) == 0 || ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if began == nil && up(ctx) == nil {
			return late, nil
		}
		if err := fault.Wait(ctx, backoff.Next()); err != nil {
			return nil, err
		}
	}
}

// await waits for the indexes of the types of a lane that a destination's rules
// touch, and returns those that were not exact when ctx ended. One that is refused,
// or whose worker ended, is not waited for; one that was given up is late unless it is
// exact by now.
func (s *session) await(ctx context.Context, d event.Destination, part int) (late []*running) {
	s.mu.Lock()
	touched := s.touched(d, part)
	s.mu.Unlock()
	now, cancel := context.WithCancel(ctx)
	cancel()
	for _, r := range touched {
		until := ctx
		if r.givenUp.Load() {
			until = now
		}
		if err := r.Exact(until); err != nil && until.Err() != nil && !capture.Refused(err) {
			late = append(late, r)
		}
	}
	return late
}

// touched are the workers of a lane that a destination's rules touch. It is called
// with mu held.
func (s *session) touched(d event.Destination, part int) []*running {
	var all []*running
	for key, r := range s.workers {
		if s.part(r.typ) == part && touches(d, r.typ, key.namespace) {
			all = append(all, r)
		}
	}
	return all
}

// touches reports whether a destination's rules select objects of a type, in a
// namespace or, with "", in any.
func touches(d event.Destination, t discover.Type, namespace string) bool {
	return selection.Follows(d, t.GroupVersionResource, t.Namespaced, namespace)
}

// leaves reports whether a destination's rules select objects of a type, but none of
// them in the version that is followed, which is the one the server prefers. What a
// file holds of them was selected before an upgrade preferred another version, or
// before the rules were changed: they are not followed, and may well be there.
func leaves(d event.Destination, t discover.Type) bool {
	return !selection.LeftOut(d, t.GroupResource()) && slices.ContainsFunc(d.Rules, func(r event.Rule) bool {
		r.Versions = nil
		in := r.Namespaces
		switch {
		case !r.SelectsType(t.Group, t.Version, t.Resource):
			return false
		case len(in) == 0:
			in = []string{""} // only a rule for all namespaces selects it there
		case !t.Namespaced:
			return false
		}
		return slices.ContainsFunc(in, func(namespace string) bool { return !follows(d, t, namespace) })
	})
}

// follows reports whether a destination's rules select objects of a type in one namespace, or
// with "" in all.
func follows(d event.Destination, t discover.Type, namespace string) bool {
	return slices.ContainsFunc(d.Rules, func(r event.Rule) bool {
		return r.SelectsType(t.Group, t.Version, t.Resource) && (len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, namespace))
	})
}

// freeze copies the indexes of a lane. It is called in a turn of the lane: no worker
// publishes meanwhile, and one that starts publishes behind the MARK. Those that are
// late are left out if they still are; another one without an index is errNotExact.
func (s *session) freeze(d event.Destination, part int, late []*running) (frozen, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := frozen{incomplete: slices.Clone(s.failed)}
	objects := map[schema.GroupVersionResource][]capture.Frozen{}
	left := map[schema.GroupVersionResource]bool{} // whether they are still served will be seen
	for _, r := range s.touched(d, part) {
		of := r.typ.GroupVersionResource
		found, exact := r.Freeze(d.Key)
		_, refused := r.State()
		switch {
		case r.ended():
			left[of] = true
		case exact:
			objects[of] = append(objects[of], found...)
			f.exact = append(f.exact, r)
		case refused || slices.Contains(late, r):
			f.incomplete = append(f.incomplete, owing.Name(of.GroupResource(), r.namespace))
		default:
			return frozen{}, errNotExact
		}
	}
	for of, found := range objects {
		if !left[of] {
			f.types = append(f.types, frozenType{of, found})
		}
	}
	f.exact = slices.DeleteFunc(f.exact, func(r *running) bool { return left[r.typ.GroupVersionResource] })
	return f, nil
}

// answerFrozen writes the state that was frozen, sorted by path.
func (s *session) answerFrozen(ctx context.Context, d event.Destination, q event.Request, series subject.Series, f frozen) error {
	// A type that is served, and was not frozen, may have had objects at the MARK. So
	// the types are looked at behind it: one that appears later had none.
	found, err := s.served(ctx)
	if err != nil {
		return err
	}
	missing := f.incomplete
	for gv := range found.Failed {
		missing = append(missing, owing.Group(gv.Group))
	}
	for _, t := range found.Types {
		if subject.Part(s.cfg.Cluster, t.Group, t.Resource) != q.Part {
			continue
		}
		if touches(d, t, "") && !f.has(t) {
			missing = owing.Whole(missing, t.GroupResource())
		}
		if leaves(d, t) {
			missing = append(missing, owing.Others(t.GroupVersionResource))
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	unmirrored := selection.AllLeftOut(d)
	for _, gr := range found.Others {
		if subject.Part(s.cfg.Cluster, gr.Group, gr.Resource) == q.Part {
			unmirrored = append(unmirrored, gr.String())
		}
	}
	slices.Sort(unmirrored)

	w := s.bus.WriteSeries(series)
	n := 0
	for _, e := range f.entries(d) {
		n++
		if err := w.Entry(ctx, event.Entry{Path: e.path, Hash: e.Hash(), Version: e.Version}); err != nil {
			return err
		}
	}
	end := event.End{Incomplete: missing, Unmirrored: slices.Compact(unmirrored)}
	if _, err := w.Close(ctx, end); err != nil {
		return err
	}
	s.freezes.WithLabelValues("answered").Inc()
	s.entries.Add(float64(n))
	s.log.Debug("the state of a lane was answered", "destination", d.Key.String(), "run", series.Run, "attempt", series.Attempt, "part", q.Part, "objects", n)
	// Of groups that fail it is said when they begin to.
	if types := slices.DeleteFunc(slices.Clone(missing), func(m string) bool { return strings.HasPrefix(m, owing.Group("")) }); len(types) > 0 {
		s.log.Warn("types are missing from the run: nothing of them is taken for absent, and another run follows once they can be listed in a version that the rules select", "destination", d.Key.String(), "run", series.Run, "types", types)
	}
	if !owing.Owed(q.Reason, end) {
		return nil
	}
	// Some of what is missing may be in it: by the rest of its group, or in other namespaces.
	return s.owe(ctx, d, q.Part, owing.Of(series, missing, f.exact...))
}

// served looks at the types that are served, as often as it takes.
func (s *session) served(ctx context.Context) (discover.Found, error) {
	var backoff fault.Backoff
	for {
		found, err := discover.Types(ctx, s.discovery)
		if err == nil || fault.Wait(ctx, backoff.Next()) != nil {
			return found, err
		}
	}
}

type pathOf struct {
	path string
	capture.Frozen
}

// entries are the objects in the order of the paths that they have for a destination.
func (f frozen) entries(d event.Destination) []pathOf {
	n := 0
	for _, t := range f.types {
		n += len(t.objects)
	}
	all := make([]pathOf, 0, n)
	for _, t := range f.types {
		path := manifest.Identity.Path
		if _, sensitive := d.Encrypts(t.Group, t.Resource); sensitive {
			path = manifest.Identity.SealedPath
		}
		for _, o := range t.objects {
			id := manifest.Identity{Group: t.Group, Resource: t.Resource, Namespace: o.Namespace, Name: o.Name}
			all = append(all, pathOf{path(id), o})
		}
	}
	slices.SortFunc(all, func(a, b pathOf) int { return cmp.Compare(a.path, b.path) })
	return all
}
