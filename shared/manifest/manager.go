package manifest

import (
	"path"
	"slices"
	"strings"
)

// IgnoresManager reports whether one of several patterns is of what a field manager owns through
// a subresource, "" for the object itself. One that ends with /scale or /status is of that
// subresource, and of the managers that the part before it matches; any other is of managers, and
// of all that they own. Who means a manager that is named so writes /scal?.
func IgnoresManager(patterns []string, manager, subresource string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if of, ok := strings.CutSuffix(pattern, "/scale"); ok {
			return subresource == "scale" && MatchesManager(of, manager)
		}
		if of, ok := strings.CutSuffix(pattern, "/status"); ok {
			return subresource == "status" && MatchesManager(of, manager)
		}
		return MatchesManager(pattern, manager)
	})
}

// MatchesManager reports whether the name of a field manager matches a pattern, in which *
// stands for any characters and ? for any one. Both may have slashes, which are like others.
func MatchesManager(pattern, manager string) bool {
	ok, _ := path.Match(withoutSlashes.Replace(pattern), withoutSlashes.Replace(manager))
	return ok
}

// path.Match takes no * across a slash. No name has a NUL.
var withoutSlashes = strings.NewReplacer("/", "\x00")
