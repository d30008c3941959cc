package repo

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// Whatever is written and deleted in whatever order, git reads the same tree.
func TestTreesAgainstGit(t *testing.T) {
	names := []string{"base", "base.yaml", "base-x", "base0", "a", "A", "é", "x y", "git~2", ".gitignore", "z%3Az"}
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			r := newRemoteRepo(t, gittest.Options{})
			model := map[string]string{}
			if seed > 0 {
				model["base/a/a"] = "0"
				model["keep"] = "0"
				r.foreign("main", "start", model)
			}
			b := r.fetched()
			var position uint64
			for range 120 {
				var ops []Op
				next := make(map[string]string)
				for k, v := range model {
					next[k] = v
				}
				for range 1 + rnd.IntN(4) {
					path := names[rnd.IntN(len(names))]
					for rnd.IntN(3) > 0 && strings.Count(path, "/") < 4 {
						path += "/" + names[rnd.IntN(len(names))]
					}
					if slices.ContainsFunc(ops, func(o Op) bool { return o.Path == path }) {
						continue
					}
					if rnd.IntN(5) < 2 {
						ops = append(ops, Op{Path: path, Delete: true})
						continue
					}
					ops = append(ops, Op{Path: path, Content: fmt.Append(nil, rnd.IntN(3))})
				}
				for _, op := range ops {
					if op.Delete {
						delete(next, op.Path)
					}
				}
				conflict := false
				for _, op := range ops {
					if op.Delete {
						continue
					}
					for other := range next {
						conflict = conflict || strings.HasPrefix(other, op.Path+"/") || strings.HasPrefix(op.Path, other+"/")
					}
					next[op.Path] = string(op.Content)
				}
				position++
				changed, err := b.Commit(newCommit(position, ops...))
				if conflict != errors.Is(err, ErrPathConflict) || !conflict && err != nil {
					t.Fatalf("ops %v: conflict %v, error %v", ops, conflict, err)
				}
				if conflict {
					next = model
				}
				if changed == (fmt.Sprint(next) == fmt.Sprint(model)) {
					t.Fatalf("ops %v: changed %v", ops, changed)
				}
				model = next

				var got []string
				for _, e := range listed(t, b, "") {
					got = append(got, e.Path)
				}
				var want []string
				for path := range model {
					want = append(want, path)
				}
				sort.Strings(want)
				equal(t, "listing", got, want)
				if rnd.IntN(8) == 0 {
					push(t, b)
				}
			}
			push(t, b)
			r.check()
			if got := r.files("main"); fmt.Sprint(got) != fmt.Sprint(model) {
				t.Errorf("files %v\nwant %v", got, model)
			}
			if got := r.git("rev-parse", "main^{tree}"); got != root(t, b) {
				t.Errorf("root %s, git says %s", root(t, b), got)
			}
		})
	}
}

func root(t *testing.T, b *Branch) string {
	t.Helper()
	e, ok, err := b.Entry("")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return e.Hash.String()
}

func TestForeignEntriesStay(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	submodule := strings.Repeat("12", 20)
	r.foreign("main", "start", map[string]string{
		"link": "120000 target", "sub": "160000 " + submodule, "run": "100755 x", "dir/file": "1", "dir.yaml": "1", "file": "1",
	})
	b := r.fetched()
	before := root(t, b)

	conflicts := []struct {
		op   Op
		at   string
		what string
	}{
		{Op{Path: "link", Content: []byte("1")}, "link", "a symbolic link"},
		{Op{Path: "link/x", Content: []byte("1")}, "link", "a symbolic link"},
		{Op{Path: "link", Delete: true}, "link", "a symbolic link"},
		{Op{Path: "sub", Content: []byte("1")}, "sub", "a submodule"},
		{Op{Path: "sub/a/b", Content: []byte("1")}, "sub", "a submodule"},
		{Op{Path: "sub", Delete: true}, "sub", "a submodule"},
		{Op{Path: "dir", Content: []byte("1")}, "dir", "a directory"},
		{Op{Path: "file/x", Content: []byte("1")}, "file", "a file"},
		{Op{Path: "dir/file/x", Content: []byte("1")}, "dir/file", "a file"},
		{Op{Path: "file", Content: []byte("2"), New: true}, "file", "a file"},
	}
	for _, c := range conflicts {
		// The others of its commit are not made either.
		ops := []Op{{Path: "new/one", Content: []byte("1")}, {Path: "run", Content: []byte("2")}, c.op, {Path: "dir.yaml", Delete: true}}
		if !strings.HasPrefix(c.at, "dir") { // where it would make room
			ops = append(ops, Op{Path: "dir/file", Delete: true})
		}
		changed, err := b.Commit(newCommit(7, ops...))
		var e *PathConflictError
		if changed || !errors.As(err, &e) || e.At != c.at || e.Path != c.op.Path || e.Position != 7 || !strings.Contains(err.Error(), c.what) {
			t.Errorf("%+v: %v, %v", c.op, changed, err)
		}
		if root(t, b) != before {
			t.Fatalf("%+v left something behind", c.op)
		}
	}
	for _, path := range []string{"link/x", "sub/x", "dir", "file/x", "none", "none/x"} {
		if changed, err := b.Commit(newCommit(8, Op{Path: path, Delete: true})); changed || err != nil {
			t.Errorf("deleting %s, which is no file: %v, %v", path, changed, err)
		}
	}
	remove(t, b, 9, "dir/file")
	put(t, b, 10, "dir", "now a file")
	push(t, b)
	r.check()
	want := []string{"100644 dir", "100644 dir.yaml", "100644 file", "120000 link", "100755 run", "160000 sub"}
	var got []string
	for _, e := range listed(t, b, "") {
		got = append(got, fmt.Sprintf("%06o %s", uint32(e.Mode), e.Path))
	}
	equal(t, "listing", got, want)
	got = nil
	for line := range strings.SplitSeq(r.git("ls-tree", "-r", "main"), "\n") {
		meta, path, _ := strings.Cut(line, "\t")
		got = append(got, meta[:6]+" "+path)
	}
	equal(t, "tree", got, want)
}

// Modes that git itself does not write any more are kept as they are.
func TestOddModesStay(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	blob := r.git("hash-object", "-w", "/dev/null")
	raw := make([]byte, 20)
	for i := range raw {
		_, _ = fmt.Sscanf(blob[2*i:2*i+2], "%02x", &raw[i])
	}
	tree := "100664 a\x00" + string(raw) + "100666 b\x00" + string(raw)
	hash, err := gittest.GitInput(r.dir, tree, "hash-object", "-t", "tree", "-w", "--stdin", "--literally")
	if err != nil {
		t.Fatal(err)
	}
	r.git("update-ref", "refs/heads/main", r.git("commit-tree", "-m", "odd", hash))
	b := r.fetched()
	put(t, b, 1, "a", "1")
	put(t, b, 2, "c", "1")
	push(t, b)
	raw2 := r.git("cat-file", "tree", "main^{tree}")
	for _, want := range []string{"100664 a", "100666 b", "100644 c"} {
		if !strings.Contains(raw2, want) {
			t.Errorf("%s is not in %q", want, raw2)
		}
	}
}

func TestEmptiedDirectoriesGo(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"a/b/c/d": "1", "a/x": "1"})
	b := r.fetched()
	remove(t, b, 1, "a/b/c/d")
	push(t, b)
	if got := r.git("ls-tree", "-r", "-t", "--name-only", "main"); got != "a\na/x" {
		t.Errorf("tree %q", got)
	}
	remove(t, b, 2, "a/x")
	if _, ok, err := b.Entry("a"); ok || err != nil {
		t.Errorf("a is there still: %v", err)
	}
	push(t, b)
	if got := r.git("ls-tree", "-r", "-t", "--name-only", "main"); got != "" {
		t.Errorf("tree %q", got)
	}
	put(t, b, 3, "a/x", "again")
	push(t, b)
	r.check()
	if got := r.files("main"); len(got) != 1 {
		t.Errorf("files %v", got)
	}
	b = r.fetched()
	remove(t, b, 1, "a/x")
	push(t, b)
	b = r.fetched() // from the empty tree
	put(t, b, 1, "y", "1")
	push(t, b)
	r.check()
}

func TestListAndEntry(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{
		"base/shop/a.yaml": "1", "base/shop/a/b.yaml": "1", "base/shop-2/a.yaml": "1", "base.yaml": "1", "other/x": "1",
	})
	b := r.fetched()
	put(t, b, 1, "base/shop/new.yaml", "1")
	want := func(folder string, paths ...string) {
		t.Helper()
		var got []string
		for _, e := range listed(t, b, folder) {
			got = append(got, e.Path)
			same, ok, err := b.Entry(e.Path)
			if !ok || err != nil || same != e {
				t.Errorf("entry %v, %v, %v; listed %v", same, ok, err, e)
			}
		}
		equal(t, "list of "+folder, got, paths)
	}
	want("", "base.yaml", "base/shop-2/a.yaml", "base/shop/a.yaml", "base/shop/a/b.yaml", "base/shop/new.yaml", "other/x")
	want("base/shop", "base/shop/a.yaml", "base/shop/a/b.yaml", "base/shop/new.yaml")
	want("base/shop/a", "base/shop/a/b.yaml")
	want("other", "other/x")
	want("none")
	want("none/below")
	want("base.yaml/below")
	for _, folder := range []string{"base.yaml", "../x", "/base", "base/"} {
		var failed error
		for _, err := range b.List(t.Context(), folder) {
			failed = err
		}
		if !errors.Is(failed, ErrPathConflict) && !errors.Is(failed, ErrBadPath) {
			t.Errorf("listing %s: %v", folder, failed)
		}
	}
	if _, _, err := b.Entry("a//b"); !errors.Is(err, ErrBadPath) {
		t.Errorf("error %v", err)
	}
	if e, ok, err := b.Entry("base/shop"); err != nil || !ok || uint32(e.Mode) != modeDir {
		t.Errorf("entry %v, %v, %v", e, ok, err)
	}
}

// A listing is of one moment, whatever is committed meanwhile.
func TestListDuringCommits(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	files := make(map[string]string)
	for i := range 20 {
		files[fmt.Sprintf("base/shop/file-%02d.yaml", i)] = "0"
	}
	r.foreign("main", "start", files)
	b := r.fetched()
	for i := range 3 {
		put(t, b, uint64(1+i), "base/shop/file-00.yaml", fmt.Sprint("x", i))
	}
	before := listed(t, b, "base")
	var got []Entry
	for e, err := range b.List(t.Context(), "base") {
		if err != nil {
			t.Fatal(err)
		}
		n := len(got)
		got = append(got, e)
		put(t, b, uint64(4+n), "base/shop/file-19.yaml", fmt.Sprint("y", n))
		if n == 5 {
			remove(t, b, 9, "base/shop/file-18.yaml")
		}
	}
	equal(t, "listing", got, before)
	if n := len(listed(t, b, "base")); n != 19 {
		t.Errorf("%d files afterwards", n)
	}
	for range b.List(t.Context(), "base") {
		break // no more are wanted
	}
}

func TestOpsOfOneCommit(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	r.foreign("main", "start", map[string]string{"same": "1", "dir/x": "1"})
	b := r.fetched()
	commit(t, b, 1,
		Op{Path: "same", Content: []byte("1")},
		Op{Path: "twice", Content: []byte("1")},
		Op{Path: "dir", Content: []byte("1")}, // before the deletion that makes room for it
		Op{Path: "twice", Content: []byte("2")},
		Op{Path: "dir/x", Delete: true},
		Op{Path: "gone", Delete: true},
	)
	push(t, b)
	if got := r.log("-1", "main")[0].Subject(); got != "Create dir, Create twice, Delete dir/x" {
		t.Errorf("subject %q", got)
	}
	if changed, err := b.Commit(newCommit(2, Op{Path: "same", Content: []byte("1")})); changed || err != nil {
		t.Errorf("no change at all: %v, %v", changed, err)
	}
	if res := push(t, b); res.Position != 2 {
		t.Errorf("result %+v", res)
	}
	put(t, b, 3, "x", "1")
	if changed, err := b.Commit(newCommit(4)); changed || err != nil {
		t.Errorf("no ops: %v, %v", changed, err)
	}
	if res := push(t, b); res.Position != 4 || res.Landed != 1 {
		t.Errorf("result %+v", res)
	}
	// A, B, A: three commits, of which the last has no new blob.
	for i, content := range []string{"A", "B", "A"} {
		put(t, b, uint64(5+i), "aba", content)
	}
	if res := push(t, b); res.Landed != 3 {
		t.Errorf("result %+v", res)
	}
	r.check()
	if n := len(r.log("main", "--", "aba")); n != 3 {
		t.Errorf("%d commits of aba", n)
	}
}
