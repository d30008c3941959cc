package watcher

import (
	"flag"
	"fmt"
	"os"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

// SecretOptions say what becomes of Secrets, whatever documents say.
type SecretOptions struct{ mirror string }

// Flags declares the flag.
func (o *SecretOptions) Flags(fs *flag.FlagSet) {
	o.mirror = string(v1alpha1.MirrorSecretsEncrypted)
	fs.StringVar(&o.mirror, "mirror-secrets", o.mirror, "`Encrypted`, or Never: no Secret is mirrored, whatever rules say")
}

// Never reports whether Secrets are not to be mirrored.
func (o SecretOptions) Never() (bool, error) {
	switch v1alpha1.MirrorSecrets(o.mirror) {
	case v1alpha1.MirrorSecretsEncrypted:
		return false, nil
	case v1alpha1.MirrorSecretsNever:
		return true, nil
	}
	return false, fmt.Errorf("--mirror-secrets %q is neither %s nor %s", o.mirror, v1alpha1.MirrorSecretsEncrypted, v1alpha1.MirrorSecretsNever)
}

// ReadMarkKey reads the key that mirrored Secrets are marked with. A group may read the file, as
// one of a mounted Secret does; others may not.
func ReadMarkKey(file string) (*secretmark.Key, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading the key that Secrets are marked with: %w; make one with kubescribe keygen watcher FILE", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o007 != 0 {
		return nil, fmt.Errorf("the key that Secrets are marked with: %s is no file, or one that others may read (%s): chmod 600 it, or mount it with defaultMode 0440", file, mode)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the key that Secrets are marked with: %w", err)
	}
	defer clear(b)
	key, err := secretmark.ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("the key that Secrets are marked with: %s: %w", file, err)
	}
	return &key, nil
}
