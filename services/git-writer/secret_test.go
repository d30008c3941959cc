package gitwriter

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// writeSecret puts a Secret into a directory of Secrets, in pairs of keys and values.
func writeSecret(t *testing.T, dir, name string, pairs ...string) {
	t.Helper()
	at := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.RemoveAll(at); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := os.WriteFile(filepath.Join(at, pairs[i]), []byte(pairs[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeSecret(t, dir, "prod/shop/git.token", "username", "me\n", "password", "hush", ".hidden", "x")
	at := filepath.Join(dir, "prod", "shop", "git.token")
	if err := os.Mkdir(filepath.Join(at, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(at, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readSecret(dir, "prod/shop/git.token")
	if err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{".hidden", "password", "username"}) || string(got["username"]) != "me\n" {
		t.Errorf("keys %v", keys)
	}
}

// mount puts a version of a Secret where Kubernetes would: all keys are links into a
// link that is replaced.
func mount(t *testing.T, dir, name, version string, data map[string]string) {
	t.Helper()
	at := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Join(at, version), 0o700); err != nil {
		t.Fatal(err)
	}
	for key, content := range data {
		if err := os.WriteFile(filepath.Join(at, version, key), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", key), filepath.Join(at, key)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(version, filepath.Join(at, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(at, "..data_tmp"), filepath.Join(at, "..data")); err != nil {
		t.Fatal(err)
	}
}

// TestReadMountedSecret: what is read is the newest version of what Kubernetes mounts, and
// nothing of another one, which stays for a moment.
func TestReadMountedSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, data := range []map[string]string{{"username": "me", "password": "old"}, {"bearerToken": "new"}} {
		mount(t, dir, "prod/shop/git", fmt.Sprintf("..version_%d", i), data)
		got, err := readSecret(dir, "prod/shop/git")
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(data) {
			t.Errorf("%d keys of %d", len(got), len(data))
		}
		for key, content := range data {
			if string(got[key]) != content {
				t.Errorf("%s is %q", key, got[key])
			}
		}
	}
}

func TestReadSecretErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeSecret(t, dir, "prod/shop/git", "password", "hush")
	writeSecret(t, dir, "prod/shop/large", "password", strings.Repeat("x", maxSecret+1))
	writeSecret(t, filepath.Dir(dir), "outside", "password", "hush")
	writeSecret(t, dir, "prod/shop/broken", "password", "hush")
	if err := os.Symlink("nowhere", filepath.Join(dir, "prod", "shop", "broken", "username")); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{
		"prod/shop/none":     "there is no directory " + filepath.Join(dir, "prod", "shop", "none"),
		"prod/none/git":      "there is no directory",
		"dev/shop/git":       "there is no directory",
		"prod/shop/large":    "larger than 1 MiB",
		"prod/shop/broken":   "no such file",
		"":                   "no cluster/namespace/name",
		"git":                "no cluster/namespace/name",
		"shop/git":           "no cluster/namespace/name",
		"prod/shop/..":       "no cluster/namespace/name",
		"../shop/git":        "no cluster/namespace/name",
		"./shop/git":         "no cluster/namespace/name",
		"prod/../outside":    "no cluster/namespace/name",
		"prod/shop/git/x":    "no cluster/namespace/name",
		"prod/shop/../git":   "no cluster/namespace/name",
		"prod/shop/Git":      "no cluster/namespace/name",
		"/prod/shop/git":     "no cluster/namespace/name",
		"prod/shop/git\n":    "no cluster/namespace/name",
		"prod/shop/git\x00x": "no cluster/namespace/name",
	} {
		if got, err := readSecret(dir, name); err == nil || !strings.Contains(err.Error(), says) || got != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := readSecret("", "prod/shop/git"); err == nil || !strings.Contains(err.Error(), "--git-credentials") || !strings.Contains(err.Error(), "KUBESCRIBE_GIT_CREDENTIALS_DIR") {
		t.Errorf("without a directory: %v", err)
	}
}
