package sops

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// nonceSize is that of sops, which is not the 12 bytes that GCM is mostly used with: it may be
// any (NIST SP 800-38D, section 8.2.2).
const nonceSize = 32

// macStart is what the MAC of encrypted values alone begins with: the SHA-256 of the word sops
// (MACOnlyEncryptedInitialization in its source).
var macStart = []byte{0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69}

// dataKey is what the values of one file are encrypted with.
type dataKey struct {
	secret [32]byte
	gcm    cipher.AEAD
}

func newDataKey() *dataKey {
	k := &dataKey{}
	rand.Read(k.secret[:]) // never fails: it ends the program instead
	block, err := aes.NewCipher(k.secret[:])
	if err == nil {
		k.gcm, err = cipher.NewGCMWithNonceSize(block, nonceSize)
	}
	if err != nil {
		panic(err) // the sizes are right
	}
	return k
}

func (k *dataKey) forget() { clear(k.secret[:]) }

// encryptText encrypts a text that is not empty for a place, as sops writes it.
func (k *dataKey) encryptText(text, place string) string { return k.encrypt(text, "str", place) }

func (k *dataKey) encrypt(text, kind, place string) string {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	sealed := k.gcm.Seal(nil, nonce, []byte(text), []byte(place))
	data, tag := sealed[:len(sealed)-k.gcm.Overhead()], sealed[len(sealed)-k.gcm.Overhead():]
	b := make([]byte, 0, 128+base64.StdEncoding.EncodedLen(len(data)))
	b = append(b, "ENC[AES256_GCM,data:"...)
	b = base64.StdEncoding.AppendEncode(b, data)
	b = append(b, ",iv:"...)
	b = base64.StdEncoding.AppendEncode(b, nonce)
	b = append(b, ",tag:"...)
	b = base64.StdEncoding.AppendEncode(b, tag)
	return string(append(b, ",type:"+kind+"]"...))
}

// encryptObject replaces the values that are to be encrypted, and returns the MAC: a digest of
// all of them, in the order of the file.
func (k *dataKey) encryptObject(obj map[string]any, r rule) (mac string) {
	w := walker{key: k, rule: r, mac: sha512.New()}
	w.mac.Write(macStart)
	w.mapping(obj, "", false)
	return fmt.Sprintf("%X", w.mac.Sum(nil))
}

// walker goes through an object in the order that it is written in.
type walker struct {
	key  *dataKey
	rule rule
	mac  hash.Hash
}

// The order of an object's fields is that of package manifest: these first, then the others,
// sorted.
var (
	objectOrder   = []string{"apiVersion", "kind", "metadata"}
	metadataOrder = []string{"name", "namespace", "labels", "annotations"}
)

// mapping encrypts below a path, which is written with a colon behind each step. What is below
// a field that is encrypted is so as a whole.
func (w *walker) mapping(m map[string]any, path string, encrypted bool) {
	var first []string
	switch path {
	case "":
		first = objectOrder
	case "metadata:":
		first = metadataOrder
	}
	for _, key := range orderOf(m, first) {
		m[key] = w.value(m[key], path+key+":", encrypted || w.rule.matches(key))
	}
}

func orderOf(m map[string]any, first []string) []string {
	rank := func(key string) int {
		if i := slices.Index(first, key); i >= 0 {
			return i
		}
		return len(first)
	}
	keys := slices.Sorted(maps.Keys(m))
	slices.SortStableFunc(keys, func(a, b string) int { return rank(a) - rank(b) })
	return keys
}

// value encrypts a value. Neither nulls nor empty texts are: sops has it so. The items of a
// list have the path of the list.
func (w *walker) value(value any, path string, encrypted bool) any {
	switch v := value.(type) {
	case map[string]any:
		w.mapping(v, path, encrypted)
		return v
	case []any:
		for i, item := range v {
			v[i] = w.value(item, path, encrypted)
		}
		return v
	}
	text, kind := textOf(value)
	if !encrypted || kind == "" {
		return value
	}
	w.mac.Write([]byte(text))
	if text == "" {
		return value
	}
	return w.key.encrypt(text, kind, path)
}

// textOf is what of a value is encrypted, and the name that sops has for its type.
func textOf(value any) (text, kind string) {
	switch v := value.(type) {
	case string:
		return v, "str"
	case bool:
		return strings.ToUpper(strconv.FormatBool(v)[:1]) + strconv.FormatBool(v)[1:], "bool" // as in Python
	case int64:
		return strconv.FormatInt(v, 10), "int"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), "float"
	}
	return "", ""
}
