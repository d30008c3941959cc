package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

// The keys of a data directory: of the git-writer, to which the watcher seals Secrets, and of
// the watcher, which marks with it what is mirrored of them.
var (
	keyFile     = filepath.Join("keys", "credentials")
	markKeyFile = filepath.Join("keys", "marks")
)

// KeyFile is where a data directory has the git-writer's key.
func KeyFile(dir string) string { return filepath.Join(dir, keyFile) }

// Key is the public half of the git-writer's key. The first call makes it. A crash before it has
// its name leaves none, or a file that nobody reads; where it is lost, another one is made, the
// watcher seals to that, and what waits that was sealed to the old one is left to a comparison.
func (d *Dir) Key() (*seal.Recipient, error) {
	file, b, err := d.key(keyFile, seal.Generate)
	if err != nil {
		return nil, fmt.Errorf("reading the key that Secrets are sealed to: %w", err)
	}
	ids, err := seal.ParseIdentities(b)
	if err != nil {
		return nil, fmt.Errorf("the key that Secrets are sealed to: %s: %w: remove it, and another one is made", file, err)
	}
	return ids.Recipients()[0], nil
}

// MarkKey is the watcher's key. The first call makes it, as Key does. Where it is lost, another
// one is made, and the next comparison writes all that is encrypted anew.
func (d *Dir) MarkKey() (*secretmark.Key, error) {
	file, b, err := d.key(markKeyFile, func() ([]byte, error) { return secretmark.Generate(), nil })
	if err != nil {
		return nil, fmt.Errorf("reading the key that Secrets are marked with: %w", err)
	}
	key, err := secretmark.ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("the key that Secrets are marked with: %s: %w: remove it, and another one is made", file, err)
	}
	return &key, nil
}

// key reads a key's file, and makes it where there is none.
func (d *Dir) key(name string, generate func() ([]byte, error)) (file string, b []byte, err error) {
	file = d.Join(name)
	if b, err = os.ReadFile(file); !errors.Is(err, fs.ErrNotExist) {
		return file, b, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return file, nil, err
	}
	if b, err = generate(); err != nil {
		return file, nil, err
	}
	return file, b, d.Write(name, b)
}
