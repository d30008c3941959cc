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
	patterns []*pattern          // guarded by mu
	selector *selection.Selector // of each pattern, as a destination of its own; guarded by mu
}

// pattern is a rule.
type pattern struct {
	alone   event.Destination // with this rule only
	path    string
	looked  bool // at all there is
	matched bool
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
	var alone []event.Destination
	for _, d := range destinations {
		for n, r := range numbered(d.Rules) {
			if len(r.Names) == 0 && r.Labels == "" && len(r.Owners) == 0 {
				continue
			}
			one := &pattern{alone: d, path: fmt.Sprintf("spec.rules[%d]", n.place)}
			one.alone.Rules = []event.Rule{r}
			if known := before[one.key()]; known != nil {
				one.looked, one.matched = known.looked, known.matched
			}
			next, alone = append(next, one), append(alone, one.alone)
		}
	}
	selector, err := selection.New(alone)
	if err != nil {
		return err
	}
	p.patterns, p.selector = next, selector
	return nil
}

// See is what is to be shown each object of a type in a namespace, or with "" in any; nil if no
// rule waits for one. It reports whether any does still.
func (p *Patterns) See(t discover.Type, namespace string) func(*unstructured.Unstructured) (waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var waiting []int
	for i, one := range p.patterns {
		if !one.matched && selection.Follows(one.alone, t.GroupVersionResource, t.Namespaced, namespace) {
			waiting = append(waiting, i)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	of, patterns := p.selector.Of(t.GroupVersionResource), p.patterns
	return func(o *unstructured.Unstructured) bool {
		p.mu.Lock()
		waiting = slices.DeleteFunc(waiting, func(i int) bool { return patterns[i].matched })
		waits := len(waiting) > 0
		p.mu.Unlock()
		if !waits {
			return false
		}
		for _, choice := range of.Select(o) {
			p.mu.Lock()
			for i := range choice.To.Places() {
				patterns[i].matched = true
			}
			p.mu.Unlock()
		}
		return true
	}
}

// Followed is a type that is followed in a namespace, or with "" in any. Exact is whether all
// that was there has been seen.
type Followed struct {
	discover.Type
	Namespace string
	Exact     bool
}

// Remarks are those on rules that no object has matched, by the rules' documents: of which all
// that they may select has been seen.
func (p *Patterns) Remarks(followed []Followed) map[string][]Remark {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string][]Remark{}
	for _, one := range p.patterns {
		if !one.matched && !one.looked {
			one.looked = looked(one.alone, followed)
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

// looked reports whether all that a rule may select is seen, and that is anything.
func looked(alone event.Destination, followed []Followed) (some bool) {
	for _, f := range followed {
		if selection.Follows(alone, f.GroupVersionResource, f.Namespaced, f.Namespace) {
			if !f.Exact {
				return false
			}
			some = true
		}
	}
	return some
}
