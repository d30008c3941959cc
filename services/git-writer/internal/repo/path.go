package repo

import (
	"fmt"
	"strings"
)

// maxPath is where git fsck begins to complain.
const maxPath = 4096

// checkPath refuses what must not become a path in a repository: what leaves
// it, what some checkout would write into its .git directory, and what git fsck
// --strict complains of.
func checkPath(path string) error {
	bad := func(why string) error { return fmt.Errorf("checking path %q: %w: %s", path, ErrBadPath, why) }
	if len(path) > maxPath {
		return bad("it is too long")
	}
	if strings.IndexByte(path, 0) >= 0 {
		return bad("it has a NUL")
	}
	for component := range strings.SplitSeq(path, "/") {
		switch {
		case component == "":
			return bad("it has an empty component")
		case component == "." || component == "..":
			return bad("it has a component that leads elsewhere")
		case isDotGit(component):
			return bad("it has a component that some system takes for .git")
		}
	}
	return nil
}

// isDotGit says whether a file system takes name for .git: by case, by NTFS's
// short name, trailing dots and spaces and streams, by HFS+'s ignored
// characters (git's path.c, is_ntfs_dotgit, and utf8.c, is_hfs_dotgit). Git
// treats a backslash as a separator here, because Windows does.
func isDotGit(name string) bool {
	plain := strings.Map(func(r rune) rune {
		if hfsIgnores(r) {
			return -1
		}
		return r
	}, name)
	if strings.EqualFold(plain, ".git") {
		return true
	}
	for part := range strings.SplitSeq(name, `\`) {
		part, _, _ = strings.Cut(part, ":")
		part = strings.ToLower(strings.TrimRight(part, ". "))
		if part == ".git" || part == "git~1" {
			return true
		}
	}
	return false
}

// hfsIgnores lists what HFS+ leaves out when it compares names.
func hfsIgnores(r rune) bool {
	return r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x206a && r <= 0x206f || r == 0xfeff
}
