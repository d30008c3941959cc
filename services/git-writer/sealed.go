package gitwriter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// sealed is KS_CREDENTIAL, where the watcher keeps Secrets that are sealed to our key:
// [bus.Bucket.Newest] of one. bus.ErrNoMessage where there is none.
type sealed interface {
	Newest(ctx context.Context, key string) (event.Credential, uint64, error)
}

// The watcher seals a Secret right behind registering who names it, or names it for another
// remote. For so long what is missing is waited for, and looked for again so often.
const (
	sealedWait  = 3 * time.Second
	sealedAgain = 100 * time.Millisecond
)

// errNotSealed says that there is nothing of a Secret.
var errNotSealed = errors.New("no watcher has sealed it")

// unseal is the data of a Secret that the watcher has sealed, for a remote. Key and record
// are read anew each time, and nothing of them is kept.
func (o opener) unseal(ctx context.Context, remote, name string) (map[string][]byte, error) {
	for begun := time.Now(); ; {
		data, err := o.unsealNow(ctx, remote, name)
		early := errors.Is(err, errNotSealed) || errors.Is(err, seal.ErrOtherRemote)
		if !early || time.Since(begun) >= o.wait || fault.Wait(ctx, sealedAgain) != nil {
			return data, err
		}
	}
}

func (o opener) unsealNow(ctx context.Context, remote, name string) (map[string][]byte, error) {
	ids, err := readIdentities(o.Credentials.Identity)
	if err != nil {
		return nil, err
	}
	key, err := subject.CredentialKey(name)
	if err != nil {
		return nil, err
	}
	c, _, err := o.sealed.Newest(ctx, key)
	switch {
	case errors.Is(err, bus.ErrNoMessage):
		return nil, fmt.Errorf("%w: see that it exists in the cluster, that the watcher may list and watch it, which its log says, and, where it is a program of its own, that it runs with --credentials-recipient %s", errNotSealed, recipients(ids))
	case errors.Is(err, event.ErrMalformed):
		return nil, damaged(name)
	case err != nil:
		return nil, fmt.Errorf("reading what the watcher has sealed: %w", err)
	}
	data, err := ids.Open(c.Sealed, name, remote)
	switch {
	case errors.Is(err, seal.ErrOtherKey):
		return nil, fmt.Errorf("%w, %s, and %s opens %s: run the watcher with --credentials-recipient of that, or put the private key of the other one into the file, too", err, shown(c.Recipient), o.Credentials.Identity, recipients(ids))
	case errors.Is(err, seal.ErrOtherRemote):
		return nil, fmt.Errorf("%w: the watcher of its cluster seals it for those that its documents name it for, and has to run with the newest ones", err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, damaged(name))
	}
	return data, nil
}

// damaged is what to do about a record that is of no use: the watcher seals anew what
// changes.
func damaged(name string) error {
	k, _ := event.ParseDestinationKey(name) // it is one: see secretName
	return fmt.Errorf("what stands in %s is of no use: change the Secret in any way, and it is sealed anew (kubectl -n %s annotate --overwrite secret %s sealed-anew=\"$(date)\")", subject.BucketCredential, k.Namespace, k.Name)
}

// identities open what the watcher has sealed.
func (o opener) identities() (seal.Identities, error) {
	if o.Credentials.Identity == "" {
		return seal.Identities{}, errors.New("it runs without one: give it --credentials-identity FILE, with the private half of what the watcher has as --credentials-recipient")
	}
	return readIdentities(o.Credentials.Identity)
}

// recipients are the public halves of keys, for people.
func recipients(ids seal.Identities) string {
	var all []string
	for _, r := range ids.Recipients() {
		all = append(all, r.String())
	}
	return strings.Join(all, " and ")
}

// shown is a public key from the bus, if it is one.
func shown(recipient string) string {
	if _, err := seal.ParseRecipient(recipient); err != nil {
		return "an unknown one"
	}
	return recipient
}

// followSealed has a branch that waits try again once its Secret is sealed anew, five
// seconds after it tried last at the earliest. Failing, it tries again by itself, if later.
func (w *Writer) followSealed(ctx context.Context) {
	var backoff fault.Backoff
	for ctx.Err() == nil {
		err := w.sealed.WatchKeys(ctx, func(key string, gone bool) error {
			if !gone {
				w.wake(key)
			}
			return nil
		}, func() error {
			backoff.Reset()
			return nil
		})
		wait := backoff.Next()
		w.log.Debug("sealed Secrets are not followed, retrying", "in", wait.Round(time.Millisecond).String(), "err", err)
		_ = fault.Wait(ctx, wait)
	}
}

// wake wakes the branches that are opened with a Secret.
func (w *Writer) wake(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.workers {
		if k, err := subject.CredentialKey(r.Credentials); err == nil && k == key {
			r.Wake()
		}
	}
}
