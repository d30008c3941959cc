package secretmark

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
)

// hashDomain is what every content hash is made of first.
const hashDomain = "kubescribe sensitive content 1\x00"

// Hash is the content hash of a sensitive object, as it would stand in Git: a mark, to whom
// it is encrypted and which fields are, in any order. It has the form of a Git blob id and is
// none.
//
// So the same content for the same readers is a no-op, and another recipient, another field or
// another key is a change of the file, which comparing shows.
func Hash(mark string, recipients, fields []string) string {
	h := sha256.New()
	h.Write([]byte(hashDomain))
	writeText(h, mark)
	for _, set := range [][]string{recipients, fields} {
		set = slices.Compact(slices.Sorted(slices.Values(set)))
		writeNumber(h, len(set))
		for _, s := range set {
			writeText(h, s)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:sha1.Size])
}

// writeText writes a text so that where it ends is part of what is digested.
func writeText(h hash.Hash, s string) {
	writeNumber(h, len(s))
	h.Write([]byte(s))
}

func writeNumber(h hash.Hash, n int) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
}
