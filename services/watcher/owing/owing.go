// Package owing decides, as pure functions, when the watcher asks for a run: of what it
// could not tell a destination by its changes, nor by its answers.
package owing

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Listed is why to ask for a run of a destination when a type was listed of which there
// was no index, "" if there is nothing to ask for. lost says that what came since an
// earlier list cannot be told any more, and selects that the destination selects some
// of what was listed.
func Listed(lost, selects bool) string {
	switch {
	case lost:
		return event.ReasonWatchGap // what was deleted meanwhile, only a run can tell
	case selects:
		return event.ReasonTypeAppeared
	}
	return ""
}

// Owed reports whether a destination is owed what an answer to a run lacked, by the end
// of its state. A comparison for a person brings nothing, and neither does an attempt
// that has failed: both leave open what was.
func Owed(reason string, state event.End) bool {
	return reason != event.ReasonCompare && state.Failed == ""
}

// Missing is what was missing in a lane's answer, by the ends of its state and of its
// contents, nil if they have not been answered.
func Missing(state event.End, contents *event.End) []string {
	if contents == nil {
		return state.Incomplete
	}
	return slices.Concat(state.Incomplete, contents.Incomplete)
}

// Follower follows a type, in one namespace or, with "", in all.
type Follower interface {
	comparable
	GroupResource() schema.GroupResource
	Version() string
	Follows() (namespace string)
}

// Name names what is followed, where it is missing.
func Name(of schema.GroupResource, namespace string) string {
	if namespace == "" {
		return of.String()
	}
	return of.String() + event.InNamespace + namespace
}

// Others names what rules select of a type in other versions than the one that is
// followed. It comes to be followed once the server prefers another one.
func Others(followed schema.GroupVersionResource) string {
	return followed.GroupResource().String() + event.OtherThan + followed.Version
}

// Whole is a list of what is missing with a type in it of which all is, in the place of what
// the list names of it in single namespaces.
func Whole(missing []string, of schema.GroupResource) []string {
	return append(slices.DeleteFunc(missing, func(m string) bool {
		return strings.HasPrefix(m, of.String()+event.InNamespace)
	}), of.String())
}

// Debt is what a lane's answer to a destination lacked. The zero value is none.
type Debt[F Follower] struct {
	Of      subject.Series // the answer
	missing []string       // types and groups
	// paid are followers of the missing types that nobody has to wait for any more: the
	// answer had what they follow, or a run was asked for. Of another process's answer
	// it is not known what it had: each type that comes to be exact is asked for, once.
	paid map[F]bool
}

// Of is the debt of an answer in which types and groups were missing, and which had what
// some follow.
func Of[F Follower](answer subject.Series, missing []string, had ...F) Debt[F] {
	return Debt[F]{Of: answer, missing: missing}.Paid(had...)
}

// Recalled is the debt of a lane's newest answer that counts, as far as the bus tells:
// answer, in the attempt that an entry of KS_PHASE names, where state is nil if there is
// none, or what the run before has come to. Nothing is known of an answer that is yet to
// be given.
func Recalled[F Follower](answer subject.Series, rec event.PhaseRecord, state, contents *event.End) Debt[F] {
	switch {
	case state != nil && Owed(rec.Reason, *state):
		return Of[F](answer, Missing(*state, contents))
	case rec.Outcome != nil:
		return Of[F](subject.Series{}, rec.Outcome.Incomplete)
	}
	return Debt[F]{}
}

// Or is the same of what was known before: that is kept if it is of the same answer, since
// it knows what was paid and what was lost by now.
func (d Debt[F]) Or(before Debt[F]) Debt[F] {
	outcome := d.Of == subject.Series{} // of a run before, which is told by what it lacked
	if d.Of != before.Of || outcome && !slices.Equal(d.missing, before.missing) {
		return d
	}
	return before
}

// Lacks reports whether the answer lacked what somebody follows. A run is asked for as
// soon as that one's index is exact.
func (d Debt[F]) Lacks(f F) bool { return lacks(d.missing, f) && !d.paid[f] }

// Paid is what is left of it once a run was asked for, which brings what some follow.
func (d Debt[F]) Paid(have ...F) Debt[F] {
	paid := make(map[F]bool, len(d.paid)+len(have))
	maps.Copy(paid, d.paid)
	for _, f := range have {
		paid[f] = true
	}
	d.paid = paid
	return d
}

// Lost is what it comes to with types that the answer had, and that were not to be had
// any more when their contents were wanted.
func (d Debt[F]) Lost(types []string) Debt[F] {
	d.missing = slices.Concat(d.missing, types)
	d.paid = maps.Clone(d.paid)
	maps.DeleteFunc(d.paid, func(f F, _ bool) bool { return lacks(types, f) })
	return d
}

// lacks reports whether a list of what is missing names some of what one follows.
func lacks[F Follower](missing []string, f F) bool {
	of, in := f.GroupResource(), f.Follows()
	return names(missing, of) || slices.ContainsFunc(missing, func(m string) bool {
		namespace, some := strings.CutPrefix(m, of.String()+event.InNamespace)
		version, others := strings.CutPrefix(m, of.String()+event.OtherThan)
		return some && (in == "" || in == namespace) || others && version != f.Version()
	})
}

// names reports whether a list of incomplete types and groups names one.
func names(missing []string, of schema.GroupResource) bool {
	return slices.Contains(missing, of.String()) || slices.Contains(missing, Group(of.Group))
}

// Group names a group of which nothing is known.
func Group(group string) string { return "*." + group }
