package datadir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// opened is a directory that is closed when the test ends.
func opened(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenMakesADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := opened(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("others may look into it: %s", info.Mode())
	}
	if b, err := os.ReadFile(d.Join("VERSION")); err != nil || string(b) != "layout 1\n" {
		t.Errorf("VERSION says %q, %v", b, err)
	}
	if d.Join("git", "cache") != filepath.Join(path, "git", "cache") {
		t.Errorf("a path within is %s", d.Join("git", "cache"))
	}
}

func TestOpenRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	if d := opened(t, "data"); !filepath.IsAbs(d.Path) {
		t.Errorf("its path is %s", d.Path)
	}
}

// TestOpenTwice: two servers on one store would lose acknowledged messages.
func TestOpenTwice(t *testing.T) {
	path := t.TempDir()
	d := opened(t, path)
	_, err := Open(path)
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("a second handle: %v", err)
	}
	for _, want := range []string{path, "--data-dir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := opened(t, path)
	if b, err := os.ReadFile(again.Join("VERSION")); err != nil || string(b) != "layout 1\n" {
		t.Errorf("opened again, VERSION says %q, %v", b, err)
	}
}

// TestClaim: a directory holds one install, as long as it lives.
func TestClaim(t *testing.T) {
	one := Install{"one", 8, 4, 2, "arn:aws:eks:eu-west-1:1:cluster-prod"}
	d := opened(t, t.TempDir())
	for range 2 {
		if err := d.Claim(one); err != nil {
			t.Fatal(err)
		}
	}
	write(t, d.Join("VERSION"), "layout 1\nincarnation one\nshards 8 4 2\n")
	if err := d.Claim(one); err != nil {
		t.Errorf("without a cluster's name: %v", err)
	}
	const want = "layout 1\nincarnation one\nshards 8 4 2\ncluster arn:aws:eks:eu-west-1:1:cluster-prod\n"
	if b, err := os.ReadFile(d.Join("VERSION")); err != nil || string(b) != want {
		t.Errorf("VERSION says %q, %v", b, err)
	}
	for _, err := range []error{d.Claim(Install{"two", 8, 4, 2, one.Cluster}), d.Claim(Install{"one", 8, 4, 16, one.Cluster})} {
		if !errors.Is(err, ErrOtherInstall) || !strings.Contains(err.Error(), d.Join("VERSION")) || !strings.Contains(err.Error(), "--data-dir") {
			t.Errorf("another install: %v", err)
		}
	}
	err := d.Claim(Install{"one", 8, 4, 2, "prod"})
	if !errors.Is(err, ErrOtherCluster) || !strings.Contains(err.Error(), "--cluster 'arn:aws:eks:eu-west-1:1:cluster-prod'") || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("another cluster: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := opened(t, d.Path)
	if b, err := os.ReadFile(again.Join("VERSION")); err != nil || string(b) != want {
		t.Errorf("opened again, VERSION says %q, %v", b, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, path string)
		is      error
		says    []string
	}{
		"a newer layout": {
			func(t *testing.T, path string) { write(t, filepath.Join(path, "VERSION"), "layout 2\n") },
			ErrOtherVersion,
			[]string{`"layout 2"`, `"layout 1"`, "--data-dir"},
		},
		"an empty VERSION": {
			func(t *testing.T, path string) { write(t, filepath.Join(path, "VERSION"), "") },
			ErrOtherVersion,
			[]string{"VERSION"},
		},
		"somebody else's directory": {
			func(t *testing.T, path string) { write(t, filepath.Join(path, "thesis.tex"), "") },
			nil,
			[]string{"thesis.tex", "not empty", "--data-dir"},
		},
		"a store without VERSION": {
			func(t *testing.T, path string) {
				if err := os.Mkdir(filepath.Join(path, "nats"), 0o700); err != nil {
					t.Fatal(err)
				}
			},
			nil,
			[]string{"nats", "VERSION"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			tt.prepare(t, path)
			d, err := Open(path)
			if err == nil {
				t.Fatalf("%s was opened", d.Path)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v, want %v", err, tt.is)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %s", err, want)
				}
			}
			if _, err := os.Stat(filepath.Join(path, "LOCK")); tt.is == nil && err == nil {
				t.Error("somebody else's directory holds a LOCK now")
			}
			// Refused, it is not held: else the version that made it could not use it.
			if _, again := Open(path); errors.Is(again, ErrInUse) {
				t.Errorf("a refused directory stays locked: %v", again)
			}
		})
	}
}

func TestOpenAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	write(t, path, "mine")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("a file in its place: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("the file is %q now, %v", b, err)
	}
}

// TestOpenAfterACrash: what a crash in the first Open leaves is no stranger's.
func TestOpenAfterACrash(t *testing.T) {
	path := t.TempDir()
	write(t, filepath.Join(path, "LOCK"), "")
	write(t, filepath.Join(path, ".VERSION-123"), "lay")
	opened(t, path)
}

func TestWriteReplaces(t *testing.T) {
	d := opened(t, t.TempDir())
	for _, content := range []string{"first", "second"} {
		if err := d.Write("nats.json", []byte(content)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(d.Join("nats.json")); err != nil || string(b) != content {
			t.Errorf("it is %q, %v", b, err)
		}
	}
	info, err := os.Stat(d.Join("nats.json"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others may read credentials: %s", info.Mode())
	}
	left, err := filepath.Glob(d.Join(".nats.json-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

func TestWriteFails(t *testing.T) {
	d := opened(t, t.TempDir())
	if err := os.Mkdir(d.Join("nats.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Write("nats.json", []byte("x")); err == nil {
		t.Error("a directory was replaced")
	}
	left, err := filepath.Glob(d.Join(".nats.json-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
