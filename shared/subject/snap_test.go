package subject

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

func TestSides(t *testing.T) {
	seen := map[Side]bool{}
	for _, s := range []Side{SideRepo, SideRun, SideCluster(0), SideCluster(7), SideResult(0), SideResult(7), SideContent(0), SideContent(7)} {
		if seen[s] {
			t.Errorf("two sides are %s", s)
		}
		seen[s] = true
		if Token(string(s)) != string(s) {
			t.Errorf("%s is written %s: a filter that names it finds nothing", s, Token(string(s)))
		}
	}
}

// FuzzSnap: for any names, an end is selected as one and a chunk never is, both are
// found by who looks for their run and destination, and by nobody else.
func FuzzSnap(f *testing.F) {
	for _, s := range append([]string{"end", "run", "snap", "ks", "cluster-0"}, awkward...) {
		f.Add(s, "gitops", "live", "run-1", uint64(1), "repo", "n-1", 0)
		f.Add("prod", s, s, s, uint64(0), s, s, 7)
		f.Add("prod", "gitops", "live", s, uint64(1<<63), "run", "end", 1<<30)
	}
	f.Fuzz(func(t *testing.T, cluster, namespace, name, run string, attempt uint64, side, nonce string, n int) {
		n = max(n, 0)
		k := event.DestinationKey{Cluster: cluster, Namespace: namespace, Name: name}
		s := Series{Destination: k, Run: run, Attempt: attempt, Side: Side(side)}
		chunk, end := s.Chunk(nonce, n), s.End()
		checkSubject(t, AllSnap, chunk)
		checkSubject(t, AllSnap, end)
		for _, subj := range []string{chunk, end} {
			selects(t, subj, SnapDestination(k), SnapRun(k, run))
			ignores(t, subj, SnapRun(k, run+"x"))
			for _, other := range []event.DestinationKey{
				{Cluster: cluster + "x", Namespace: namespace, Name: name},
				{Cluster: cluster, Namespace: namespace + "x", Name: name},
				{Cluster: cluster, Namespace: namespace, Name: name + "x"},
				{Cluster: namespace + "y" + cluster, Namespace: name, Name: run},
			} {
				ignores(t, subj, SnapDestination(other), SnapRun(other, run))
			}
		}
		selects(t, end, SnapEnds)
		ignores(t, chunk, SnapEnds, SnapRunEnds)
		if got := match(SnapRunEnds, end); got != (s.Side == SideRun) {
			t.Errorf("the end of side %q closes a run: %v", side, got)
		}

		if got, err := ParseSnapEnd(end); got != s || err != nil {
			t.Errorf("%q reads as %+v, %v", end, got, err)
		}
		if got, err := ParseSnapEnd(chunk); !errors.Is(err, ErrSubject) {
			t.Errorf("the chunk %q reads as the end of %+v, %v", chunk, got, err)
		}
		others := []Series{s, s, s}
		others[0].Attempt, others[1].Side, others[2].Run = attempt+1, Side(side+"x"), run+"x"
		for _, other := range others {
			if other.End() == end || other.Chunk(nonce, n) == chunk {
				t.Errorf("%+v and %+v are stored at one place", s, other)
			}
		}
		for _, other := range []string{s.Chunk(nonce, n+1), s.Chunk(nonce+"x", n), end} {
			if other == chunk {
				t.Errorf("two messages of %+v are stored at %q", s, chunk)
			}
		}
	})
}

// FuzzParseSnapEnd: what is read as an end is written the same.
func FuzzParseSnapEnd(f *testing.F) {
	s := Series{Destination: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}, Run: "run-1", Attempt: 1, Side: SideRun}
	for _, subj := range []string{
		s.End(), s.Chunk("n", 0), "", "........", "ks.snap.a.b.c.d.1.e.end", "ks.snap.a.b.c.d.01.e.end", "ks.snap.a.b.c.d.-1.e.end",
		"ks.snap.a.b.c.d.1.e.start", "ks.nap.a.b.c.d.1.e.end", "ks.snap.a.b.c.=.1.e.end", "ks.snap.a.b.c.d.1.=7.end", "ks.snap.=41.b.c.d.1.e.end", "ks.snap.a.b.c.d.1.e.f.end",
	} {
		f.Add(subj)
	}
	f.Fuzz(func(t *testing.T, subj string) {
		s, err := ParseSnapEnd(subj)
		switch {
		case err == nil && (s.End() != subj || !match(SnapEnds, subj)):
			t.Errorf("%q reads as %+v, which is written %q", subj, s, s.End())
		case err != nil && !errors.Is(err, ErrSubject):
			t.Errorf("%q: %v", subj, err)
		}
	})
}

func TestPartsOf(t *testing.T) {
	rule := func(groups, resources []string) event.Rule { return event.Rule{Groups: groups, Resources: resources} }
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	configmaps, deployments := Part("prod", "", "configmaps"), Part("prod", "apps", "deployments") // 7, 0
	for _, tt := range []struct {
		name  string
		rules []event.Rule
		want  []int
	}{
		{"no rules", nil, []int{}},
		{"a rule that selects nothing", []event.Rule{rule(nil, []string{"*"}), rule([]string{"*"}, nil)}, []int{}},
		{"one type", []event.Rule{rule([]string{""}, []string{"configmaps"})}, []int{configmaps}},
		{"of two rules, in order", []event.Rule{rule([]string{""}, []string{"configmaps"}), rule([]string{"apps"}, []string{"deployments"})}, []int{deployments, configmaps}},
		{"twice", []event.Rule{rule([]string{"", ""}, []string{"configmaps"}), rule([]string{""}, []string{"configmaps"})}, []int{configmaps}},
		{"every group", []event.Rule{rule([]string{"*"}, []string{"configmaps"})}, all},
		{"every resource", []event.Rule{rule([]string{"apps"}, []string{"*"})}, all},
		{"everything beside one type", []event.Rule{rule([]string{""}, []string{"configmaps"}), rule([]string{"*"}, []string{"*"})}, all},
		{"* among others", []event.Rule{rule([]string{"apps", "*"}, []string{"deployments"})}, all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}, Rules: tt.rules}
			if got := PartsOf(d); !slices.Equal(got, tt.want) || got == nil {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if len(every) != Parts {
		t.Errorf("of %d lanes, every are %v", Parts, every)
	}
}

// FuzzPartsOf: the lanes that a run asks are those of the types that the rules
// select, no more and no less: one that is not asked would leave orphans of all its
// objects.
func FuzzPartsOf(f *testing.F) {
	f.Add("prod", uint64(0))
	for i := range 64 {
		f.Add("prod", uint64(1)<<i)
	}
	f.Add("a.b", uint64(0x123456789abcdef))
	f.Fuzz(func(t *testing.T, cluster string, seed uint64) {
		next := func(n int) int {
			seed = seed*6364136223846793005 + 1442695040888963407
			return int(seed >> 33 % uint64(n))
		}
		groups := []string{"", "apps", "batch", "networking.k8s.io", "example.com"}
		resources := []string{"configmaps", "deployments", "jobs", "ingresses", "widgets", "services"}
		choose := func(from []string) (some []string) {
			for range next(3) {
				if some = append(some, from[next(len(from))]); next(9) == 0 {
					some = append(some, "*")
				}
			}
			return some
		}
		d := event.Destination{Key: event.DestinationKey{Cluster: cluster, Namespace: "gitops", Name: "live"}}
		for range next(4) {
			r := event.Rule{Groups: choose(groups), Resources: choose(resources)}
			if next(2) == 0 {
				r.Versions = []string{"v1"}
			}
			if next(2) == 0 {
				r.Namespaces = []string{"shop"}
			}
			d.Rules = append(d.Rules, r)
		}
		// Custom types may have any name: of those that only a wildcard selects, some
		// are in each lane.
		for i := range 16 {
			groups = append(groups, fmt.Sprintf("custom-%d.example.com", i))
			resources = append(resources, fmt.Sprintf("customs-%d", i))
		}
		var selected [Parts]bool
		for i, g := range groups {
			for j, r := range resources {
				if i > 5 && j > 6 {
					break
				}
				if slices.ContainsFunc(d.Rules, func(rule event.Rule) bool { return rule.SelectsType(g, "v1", r) }) {
					selected[Part(cluster, g, r)] = true
				}
			}
		}
		want := []int{}
		for p, is := range selected {
			if is {
				want = append(want, p)
			}
		}
		if got := PartsOf(d); !slices.Equal(got, want) {
			t.Errorf("%+v: asks %v, selects in %v", d.Rules, got, want)
		}
	})
}
