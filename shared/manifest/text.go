package manifest

import (
	"strings"
	"unicode/utf8"
)

// style is how a string is written. No other style is used: nothing is folded,
// so no line break of a manifest is anything but one of the object's or of its
// structure.
type style int

const (
	plain   style = iota // as it is: YAML 1.2.2 section 7.3.3
	quoted               // "with escapes": section 7.3.1
	literal              // a | block, line by line: section 8.1.2
)

// styleOf chooses the style of a string, and reports false if it is not valid
// UTF-8. The choice rests on fixed tables alone: Unicode tables change with Go
// releases, and bytes must not.
func styleOf(s string) (style, bool) {
	isPlain := startsPlain(s)
	lines, onlyBreaks, isLiteral := false, true, true
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\n' {
			lines = true
			continue
		}
		onlyBreaks = false
		switch {
		case c == '\t':
			isPlain = false
		case c < ' ' || c == 0x7f:
			isPlain, isLiteral = false, false
		case c == ':':
			if i+1 == len(s) || s[i+1] == ' ' {
				isPlain = false
			}
		case c == '#':
			if i > 0 && s[i-1] == ' ' {
				isPlain = false
			}
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				return quoted, false
			}
			i += n - 1
			isPlain = isPlain && !invisible(r)
			isLiteral = isLiteral && survivesBlock(r)
		}
	}
	switch {
	case lines && isLiteral && !onlyBreaks:
		return literal, true
	case lines || !isPlain || s[len(s)-1] == ' ' || readsAsOther(s):
		return quoted, true
	default:
		return plain, true
	}
}

// startsPlain reports whether no indicator of YAML 1.2.2 section 5.3 opens the
// string. It refuses some that the grammar would allow before certain
// characters, and document markers.
func startsPlain(s string) bool {
	if s == "" {
		return false
	}
	switch s[0] {
	case ' ', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`':
		return false
	case '-':
		return len(s) > 1 && s[1] != ' ' && !strings.HasPrefix(s, "---")
	case '.':
		return !strings.HasPrefix(s, "...")
	}
	return true
}

// readsAsOther reports whether any parser could take a plain string for
// something else: a null, boolean, number, date, time, base-60 number, merge or
// value key of YAML 1.1 (yaml.org/type) or of the core schema of YAML 1.2.2
// section 10.3. It errs towards quoting: whatever holds a digit, begins like a
// number and consists of characters that occur in numbers and dates is quoted,
// be it an IP address.
func readsAsOther(s string) bool {
	switch c := s[0]; {
	case c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.':
		digit := false
		for i := range len(s) {
			if !numeric[s[i]] {
				return isSpecialFloat(s)
			}
			digit = digit || s[i] >= '0' && s[i] <= '9'
		}
		return digit || len(s) == 1 || isSpecialFloat(s)
	case len(s) <= len("false"):
		return words[strings.ToLower(s)]
	}
	return false
}

// numeric holds what numbers and timestamps of any notation consist of.
var numeric = func() (t [256]bool) {
	for _, c := range []byte("0123456789abcdefABCDEF" + "xXoOpP" + "+-.,:_" + "tTZ ") {
		t[c] = true
	}
	return t
}()

var words = map[string]bool{
	"~": true, "null": true,
	"true": true, "yes": true, "on": true, "y": true,
	"false": true, "no": true, "off": true, "n": true,
	"=": true, "<<": true,
}

func isSpecialFloat(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return strings.EqualFold(s, ".inf") || strings.EqualFold(s, ".nan")
}

// invisible reports whether a character of a single line must be escaped: YAML
// does not allow it raw, or a reader would not see it or be misled by it.
func invisible(r rune) bool {
	switch {
	case r < ' ',
		r >= 0x7f && r <= 0xa0, // C1 controls, NEL, no-break space
		r == 0xad, r == 0x61c, r == 0x180e,
		r >= 0x200b && r <= 0x200f,
		r >= 0x2028 && r <= 0x202e, // line separators, bidirectional controls
		r >= 0x2060 && r <= 0x206f,
		r == 0xfeff,
		r >= 0xfff0 && r <= 0xfffb,
		r&0xfffe == 0xfffe, // noncharacters
		r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return false
}

// survivesBlock reports whether a non-ASCII character may stand in a literal
// block, where nothing can be escaped: it is printable in YAML 1.1 and 1.2
// (YAML 1.2.2 section 5.1), no line break of YAML 1.1, and no byte order mark.
func survivesBlock(r rune) bool {
	switch {
	case r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
		return false
	}
	return true
}

const hexDigits = "0123456789abcdef"

// appendQuoted writes a double-quoted string. Its escapes are those of JSON,
// and \U for characters beyond the basic plane.
func appendQuoted(buf []byte, s string) []byte {
	buf = append(buf, '"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			buf = append(buf, '\\', byte(r))
		case '\n':
			buf = append(buf, '\\', 'n')
		case '\r':
			buf = append(buf, '\\', 'r')
		case '\t':
			buf = append(buf, '\\', 't')
		default:
			switch {
			case !invisible(r):
				buf = utf8.AppendRune(buf, r)
			case r <= 0xffff:
				buf = appendHex(append(buf, '\\', 'u'), r, 4)
			default:
				buf = appendHex(append(buf, '\\', 'U'), r, 8)
			}
		}
	}
	return append(buf, '"')
}

func appendHex(buf []byte, r rune, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		buf = append(buf, hexDigits[r>>shift&0xf])
	}
	return buf
}

// literal writes a literal block but for its last line break, which ends the
// line as it does for every scalar. The string must be one that [styleOf]
// found fit for it.
func (e *encoder) literal(s string, indent int) *fieldError {
	e.buf = append(e.buf, '|')
	// The indentation of the first line that is not empty is otherwise taken
	// for the block's (YAML 1.2.2 section 8.1.1.1), and libyaml takes no tab
	// while it looks for it.
	if c := s[0]; c == ' ' || c == '\t' || c == '\n' {
		e.buf = append(e.buf, '2')
	}
	body := strings.TrimRight(s, "\n")
	switch len(s) - len(body) {
	case 0:
		e.buf = append(e.buf, '-')
	case 1:
	default:
		e.buf = append(e.buf, '+')
	}
	for line := range strings.SplitSeq(body, "\n") {
		e.buf = append(e.buf, '\n')
		if line != "" {
			e.indent(indent)
			e.buf = append(e.buf, line...)
		}
		if len(e.buf) > maxBytes {
			return &fieldError{reason: ErrTooLarge}
		}
	}
	for range len(s) - len(body) - 1 {
		e.buf = append(e.buf, '\n')
	}
	return nil
}
