// Package recipient reads the public keys of those who may read what stands encrypted in Git:
// age's own kinds, X25519 and the hybrid post-quantum one. Each has a private half, which
// kubescribe never sees.
package recipient

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"
)

// List is the public keys that something is encrypted to: each of their private halves
// decrypts it. The zero value is nobody's.
type List struct {
	keys  []age.Recipient
	names []string // as they are written, sorted
}

// Strings are the public keys, sorted: age1…
func (l List) Strings() []string { return slices.Clone(l.names) }

// Keys are the same for age, in the same order.
func (l List) Keys() []age.Recipient { return slices.Clone(l.keys) }

// Parse reads public keys as age-keygen prints them, in any order. One that is given twice
// counts once. Its errors repeat nothing of what they were given: that may be a private key, by
// mistake.
func Parse(keys []string) (List, error) {
	byName := map[string]age.Recipient{}
	for i, s := range keys {
		key, err := parse(s)
		if err != nil {
			return List{}, fmt.Errorf("recipient %d of %d: %w", i+1, len(keys), err)
		}
		byName[s] = key
	}
	var l List
	l.names = slices.Sorted(maps.Keys(byName))
	for _, name := range l.names {
		l.keys = append(l.keys, byName[name])
	}
	return l, nil
}

// Check says what is wrong with a public key, repeating nothing of it.
func Check(key string) error {
	_, err := parse(key)
	return err
}

const (
	keyPrefix    = "age1"
	hybridPrefix = "age1pq1" // post-quantum: age 1.3, sops 3.12
)

// parse reads a key of one of the two kinds that are built into age. Those of its
// plugins begin with age1 and the plugin's name and 1, which no built-in key has: bech32
// (BIP 173) has no 1 but one behind its prefix.
func parse(s string) (age.Recipient, error) {
	var key interface {
		age.Recipient
		fmt.Stringer
	}
	var err error
	switch {
	case strings.HasPrefix(strings.ToUpper(s), "AGE-SECRET-KEY-"):
		return nil, errors.New("that is a private key, which only those may have who are to read it: give the public one, which age-keygen -y FILE prints, and make a new key if others have seen this one")
	case strings.HasPrefix(s, "ssh-"):
		return nil, errors.New("that is an SSH key, which age can encrypt to, but kubescribe does not: make a key with age-keygen and give its public half, which begins with age1")
	case strings.HasPrefix(s, hybridPrefix):
		key, err = age.ParseHybridRecipient(s)
	case strings.HasPrefix(s, keyPrefix) && strings.Contains(s[len(keyPrefix):], "1"):
		return nil, errors.New("that is a key of a plugin of age, which kubescribe does not run: make a key with age-keygen and give its public half, which begins with age1")
	default:
		key, err = age.ParseX25519Recipient(s)
	}
	if err != nil || key.String() != s {
		return nil, errors.New("that is no public key of age: give what age-keygen -y FILE prints, which begins with age1")
	}
	return key, nil
}
