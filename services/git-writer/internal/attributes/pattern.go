package attributes

import (
	"fmt"
	"regexp"
	"strings"
)

// pattern is what a line is about, below the folder of its file.
type pattern struct {
	// whole matches paths, byte by byte: see bytewise. Nil: it matches no file.
	whole *regexp.Regexp
	// last is whether the last component of a path is what it has to match.
	last bool
}

func (p pattern) match(below string) bool {
	if p.whole == nil {
		return false
	}
	if p.last {
		below = below[strings.LastIndexByte(below, '/')+1:]
	}
	return p.whole.MatchString(bytewise(below))
}

// compile reads a pattern as Git's attr.c and wildmatch.c do: one without a slash is
// about the last component, one that ends in a slash about directories, which have
// no attributes, and one that begins with an exclamation mark is ignored.
func compile(s string) pattern {
	if strings.HasPrefix(s, "!") || strings.HasSuffix(s, "/") {
		return pattern{}
	}
	p := pattern{last: !strings.Contains(s, "/")}
	s = strings.TrimPrefix(s, "/")
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	special := strings.IndexAny(s, `*?[\`)
	for i := 0; i < len(s); {
		switch s[i] {
		case '*':
			stars := len(s[i:]) - len(strings.TrimLeft(s[i:], "*"))
			rest := s[i+stars:]
			// Git matches what is before the first special character by itself, so
			// that asterisks right behind it stand at a beginning.
			begins := i == special || s[i-1] == '/'
			across := stars > 1 && begins && (rest == "" || rest[0] == '/' || strings.HasPrefix(rest, `\/`))
			switch {
			case across && strings.HasPrefix(rest, "/"):
				b.WriteString(`(?:.*/)?`)
				stars++
			case across:
				b.WriteString(`.*`)
			default:
				b.WriteString(`[^/]*`)
			}
			i += stars
		case '?':
			b.WriteString(`[^/]`)
			i++
		case '[':
			class, length, ok := parseClass(s[i:])
			if !ok {
				return pattern{}
			}
			b.WriteString(class)
			i += length
		case '\\':
			if i++; i == len(s) {
				return pattern{}
			}
			fallthrough
		default:
			b.WriteString(regexp.QuoteMeta(bytewise(s[i : i+1])))
			i++
		}
	}
	b.WriteString(`\z`)
	p.whole = regexp.MustCompile(b.String()) // what is not ours in it is quoted
	return p
}

// parseClass reads what begins with a bracket. ok is whether it is closed and names
// only classes that there are: else nothing matches it.
func parseClass(s string) (class string, length int, ok bool) {
	i := 1
	negated := i < len(s) && (s[i] == '!' || s[i] == '^')
	if negated {
		i++
	}
	var in [256]bool
	begin := -1 // of a range, should a dash follow
	for first := true; ; first = false {
		switch {
		case i >= len(s):
			return "", 0, false
		case s[i] == ']' && !first:
			in['/'] = negated // never matched
			return classOf(in, negated), i + 1, true
		case s[i] == '-' && begin >= 0 && i+1 < len(s) && s[i+1] != ']':
			if i++; s[i] == '\\' {
				if i++; i >= len(s) {
					return "", 0, false
				}
			}
			for c := begin; c <= int(s[i]); c++ {
				in[c] = true
			}
			begin = -1
		case strings.HasPrefix(s[i:], "[:"):
			end := strings.IndexByte(s[i+2:], ']')
			if end < 0 {
				return "", 0, false
			}
			name, closed := strings.CutSuffix(s[i+2:i+2+end], ":")
			if !closed { // an ordinary bracket
				in['['], begin = true, '['
				break
			}
			is, known := classes[name]
			if !known {
				return "", 0, false
			}
			for c := range in {
				in[c] = in[c] || c < 0x80 && is(byte(c))
			}
			i, begin = i+2+end, -1
		default:
			if s[i] == '\\' {
				if i++; i >= len(s) {
					return "", 0, false
				}
			}
			in[s[i]], begin = true, int(s[i])
		}
		i++
	}
}

// classOf is a regular expression for one of those bytes, or for one of the others.
func classOf(in [256]bool, negated bool) string {
	var b strings.Builder
	for c, is := range in {
		if is != negated {
			_, _ = fmt.Fprintf(&b, `\x{%x}`, c)
		}
	}
	if b.Len() == 0 {
		return `[^\x00-\x{10FFFF}]` // nothing
	}
	return "[" + b.String() + "]"
}

// classes are those of the C locale, which Git uses.
var classes = map[string]func(byte) bool{
	"alnum":  func(c byte) bool { return isLower(c) || isUpper(c) || isDigit(c) },
	"alpha":  func(c byte) bool { return isLower(c) || isUpper(c) },
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c byte) bool { return c < 0x20 || c == 0x7f },
	"digit":  isDigit,
	"graph":  func(c byte) bool { return 0x20 < c && c < 0x7f },
	"lower":  isLower,
	"print":  func(c byte) bool { return 0x20 <= c && c < 0x7f },
	"punct":  func(c byte) bool { return 0x20 < c && c < 0x7f && !isLower(c) && !isUpper(c) && !isDigit(c) },
	"space":  func(c byte) bool { return c == ' ' || 0x09 <= c && c <= 0x0d },
	"upper":  isUpper,
	"xdigit": func(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' },
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// bytewise is s with a rune for each byte: Git matches bytes.
func bytewise(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
