package manifest

import (
	"path"
	"strings"
)

// MatchesManager reports whether the name of a field manager matches a pattern, in which *
// stands for any characters and ? for any one. Both may have slashes, which are like others.
func MatchesManager(pattern, manager string) bool {
	ok, _ := path.Match(withoutSlashes.Replace(pattern), withoutSlashes.Replace(manager))
	return ok
}

// path.Match takes no * across a slash. No name has a NUL.
var withoutSlashes = strings.NewReplacer("/", "\x00")
