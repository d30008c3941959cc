package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// Recipient is the public half of a key: what is sealed to it, its identity opens.
type Recipient struct{ key *age.X25519Recipient }

// String is how it is written: age1…
func (r *Recipient) String() string { return r.key.String() }

// ParseRecipient reads a public key as age-keygen prints it. Its errors repeat nothing of
// what they were given: that may be the private one, by mistake.
func ParseRecipient(s string) (*Recipient, error) {
	if strings.HasPrefix(strings.ToUpper(s), "AGE-SECRET-KEY-") {
		return nil, errors.New("that is a private key, which is the git-writer's alone: give the public one, which age-keygen -y FILE prints, and make a new key if others have seen this one")
	}
	key, err := age.ParseX25519Recipient(s)
	if err != nil {
		return nil, errors.New("that is no public key of age's kind X25519: give what age-keygen -y FILE prints, which begins with age1 and has 62 characters")
	}
	return &Recipient{key}, nil
}

// Identities are the private halves of keys; any one of them opens what is sealed to it.
// Nothing of them is shown by printing it.
type Identities struct {
	keys []age.Identity
	to   []*Recipient
}

// ParseIdentities reads what age-keygen -o writes: a private key a line, empty lines and
// comments. Its errors repeat nothing of it.
func ParseIdentities(file []byte) (Identities, error) {
	all, err := age.ParseIdentities(bytes.NewReader(file))
	var ids Identities
	for _, id := range all {
		if key, ok := id.(*age.X25519Identity); ok {
			ids.keys, ids.to = append(ids.keys, key), append(ids.to, &Recipient{key.Recipient()})
		}
	}
	if err != nil || len(ids.keys) == 0 {
		return Identities{}, errors.New("it holds no private key of age's kind X25519 that can be read")
	}
	return ids, nil
}

// Recipients are the public halves, in the file's order.
func (ids Identities) Recipients() []*Recipient { return ids.to }

// Generate makes a key, as the file that [ParseIdentities] reads.
func Generate() ([]byte, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return fmt.Appendf(nil, "# public key: %s\n%s\n", id.Recipient(), id), nil
}
