package repo

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// edits are n changes of one file each, of which eight in ten update one, one creates and
// one deletes. files are those that stand before, as many as the layout is asked for.
func edits(layout func(i int) string, files, n int, seed uint64) (all []Op) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	stands := make([]int, files)
	for i := range stands {
		stands[i] = i
	}
	made := files
	for version := 1; version <= n; version++ {
		switch at := rnd.IntN(10); {
		case at == 0 || len(stands) == 0:
			all = append(all, Op{Path: layout(made), Content: manifest(made, version)})
			stands = append(stands, made)
			made++
		case at == 1:
			i := rnd.IntN(len(stands))
			all = append(all, Op{Path: layout(stands[i]), Delete: true})
			stands[i] = stands[len(stands)-1]
			stands = stands[:len(stands)-1]
		default:
			i := stands[rnd.IntN(len(stands))]
			all = append(all, Op{Path: layout(i), Content: manifest(i, version)})
		}
	}
	return all
}

// commitOf is the n-th commit: of one edit.
func commitOf(n int, op Op) Commit {
	c := newCommit(uint64(n), op)
	c.Message = func([]Change) string { return fmt.Sprintf("Change %s\n\nPosition: %d", op.Path, n) }
	return c
}

// writeFastImport writes edits as git fast-import reads them (git-fast-import(1)), each
// the commit that commitOf makes of it, behind so many.
func writeFastImport(to io.Writer, after int, edits []Op) error {
	w := bufio.NewWriter(to)
	var b bytes.Buffer
	for i, op := range edits {
		c := commitOf(after+i+1, op)
		b.Reset()
		b.WriteString("commit refs/heads/main\nauthor ")
		b.Write(c.Author.append(nil))
		b.WriteString("\ncommitter ")
		b.Write(c.Committer.append(nil))
		message := cleanMessage(c.Message(nil))
		fmt.Fprintf(&b, "\ndata %d\n%s\n", len(message), message)
		if i == 0 {
			b.WriteString("from refs/heads/main^0\n")
		}
		if op.Delete {
			fmt.Fprintf(&b, "D %s\n", op.Path)
		} else {
			fmt.Fprintf(&b, "M 100644 inline %s\ndata %d\n", op.Path, len(op.Content))
			b.Write(op.Content)
			b.WriteByte('\n')
		}
		if _, err := w.Write(b.Bytes()); err != nil {
			return err
		}
	}
	return w.Flush()
}

// importEdits has stock git make commits of edits, behind the so many of a repository, in a
// copy of that, and returns where it is.
func importEdits(tb testing.TB, of string, after int, edits []Op) (dir string) {
	tb.Helper()
	dir = filepath.Join(tb.TempDir(), "imported.git")
	var stream bytes.Buffer
	err := writeFastImport(&stream, after, edits)
	if err == nil {
		_, err = gittest.Git(".", "clone", "-q", "--bare", of, dir)
	}
	if err == nil {
		_, err = gittest.GitInput(dir, stream.String(), "fast-import", "--quiet")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// TestFastImport: commits are, byte for byte, those that git fast-import makes of the same
// edits, and the pack that carries them is what git holds for whole.
func TestFastImport(t *testing.T) {
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) {
			const files, n = 300, 500
			url := filled(t, name, files)
			b := opened(t, url)
			all := edits(layout, files, n, 7)
			for i, op := range all {
				if changed, err := b.Commit(commitOf(i+1, op)); err != nil || !changed {
					t.Fatalf("edit %d: %t, %v", i, changed, err)
				}
			}
			imported := importEdits(t, url, 0, all)
			want, err := gittest.Git(imported, "rev-parse", "main")
			if err != nil {
				t.Fatal(err)
			}
			if got := b.prepare().new.String(); got != want {
				t.Errorf("the last commit is %s, and git's %s", got, want)
			}
			packed(t, url, b)
		})
	}
}

// packed has git index what is pending, strictly, beside what the remote has.
func packed(t *testing.T, url string, b *Branch) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "beside.git")
	if _, err := gittest.Git(".", "clone", "-q", "--bare", url, dir); err != nil {
		t.Fatal(err)
	}
	for _, thin := range []bool{true, false} {
		var pack bytes.Buffer
		if err := writePack(&pack, b.prepare().objects, thin); err != nil {
			t.Fatal(err)
		}
		if _, err := gittest.GitInput(dir, pack.String(), "index-pack", "--stdin", "--fix-thin", "--strict"); err != nil {
			t.Errorf("thin %t: %v", thin, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}
