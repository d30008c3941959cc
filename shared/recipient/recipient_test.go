package recipient

import (
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
)

// key is a key of age.
type key struct{ public, private string }

func newKey(t *testing.T) key {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return key{id.Recipient().String(), id.String()}
}

func newHybridKey(t *testing.T) key {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return key{id.Recipient().String(), id.String()}
}

func TestParse(t *testing.T) {
	t.Parallel()
	a, b, hybrid := newKey(t), newKey(t), newHybridKey(t)
	to, err := Parse([]string{b.public, a.public, b.public, hybrid.public})
	if want := slices.Sorted(slices.Values([]string{a.public, hybrid.public, b.public})); err != nil || !slices.Equal(to.Strings(), want) || len(to.Keys()) != len(want) {
		t.Errorf("%v, %v", to.Strings(), err)
	}
	if none, err := Parse(nil); err != nil || len(none.Keys()) != 0 {
		t.Errorf("none: %v, %v", none, err)
	}
	for key, says := range map[string]string{
		"":                              "no public key of age",
		"prod":                          "no public key of age",
		" " + a.public:                  "no public key of age",
		strings.ToUpper(a.public):       "no public key of age",
		a.public[:40]:                   "no public key of age",
		a.public + "," + b.public:       "a plugin of age",
		hybrid.public[:400]:             "no public key of age",
		"age1yubikey1qwertzuiop":        "a plugin of age",
		"ssh-ed25519 AAAAC3Nza hush":    "an SSH key",
		"ssh-rsa AAAA":                  "an SSH key",
		a.private:                       "a private key",
		strings.ToLower(hybrid.private): "a private key",
		"0123456789ABCDEF0123456789ABCDEF01234567": "no public key of age",
	} {
		_, err := Parse([]string{b.public, key})
		if Check(key) == nil {
			t.Errorf("%q is taken", key)
		}
		if err == nil || !strings.Contains(err.Error(), "recipient 2 of 2: that is ") || !strings.Contains(err.Error(), says) || (len(key) > 10 && strings.Contains(err.Error(), key[6:])) {
			t.Errorf("%q: %v", key, err)
		}
	}
}
