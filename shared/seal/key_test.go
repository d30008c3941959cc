package seal

import (
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"
)

// keyLine is the line of a file that holds the private key.
func keyLine(t *testing.T) string {
	t.Helper()
	file, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(file), "\n")[1]
}

func TestParseRecipient(t *testing.T) {
	t.Parallel()
	_, to := newKey(t)
	got, err := ParseRecipient(to.String())
	if err != nil || got.String() != to.String() {
		t.Errorf("%v, %v", got, err)
	}
	private := keyLine(t)
	for text, says := range map[string]string{
		"":                             "age-keygen -y",
		"prod":                         "age-keygen -y",
		to.String() + "q":              "age-keygen -y",
		to.String()[:40]:               "age-keygen -y",
		"ssh-ed25519 AAAA":             "age-keygen -y",
		private:                        "that is a private key",
		strings.ToLower(private):       "that is a private key",
		" " + private:                  "age-keygen -y",
		"AGE-SECRET-KEY-PQ-1" + "QQQQ": "that is a private key",
	} {
		_, err := ParseRecipient(text)
		if err == nil || !strings.Contains(err.Error(), says) || (len(text) > 10 && strings.Contains(err.Error(), text[2:])) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseIdentities(t *testing.T) {
	t.Parallel()
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	a, b := keyLine(t), keyLine(t)
	for what, tt := range map[string]struct {
		file string
		want int
	}{
		"as age-keygen writes it":  {"# created: 2026-03-14T15:09:26Z\n# public key: age1\n" + a + "\n", 1},
		"an old one behind it":     {a + "\n\n# until Friday\n" + b, 2},
		"one of another kind too":  {hybrid.String() + "\n" + a + "\n", 1},
		"one of another kind":      {hybrid.String() + "\n", 0},
		"nothing":                  {"", 0},
		"comments":                 {"# " + a, 0},
		"the public key":           {"age1qqqq\n", 0},
		"cut":                      {a[:40] + "\n", 0},
		"one that cannot be read":  {a + "\nhush-hush\n", 0},
		"an encrypted file's head": {"-----BEGIN AGE ENCRYPTED FILE-----\n", 0},
	} {
		ids, err := ParseIdentities([]byte(tt.file))
		if len(ids.Recipients()) != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%s: %d of %d, %v", what, len(ids.Recipients()), tt.want, err)
		}
		if shown := fmt.Sprintf("%v %+v %#v", ids, ids, ids); strings.Contains(shown, a[20:40]) {
			t.Errorf("%s: printing it shows a private key", what)
		}
		if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), a[20:40])) {
			t.Errorf("%s: the error repeats it: %v", what, err)
		}
	}
}
