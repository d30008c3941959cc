package gitwriter

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/transport/http"
)

func TestCredentialsValidate(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, c := range map[string]struct {
		Credentials
		says string
	}{
		"none":           {},
		"whole":          {Credentials: Credentials{Username: "me", PasswordFile: file("ok", "s3cret\n")}},
		"no password":    {Credentials: Credentials{Username: "me"}, says: "belong together"},
		"no user":        {Credentials: Credentials{PasswordFile: "x"}, says: "belong together"},
		"no such file":   {Credentials: Credentials{Username: "me", PasswordFile: filepath.Join(dir, "none")}, says: "no such file"},
		"Secrets":        {Credentials: Credentials{Dir: dir}},
		"no directory":   {Credentials: Credentials{Dir: filepath.Join(dir, "none")}, says: "the directory of Secrets"},
		"a file of them": {Credentials: Credentials{Dir: file("file", "x")}, says: "is no directory"},
		"an empty file":  {Credentials: Credentials{Username: "me", PasswordFile: file("empty", "\n")}, says: "is empty"},
	} {
		err := c.Validate()
		if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPasswordIsReadEachTime: rotating it needs no restart.
func TestPasswordIsReadEachTime(t *testing.T) {
	p := filepath.Join(t.TempDir(), "password")
	c := Credentials{Username: "me", PasswordFile: p}
	for _, want := range []string{"one", "two"} {
		if err := os.WriteFile(p, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		auth, err := c.auth(t.Context(), "https://git.example.com/a.git")
		if err != nil {
			t.Fatal(err)
		}
		if b, ok := auth.(*http.BasicAuth); !ok || b.Password != want || b.Username != "me" {
			t.Fatalf("got %T", auth)
		}
	}
}

func TestHelper(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	config := "[credential]\n\thelper = \"!f() { test $1 = get && echo username=me && echo password=from-helper; }; f\"\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	auth, err := Credentials{}.auth(context.Background(), "https://git.example.com/a.git")
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := auth.(*http.BasicAuth); !ok || b.Username != "me" || b.Password != "from-helper" {
		t.Fatalf("got %T", auth)
	}
	if err := os.Remove(filepath.Join(home, ".gitconfig")); err != nil {
		t.Fatal(err)
	}
	if auth, err := (Credentials{}).auth(context.Background(), "https://git.example.com/a.git"); auth != nil || err != nil {
		t.Fatalf("without a helper: %v, %v", auth, err)
	}
	if auth, err := (Credentials{}).auth(context.Background(), "/srv/git/a.git"); auth != nil || err != nil {
		t.Fatalf("a bare path: %v, %v", auth, err)
	}
	if _, err := (Credentials{}).auth(context.Background(), "git@git.example.com:a.git"); err == nil || !strings.Contains(err.Error(), "SSH agent") {
		t.Fatalf("without an agent: %v", err)
	}
}
