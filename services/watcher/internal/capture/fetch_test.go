package capture

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
)

// wanted asks for what the index holds of live's objects.
func (r *running) wanted(t *testing.T) Wanted {
	t.Helper()
	return r.wantedBy(t, live)
}

func (r *running) wantedBy(t *testing.T, d event.Destination) Wanted {
	t.Helper()
	objects, exact := r.Freeze(d.Key)
	if !exact {
		t.Fatal("there is no index")
	}
	q := Wanted{For: d.Key, Hashes: map[string]string{}}
	for _, o := range objects {
		id := manifest.Identity{Group: "example.com", Resource: "widgets", Namespace: o.Namespace, Name: o.Name}
		q.Hashes[id.Path()], q.Names = o.Hash(), append(q.Names, id)
	}
	return q
}

// fetch returns what was fetched, and how often.
func (r *running) fetch(t *testing.T, q Wanted) (got []string) {
	t.Helper()
	if err := r.Fetch(t.Context(), q, func(c event.Change) error {
		if c.ClusterID != "c-1" || c.Registry != 7 || c.UID != "u-"+c.Name || manifest.Hash(c.Manifest) != c.Hash || c.Sanitizer != manifest.Generation {
			t.Errorf("it fetched %+v", c)
		}
		got = append(got, c.Path+" "+c.ResourceVersion)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	return got
}

// TestFetch: those that still are as they were frozen, in whatever version, one by
// one where they are few and in a list where they are many or may not be had alone.
func TestFetch(t *testing.T) {
	for name, tt := range map[string]struct {
		objects  int
		prepare  func(s *server, q *Wanted)
		gets     int
		narrowed bool
	}{
		"few":          {5, nil, 5, false},
		"many":         {fewObjects + 5, nil, 0, true},
		"no get":       {5, func(s *server, _ *Wanted) { s.onGet = forbidden() }, 1, true},
		"no names":     {5, func(_ *server, q *Wanted) { q.Names = nil }, 0, false},
		"another path": {5, func(_ *server, q *Wanted) { q.Hashes["x"] = "y" }, 5, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				for i := range tt.objects {
					s.put(widget(fmt.Sprintf("w%02d", i), 1))
				}
				r := begin(t, s, l)
				q := r.wanted(t)
				s.put(widget("w00", 2)) // changed
				s.remove("w01")
				status := widget("w02", 1) // another version of the same
				status.SetGeneration(7)
				rv := s.put(status)
				owned := widget("w03", 1)
				owned.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"kind": "Gadget", "name": "g", "controller": true}}
				s.put(owned) // excluded
				if tt.prepare != nil {
					tt.prepare(s, &q)
				}
				want := []string{"shop/example.com/widgets/w02.yaml " + rv}
				for i := 4; i < tt.objects; i++ {
					want = append(want, fmt.Sprintf("shop/example.com/widgets/w%02d.yaml %d", i, 101+i))
				}
				if got := r.fetch(t, q); !slices.Equal(got, want) {
					t.Errorf("it fetched\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
				}
				if s.gets != tt.gets || (s.narrowed > 0) != tt.narrowed {
					t.Errorf("it made %d requests for an object and %d for pages of a namespace", s.gets, s.narrowed)
				}
				r.stop(t)
			})
		})
	}
}

// TestFetchFails: an API server that fails, or refuses, is nobody's skipped content.
func TestFetchFails(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		q := r.wanted(t)
		s.mu.Lock()
		s.onGet = errors.New("connection refused")
		s.mu.Unlock()
		nobody := func(event.Change) error { return nil }
		if err := r.Fetch(t.Context(), q, nobody); !errors.Is(err, s.onGet) {
			t.Errorf("it failed with %v", err)
		}
		s.mu.Lock()
		s.onGet = forbidden()
		s.mu.Unlock()
		s.refuse(func(metav1.ListOptions) error { return forbidden() }, nil)
		if err := r.Fetch(t.Context(), q, nobody); !Refused(err) {
			t.Errorf("refused, it failed with %v", err)
		}
		r.stop(t)
	})
}

// TestFetchByNamespace: many of few namespaces are listed namespace by namespace, and
// not where nothing is wanted any more; few of many are looked for in one list.
func TestFetchByNamespace(t *testing.T) {
	for name, tt := range map[string]struct {
		namespaces, each int
		narrowed         int // lists of one namespace
		want             int
	}{
		"many of few": {3, 2 * perObject, 2, 4 * perObject},
		"few of many": {perObject, 3, 0, 2 * 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.pageSize = 1000
				for ns := range tt.namespaces {
					for i := range tt.each {
						o := widget(fmt.Sprintf("w%02d-%03d", ns, i), 1)
						o.SetNamespace(fmt.Sprintf("ns-%02d", ns))
						s.put(o)
					}
				}
				everywhere := destination("everywhere")
				r := begin(t, s, l, everywhere)
				q := r.wantedBy(t, everywhere)
				slices.SortFunc(q.Names, func(a, b manifest.Identity) int { return strings.Compare(a.Path(), b.Path()) })
				q.Dropped = func(path string) bool { return path >= "ns-02/" }
				if got := r.fetch(t, q); len(got) != tt.want || s.narrowed != tt.narrowed {
					t.Errorf("it fetched %d in %d lists of a namespace, want %d in %d", len(got), s.narrowed, tt.want, tt.narrowed)
				}
				r.stop(t)
			})
		})
	}
}
