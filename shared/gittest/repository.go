package gittest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// InitBare makes an empty bare repository at dir whose HEAD names branch, which
// may be pushed to over HTTP. Directories on the way are made.
func InitBare(dir, branch string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making repository: %w", err)
	}
	_, err := Git(dir, "init", "--quiet", "--bare", "--initial-branch="+branch, ".")
	if err != nil {
		return err
	}
	// Housekeeping runs within the push that makes it due: a process that went
	// on by itself would write into directories that are being removed.
	return errors.Join(
		Configure(dir, "http.receivepack", "true"),
		Configure(dir, "gc.autoDetach", "false"),
		Configure(dir, "maintenance.autoDetach", "false"),
	)
}

// Configure sets one configuration key of the repository at dir.
func Configure(dir, key, value string) error {
	_, err := Git(dir, "config", key, value)
	return err
}

// AllowFilter says whether the repository at dir serves partial clones.
func AllowFilter(dir string, allow bool) error {
	return Configure(dir, "uploadpack.allowFilter", fmt.Sprint(allow))
}

// InstallHook makes script (with its #! line) the hook of that name, replacing
// one that stands there. An empty script takes the hook away.
func InstallHook(dir, name, script string) error {
	path := filepath.Join(dir, "hooks", name)
	// A hook is replaced by a new file: a server may be running the old one.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing hook: %w", err)
	}
	if script == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("installing hook: %w", err)
	}
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		return fmt.Errorf("installing hook: %w", err)
	}
	return nil
}

// RefuseWith is a pre-receive hook that refuses every push with these words.
func RefuseWith(words string) string {
	return "#!/bin/sh\ncat >/dev/null\ncat >&2 <<'WORDS'\n" + words + "\nWORDS\nexit 1\n"
}
