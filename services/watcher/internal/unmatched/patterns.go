package unmatched

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/services/watcher/internal/discover"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/event"
)

// Patterns knows which rules with names, labels or owners have selected an object since they are
// followed: one that has is well spelled, whether the object is still there or not. Those of
// rules without are whole types, which may well be empty. It is safe for concurrent use.
type Patterns struct {
	mu       sync.Mutex
	patterns []*pattern // guarded by mu
}

// pattern is a rule.
type pattern struct {
	alone    event.Destination // with this rule only
	selector *selection.Selector
	leftOut  map[string]bool // the types that the destination has nothing of
	path     string
	looked   bool // at all there is
	matched  bool
}

// follows reports whether the rule selects a type in a namespace, or with "" in any.
func (p *pattern) follows(t discover.Type, namespace string) bool {
	return selection.Selects(p.alone, t.GroupVersionResource, t.Namespaced, namespace) && !p.leftOut[t.GroupResource().String()]
}

// key is what stays of a rule whatever is changed around it.
func (p *pattern) key() string {
	d := p.alone
	return string(event.Encode(event.Destination{Key: d.Key, Rules: d.Rules, Without: d.Without, Sensitive: d.Sensitive, Withheld: d.Withheld}))
}

// Follow goes on to these destinations. What is known of rules that they had before stays.
func (p *Patterns) Follow(destinations []event.Destination) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := map[string]*pattern{}
	for _, known := range p.patterns {
		before[known.key()] = known
	}
	var next []*pattern
	for _, d := range destinations {
		leftOut := map[string]bool{}
		for _, t := range selection.AllLeftOut(d) {
			leftOut[t] = true
		}
		for n, r := range numbered(d.Rules) {
			if len(r.Names) == 0 && r.Labels == "" && len(r.Owners) == 0 {
				continue
			}
			one := &pattern{alone: d, leftOut: leftOut, path: fmt.Sprintf("spec.rules[%d]", n.place)}
			one.alone.Rules = []event.Rule{r}
			if known := before[one.key()]; known != nil {
				one.looked, one.matched = known.looked, known.matched
			}
			var err error
			if one.selector, err = selection.New([]event.Destination{one.alone}); err != nil {
				return err
			}
			next = append(next, one)
		}
	}
	p.patterns = next
	return nil
}

// See is what is to be shown each object of a type in a namespace, or with "" in any; nil if no
// rule waits for one. It reports whether any does still.
func (p *Patterns) See(t discover.Type, namespace string) func(*unstructured.Unstructured) (waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	type waits struct {
		*pattern
		of *selection.Type
	}
	var waiting []waits
	for _, one := range p.patterns {
		if !one.matched && one.follows(t, namespace) {
			waiting = append(waiting, waits{one, one.selector.Of(t.GroupVersionResource)})
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	return func(o *unstructured.Unstructured) bool {
		p.mu.Lock()
		waiting = slices.DeleteFunc(waiting, func(one waits) bool { return one.matched }) // by what others were shown
		p.mu.Unlock()
		var matched []*pattern
		for _, one := range waiting {
			if len(one.of.Select(o)) > 0 {
				matched = append(matched, one.pattern)
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, one := range matched {
			one.matched = true
		}
		return len(waiting) > 0
	}
}

// Followed is a type that is followed in a namespace, or with "" in any. Exact is whether all
// that was there has been seen; Refused, whether it is not to be seen at all.
type Followed struct {
	discover.Type
	Namespace string
	Exact     bool
	Refused   bool
}

// Remarks are those on rules that no object has matched, by the rules' documents: of which all
// that they may select has been seen.
func (p *Patterns) Remarks(followed []Followed) map[string][]Remark {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string][]Remark{}
	for _, one := range p.patterns {
		if !one.matched && !one.looked {
			one.looked = one.sees(followed)
		}
		if one.matched || !one.looked {
			continue
		}
		r := one.alone.Rules[0]
		var by []string
		for name, is := range map[string]bool{"names": len(r.Names) > 0, "objectSelector": r.Labels != "", "owners": len(r.Owners) > 0} {
			if is {
				by = append(by, name)
			}
		}
		slices.Sort(by)
		all[r.Of] = append(all[r.Of], Remark{one.path, NothingMatches, "no object that can be mirrored matches its " + strings.Join(by, " and ") + "; correct that, or leave it until one does"})
	}
	return all
}

// sees reports whether all that a rule may select is seen, and that is anything. A type that the
// API server refuses is not waited for: that it lacks is said of the destination.
func (p *pattern) sees(followed []Followed) (some bool) {
	for _, f := range followed {
		if !f.Refused && p.follows(f.Type, f.Namespace) {
			if !f.Exact {
				return false
			}
			some = true
		}
	}
	return some
}
