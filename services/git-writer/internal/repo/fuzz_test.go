package repo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// emptyLine builds commits on nothing.
func emptyLine(tb testing.TB) *line {
	tb.Helper()
	tree, err := newTreeCache(newStore("", plumbing.ZeroHash), plumbing.ZeroHash)
	if err != nil {
		tb.Fatal(err)
	}
	return newLine(plumbing.ZeroHash, tree, 0)
}

// script reads operations out of a fuzzer's bytes: each is a line of a path, which deletes,
// or of a path, a space and content.
func script(input []byte) (ops []Op) {
	for text := range bytes.Lines(input) {
		path, content, writes := strings.Cut(strings.TrimSuffix(string(text), "\n"), " ")
		if checkPath(path) == nil {
			ops = append(ops, Op{Path: path, Content: []byte(content), Delete: !writes})
		}
	}
	return ops
}

// scripts are seeds: names that git sorts in an order of its own, directories that come and
// go, and a directory that is large enough for deltas.
func scripts(f *testing.F) {
	f.Helper()
	var large strings.Builder
	for i := range 200 {
		fmt.Fprintf(&large, "shop/configmaps/object-%03d.yaml %d\n", i%90, i)
	}
	f.Add([]byte("a/b 1\na.b 2\na-b/c 3\na0 4\na/b\nab 5\n"))
	f.Add([]byte("base/x 1\nbase.yaml 1\nbase/x\nbase 2\nbase\nbase/x/y 3\n"))
	f.Add([]byte(large.String()))
}

// FuzzTree: directories that are edited in place are the trees that git mktree makes of
// the same files.
func FuzzTree(f *testing.F) {
	git := startMktree(f)
	scripts(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		c := emptyLine(t).tree
		files := map[string]plumbing.Hash{}
		for n, op := range script(input) {
			var err error
			if op.Delete {
				_, err = c.remove(op.Path)
				delete(files, op.Path)
			} else {
				blob := hashObject(blobObject, op.Content)
				if _, err = c.put(op.Path, blob); err == nil {
					files[op.Path] = blob
				}
			}
			if blocked := taken(files, op.Path); blocked != (err != nil) && !op.Delete {
				t.Fatalf("%q: %v, and something stands there: %t", op.Path, err, blocked)
			}
			if n%7 == 6 {
				git.same(t, c, files)
			}
		}
		git.same(t, c, files)
	})
}

// taken is whether a directory stands at a path, or a file where it needs a directory.
func taken(files map[string]plumbing.Hash, path string) bool {
	for other := range files {
		if strings.HasPrefix(other, path+"/") || strings.HasPrefix(path, other+"/") {
			return true
		}
	}
	return false
}

// mktree is a running git mktree, which makes one tree after the other.
type mktree struct {
	in  io.Writer
	out *bufio.Reader
}

func startMktree(f *testing.F) *mktree {
	f.Helper()
	dir := f.TempDir()
	if err := gittest.InitBare(dir, "main"); err != nil {
		f.Fatal(err)
	}
	cmd := exec.Command("git", "-c", "core.fsync=none", "mktree", "--batch", "-z", "--missing")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		f.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = in.Close() // it ends with its input
		if err := cmd.Wait(); err != nil {
			f.Error(err)
		}
	})
	return &mktree{in, bufio.NewReader(out)}
}

// same compares a cache with what git makes of files.
func (m *mktree) same(t *testing.T, c *treeCache, files map[string]plumbing.Hash) {
	t.Helper()
	got := c.cut(func(*tree, plumbing.Hash) {})
	if want := m.tree(t, files); got.String() != want {
		t.Fatalf("the tree of %v is %s, and git's %s", slices.Sorted(maps.Keys(files)), got, want)
	}
}

// tree is the tree of files by path.
func (m *mktree) tree(t *testing.T, files map[string]plumbing.Hash) string {
	t.Helper()
	var b strings.Builder
	below := map[string]map[string]plumbing.Hash{}
	for path, blob := range files {
		dir, rest, nested := strings.Cut(path, "/")
		if !nested {
			fmt.Fprintf(&b, "100644 blob %s\t%s\x00", blob, path)
			continue
		}
		if below[dir] == nil {
			below[dir] = map[string]plumbing.Hash{}
		}
		below[dir][rest] = blob
	}
	for dir, files := range below {
		fmt.Fprintf(&b, "040000 tree %s\t%s\x00", m.tree(t, files), dir)
	}
	if _, err := io.WriteString(m.in, b.String()+"\x00"); err != nil {
		t.Fatal(err)
	}
	hash, err := m.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(hash)
}

// FuzzPack: what commits are pushed as, on top of what the remote has, git index-pack
// --strict takes, with all that they need.
func FuzzPack(f *testing.F) {
	dir := f.TempDir()
	if err := gittest.InitBare(dir, "main"); err != nil {
		f.Fatal(err)
	}
	index := func(tb testing.TB, p *parcel) (pack string) {
		tb.Helper()
		var b bytes.Buffer
		if err := writePack(&b, p.objects, true); err != nil {
			tb.Fatal(err)
		}
		out, err := gittest.GitInput(dir, b.String(), "-c", "core.fsync=none", "index-pack", "--stdin", "--fix-thin", "--strict")
		if err != nil {
			tb.Fatal(err)
		}
		return filepath.Join(dir, "objects", "pack", "pack-"+strings.TrimPrefix(out, "pack\t"))
	}
	var before []Op // of which directories are large enough for deltas
	for i := range 200 {
		before = append(before, Op{Path: fmt.Sprintf("shop/configmaps/object-%03d.yaml", i), Content: fmt.Append(nil, i)})
	}
	based := func(tb testing.TB) (b *Branch, base *parcel) {
		tb.Helper()
		b = &Branch{line: emptyLine(tb)}
		if _, err := b.Commit(newCommit(0, before...)); err != nil {
			tb.Fatal(err)
		}
		base = b.prepare()
		b.landed(base, &Result{})
		return b, base
	}
	_, base := based(f)
	index(f, base)
	scripts(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		b, _ := based(t)
		for i, op := range script(input) {
			if _, err := b.Commit(commitOf(i+1, op)); err != nil && !errors.Is(err, ErrPathConflict) {
				t.Fatal(err)
			}
		}
		p := b.prepare()
		if p == nil {
			return
		}
		pack := index(t, p)
		for _, ext := range []string{".pack", ".idx", ".rev"} { // too many of them are slow
			if err := os.Remove(pack + ext); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	})
}
