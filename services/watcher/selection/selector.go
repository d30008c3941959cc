package selection

import (
	"fmt"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/exclusion"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// Selector is the rules of a cluster's destinations. The place of a destination is that in
// the list it was made of.
type Selector struct {
	destinations []event.Destination
	rules        [][]rule // of each destination, in order
	policies     []manifest.Policy
}

// Audience is who may read the objects of a sensitive type in Git, and what of them is for
// nobody else.
type Audience struct {
	Recipients []string // public keys, sorted
	Fields     []string // whose values are encrypted
}

// rule is a rule with its selectors read.
type rule struct {
	event.Rule
	labels labels.Selector // nil: any
	except []rule
	policy int // its place among policies
}

// Size is about how many bytes it takes to say who they are.
func (a *Audience) Size() (n int) {
	for _, s := range slices.Concat(a.Recipients, a.Fields) {
		n += len(s) + 4
	}
	return n
}

// New reads the rules of destinations. What was registered was found right: an error is of
// rules by a newer version.
func New(destinations []event.Destination) (*Selector, error) {
	s := &Selector{destinations: destinations, rules: make([][]rule, len(destinations))}
	for place, d := range destinations {
		for i, r := range d.Rules {
			read, err := s.read(r)
			if err != nil {
				return nil, fmt.Errorf("rule %d of destination %s: %w", i+1, d.Key, err)
			}
			s.rules[place] = append(s.rules[place], read)
		}
	}
	return s, nil
}

func (s *Selector) read(r event.Rule) (read rule, err error) {
	read.Rule = r
	if r.Labels != "" {
		if read.labels, err = labels.Parse(r.Labels); err != nil {
			return rule{}, fmt.Errorf("label selector: %w", err)
		}
	}
	for _, pattern := range slices.Concat(r.Names, r.Owners) {
		if _, err := path.Match(pattern, ""); err != nil {
			return rule{}, fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	for _, e := range r.Except {
		not, err := s.read(e)
		if err != nil {
			return rule{}, err
		}
		read.except = append(read.except, not)
	}
	policy := manifest.Policy(r.Policy)
	policy.Drop = manifest.SortPointers(policy.Drop)
	policy.IgnoreManagers = slices.Compact(slices.Sorted(slices.Values(policy.IgnoreManagers)))
	same := func(p manifest.Policy) bool {
		return p.DropFinalizers == policy.DropFinalizers && p.KeepOwners == policy.KeepOwners &&
			p.KeepTracking == policy.KeepTracking && slices.Equal(p.Drop, policy.Drop) &&
			slices.Equal(p.IgnoreManagers, policy.IgnoreManagers)
	}
	if read.policy = slices.IndexFunc(s.policies, same); read.policy < 0 {
		read.policy = len(s.policies)
		s.policies = append(s.policies, policy)
	}
	return read, nil
}

// Keys names the destinations of a set, in order.
func (s *Selector) Keys(of Set) (keys []event.DestinationKey) {
	for place := range of.Places() {
		keys = append(keys, s.destinations[place].Key)
	}
	return keys
}

// Place is that of a destination, -1 if it is none of these.
func (s *Selector) Place(k event.DestinationKey) int {
	return slices.IndexFunc(s.destinations, func(d event.Destination) bool { return d.Key == k })
}

// Follows reports whether rules of a destination select a type, so that it is to be watched
// for it, in a namespace or, with "", in any.
func Follows(d event.Destination, t schema.GroupVersionResource, namespaced bool, namespace string) bool {
	return !LeftOut(d, t.GroupResource()) && Selects(d, t, namespaced, namespace)
}

// Selects reports what Follows does, of a type that is not left out.
func Selects(d event.Destination, t schema.GroupVersionResource, namespaced bool, namespace string) bool {
	return slices.ContainsFunc(d.Rules, func(r event.Rule) bool {
		if !r.SelectsType(t.Group, t.Version, t.Resource) {
			return false
		}
		return len(r.Namespaces) == 0 || (namespaced && (namespace == "" || slices.Contains(r.Namespaces, namespace)))
	})
}

// LeftOut reports whether a destination has nothing of a type, whatever its rules select: by
// default, or because it is sensitive and withheld. Nothing of it is watched then, and its files
// stay as they are.
func LeftOut(d event.Destination, of schema.GroupResource) bool {
	return slices.Contains(AllLeftOut(d), of.String())
}

// AllLeftOut names the types that LeftOut reports, sorted, as resource.group.
func AllLeftOut(d event.Destination) []string {
	all := exclusion.Types(d.Without)
	if d.Withheld != "" {
		for _, s := range d.AllSensitive() {
			all = append(all, schema.GroupResource{Group: s.Group, Resource: s.Resource}.String())
		}
		slices.Sort(all)
	}
	return all
}

// Of is what the rules say of one type.
func (s *Selector) Of(t schema.GroupVersionResource) *Type {
	of := &Type{Selector: s, of: t}
	for place, rules := range s.rules {
		if LeftOut(s.destinations[place], t.GroupResource()) {
			continue
		}
		var some []rule
		for _, r := range rules {
			if r.SelectsType(t.Group, t.Version, t.Resource) {
				r.except = slices.DeleteFunc(slices.Clone(r.except), func(e rule) bool { return !e.SelectsType(t.Group, t.Version, t.Resource) })
				some = append(some, r)
			}
		}
		if len(some) > 0 {
			audience := of.audience(s.destinations[place])
			of.wants = append(of.wants, wants{place, some, audience})
			if audience != 0 {
				of.sensitive = of.sensitive.With(Only(place))
			}
		}
	}
	return of
}

// audience is that of a destination, as its place among all; 0 where the type is not sensitive.
func (t *Type) audience(d event.Destination) int {
	if t.audiences == nil {
		t.audiences = []*Audience{nil}
	}
	fields, sensitive := d.Encrypts(t.of.Group, t.of.Resource)
	if !sensitive {
		return 0
	}
	a := &Audience{Recipients: d.Recipients, Fields: fields}
	for i, other := range t.audiences {
		if other != nil && slices.Equal(other.Recipients, a.Recipients) && slices.Equal(other.Fields, a.Fields) {
			return i
		}
	}
	t.audiences = append(t.audiences, a)
	return len(t.audiences) - 1
}

// Type is the rules that select objects of one type.
type Type struct {
	*Selector
	of        schema.GroupVersionResource
	wants     []wants
	audiences []*Audience // the first is nil: everybody who reads the repository
	sensitive Set
}

// Sensitive are the destinations to which the type is sensitive.
func (t *Type) Sensitive() Set { return t.sensitive }

// wants is a destination's rules for a type.
type wants struct {
	place    int
	rules    []rule
	audience int
}

// Choice is destinations that have an object by one policy, for one audience.
type Choice struct {
	To       Set
	Policy   manifest.Policy
	Audience *Audience // nil: it is written in clear
}

// Select decides about an object: of each destination the first rule counts that selects
// it. Nothing is returned if nobody wants it; each destination is in one choice at most.
func (t *Type) Select(o *unstructured.Unstructured) []Choice {
	holding := exclusion.Object(t.of.GroupResource(), o)
	var chosen []Choice
	var by [][2]int // the policy and the audience of each
	for _, d := range t.wants {
		if !exclusion.Allows(holding, t.destinations[d.place].Without) {
			continue
		}
		i := slices.IndexFunc(d.rules, func(r rule) bool { return r.selects(o) })
		if i < 0 {
			continue
		}
		how, to := [2]int{d.rules[i].policy, d.audience}, Only(d.place)
		if n := slices.Index(by, how); n >= 0 {
			chosen[n].To = chosen[n].To.With(to)
			continue
		}
		by, chosen = append(by, how), append(chosen, Choice{to, t.policies[how[0]], t.audiences[how[1]]})
	}
	return chosen
}

// Possible are the destinations that an object may have been selected for in a version before:
// its labels and owners may have been others. What is excluded now is taken to have been so
// before, or each heartbeat of a controlled object would count.
func (t *Type) Possible(o *unstructured.Unstructured) (to Set) {
	holding := exclusion.Object(t.of.GroupResource(), o)
	for _, d := range t.wants {
		if exclusion.Allows(holding, t.destinations[d.place].Without) && slices.ContainsFunc(d.rules, func(r rule) bool { return r.names(o.GetNamespace(), o.GetName()) }) {
			to = to.With(Only(d.place))
		}
	}
	return to
}

// names reports whether a rule selects objects of a namespace and name, which no object
// ever changes.
func (r rule) names(namespace, name string) bool {
	return (len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, namespace)) && matchesAny(r.Names, name)
}

func (r rule) selects(o *unstructured.Unstructured) bool {
	return r.names(o.GetNamespace(), o.GetName()) &&
		(r.labels == nil || r.labels.Matches(labels.Set(o.GetLabels()))) &&
		(len(r.Owners) == 0 || slices.ContainsFunc(owners(o), func(owner string) bool { return matchesAny(r.Owners, owner) })) &&
		!slices.ContainsFunc(r.except, func(e rule) bool { return e.selects(o) })
}

// matchesAny reports whether a name matches one of patterns that are well formed, or there
// are none.
func matchesAny(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok
	})
}

// owners are an object's owners as Kind.group/name, or Kind/name in the core group.
func owners(o *unstructured.Unstructured) (all []string) {
	for _, ref := range o.GetOwnerReferences() {
		kind := ref.Kind
		if gv, err := schema.ParseGroupVersion(ref.APIVersion); err == nil && gv.Group != "" {
			kind += "." + gv.Group
		}
		all = append(all, kind+"/"+ref.Name)
	}
	return all
}
