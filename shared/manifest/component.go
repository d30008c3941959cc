package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// escape percent-encodes, as RFC 3986 section 2.1 does, what a component of a
// path may not hold somewhere:
//
//   - Windows ("Naming Files, Paths, and Namespaces"): < > : " / \ | ? *, control
//     characters, a dot or blank at the end, and the reserved device names with
//     or without an extension, of which the first letter is encoded;
//   - Git (verify_path in read-cache.c, is_ntfs_dotgit in path.c, is_hfs_dotgit in
//     utf8.c): ".", "..", ".git" and "git~1" in any case and with any ignored
//     characters inside;
//   - file systems that fold case or normalise Unicode: upper-case letters and
//     every byte that is not ASCII;
//   - this package: % and ~ mean something.
//
// The result is ASCII without upper-case letters but for the digits of escapes.
// It is injective, and [unescape] reverses it.
func escape(s string) string {
	if isSafe(s) {
		return s
	}
	buf := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		c := s[i]
		edge := (i == 0 || i == len(s)-1) && (c == '.' || c == ' ')
		if safe[c] && !edge && (i > 0 || !IsDevice(s)) {
			buf = append(buf, c)
			continue
		}
		buf = append(buf, '%', upperHex[c>>4], upperHex[c&0xf])
	}
	return string(buf)
}

const upperHex = "0123456789ABCDEF"

// safe holds the bytes that stand for themselves.
var safe = func() (t [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		t[c] = (c < 'A' || c > 'Z') && strings.IndexByte(`<>:"/\|?*%~`, c) < 0
	}
	return t
}()

func isSafe(s string) bool {
	for i := range len(s) {
		if !safe[s[i]] {
			return false
		}
	}
	if s == "" {
		return true
	}
	first, last := s[0], s[len(s)-1]
	return first != '.' && first != ' ' && last != '.' && last != ' ' && !IsDevice(s)
}

// IsDevice reports whether Windows takes a file of this lower-case name for a
// device, whatever follows the first dot. In paths, upper-case letters and the
// superscript digits that Windows takes for digits here are encoded in any case.
func IsDevice(s string) bool {
	base, _, _ := strings.Cut(s, ".")
	switch base = strings.TrimRight(base, " "); base {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	return len(base) == 4 && (base[:3] == "com" || base[:3] == "lpt") && base[3] >= '0' && base[3] <= '9'
}

// unescape reports false for what holds a character that escape encodes or an
// escape it would not write; whether the escape was due, is for the caller to
// compare.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	buf := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			buf = append(buf, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		high, low := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		buf = append(buf, byte(high<<4|low))
		i += 2
	}
	return string(buf), true
}

// digestLength is that of 160 bits of SHA-256 in hexadecimal: enough that
// nobody makes two names share a path.
const digestLength = 40

// shorten cuts an escaped component that is longer than limit, not inside an
// escape, and appends "~" and a digest of the whole value.
func shorten(escaped, value string, limit int) string {
	if len(escaped) <= limit {
		return escaped
	}
	cut := limit - digestLength - 1
	if i := strings.LastIndexByte(escaped[:cut], '%'); i > cut-3 {
		cut = i
	}
	sum := sha256.Sum256([]byte(value))
	return escaped[:cut] + "~" + hex.EncodeToString(sum[:])[:digestLength]
}

func isShortened(part string, limit int) bool {
	i := strings.IndexByte(part, '~')
	if i < 0 || len(part) > limit || len(part) < limit-2 || len(part)-i-1 != digestLength {
		return false
	}
	for _, c := range []byte(part[i+1:]) {
		if strings.IndexByte(hexDigits, c) < 0 {
			return false
		}
	}
	for _, c := range []byte(part[:i]) {
		if !safe[c] && c != '%' && strings.IndexByte(upperHex, c) < 0 {
			return false
		}
	}
	return true
}
