package diff

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// list is a state of entries, sorted or not.
func list(entries ...event.Entry) State {
	return func(yield func(event.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func object(path, hash string) event.Entry { return event.Entry{Path: path, Hash: hash, Version: 7} }
func file(path, hash string) event.Entry   { return event.Entry{Path: path, Hash: hash} }
func foreign(path string) event.Entry      { return event.Entry{Path: path, What: event.Foreign} }

// part is the lane of a type in these tests.
func part(group, resource string) int {
	switch {
	case group == "apps":
		return 0
	case resource == "secrets":
		return 2
	}
	return 7
}

// all prunes whatever it may.
var all = event.Prune{Mode: event.PruneAlways, MaxPercent: 100, MaxFiles: 1 << 20}

// merge is a comparison, its results as lines.
func merge(t *testing.T, cfg Config, lanes map[int]State, repo State) ([]string, event.Outcome, error) {
	t.Helper()
	cfg.Part = part
	var lines []string
	out, err := Merge(cfg, lanes, repo, func(part int, e event.Entry) error {
		lines = append(lines, fmt.Sprintf("%d %s %s %s %d", part, e.What, e.Path, e.Hash, e.Version))
		return nil
	})
	return lines, out, err
}

func TestMerge(t *testing.T) {
	const a, b, c, d = "ns/configmaps/a.yaml", "ns/configmaps/b.yaml", "ns/configmaps/c.yaml", "ns/apps/deployments/d.yaml"
	onEvent, never := all, all
	onEvent.Mode, never.Mode = event.PruneOnEvent, event.PruneNever
	for _, tt := range []struct {
		name    string
		prune   event.Prune
		cfg     Config
		objects []event.Entry
		files   []event.Entry
		results []string
		out     event.Outcome
	}{
		{name: "nothing at all"},
		{
			name: "in the cluster only", objects: []event.Entry{object(a, "1"), object(b, "2")},
			results: []string{"7 CREATE " + a + " 1 7", "7 CREATE " + b + " 2 7"}, out: event.Outcome{Created: 2},
		},
		{
			name: "different and equal", objects: []event.Entry{object(a, "1"), object(b, "2")}, files: []event.Entry{file(a, "1"), file(b, "0")},
			results: []string{"7 RECONCILE_RESOURCE " + b + " 2 7"}, out: event.Outcome{Updated: 1, Equal: 1},
		},
		{
			name: "that cannot be written", objects: []event.Entry{object(a, ""), object(b, "")}, files: []event.Entry{file(b, "0")},
		},
		{
			name: "orphans of two lanes", files: []event.Entry{file(d, "4"), file(a, "1"), file(b, "2")}, objects: []event.Entry{object(b, "2")},
			results: []string{"0 DELETE " + d + " 4 0", "7 DELETE " + a + " 1 0"}, out: event.Outcome{Deleted: 2, Equal: 1},
		},
		{
			name: "deletions in the cluster alone remove files", prune: onEvent, files: []event.Entry{file(a, "1")}, out: event.Outcome{Kept: 1},
		},
		{name: "nothing removes files", prune: never, files: []event.Entry{file(a, "1")}, out: event.Outcome{Kept: 1}},
		{name: "a mode of nobody's", prune: event.Prune{Mode: "Sometimes", MaxPercent: 100}, files: []event.Entry{file(a, "1")}, out: event.Outcome{Kept: 1}},
		{
			name: "foreign", objects: []event.Entry{object(b, "2")}, files: []event.Entry{foreign("notes/all.yaml"), foreign(a), foreign(b)},
			out: event.Outcome{ForeignCount: 3, Foreign: []string{"notes/all.yaml", a, b}},
		},
		{
			name: "types that could not be listed", cfg: Config{Incomplete: []string{"deployments.apps", "configmaps", "configmaps"}},
			objects: []event.Entry{object(b, "2")}, files: []event.Entry{file(d, "4"), file(a, "1"), file("ns/secrets/s.yaml", "5")},
			results: []string{"7 CREATE " + b + " 2 7", "2 DELETE ns/secrets/s.yaml 5 0"},
			out:     event.Outcome{Created: 1, Kept: 2, Deleted: 1, Incomplete: []string{"configmaps", "deployments.apps"}},
		},
		{
			name: "types that are never mirrored", cfg: Config{Unmirrored: []string{"secrets"}}, files: []event.Entry{file("ns/secrets/s.yaml", "5")},
			out: event.Outcome{Kept: 1},
		},
		{
			name: "a type that could not be listed in one namespace", cfg: Config{Incomplete: []string{"secrets in here"}},
			files:   []event.Entry{file("here/configmaps/s.yaml", "3"), file("here/secrets/s.yaml", "5"), file("there/secrets/s.yaml", "6")},
			results: []string{"7 DELETE here/configmaps/s.yaml 3 0", "2 DELETE there/secrets/s.yaml 6 0"}, out: event.Outcome{Kept: 1, Deleted: 2, Incomplete: []string{"secrets in here"}},
		},
		{
			name: "a type that is selected in other versions, too", cfg: Config{Incomplete: []string{"deployments.apps other than v1"}}, files: []event.Entry{file(d, "4"), file(a, "1")},
			results: []string{"7 DELETE " + a + " 1 0"}, out: event.Outcome{Kept: 1, Deleted: 1, Incomplete: []string{"deployments.apps other than v1"}},
		},
		{
			name: "a group that does not answer", cfg: Config{Incomplete: []string{"*.apps"}}, files: []event.Entry{file(d, "4"), file(a, "1")},
			results: []string{"7 DELETE " + a + " 1 0"}, out: event.Outcome{Kept: 1, Deleted: 1, Incomplete: []string{"*.apps"}},
		},
		{
			name: "the core group does not answer", cfg: Config{Incomplete: []string{"*."}}, files: []event.Entry{file(d, "4"), file(a, "1")},
			results: []string{"0 DELETE " + d + " 4 0"}, out: event.Outcome{Kept: 1, Deleted: 1, Incomplete: []string{"*."}},
		},
		{
			name: "types that the path does not tell", files: []event.Entry{
				file(manifest.Identity{Namespace: "ns", Resource: long, Name: "a"}.Path(), "1"),
				file(manifest.Identity{Namespace: "ns", Group: long, Resource: "widgets", Name: "a"}.Path(), "1"),
				file("stray.yaml", "2"),
			},
			out: event.Outcome{Kept: 3},
		},
		{
			name: "a name that the path does not tell", files: []event.Entry{file(manifest.Identity{Namespace: "ns", Resource: "pods", Name: long}.Path(), "1")},
			results: []string{"7 DELETE " + manifest.Identity{Namespace: "ns", Resource: "pods", Name: long}.Path() + " 1 0"}, out: event.Outcome{Deleted: 1},
		},
		{
			name: "a sealed file is another one", objects: []event.Entry{object(a, "1")}, files: []event.Entry{file("ns/configmaps/a.sops.yaml", "9")},
			results: []string{"7 DELETE ns/configmaps/a.sops.yaml 9 0", "7 CREATE " + a + " 1 7"}, out: event.Outcome{Created: 1, Deleted: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Run, tt.out.Run = "run-1", "run-1"
			if tt.cfg.Prune = tt.prune; tt.prune.Mode == "" {
				tt.cfg.Prune = all
			}
			lines, out, err := merge(t, tt.cfg, map[int]State{7: list(tt.objects...), 0: list()}, list(tt.files...))
			if err != nil || !reflect.DeepEqual(lines, tt.results) || !reflect.DeepEqual(out, tt.out) {
				t.Errorf("got %q\n%+v, %v\nwant %q\n%+v", lines, out, err, tt.results, tt.out)
			}
		})
	}
}

// long is longer than a component of a path.
var long = strings.Repeat("g", 300)

func TestForeignIsBounded(t *testing.T) {
	var files []event.Entry
	for i := range 100 {
		files = append(files, foreign(fmt.Sprintf("f%03d.yaml", i)))
	}
	_, out, err := merge(t, Config{Prune: all}, nil, list(files...))
	if err != nil || out.ForeignCount != 100 || len(out.Foreign) != foreignShown || out.Foreign[0] != "f000.yaml" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestGuard(t *testing.T) {
	orphans := func(n int) (files, objects []event.Entry, digest string) {
		h := sha256.New()
		for i := range n {
			p := fmt.Sprintf("ns/configmaps/a%03d.yaml", i)
			files = append(files, file(p, "1"))
			fmt.Fprintln(h, p)
		}
		for i := range 100 - n {
			p := fmt.Sprintf("ns/configmaps/b%03d.yaml", i)
			files, objects = append(files, file(p, "2")), append(objects, object(p, "2"))
		}
		return files, objects, hex.EncodeToString(h.Sum(nil))
	}
	_, _, digest := orphans(30)
	for _, tt := range []struct {
		name     string
		n        int
		missing  int // objects without a file
		prune    event.Prune
		approved string
		previous *event.Pending
		withheld string // the run, "" if nothing is
	}{
		{name: "few", n: 30, prune: event.Prune{MaxFiles: 30, MaxPercent: 10}},
		{name: "a small share", n: 30, prune: event.Prune{MaxFiles: 10, MaxPercent: 30}},
		{name: "more than both", n: 30, prune: event.Prune{MaxFiles: 29, MaxPercent: 29}, withheld: "run-2"},
		{name: "a small share of what is to be there", n: 30, missing: 100, prune: event.Prune{MaxFiles: 10, MaxPercent: 15}},
		{name: "more than that", n: 30, missing: 100, prune: event.Prune{MaxFiles: 10, MaxPercent: 14}, withheld: "run-2"},
		{name: "all, none allowed", n: 100, prune: event.Prune{}, withheld: "run-2"},
		{name: "none, none allowed", n: 0, prune: event.Prune{}},
		{name: "approved", n: 30, prune: event.Prune{MaxFiles: 10, MaxPercent: 10}, approved: digest},
		{name: "others were approved", n: 31, prune: event.Prune{MaxFiles: 10, MaxPercent: 10}, approved: digest, withheld: "run-2"},
		{name: "the same as before", n: 30, prune: event.Prune{MaxFiles: 10, MaxPercent: 10}, previous: &event.Pending{Run: "run-1", Digest: digest}, withheld: "run-1"},
		{name: "others than before", n: 29, prune: event.Prune{MaxFiles: 10, MaxPercent: 10}, previous: &event.Pending{Run: "run-1", Digest: digest}, withheld: "run-2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.prune.Mode = event.PruneAlways
			files, objects, digest := orphans(tt.n)
			cfg := Config{Run: "run-2", Prune: tt.prune, Approved: tt.approved, Previous: tt.previous}
			for i := range tt.missing {
				objects = append(objects, object(fmt.Sprintf("ns/configmaps/c%03d.yaml", i), "3"))
			}
			lines, out, err := merge(t, cfg, map[int]State{7: list(objects...)}, list(append(files, foreign("zz.yaml"))...))
			if err != nil || len(lines) != tt.n+tt.missing {
				t.Fatalf("%d results, %v: the deletions are among them, whatever becomes of them", len(lines), err)
			}
			if tt.withheld == "" {
				if out.Pending != nil || out.Deleted != tt.n {
					t.Errorf("got %+v", out)
				}
				return
			}
			want := &event.Pending{Run: tt.withheld, Count: tt.n, Digest: digest}
			for _, f := range files[:min(tt.n, pendingShown)] {
				want.Paths = append(want.Paths, f.Path)
			}
			if !reflect.DeepEqual(out.Pending, want) || out.Deleted != 0 {
				t.Errorf("got %+v, deleted %d, want %+v", out.Pending, out.Deleted, want)
			}
		})
	}
}

func TestStatesThatCannotBeCompared(t *testing.T) {
	broken := errors.New("broken")
	fails := func(entries ...event.Entry) State {
		return func(yield func(event.Entry, error) bool) {
			for e := range list(entries...) {
				if !yield(e, nil) {
					return
				}
			}
			yield(event.Entry{}, broken)
		}
	}
	for _, tt := range []struct {
		name  string
		lanes map[int]State
		repo  State
		want  error
	}{
		{"a path in two lanes", map[int]State{1: list(object("a", "1"), object("c", "1")), 2: list(object("b", "1"), object("c", "1"))}, list(), ErrState},
		{"a lane out of order", map[int]State{1: list(object("b", "1"), object("a", "1"))}, list(), ErrState},
		{"a lane says it twice", map[int]State{1: list(object("b", "1"), object("b", "1"))}, list(), ErrState},
		{"the repository out of order", nil, list(file("b", "1"), file("a", "1")), ErrState},
		{"a lane with a result", map[int]State{1: list(event.Entry{Path: "a", What: event.ResultCreate})}, list(), ErrState},
		{"a lane with a foreign file", map[int]State{1: list(foreign("a"))}, list(), ErrState},
		{"a repository with a result", nil, list(event.Entry{Path: "a", What: event.ResultDelete}), ErrState},
		{"a lane that is cut", map[int]State{1: fails(object("a", "1"))}, list(file("a", "1")), broken},
		{"a repository that is cut", map[int]State{1: list(object("a", "1"))}, fails(file("a", "1")), broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, out, err := merge(t, Config{Prune: all}, tt.lanes, tt.repo); !errors.Is(err, tt.want) || !reflect.DeepEqual(out, event.Outcome{}) {
				t.Errorf("got %+v, %v, want %v", out, err, tt.want)
			}
		})
	}
	full := errors.New("full")
	if _, err := Merge(Config{Part: part}, map[int]State{1: list(object("a", "1"))}, list(), func(int, event.Entry) error { return full }); !errors.Is(err, full) {
		t.Errorf("what emit said is lost: %v", err)
	}
}

// FuzzMerge: the merge finds what a comparison of two maps finds. Each byte puts a
// path on one of the sides, or on both.
func FuzzMerge(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07"), uint8(0))
	f.Add([]byte("kubescribe writes a cluster into Git as it changes"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, mode uint8) {
		cfg := Config{
			Run: "r", Prune: event.Prune{Mode: []event.PruneMode{event.PruneAlways, event.PruneNever}[mode%2], MaxFiles: int(mode >> 4), MaxPercent: int(mode>>1) % 100},
			Incomplete: []string{"services"}, Part: part,
		}
		resources := []string{"configmaps", "services", "pods", "apps/deployments"}
		cluster, repo := map[string]event.Entry{}, map[string]event.Entry{}
		lanes := map[string]int{}
		var paths []string
		for i := range len(data) {
			res := resources[data[i]%4]
			path := fmt.Sprintf("ns/%s/n%04d.yaml", res, i)
			group, name, found := strings.Cut(res, "/")
			if !found {
				group, name = "", res
			}
			lanes[path] = part(group, name)
			paths = append(paths, path)
			if data[i]&4 != 0 {
				cluster[path] = object(path, fmt.Sprint(data[i]&8))
			}
			if data[i]&16 != 0 {
				repo[path] = file(path, fmt.Sprint(data[i]>>2&8))
				if data[i]&64 != 0 {
					repo[path] = foreign(path)
				}
			}
		}
		paths = sorted(paths)

		want := event.Outcome{Run: "r", Incomplete: cfg.Incomplete}
		var wantLines []string
		either := 0
		for _, p := range paths {
			o, inCluster := cluster[p]
			r, inRepo := repo[p]
			what := event.Resource
			switch {
			case inRepo && r.What == event.Foreign:
				if want.ForeignCount++; want.ForeignCount <= 20 {
					want.Foreign = append(want.Foreign, p)
				}
				continue
			case inCluster && !inRepo:
				want.Created++
				what = event.ResultCreate
			case inCluster && o.Hash == r.Hash:
				want.Equal++
			case inCluster:
				want.Updated++
				what = event.ResultReconcile
			case inRepo && cfg.Prune.Mode == event.PruneAlways && !strings.Contains(p, "/services/"):
				want.Deleted++
				what, o = event.ResultDelete, r
			case inRepo:
				want.Kept++
			}
			if inCluster || inRepo {
				either++
			}
			if what != event.Resource {
				wantLines = append(wantLines, fmt.Sprintf("%d %s %s %s %d", lanes[p], what, p, o.Hash, o.Version))
			}
		}
		if want.Deleted > cfg.Prune.MaxFiles && want.Deleted*100 > cfg.Prune.MaxPercent*either {
			want.Pending, want.Deleted = &event.Pending{Run: "r", Count: want.Deleted}, 0
		}

		states := map[int]State{}
		for p := range subject.Parts {
			states[p] = of(paths, cluster, func(path string) bool { return lanes[path] == p })
		}
		lines, out, err := merge(t, cfg, states, of(paths, repo, func(string) bool { return true }))
		if out.Pending != nil {
			out.Pending = &event.Pending{Run: out.Pending.Run, Count: out.Pending.Count}
		}
		if err != nil || !reflect.DeepEqual(lines, wantLines) || !reflect.DeepEqual(out, want) {
			t.Errorf("got %q\n%+v, %v\nwant %q\n%+v", lines, out, err, wantLines, want)
		}
	})
}

// of is the entries of some of the paths, in order.
func of(paths []string, entries map[string]event.Entry, wanted func(string) bool) iter.Seq2[event.Entry, error] {
	var some []event.Entry
	for _, p := range paths {
		if e, ok := entries[p]; ok && wanted(p) {
			some = append(some, e)
		}
	}
	return list(some...)
}
