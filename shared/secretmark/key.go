package secretmark

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	keySize = sha256.Size
	// keyPrefix opens the line of a key, so that no other file of 64 digits is one.
	keyPrefix = "hmac-sha256-key:"
	// idDomain keeps a key's id apart from everything else that is made of the key.
	idDomain = "kubescribe mark key\x00"
	idDigits = 16
)

// Key makes marks. Nothing of it is shown by printing it.
type Key struct{ *key }

// key is a secret and its name. The name tells nothing of it: it is a digest of 32 random
// bytes, which nobody guesses.
type key struct {
	secret [keySize]byte
	id     string
}

func newKey(secret [keySize]byte) Key {
	sum := sha256.Sum256(append([]byte(idDomain), secret[:]...))
	return Key{&key{secret, hex.EncodeToString(sum[:])[:idDigits]}}
}

// Generate makes a key, as the file that [ParseKey] reads.
func Generate() []byte {
	var secret [keySize]byte
	rand.Read(secret[:]) // never fails: it ends the program instead
	return fmt.Appendf(nil, "# key id: %s\n%s%x\n", newKey(secret).id, keyPrefix, secret)
}

// ParseKey reads the one line of a file that is no comment and not empty. Its errors repeat
// nothing of it.
func ParseKey(file []byte) (k Key, err error) {
	for n, line := range slices.Collect(bytes.Lines(file)) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		digits, ok := bytes.CutPrefix(line, []byte(keyPrefix))
		var secret [keySize]byte
		if ok = ok && len(digits) == hex.EncodedLen(keySize); ok {
			_, err := hex.Decode(secret[:], digits)
			ok = err == nil
		}
		switch {
		case !ok:
			return Key{}, fmt.Errorf("line %d is no key: that is %s and 64 hexadecimal digits, which kubescribe keygen watcher FILE makes", n+1, keyPrefix)
		case k.key != nil:
			return Key{}, fmt.Errorf("line %d is a second key, and marks are made with one", n+1)
		}
		k = newKey(secret)
	}
	if k.key == nil {
		return Key{}, errors.New("it holds no key, which kubescribe keygen watcher FILE makes")
	}
	return k, nil
}

// ID names the key.
func (k Key) ID() string { return k.id }

// Object is whose manifest it is. Cluster is the name that people gave it, which a cluster
// keeps that is restored from a backup.
type Object struct{ Cluster, Group, Resource, Namespace, Name string }

// markDomain is what every message of a mark begins with. Another way to make marks would be
// another domain, and all marks new.
const markDomain = "kubescribe mark 1\x00"

// Mark is the mark of a manifest. It depends on nothing but the key and the two.
func (k Key) Mark(o Object, manifest []byte) string {
	h := hmac.New(sha256.New, k.secret[:])
	h.Write([]byte(markDomain))
	for _, s := range []string{o.Cluster, o.Group, o.Resource, o.Namespace, o.Name} {
		writeText(h, s)
	}
	h.Write(manifest)
	return markPrefix + k.id + ":" + hex.EncodeToString(h.Sum(nil))
}

const markPrefix = "hmac-sha256:"

// KeyID is the id of the key that a mark was made with, if it is a mark.
func KeyID(mark string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(mark, markPrefix)
	id, digest, found := strings.Cut(rest, ":")
	if !ok || !found || len(id) != idDigits || len(digest) != 2*sha256.Size || !isHex(id) || !isHex(digest) {
		return "", false
	}
	return id, true
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
