package gitwriter

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

func newSigningKey(t *testing.T, algorithm, passphrase string) (gittest.Key, []byte) {
	t.Helper()
	k, err := gittest.NewKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	file, err := k.PEM(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return k, file
}

// dsaKey is the form of a key that nobody makes any more.
func dsaKey(t *testing.T) []byte {
	t.Helper()
	type key struct {
		Version       int
		P, Q, G, Y, X *big.Int
	}
	bits := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n-1) }
	der, err := asn1.Marshal(key{0, bits(1024), bits(160), big.NewInt(2), big.NewInt(3), big.NewInt(5)})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "DSA PRIVATE KEY", Bytes: der})
}

func TestSigningValidate(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	k, open := newSigningKey(t, ssh.KeyAlgoED25519, "")
	_, closed := newSigningKey(t, ssh.KeyAlgoED25519, "s3cret")
	public := ssh.MarshalAuthorizedKey(k.PublicKey())
	for name, test := range map[string]struct {
		Signing
		says []string
	}{
		"none":                      {},
		"a key":                     {Signing: Signing{KeyFile: file("open", open)}},
		"a passphrase for nothing":  {Signing: Signing{KeyFile: file("open", open), PassphraseFile: file("right", []byte("s3cret\n"))}},
		"a key with a passphrase":   {Signing: Signing{KeyFile: file("closed", closed), PassphraseFile: file("right", []byte("s3cret\n"))}},
		"no key":                    {Signing{PassphraseFile: "x"}, []string{"KUBESCRIBE_GIT_SIGNING_KEY_FILE", "set both"}},
		"no such key":               {Signing{KeyFile: filepath.Join(dir, "none")}, []string{"KUBESCRIBE_GIT_SIGNING_KEY_FILE", "none: no such file"}},
		"no such passphrase":        {Signing{KeyFile: file("closed", closed), PassphraseFile: filepath.Join(dir, "none")}, []string{"KUBESCRIBE_GIT_SIGNING_PASSPHRASE_FILE", "none: no such file"}},
		"no passphrase":             {Signing{KeyFile: file("closed", closed)}, []string{"/closed has a passphrase", "KUBESCRIBE_GIT_SIGNING_PASSPHRASE_FILE"}},
		"an empty passphrase":       {Signing{KeyFile: file("closed", closed), PassphraseFile: file("empty", nil)}, []string{"/closed has a passphrase"}},
		"a passphrase of something": {Signing{KeyFile: file("closed", closed), PassphraseFile: file("wrong", []byte("hunter2"))}, []string{"/wrong does not open the key in", "/closed"}},
		"the public key":            {Signing{KeyFile: file("public", public)}, []string{"/public holds a public key", "name the private one"}},
		"no key at all":             {Signing{KeyFile: file("other", []byte("hunter2\n"))}, []string{"/other holds no SSH private key", "ssh-keygen -t ed25519"}},
		"a key of another kind":     {Signing{KeyFile: file("dsa", dsaKey(t))}, []string{"/dsa", "is of type ssh-dss", "ssh-keygen -t ed25519"}},
	} {
		err := test.Validate()
		if (err == nil) != (test.says == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range test.says {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v, which lacks %q", name, err, want)
			}
		}
	}
}

// TestSignaturesRepeat: a commit that is made again has the hash that it had.
func TestSignaturesRepeat(t *testing.T) {
	for _, algorithm := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256} {
		k, file := newSigningKey(t, algorithm, "")
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		var signatures [2][]byte
		for i := range signatures {
			sign, err := (&signer{Signing: Signing{KeyFile: path}}).sign()
			if err != nil {
				t.Fatal(err)
			}
			if signatures[i], err = sign([]byte("tree …")); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(signatures[0], signatures[1]) {
			t.Errorf("%s: two signatures", algorithm)
		}
		s, err := sshsig.Unarmor(signatures[0])
		if err == nil {
			err = sshsig.Verify(strings.NewReader("tree …"), s, k.PublicKey(), sshsig.HashSHA512, "git")
		}
		if err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

// TestSigningKeyIsReadEachTime: rotating it needs no restart, and one that stays is not
// opened again.
func TestSigningKeyIsReadEachTime(t *testing.T) {
	dir := t.TempDir()
	path, pass := filepath.Join(dir, "key"), filepath.Join(dir, "passphrase")
	s := &signer{Signing: Signing{KeyFile: path, PassphraseFile: pass}}
	for _, secret := range []string{"one", "two"} {
		k, file := newSigningKey(t, ssh.KeyAlgoED25519, secret)
		for p, content := range map[string][]byte{path: file, pass: []byte(secret + "\n")} {
			if err := os.WriteFile(p, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.sign(); err != nil {
			t.Fatal(err)
		}
		opened := s.key
		if _, err := s.sign(); err != nil || s.key != opened {
			t.Errorf("opened again: %v", err)
		}
		if !bytes.Equal(s.key.PublicKey().Marshal(), k.PublicKey().Marshal()) {
			t.Errorf("the key with the passphrase %s is not the one that signs", secret)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.sign(); err == nil {
		t.Error("a key that is gone signs")
	}
}
