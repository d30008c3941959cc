package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/recipient"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
	"github.com/kubescribe/kubescribe/shared/service"
)

// TestKeygen: each key is one that its holder reads, in a file of its own; what is printed is what
// others may know of it.
func TestKeygen(t *testing.T) {
	dir := t.TempDir()
	for whose, public := range map[string]bool{"reader": true, "git-writer": true, "watcher": false} {
		file := filepath.Join(dir, whose+".key")
		r := command(t, "keygen", whose, file)
		if r.code != service.ExitOK || r.stderr != "" || (r.stdout == "") == public {
			t.Fatalf("%s: %+v", whose, r)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", whose, info, err)
		}
		if whose == "watcher" {
			if _, err := secretmark.ParseKey(b); err != nil {
				t.Errorf("%s: %v", whose, err)
			}
		} else if ids, err := seal.ParseIdentities(b); err != nil || ids.Recipients()[0].String()+"\n" != r.stdout || recipient.Check(strings.TrimSpace(r.stdout)) != nil {
			t.Errorf("%s: %v, printed is %q", whose, err, r.stdout)
		}
		if r := command(t, "keygen", whose, file); r.code != service.ExitError || !strings.Contains(r.stderr, file+" exists") {
			t.Errorf("%s, over another one: %+v", whose, r)
		}
		if again, err := os.ReadFile(file); err != nil || string(again) != string(b) {
			t.Errorf("%s: it was written over: %v", whose, err)
		}
	}
	for _, args := range [][]string{nil, {"reader"}, {"writer", filepath.Join(dir, "x")}, {"reader", filepath.Join(dir, "x"), "y"}} {
		if r := command(t, append([]string{"keygen"}, args...)...); r.code != service.ExitUsage || !strings.Contains(r.stderr, "reader, git-writer or watcher") {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if r := command(t, "keygen", "reader", filepath.Join(dir, "none", "x")); r.code != service.ExitError || !strings.Contains(r.stderr, "making a key") {
		t.Errorf("in a directory that does not exist: %+v", r)
	}
}
