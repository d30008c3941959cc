package manifest

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
)

// Hash is the id Git gives to a file of these bytes in a repository of the sha1
// object format, in lower-case hexadecimal: what git hash-object prints. A
// tree listing can be compared with it without reading any file.
func Hash(b []byte) string {
	h := sha1.New()
	h.Write([]byte("blob " + strconv.Itoa(len(b)) + "\x00"))
	h.Write(b)
	var sum [sha1.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0]))
}
