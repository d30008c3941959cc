package bus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
)

func TestCheckURL(t *testing.T) {
	for url, ok := range map[string]bool{
		"nats://127.0.0.1:4222":              true,
		"tls://a.example.com":                true,
		"nats://a:4222,nats://b:4222":        true,
		"":                                   false,
		"here":                               false,
		"nats://a:4222,":                     false,
		"nats://user:s3cret@b:4222":          false,
		"nats://a,nats://user:s3cret@b:4222": false,
		"nats://a:4222, nats://user:s3cret@b:422": false,
	} {
		err := CheckURL(url)
		if (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

func TestCheckCreds(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	const jwt = "-----BEGIN NATS USER JWT-----\neyJ0eXAiOiJKV1QifQ.e30.c2ln\n------END NATS USER JWT------\n\n"
	key := "-----BEGIN USER NKEY SEED-----\n" + string(seed) + "\n------END USER NKEY SEED------\n"
	dir := t.TempDir()
	if err := CheckCreds(""); err != nil {
		t.Errorf("none: %v", err)
	}
	if err := CheckCreds(dir + "/missing"); err == nil || !strings.Contains(err.Error(), dir+"/missing") {
		t.Errorf("missing: %v", err)
	}
	for name, c := range map[string]struct {
		content string
		ok      bool
	}{"whole": {jwt + key, true}, "no key": {jwt, false}, "no JWT": {key, false}, "something else": {"s3cret\n", false}, "empty": {"", false}} {
		file := filepath.Join(dir, "creds")
		if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := CheckCreds(file)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), string(seed))) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCursor(t *testing.T) {
	for _, c := range []Cursor{{}, {Seq: 7}, {Seq: 7, ID: "a-b_c"}, {Seq: 7, ID: " a b = % ", After: "ks.live.d.0.1.a.b.c"}, {Seq: 1, ID: "-"}, {Seq: 1, ID: "="}, {Seq: 3, Mended: true}, {Seq: 3, ID: "=a ~", Mended: true}} {
		got, err := ParseCursor(strings.TrimSpace(c.String()))
		if err != nil || got != c {
			t.Errorf("%+v is read as %+v, %v", c, got, err)
		}
	}
	for _, s := range []string{"", "7", "x -", "7 id", "7 =%zz", "7 - a b", "7 ~%zz", "7 "} {
		if _, err := ParseCursor(s); err == nil {
			t.Errorf("%q is read", s)
		}
	}
}
