package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kubescribe/kubescribe/shared/seal"
)

// keyFile is where the key is that the watcher seals Secrets to for the git-writer.
var keyFile = filepath.Join("keys", "credentials")

// KeyFile is where a data directory has that key.
func KeyFile(dir string) string { return filepath.Join(dir, keyFile) }

// Key is the public half of that key. The first call makes it. A crash before it has its
// name leaves none, or a file that nobody reads; where it is lost, another one is made, and
// the watcher seals anew to that.
func (d *Dir) Key() (*seal.Recipient, error) {
	file := d.Join(keyFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = d.newKey()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key that Secrets are sealed to: %w", err)
	}
	ids, err := seal.ParseIdentities(b)
	if err != nil {
		return nil, fmt.Errorf("the key that Secrets are sealed to: %s: %w: remove it, and another one is made", file, err)
	}
	return ids.Recipients()[0], nil
}

func (d *Dir) newKey() ([]byte, error) {
	if err := os.MkdirAll(d.Join(filepath.Dir(keyFile)), 0o700); err != nil {
		return nil, err
	}
	b, err := seal.Generate()
	if err != nil {
		return nil, err
	}
	return b, d.Write(keyFile, b)
}
