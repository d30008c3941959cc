package kubescribe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/services/kubescribe/internal/datadir"
)

// TestShare: both have the keys of the data directory, and go on with them; what comes as files
// is not sealed.
func TestShare(t *testing.T) {
	secrets := t.TempDir()
	if err := os.MkdirAll(filepath.Join(secrets, "prod", "shop", "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := datadir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	share := func() (Config, error) {
		cfg := Config{Credentials: gitwriter.Credentials{Dir: secrets}}
		return cfg, cfg.share(dir)
	}
	first, err := share()
	if err != nil || first.Watcher.Recipient == nil || first.Watcher.MarkKey == nil || first.Credentials.Identity != datadir.KeyFile(dir.Path) {
		t.Fatalf("%+v, %v", first, err)
	}
	if first.Watcher.Skip("prod/shop/git") || !first.Watcher.Skip("prod/shop/files") {
		t.Error("the wrong ones are skipped")
	}
	again, err := share()
	if err != nil || again.Watcher.Recipient.String() != first.Watcher.Recipient.String() || again.Watcher.MarkKey.ID() != first.Watcher.MarkKey.ID() {
		t.Errorf("the keys are others at the next start: %v", err)
	}
	for _, name := range []string{"credentials", "marks"} {
		file := filepath.Join(dir.Path, "keys", name)
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
		was, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("hush-hush"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := share(); err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "hush") {
			t.Errorf("what is no key is taken for one, or shown: %v", err)
		}
		if err := os.WriteFile(file, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
