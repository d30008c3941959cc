package branch

import (
	"errors"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/sops"
	"github.com/kubescribe/kubescribe/shared/bus"
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
	// errOverrun is of a write that is left to the comparison which a change of its destination
	// began: by what is said there now, it has come in a way that is not any more.
	errOverrun = errors.New("its destination has changed since")
)

// encrypt makes of a sensitive object's manifest, which came sealed, the file as it is to stand
// in Git, for those who were named as its readers when it was sealed. That file is kept with the
// change, so that a commit which is built anew holds the same bytes. A crash leaves the message:
// it is encrypted to other bytes then, and is the same content.
//
// What is sensitive to the destination, by what is registered of it now, is not written in clear,
// whoever has put it on the bus.
func (s *session) encrypt(c *event.Change, d bus.Registered, came time.Time) error {
	id := manifest.Identity{Group: c.Group, Resource: c.Resource, Namespace: c.Namespace, Name: c.Name}
	_, sensitive := d.Encrypts(c.Group, c.Resource)
	before := c.Registry < d.Revision
	switch {
	case len(c.Manifest) == 0:
		return nil
	case c.SealedTo == "" && sensitive && before && !event.IsSecrets(c.Group, c.Resource):
		return fmt.Errorf("%w: what came in clear is sensitive now", errOverrun)
	case c.SealedTo == "" && (sensitive || manifest.IsSealedPath(c.Path)):
		return fmt.Errorf("%w: it came in clear", errNeverWritten)
	case c.SealedTo == "":
		return nil
	case c.Path != id.SealedPath():
		return fmt.Errorf("%w: it is sealed, for the path %q", errNeverWritten, c.Path)
	}
	of, err := s.unseal(c)
	switch {
	case errors.Is(err, ErrNoKey) && before && d.SealedTo != c.SealedTo:
		return fmt.Errorf("%w: it was sealed to %s, and its watcher seals to another key now", errOverrun, shown(c.SealedTo))
	case errors.Is(err, ErrNoKey):
		return err
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

// unseal opens what was sealed. The keys are read once in a session, and again where one is
// missing: it may have come since.
func (s *session) unseal(c *event.Change) (seal.Content, error) {
	for again := s.keys != nil; ; again = false {
		if s.keys == nil {
			keys, err := s.Identities()
			if err != nil {
				return seal.Content{}, fmt.Errorf("%w: %w", ErrNoKey, err)
			}
			s.keys = &keys
		}
		of, err := s.keys.OpenContent(c.Manifest, c.SealedAs())
		if !errors.Is(err, seal.ErrOtherKey) {
			return of, err
		}
		if !again {
			return of, fmt.Errorf("%w: %s was sealed to %s, and its key opens what is sealed to %v: put the private half of the other one into its file, too; or where that is lost, or was never the git-writer's, give the watcher the public half of this one as --credentials-recipient, and all is sealed anew", ErrNoKey, c.Object, shown(c.SealedTo), s.keys.Recipients())
		}
		s.keys = nil
	}
}

// shown is a public key from the bus, if it is one.
func shown(key string) string {
	if _, err := seal.ParseRecipient(key); err != nil {
		return "an unknown key"
	}
	return key
}
