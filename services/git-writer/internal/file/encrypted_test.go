package file

import (
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/sops"
	"github.com/kubescribe/kubescribe/shared/recipient"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

// TestParseEncrypted: a file that we encrypted tells its content hash, and by which key its content
// was marked; one that somebody has changed tells another hash, and no mark.
func TestParseEncrypted(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := recipient.Parse([]string{id.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	mark := "hmac-sha256:0102030405060708:1112131415161718" + strings.Repeat("0", 48)
	plain := "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  a: YQ==\n"
	fields := []string{"data"}
	file, err := sops.Encrypt([]byte(plain), to, mark, time.Unix(0, 0), fields)
	if err != nil {
		t.Fatal(err)
	}
	hash := secretmark.Hash(mark, to.Strings(), fields)
	ours := Parse(file)
	if ours.Resources != 1 || ours.Encrypted == nil || ours.Encrypted.Hash.String() != hash || ours.Encrypted.Key != [8]byte{1, 2, 3, 4, 5, 6, 7, 8} || ours.Encrypted.Mark != [8]byte{0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18} {
		t.Errorf("ours is %+v", ours)
	}
	changed := Parse([]byte(strings.Replace(string(file), "name: db", "name: web", 1)))
	if changed.Encrypted == nil || changed.Encrypted.Hash.String() == hash || changed.Resources != 1 || changed.Encrypted.Key != [8]byte{} {
		t.Errorf("one that was changed is %+v", changed)
	}
	two := Parse([]byte(string(file) + "---\n" + plain))
	if two.Resources != 2 || two.Encrypted == nil || two.Encrypted.Hash.String() == hash {
		t.Errorf("with another resource in it, it is %+v", two)
	}
}
