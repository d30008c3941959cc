package v1alpha1

import (
	"strings"
	"unicode/utf8"
)

// branchProblem says why a name cannot be a branch, by the rules of
// git check-ref-format --branch; empty if it can.
func branchProblem(name string) string {
	const advice = "; use a name that git check-ref-format --branch accepts"
	if strings.HasPrefix(name, "refs/heads/") {
		return "begins with refs/heads/; leave that out"
	}
	switch {
	case name == "":
		return "is empty" + advice
	case !utf8.ValidString(name):
		return "is not valid UTF-8" + advice
	case name == "@" || name == "HEAD":
		return "means the current commit to git, not a branch" + advice
	case strings.HasPrefix(name, "-"):
		return "begins with a dash" + advice
	case strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return "has an empty part between slashes" + advice
	case strings.HasSuffix(name, "."):
		return "ends with a dot" + advice
	case strings.Contains(name, ".."):
		return `contains ".."` + advice
	case strings.Contains(name, "@{"):
		return `contains "@{"` + advice
	case strings.ContainsFunc(name, isControl):
		return "contains a control character" + advice
	case strings.ContainsAny(name, " ~^:?*[\\"):
		return `contains a space or one of ~ ^ : ? * [ \` + advice
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case strings.HasPrefix(part, "."):
			return "has a part that begins with a dot" + advice
		case strings.HasSuffix(part, ".lock"):
			return "has a part that ends with .lock" + advice
		}
	}
	return ""
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }
