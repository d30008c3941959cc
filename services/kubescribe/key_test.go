package kubescribe

import (
	"os"
	"path/filepath"
	"testing"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/services/kubescribe/internal/datadir"
	"github.com/kubescribe/kubescribe/services/watcher"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

// TestShare: a key is made for who names a Secret, and for nobody else; what comes as files
// is not sealed.
func TestShare(t *testing.T) {
	secrets := t.TempDir()
	if err := os.MkdirAll(filepath.Join(secrets, "prod", "shop", "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	of := func(ref *v1alpha1.SecretRef) Config {
		return Config{
			Watcher:     watcher.Config{Documents: &v1alpha1.Documents{GitRemotes: []v1alpha1.GitRemote{{}, {Spec: v1alpha1.GitRemoteSpec{SecretRef: ref}}}}},
			Credentials: gitwriter.Credentials{Dir: secrets},
		}
	}
	dir, err := datadir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	none := of(nil)
	if err := none.share(dir); err != nil || none.Watcher.Recipient != nil || none.Credentials.Identity != "" {
		t.Errorf("without a Secret: %+v, %v", none, err)
	}
	if _, err := os.Stat(datadir.KeyFile(dir.Path)); !os.IsNotExist(err) {
		t.Errorf("without a Secret there is a key: %v", err)
	}
	one := of(&v1alpha1.SecretRef{Name: "git"})
	if err := one.share(dir); err != nil || one.Watcher.Recipient == nil || one.Credentials.Identity != datadir.KeyFile(dir.Path) {
		t.Errorf("with one: %+v, %v", one, err)
	}
	if one.Watcher.Skip("prod/shop/git") || !one.Watcher.Skip("prod/shop/files") {
		t.Error("the wrong ones are skipped")
	}
	if err := os.WriteFile(datadir.KeyFile(dir.Path), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := one.share(dir); err == nil {
		t.Error("what is no key is taken for one")
	}
	if err := none.share(dir); err != nil {
		t.Errorf("who names no Secret is kept from starting: %v", err)
	}
}
