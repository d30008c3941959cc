package repo

import (
	"errors"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	tests := map[string]string{
		"https://user:s3cr3t@host/r":      "https://host/r",
		"https://s3cr3t@host:8443/r":      "https://host:8443/r",
		"https://host/r?token=s3cr3t#x":   "https://host/r",
		"ssh://git:s3cr3t@host/r":         "ssh://git@host/r",
		"git@host:r":                      "git@host:r",
		"git:s3cr3t@host:r":               "***@host:r",
		"/srv/repo":                       "/srv/repo",
		"https://u:s3cr3t@ho st/r":        "***@ho st/r",
		"https://u:s3/cr3t@host:port/r":   "***@host:port/r",
		"HTTPS://U:s3cr3t@HOST/r":         "https://HOST/r",
		"https:u:s3cr3t@host/r":           "***@host/r",
		"nonsense://u:s3cr3t@host/r":      "nonsense://host/r",
		"https://u:s3cr3t@host/r\x7f@b/r": "***@b/r",
		"":                                "",
	}
	for raw, want := range tests {
		if got := Redact(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestRemote(t *testing.T) {
	for _, same := range [][]string{
		{"https://host/team/r", "https://host/team/r.git", "https://HOST:443/team/r/", "HTTPS://user@host/team//r.git"},
		{"https://host:8443/team/r"},
		{"ssh://git@host/team/r", "git@host:team/r.git", "ssh://host:22/team/r"},
		{"/srv/r.git", "file:///srv/r.git", "/srv/./r.git"},
		{"/srv/r"},
		{"no repository://"},
	} {
		for _, raw := range same {
			if got, want := Remote(raw), Remote(same[0]); got != want {
				t.Errorf("%s is %s, want %s", raw, got, want)
			}
		}
		for _, other := range []string{"https://host/team/other", "https://other/team/r"} {
			if Remote(same[0]) == Remote(other) {
				t.Errorf("%s is %s", same[0], other)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	good := []string{
		"a", "a/b/c.yaml", "x y", "system%3Anode.yaml", "é", ".gitignore", "git", "a.git", ".github/x", "...", "git~2", "..a",
		strings.Repeat("n", 253) + ".yaml",
	}
	for _, path := range good {
		if err := checkPath(path); err != nil {
			t.Error(err)
		}
	}
	bad := []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "../a", ".git", ".GIT/config", "a/.Git/b", "a\x00b",
		"git~1", "GIT~1/x", ".git ", ".git.", ".git. . ", ".git::$INDEX_ALLOCATION/x", "a/.git:x", ".g\u200cit", "\ufeff.git/x", `a\.git\x`,
		strings.Repeat("a/", 2100) + "b",
	}
	for _, path := range bad {
		if err := checkPath(path); !errors.Is(err, ErrBadPath) {
			t.Errorf("%q: %v", path, err)
		}
	}
}
