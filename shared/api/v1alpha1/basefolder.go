package v1alpha1

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kubescribe/kubescribe/shared/manifest"
)

// rootFolder as a base folder is the root of the repository.
const rootFolder = "."

// baseFolderProblem says why a path cannot be a base folder; empty if it can. What it
// accepts is a path in Git's spelling that stays inside the repository and outside
// .git on every platform: servers refuse, and checkouts cannot hold, the rest.
func baseFolderProblem(folder string) string {
	switch {
	case folder == rootFolder:
		return ""
	case folder == "":
		return "is empty; write . for the root of the repository"
	case !utf8.ValidString(folder):
		return "is not valid UTF-8; use a path of plain characters"
	case strings.Contains(folder, `\`):
		return "contains a backslash; separate folders by /"
	case strings.ContainsFunc(folder, isInvisible):
		return "contains a control or invisible character; remove it"
	case strings.HasPrefix(folder, "/"):
		return "begins with a slash; write the path from the root of the repository, which itself is ."
	case strings.ContainsAny(folder, `<>:"|?*`):
		return `contains one of < > : " | ? * which not every file system can hold; use other characters`
	}
	for part := range strings.SplitSeq(folder, "/") {
		switch {
		case part == "":
			return "has a slash at its end or two in a row; remove one"
		case part == "..":
			return `contains ".."; the folder must lie inside the repository`
		case isDotGit(part):
			return "contains a folder that means .git to some file system; use another name"
		case manifest.IsDevice(strings.ToLower(part)):
			return "contains a folder that Windows takes for a device; use another name"
		case strings.Trim(part, ". ") != part:
			return "has a part that begins or ends with a dot or space; use another name"
		}
	}
	return ""
}

// isInvisible includes the format characters that HFS+ ignores in names, by which
// ".g\u200cit" is .git there.
func isInvisible(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// isDotGit knows NTFS's short name and its blindness for trailing dots and spaces.
func isDotGit(part string) bool {
	part = strings.ToLower(strings.TrimRight(part, ". "))
	return part == ".git" || part == "git~1"
}
