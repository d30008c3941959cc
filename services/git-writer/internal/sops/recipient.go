package sops

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"
)

// Recipients are the public keys that files are encrypted to: each of their private halves
// decrypts them.
type Recipients struct {
	keys  []age.Recipient
	names []string // as they stand in files, sorted
}

// Strings are the public keys, sorted: age1…
func (r Recipients) Strings() []string { return slices.Clone(r.names) }

// ErrNoRecipient says that there is nobody who could decrypt it.
var ErrNoRecipient = errors.New("no recipient: without one it would have to stand in clear, or nobody could read it")

// ParseRecipients reads public keys as age-keygen prints them, in any order. One that is given
// twice counts once. Its errors repeat nothing of what they were given: that may be a private
// key, by mistake.
func ParseRecipients(keys []string) (Recipients, error) {
	byName := map[string]age.Recipient{}
	for i, s := range keys {
		key, err := parseRecipient(s)
		if err != nil {
			return Recipients{}, fmt.Errorf("recipient %d of %d: %w", i+1, len(keys), err)
		}
		byName[s] = key
	}
	var r Recipients
	for name := range byName {
		r.names = append(r.names, name)
	}
	slices.Sort(r.names)
	for _, name := range r.names {
		r.keys = append(r.keys, byName[name])
	}
	if len(r.keys) == 0 {
		return Recipients{}, ErrNoRecipient
	}
	return r, nil
}

const (
	keyPrefix    = "age1"
	hybridPrefix = "age1pq1" // post-quantum: age 1.3, sops 3.12
)

// parseRecipient reads a key of one of the two kinds that are built into age. Those of its
// plugins begin with age1 and the plugin's name and 1, which no built-in key has: bech32
// (BIP 173) has no 1 but one behind its prefix.
func parseRecipient(s string) (age.Recipient, error) {
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
