package sops

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/recipient"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

const (
	// formatVersion is the first version of sops that reads mac_only_encrypted. An older one
	// takes the MAC for wrong.
	formatVersion = "3.9.0"

	// maxFile bounds what is written, and so what is read. etcd's 1.5 MiB, as one value, come
	// to 3 MiB: base64 of the API's base64. Many values of a byte come to more, at 130 bytes
	// each: this is room for 120,000 of them.
	maxFile = 16 << 20

	metadataKey = "sops" // the field that sops keeps for itself
)

// What Encrypt refuses, for errors.Is; and what package manifest cannot encode.
var (
	ErrNoRecipient = errors.New("encrypting: there is nobody who could decrypt it")
	ErrNotAnObject = errors.New("encrypting: no manifest of an object")
	ErrNotAMark    = errors.New("encrypting: no mark of an object's content")
	ErrNotAField   = errors.New("encrypting: that cannot be a field whose values are encrypted")
	ErrReserved    = errors.New("encrypting: the object has a field sops of its own, which sops keeps for itself")
	ErrTooLarge    = errors.New("encrypting: the file would be larger than 16 MiB")
)

// Encrypt makes the file of an object from its canonical manifest and the mark of that. It
// differs each time in what is encrypted, and in nothing else.
//
// Encrypted are all values at and below the given fields. As sops has it, a field counts at any depth: a label that is called data is encrypted, too. Names
// of fields stay readable, as do empty texts and nulls.
func Encrypt(plain []byte, to recipient.List, mark string, now time.Time, fields []string) ([]byte, error) {
	if len(to.Keys()) == 0 {
		return nil, ErrNoRecipient
	}
	if _, ok := secretmark.KeyID(mark); !ok {
		return nil, ErrNotAMark
	}
	rule, err := newRule(fields)
	if err != nil {
		return nil, err
	}
	obj, err := manifest.Decode(plain)
	if err != nil || len(obj) == 0 {
		return nil, ErrNotAnObject
	}
	if _, ok := obj[metadataKey]; ok {
		return nil, ErrReserved
	}
	key := newDataKey()
	defer key.forget()
	modified := now.UTC().Format(time.RFC3339)
	mac := key.encryptObject(obj, rule)
	body, err := manifest.Encode(obj)
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err) // names a field and no value
	}
	stanzas, err := key.encryptTo(to)
	if err != nil {
		return nil, err
	}
	meta, err := manifest.Encode(map[string]any{metadataKey: map[string]any{
		"age":                stanzas,
		"encrypted_regex":    rule.regex(),
		"lastmodified":       modified,
		"mac":                key.encryptText(mac, modified),
		"mac_only_encrypted": true,
		"version":            formatVersion,
	}})
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	if len(body)+len(meta)+maxHead > maxFile {
		return nil, ErrTooLarge
	}
	return withHead(mark, append(body, meta...)), nil
}

// encryptTo encrypts the data key to each recipient, as sops does: in a file of age of its
// own, armored.
func (k *dataKey) encryptTo(to recipient.List) (stanzas []any, err error) {
	names := to.Strings()
	for i, key := range to.Keys() {
		var b bytes.Buffer
		armored := armor.NewWriter(&b)
		w, err := age.Encrypt(armored, key)
		if err == nil {
			_, err = w.Write(k.secret[:])
			err = errors.Join(err, w.Close(), armored.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("encrypting to %s: %w", names[i], err)
		}
		stanzas = append(stanzas, map[string]any{"recipient": names[i], "enc": b.String()})
	}
	return stanzas, nil
}

// rule says which fields are encrypted.
type rule []string // sorted

// identity is what a file is found by, and people read it by.
var identity = []string{"apiVersion", "kind", "metadata", metadataKey}

func newRule(fields []string) (rule, error) {
	if len(fields) == 0 {
		return nil, ErrNotAField
	}
	for _, f := range fields {
		if !isName(f) || slices.Contains(identity, f) {
			return nil, ErrNotAField
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(fields))), nil
}

// isName says whether a name is one of a field of the API, none of whose characters means
// something in a regular expression.
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != ""
}

const ruleStart, ruleEnd = "^(", ")$"

// regex is the rule as sops has it, which looks for it in each step of a value's path.
func (r rule) regex() string { return ruleStart + strings.Join(r, "|") + ruleEnd }

func (r rule) matches(step string) bool { return slices.Contains(r, step) }

const (
	contentPrefix = "# Kubescribe-Content: "
	filePrefix    = "# Kubescribe-File: "
	digestPrefix  = "sha256:"
	maxHead       = 512 // more than both lines are
)

// withHead puts before a file what it is: its mark, and a digest of the rest, by which a
// change by anybody else shows.
func withHead(mark string, body []byte) []byte {
	return slices.Concat([]byte(head(mark, digest(mark, body))), body)
}

func head(mark, sum string) string { return contentPrefix + mark + "\n" + filePrefix + sum + "\n" }

func digest(mark string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(mark + "\n"))
	h.Write(body)
	return digestPrefix + hex.EncodeToString(h.Sum(nil))
}
