package attributes

import "strings"

const (
	blank       = " \t\r\n"
	macroPrefix = "[attr]"
	// maxLine is what Git reads of a line; it ignores longer ones.
	maxLine = 2048
)

// line is one line of a file that says something: of paths, or what a macro is.
type line struct {
	name    string // the pattern as it is written, or the macro's name
	macro   bool
	sets    []assignment
	folder  string // of the file
	where   Where
	pattern pattern
}

// assignment says what an attribute is to be.
type assignment struct {
	name  string
	state state
	value string // of a valued one
}

type state byte

const (
	unspecified state = iota // !name, or nobody said anything
	unset                    // -name
	set                      // name
	valued                   // name=value
)

// parseLine reads a line as Git's parse_attr_line does; ok is whether it says
// anything.
func parseLine(text string) (l line, ok bool) {
	text, _, _ = strings.Cut(text, "\x00")
	rest := strings.TrimLeft(text, blank)
	if rest == "" || rest[0] == '#' || len(text) >= maxLine {
		return line{}, false
	}
	var after string
	if l.name, after, ok = unquote(rest); !ok {
		l.name, after = word(rest)
	}
	rest = after
	if name, is := strings.CutPrefix(l.name, macroPrefix); is && name != "" {
		l.macro = true
		if l.name, _ = word(strings.TrimLeft(name, blank)); !isName(l.name) {
			return line{}, false
		}
	}
	for rest = strings.TrimLeft(rest, blank); rest != ""; rest = strings.TrimLeft(rest, blank) {
		var one string
		one, rest = word(rest)
		a, ok := parseAssignment(one)
		if !ok {
			return line{}, false // and with it the whole line
		}
		l.sets = append(l.sets, a)
	}
	return l, true
}

// word is what stands before the first blank.
func word(s string) (first, rest string) {
	if end := strings.IndexAny(s, blank); end >= 0 {
		return s[:end], s[end:]
	}
	return s, ""
}

func parseAssignment(one string) (a assignment, ok bool) {
	name, value, has := strings.Cut(one, "=")
	switch {
	case strings.HasPrefix(name, "-"):
		a = assignment{name[1:], unset, ""}
	case strings.HasPrefix(name, "!"):
		a = assignment{name[1:], unspecified, ""}
	case has:
		a = assignment{name, valued, value}
	default:
		a = assignment{name, set, ""}
	}
	return a, isName(a.name)
}

// isName is whether an attribute can be called so.
func isName(name string) bool {
	return name != "" && name[0] != '-' && strings.Trim(name, "-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// unquote reads a quoted pattern, as Git's unquote_c_style does.
func unquote(s string) (name, rest string, ok bool) {
	if s[0] != '"' {
		return "", "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", "", false
			}
			switch c = s[i]; c {
			case '\\', '"':
				b.WriteByte(c)
			case 'a', 'b', 'f', 'n', 'r', 't', 'v':
				b.WriteByte("\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", c)])
			case '0', '1', '2', '3':
				if i+2 >= len(s) || !isOctal(s[i+1]) || !isOctal(s[i+2]) {
					return "", "", false
				}
				b.WriteByte((c-'0')<<6 | (s[i+1]-'0')<<3 | (s[i+2] - '0'))
				i += 2
			default:
				return "", "", false
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false // it is not closed
}

func isOctal(c byte) bool { return '0' <= c && c <= '7' }

func (l line) setsAny(names map[string]bool) bool {
	for _, a := range l.sets {
		if names[a.name] {
			return true
		}
	}
	return false
}

// matches is whether the line is about a path.
func (l line) matches(p string) bool {
	below := p
	if l.folder != "" {
		var in bool
		if below, in = strings.CutPrefix(p, l.folder+"/"); !in {
			return false
		}
	}
	return l.pattern.match(below)
}
