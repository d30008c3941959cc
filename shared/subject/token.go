package subject

import (
	"fmt"
	"strconv"
	"strings"
)

// empty is the token of the empty string: the core group, no namespace.
const empty = "_"

// Token encodes any string as one token that is legal in a NATS subject, a
// key-value key and a consumer name. Letters, digits, dash and underscore stay
// as they are, every other byte becomes = and two upper-case hexadecimal
// digits, the empty string becomes an underscore and a lone underscore =5F. The
// encoding is injective; [ParseToken] reverses it.
func Token(s string) string {
	switch s {
	case "":
		return empty
	case empty:
		return "=5F"
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// ParseToken is the reverse of [Token]. It refuses what Token does not write,
// so that no two tokens mean the same.
func ParseToken(t string) (string, error) {
	switch t {
	case empty:
		return "", nil
	case "=5F":
		return empty, nil
	}
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		if t[i] != '=' {
			b.WriteByte(t[i])
			continue
		}
		if i+2 >= len(t) {
			return "", fmt.Errorf("%w: token %q ends inside an escape", ErrSubject, t)
		}
		v, err := strconv.ParseUint(t[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%w: token %q holds a broken escape", ErrSubject, t)
		}
		b.WriteByte(byte(v))
		i += 2
	}
	s := b.String()
	if Token(s) != t {
		return "", fmt.Errorf("%w: token %q is not in canonical form", ErrSubject, t)
	}
	return s, nil
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
