package gitwriter

import (
	"fmt"
	"os"

	"github.com/kubescribe/kubescribe/shared/seal"
)

// readIdentities reads the private key that Secrets are sealed to, or several. A group may
// read the file, as one of a mounted Secret does; others may not.
func readIdentities(file string) (seal.Identities, error) {
	info, err := os.Stat(file)
	if err != nil {
		return seal.Identities{}, fmt.Errorf("reading the key that Secrets are sealed to: %w; make one with age-keygen -o FILE", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o007 != 0 {
		return seal.Identities{}, fmt.Errorf("the key that Secrets are sealed to: %s is no file, or one that others may read (%s): chmod 600 it, or mount it with defaultMode 0440", file, mode)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return seal.Identities{}, fmt.Errorf("reading the key that Secrets are sealed to: %w", err)
	}
	defer clear(b)
	ids, err := seal.ParseIdentities(b)
	if err != nil {
		return seal.Identities{}, fmt.Errorf("the key that Secrets are sealed to: %s: %w: make one with age-keygen -o FILE", file, err)
	}
	return ids, nil
}
