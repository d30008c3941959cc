package bus

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite deploy/nats/accounts.conf")

// TestReference: what NATS servers are given is of the permissions that the services have.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "nats", "accounts.conf")
	want := "# Generated from shared/subject/permission.go by make generate. Do not edit.\n" + Accounts()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not of these permissions: run make generate", path)
	}
}
