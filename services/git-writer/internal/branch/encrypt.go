package branch

import (
	"errors"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/sops"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/recipient"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

var (
	// ErrNoKey says that what the watcher has sealed cannot be opened: nothing moves until it
	// can, and nothing is lost.
	ErrNoKey = errors.New("sensitive objects wait that this git-writer has no key for")
	// errNeverWritten is of a write that no key and no time make right.
	errNeverWritten = errors.New("it is never written")
)

// encrypt makes of a sensitive object's manifest, which came sealed, the file as it is to stand
// in Git: for those who were named as its readers when it was sealed, and as it was then. What is
// kept of it is that, so that a commit which is built anew holds the same bytes. A crash leaves
// the message, which is encrypted to other bytes then, and which is the same content.
//
// Nothing sensitive is written in clear, whoever has put it on the bus.
func (s *session) encrypt(c *event.Change, came time.Time) error {
	id := manifest.Identity{Group: c.Group, Resource: c.Resource, Namespace: c.Namespace, Name: c.Name}
	switch {
	case len(c.Manifest) == 0:
		return nil
	case c.SealedTo == "" && (event.IsSecrets(c.Group, c.Resource) || manifest.IsSealedPath(c.Path)):
		return fmt.Errorf("%w: it came in clear", errNeverWritten)
	case c.SealedTo == "":
		return nil
	case c.Path != id.SealedPath():
		return fmt.Errorf("%w: it is sealed, for the path %q", errNeverWritten, c.Path)
	}
	keys, err := s.identities()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	of, err := keys.OpenContent(c.Manifest, c.SealedAs())
	switch {
	case errors.Is(err, seal.ErrOtherKey):
		s.keys = nil
		return fmt.Errorf("%w: %s was sealed to %s, and its key opens what is sealed to %v: put the private key of the other one into its file, too, until what waits is written", ErrNoKey, c.Object, shown(c.SealedTo), keys.Recipients())
	case err != nil:
		return fmt.Errorf("%w: %w", errNeverWritten, err)
	}
	defer clear(of.Manifest)
	to, err := recipient.Parse(of.Recipients)
	if err != nil {
		return fmt.Errorf("%w: %w", errNeverWritten, err)
	}
	if c.Hash != secretmark.Hash(of.Mark, to.Strings(), of.Fields) {
		return fmt.Errorf("%w: its content hash is of something else", errNeverWritten)
	}
	when := c.Time
	if when.IsZero() {
		when = came
	}
	encrypted, err := sops.Encrypt(of.Manifest, to, of.Mark, when, of.Fields)
	if err != nil {
		return fmt.Errorf("%w: %w", errNeverWritten, err)
	}
	c.Manifest = encrypted
	return nil
}

// identities are read once in a session: one that lacked a key ends.
func (s *session) identities() (*seal.Identities, error) {
	if s.keys == nil {
		keys, err := s.Identities()
		if err != nil {
			return nil, err
		}
		s.keys = &keys
	}
	return s.keys, nil
}

// shown is a public key from the bus, if it is one.
func shown(key string) string {
	if _, err := seal.ParseRecipient(key); err != nil {
		return "an unknown key"
	}
	return key
}
