package datadir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKey: the first start makes a key that only its owner can read, and the others find it.
func TestKey(t *testing.T) {
	d := opened(t, t.TempDir())
	first, err := d.Key()
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{KeyFile(d.Path): 0o600, filepath.Dir(KeyFile(d.Path)): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}
	if left, err := filepath.Glob(d.Join("keys", ".*")); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	if again, err := d.Key(); err != nil || again.String() != first.String() {
		t.Errorf("then it is %v, %v, and was %v", again, err, first)
	}
}

// TestKeyAfterACrash: what a crash leaves is no key, and is in nobody's way.
func TestKeyAfterACrash(t *testing.T) {
	for name, left := range map[string][]string{"the folder": nil, "a part of the file": {".credentials-123"}} {
		d := opened(t, t.TempDir())
		if err := os.Mkdir(d.Join("keys"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range left {
			write(t, d.Join("keys", file), "AGE-SECRET-KEY-1")
		}
		first, err := d.Key()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again, err := d.Key(); err != nil || again.String() != first.String() {
			t.Errorf("%s: then it is %v, %v", name, again, err)
		}
	}
}

func TestKeyErrors(t *testing.T) {
	d := opened(t, t.TempDir())
	if err := os.Mkdir(d.Join("keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, KeyFile(d.Path), "hush-hush")
	if _, err := d.Key(); err == nil || !strings.Contains(err.Error(), KeyFile(d.Path)) || !strings.Contains(err.Error(), "remove it") || strings.Contains(err.Error(), "hush") {
		t.Errorf("one that is none: %v", err)
	}
	if b, err := os.ReadFile(KeyFile(d.Path)); err != nil || string(b) != "hush-hush" {
		t.Errorf("the file is %q now, %v", b, err)
	}
	other := opened(t, t.TempDir())
	write(t, other.Join("keys"), "")
	if _, err := other.Key(); err == nil || !strings.Contains(err.Error(), other.Join("keys")) {
		t.Errorf("a file where the folder is to be: %v", err)
	}
}
