package repo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCanonicalURL(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"https://github.com/org/repo":                  "https://github.com/org/repo",
		"https://github.com/org/repo.git":              "https://github.com/org/repo",
		"https://github.com/org/repo.git/":             "https://github.com/org/repo",
		"HTTPS://GitHub.com:443/org//repo/":            "https://github.com/org/repo",
		"http://git.example.com:80/Repo":               "http://git.example.com/Repo",
		"http://git.example.com:8080/Repo":             "http://git.example.com:8080/Repo",
		"https://user:secret@github.com/org/repo":      "https://github.com/org/repo",
		"https://token@github.com/org/repo":            "https://github.com/org/repo",
		"https://github.com/org/%72epo":                "https://github.com/org/repo",
		"https://[2001:DB8::1]:8443/a":                 "https://[2001:db8::1]:8443/a",
		"https://[2001:DB8::1]/a":                      "https://[2001:db8::1]/a",
		"ssh://git@GitHub.com/org/repo.git":            "ssh://git@github.com/org/repo",
		"ssh://git:pw@github.com:22/org/repo":          "ssh://git@github.com/org/repo",
		"ssh://git@github.com:2222/org/repo":           "ssh://git@github.com:2222/org/repo",
		"git@GitHub.com:org/repo.git":                  "ssh://git@github.com/org/repo",
		"github.com:org/repo":                          "ssh://github.com/org/repo",
		"git@host:/srv/repo":                           "ssh://git@host/srv/repo",
		"git@[::1]:repo":                               "ssh://git@[::1]/repo",
		"file:///srv/git/../repo.git/":                 "/srv/repo.git",
		"file://localhost/srv/repo":                    "/srv/repo",
		"/srv//repo":                                   "/srv/repo",
		"./rel/repo":                                   filepath.Join(wd, "rel/repo"),
		"./with:colon":                                 filepath.Join(wd, "with:colon"),
		"https://host/.git":                            "https://host/.git",
		"https://host/repo/.git":                       "https://host/repo",
		"https://host/scm/project/_git/repo%20one.git": "https://host/scm/project/_git/repo%20one",
	}
	for raw, want := range tests {
		got, err := CanonicalURL(raw)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", raw, got, err, want)
			continue
		}
		if again, err := CanonicalURL(got); err != nil || again != got {
			t.Errorf("%s: canonical again is %q, %v", got, again, err)
		}
	}
}

func TestCanonicalURLRefuses(t *testing.T) {
	const secret = "s3cr3t"
	for _, raw := range []string{
		"", " https://h/r", "https://h/r\n", "https://h/r\x00", "git://host/repo", "ftp://host/repo", "rsync://h/r",
		"https://", "https:///repo", "https://host", "https://host/", "https://host:0/r", "https://host:99999/r", "https://host:x/r",
		"https://u:s3cr3t@host/r?private_token=s3cr3t", "https://host/r#s3cr3t", "https:/host/repo", "https:host/repo", "ssh:host",
		"C:/repo", `C:\repo`, "ext::sh -c id", "host:", "git@host:", "git@host:/", "git:s3cr3t@host:repo", "-oProxy=x:repo", "ssh://-o/x",
		"https://u:s3cr3t@ho st/r", "https://u:s3cr3t@%zz/r", "https://u:s3/cr3t@host:x/r", "file://other/srv", "file://",
	} {
		got, err := CanonicalURL(raw)
		if !errors.Is(err, ErrBadURL) || got != "" {
			t.Errorf("%q: %q, %v", raw, got, err)
			continue
		}
		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "cr3t") {
			t.Errorf("%q: error %v tells the secret", raw, err)
		}
		b := New(Config{URL: raw, Branch: "main", Dir: t.TempDir()})
		if _, err := b.Fetch(t.Context()); !errors.Is(err, ErrBadURL) {
			t.Errorf("%q: fetching: %v", raw, err)
		}
	}
	for _, branch := range []string{"", "a b", "a..b", "-", "x.lock", "a~1", "/a"} {
		b := New(Config{URL: "/srv/x", Branch: branch, Dir: t.TempDir()})
		if _, err := b.Fetch(t.Context()); !errors.Is(err, ErrBadBranch) && branch != "-" {
			t.Errorf("branch %q: %v", branch, err)
		}
	}
}

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

func FuzzCanonicalURL(f *testing.F) {
	for _, s := range []string{"https://a:b@c/d.git", "git@h:p", "/x", "file:///x", "ssh://u@h:22/x", "http://[::1]:80/x//y", "https://h/%2e%2e/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := CanonicalURL(raw)
		_ = Redact(raw)
		if err != nil {
			return
		}
		again, err := CanonicalURL(got)
		if err != nil || again != got {
			t.Errorf("%q is %q is %q, %v", raw, got, again, err)
		}
		if strings.HasPrefix(got, "http") && strings.Contains(strings.SplitN(got, "/", 4)[2], "@") {
			t.Errorf("%q kept its user: %q", raw, got)
		}
	})
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
