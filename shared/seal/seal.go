// Package seal hands Secrets from the watcher, which may read them, to the git-writer, which has
// no rights in Kubernetes: those that open remotes ([Secret]), and the objects that it writes
// encrypted ([Content]). What lies between them on the bus only the
// git-writer can read: it is encrypted (age, X25519) to the one key that the git-writer has
// the identity of.
//
// Sealed with it is whose Secret it is and which remotes it may open. Whoever may write to
// the bus can neither hand it to another tenant, by putting it where theirs would stand,
// nor have it sent to a host of their own. That is all: whoever knows the public key can
// seal something, so that what was opened is not proof of who sealed it.
package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
)

// MaxBytes is how much the keys and values of a Secret may be: every authority that a
// browser trusts is half of it.
const MaxBytes = 512 << 10

// maxSealed bounds what is opened: values are base64 in there.
const maxSealed = 2*MaxBytes + 64<<10

// What can be wrong, for errors.Is. No error of this package repeats what is sealed.
var (
	ErrTooLarge    = errors.New("the keys and values are larger than 512 KiB")
	ErrOtherKey    = errors.New("it is sealed to another key")
	ErrDamaged     = errors.New("what was sealed is damaged")
	ErrOtherSecret = errors.New("it was sealed as another Secret")
	ErrOtherObject = errors.New("it was sealed as another object")
	ErrOtherRemote = errors.New("it was not sealed for this remote")
)

// Secret is what is sealed.
type Secret struct {
	Name    string            `json:"name"`    // cluster/namespace/name
	Remotes []string          `json:"remotes"` // the URLs that it may open, as they are configured
	Data    map[string][]byte `json:"data"`
}

// Seal makes of a Secret what only the recipient can read. It differs each time.
func Seal(to *Recipient, s Secret) ([]byte, error) {
	size := 0
	for key, value := range s.Data {
		size += len(key) + len(value)
	}
	if size > MaxBytes {
		return nil, ErrTooLarge
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	defer clear(plain)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to.key)
	if err == nil {
		_, err = w.Write(plain)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return sealed.Bytes(), nil
}

// Open reads what was sealed: the data of the Secret of that name, for a remote that it
// may open.
func (ids Identities) Open(sealed []byte, name, remote string) (map[string][]byte, error) {
	r, err := ids.decrypt(sealed)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxSealed+1))
	defer clear(plain)
	var s Secret
	if err != nil || len(plain) > maxSealed || json.Unmarshal(plain, &s) != nil {
		return nil, ErrDamaged
	}
	switch {
	case s.Name != name:
		return nil, ErrOtherSecret
	case !slices.Contains(s.Remotes, remote):
		return nil, ErrOtherRemote
	}
	return s.Data, nil
}

// decrypt fails with ErrOtherKey or ErrDamaged.
func (ids Identities) decrypt(sealed []byte) (io.Reader, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), ids.keys...)
	var other *age.NoIdentityMatchError
	switch {
	case errors.As(err, &other):
		return nil, ErrOtherKey
	case err != nil:
		return nil, ErrDamaged
	}
	return r, nil
}
