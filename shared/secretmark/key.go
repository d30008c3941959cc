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
	// maxKeys bounds a file: a rotation needs two.
	maxKeys = 32
)

// key is a secret and its name. The name tells nothing of it: it is a digest of 32 random
// bytes, which nobody guesses.
type key struct {
	secret [keySize]byte
	id     string
}

func newKey(secret [keySize]byte) *key {
	sum := sha256.Sum256(append([]byte(idDomain), secret[:]...))
	return &key{secret, hex.EncodeToString(sum[:])[:idDigits]}
}

// Keys make marks with the first of them, and know those of all. Nothing of them is shown by
// printing it.
type Keys struct{ all []*key }

// Generate makes a key, as the file that [ParseKeys] reads.
func Generate() []byte {
	var secret [keySize]byte
	rand.Read(secret[:]) // never fails: it ends the program instead
	return fmt.Appendf(nil, "# key id: %s\n%s%x\n", newKey(secret).id, keyPrefix, secret)
}

// ParseKeys reads a key a line, empty lines and comments. The first is the current one; behind
// it may stand those that marks in Git were made with before. Its errors repeat nothing of it.
func ParseKeys(file []byte) (Keys, error) {
	var keys Keys
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
		if !ok {
			return Keys{}, fmt.Errorf("line %d is no key: that is %s and 64 hexadecimal digits", n+1, keyPrefix)
		}
		if len(keys.all) == maxKeys {
			return Keys{}, fmt.Errorf("it holds more than %d keys", maxKeys)
		}
		k := newKey(secret)
		if slices.Contains(keys.IDs(), k.id) {
			return Keys{}, fmt.Errorf("line %d is a key that stands above, too", n+1)
		}
		keys.all = append(keys.all, k)
	}
	if len(keys.all) == 0 {
		return Keys{}, errors.New("it holds no key: a line of " + keyPrefix + " and 64 hexadecimal digits")
	}
	return keys, nil
}

// IDs name the keys, in the file's order.
func (k Keys) IDs() []string {
	ids := make([]string, len(k.all))
	for i, key := range k.all {
		ids[i] = key.id
	}
	return ids
}

// Object is whose manifest it is. Cluster is the name that people gave it, which a cluster
// keeps that is restored from a backup.
type Object struct{ Cluster, Group, Resource, Namespace, Name string }

// Mark is the mark of a manifest, by the current key. It depends on nothing but the three.
func (k Keys) Mark(o Object, manifest []byte) string { return k.all[0].mark(o, manifest) }

// Same says whether a mark, by whichever of the keys, is that of a manifest. It is not known
// of a mark by another key.
func (k Keys) Same(mark string, o Object, manifest []byte) (same, known bool) {
	id, ok := KeyID(mark)
	if !ok {
		return false, false
	}
	for _, key := range k.all {
		if key.id == id {
			return hmac.Equal([]byte(key.mark(o, manifest)), []byte(mark)), true
		}
	}
	return false, false
}

// markDomain is what every message of a mark begins with. Another way to make marks would be
// another domain, and all marks new.
const markDomain = "kubescribe mark 1\x00"

func (k *key) mark(o Object, manifest []byte) string {
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
