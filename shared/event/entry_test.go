package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// chunked is the body that some entries make.
func chunked(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var c Chunk
	for _, e := range entries {
		if err := c.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if c.Count() != len(entries) {
		t.Fatalf("%d entries are counted as %d", len(entries), c.Count())
	}
	n := c.Len()
	body := c.Take()
	if len(body) != n || c.Len() != 0 || c.Count() != 0 {
		t.Fatalf("a body of %d bytes was counted as %d, and leaves %d of %d entries", len(body), n, c.Len(), c.Count())
	}
	return body
}

// entriesOf reads a body, and asserts that an error is the last thing of it.
func entriesOf(t testing.TB, body []byte) (entries []Entry, err error) {
	t.Helper()
	for e, ierr := range Entries(body) {
		if err != nil {
			t.Fatalf("after %v comes %+v, %v", err, e, ierr)
		}
		if err = ierr; err == nil {
			entries = append(entries, e)
		}
	}
	return entries, err
}

const hash40 = "9f0c64a1d1e6c3d5b1f0a2b3c4d5e6f708192a3b"

func TestEntries(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"none":              nil,
		"nothing but paths": {{Path: "a"}, {Path: "b"}},
		"all that one has":  {{Path: "shop/configmaps/web.yaml", Hash: hash40, Version: 1<<64 - 1, What: ResultReconcile}},
		"prefix of the next": {
			{Path: "a"}, {Path: "a/b"}, {Path: "a/b/c"}, {Path: "a/bb"}, {Path: "ab"},
		},
		"as bytes, not as letters": {{Path: "Z"}, {Path: "a"}, {Path: "ä"}, {Path: "\xff"}, {Path: "\xff\x00"}},
		"every kind": {
			{Path: "1", What: Resource},
			{Path: "2", What: Foreign},
			{Path: "3", What: ResultCreate},
			{Path: "4", What: ResultReconcile},
			{Path: "5", What: ResultDelete},
		},
		"every sort of hash": {
			{Path: "1", Hash: hash40},
			{Path: "2", Hash: strings.ToUpper(hash40)},
			{Path: "3", Hash: hash40[:38]},
			{Path: "4", Hash: hash40 + "00"},
			{Path: "5", Hash: "hmac:" + hash40},
			{Path: "6", Hash: strings.Repeat("x", 300)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := entriesOf(t, chunked(t, entries...))
			if diff := cmp.Diff(entries, got); diff != "" || err != nil {
				t.Errorf("%v, -written +read:\n%s", err, diff)
			}
		})
	}
}

// TestEntriesStop: who has seen enough gets no more, and what was read stays.
func TestEntriesStop(t *testing.T) {
	body := chunked(t, Entry{Path: "a", Hash: hash40}, Entry{Path: "b"})
	var first Entry
	for e := range Entries(body) {
		first = e
		break
	}
	clear(body)
	if want := (Entry{Path: "a", Hash: hash40}); first != want {
		t.Errorf("got %+v", first)
	}
}

// TestEntriesOutOfOrder: a merge of two states relies on their order, within a
// chunk and from one to the next. What is refused leaves the chunk as it was.
func TestEntriesOutOfOrder(t *testing.T) {
	for name, wrong := range map[string]Entry{
		"before":  {Path: "a"},
		"twice":   {Path: "b"},
		"empty":   {Path: ""},
		"unknown": {Path: "c", What: ResultDelete + 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, taken := range []bool{false, true} {
				var c Chunk
				if err := c.Add(Entry{Path: "b"}); err != nil {
					t.Fatal(err)
				}
				want := []Entry{{Path: "b"}, {Path: "ba"}}
				if taken {
					c.Take()
					want = want[1:]
				}
				n, count := c.Len(), c.Count()
				if err := c.Add(wrong); !errors.Is(err, ErrMalformed) {
					t.Errorf("taken %v: added with %v", taken, err)
				}
				if c.Len() != n || c.Count() != count {
					t.Errorf("taken %v: it left %d bytes of %d entries", taken, c.Len(), c.Count())
				}
				if err := c.Add(Entry{Path: "ba"}); err != nil {
					t.Fatal(err)
				}
				if got, err := entriesOf(t, c.Take()); !slices.Equal(got, want) || err != nil {
					t.Errorf("taken %v: read as %+v, %v", taken, got, err)
				}
			}
		})
	}
}

func TestMalformedEntries(t *testing.T) {
	sound := chunked(t, Entry{Path: "ab", Hash: "h", Version: 7})
	for name, body := range map[string][]byte{
		"cut":                       sound[:len(sound)-1],
		"cut in a number":           {0x80},
		"cut in the path":           {0, 200, 1, 'a'},
		"number without an end":     slices.Repeat([]byte{0xff}, 20),
		"length above all there":    {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'},
		"no hash":                   {0, 1, 'a', 0, 0},
		"hash cut":                  {0, 1, 'a', hexHash, 0, 1, 2, 3},
		"another kind":              {0, 1, 'a', byte(ResultDelete) + 1, 0, 0},
		"more shared than there is": append(slices.Clone(sound), 3, 1, 'c', 0, 0, 0),
		"the same path":             append(slices.Clone(sound), 2, 0, 0, 0, 0),
		"a path before":             append(slices.Clone(sound), 1, 1, 'a', 0, 0, 0),
		"no path":                   {0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := entriesOf(t, body); !errors.Is(err, ErrMalformed) {
				t.Errorf("read as %+v, %v", got, err)
			}
		})
	}
}

// realistic is a state of some thousand objects: a few big namespaces, many small
// ones, and names as charts and controllers give them.
func realistic(n int) []Entry {
	teams := []string{"billing", "checkout", "identity", "logistics", "observability", "payments", "search", "storefront"}
	apps := []string{"api", "cache", "frontend", "gateway", "migrations", "scheduler", "worker", "worker-priority"}
	types := []struct{ path, suffix string }{
		{"apps/deployments", ""},
		{"apps/statefulsets", "-db"},
		{"autoscaling/horizontalpodautoscalers", ""},
		{"configmaps", "-config"},
		{"configmaps", "-dashboards"},
		{"networking.k8s.io/ingresses", "-public"},
		{"policy/poddisruptionbudgets", ""},
		{"rbac.authorization.k8s.io/rolebindings", ""},
		{"serviceaccounts", ""},
		{"services", ""},
		{"services", "-headless"},
	}
	var paths []string
	for env := 0; len(paths) < n; env++ {
		for _, team := range teams {
			for _, app := range apps {
				for _, ty := range types {
					paths = append(paths, fmt.Sprintf("%s-%02d/%s/%s-%s%s.yaml", team, env, ty.path, team, app, ty.suffix))
				}
			}
		}
	}
	paths = paths[:n]
	slices.Sort(paths)
	var entries []Entry
	for i, p := range paths {
		entries = append(entries, Entry{Path: p, Hash: fmt.Sprintf("%040x", uint64(i+1)*0x9e3779b97f4a7c15), Version: 48_000_000 + uint64(i)*37})
	}
	return entries
}

// TestEntrySizes: what an entry takes is its hash and version, and little more.
func TestEntrySizes(t *testing.T) {
	const n = 10_000
	full := realistic(n)
	bare := func(f func(*Entry)) []Entry {
		all := slices.Clone(full)
		for i := range all {
			f(&all[i])
		}
		return all
	}
	plain := 0
	for _, e := range full {
		plain += len(e.Path) + len(e.Hash) + 8
	}
	t.Logf("%-28s %5.1f bytes an entry", "as they are", float64(plain)/n)
	for _, tt := range []struct {
		name    string
		entries []Entry
		most    int
	}{
		{"of a lane, with versions", full, 45},
		{"of a repository", bare(func(e *Entry) { e.Version = 0 }), 42},
		{"results", bare(func(e *Entry) { e.What = ResultReconcile }), 45},
		{"paths alone", bare(func(e *Entry) { e.Version, e.Hash = 0, "" }), 23},
	} {
		got := float64(len(chunked(t, tt.entries...))) / n
		t.Logf("%-28s %5.1f bytes an entry", tt.name, got)
		if got >= float64(tt.most) {
			t.Errorf("%s: %.1f bytes an entry, want less than %d", tt.name, got, tt.most)
		}
	}
}

// FuzzChunk: entries come out of chunks as they went in, however they are cut.
func FuzzChunk(f *testing.F) {
	f.Add("a\nb\nab\na/b\n\xff", "9f\nxyz\n"+hash40, uint64(7), uint8(0), uint8(2))
	f.Add("shop/configmaps/web.yaml\nshop/configmaps/webhook.yaml\nshop/services/web.yaml", hash40, uint64(1<<63), uint8(4), uint8(1))
	f.Add("", "", uint64(0), uint8(9), uint8(0))
	f.Fuzz(func(t *testing.T, paths, hashes string, version uint64, what, cut uint8) {
		sorted := strings.Split(paths, "\n")
		slices.Sort(sorted)
		hash := strings.Split(hashes, "\n")
		var want, got []Entry
		var c Chunk
		var bodies [][]byte
		for i, p := range slices.Compact(sorted) {
			e := Entry{Path: p, Hash: hash[i%len(hash)], Version: version >> (i % 64), What: What((int(what) + i) % 7)}
			if err := c.Add(e); err != nil {
				if !errors.Is(err, ErrMalformed) || p != "" && e.What <= ResultDelete {
					t.Fatalf("%+v: %v", e, err)
				}
				continue
			}
			want = append(want, e)
			if c.Count() > int(cut) {
				bodies = append(bodies, c.Take())
			}
		}
		for _, body := range append(bodies, c.Take()) {
			read, err := entriesOf(t, body)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, read...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-written +read:\n%s", diff)
		}
	})
}

// FuzzEntries: any body is entries in order, that can be written again, or
// malformed.
func FuzzEntries(f *testing.F) {
	f.Add(chunked(f, Entry{Path: "ab", Hash: "h", Version: 7}, Entry{Path: "abc", Hash: hash40}))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'})
	f.Add([]byte{0, 1, 'a', 9, 0, 1, 2})
	f.Fuzz(func(t *testing.T, body []byte) {
		entries, err := entriesOf(t, body)
		if err != nil {
			onlyIs(t, err, ErrMalformed)
		}
		again, err := entriesOf(t, chunked(t, entries...))
		if diff := cmp.Diff(entries, again); diff != "" || err != nil {
			t.Fatalf("%v, -read +read again:\n%s", err, diff)
		}
	})
}
