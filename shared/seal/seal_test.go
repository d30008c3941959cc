package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
)

const (
	name   = "prod/shop/git"
	remote = "https://git.example.com/shop/state.git"
)

func secretOf(password string) Secret {
	return Secret{Name: name, Remotes: []string{"git@git.example.com:shop/state.git", remote}, Data: map[string][]byte{"username": []byte("me"), "password": []byte(password)}}
}

// newKey is a key, and its public half.
func newKey(t testing.TB) (Identities, *Recipient) {
	t.Helper()
	file, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := ParseIdentities(file)
	if err != nil {
		t.Fatal(err)
	}
	return ids, ids.Recipients()[0]
}

func sealTo(t testing.TB, to *Recipient, s Secret) []byte {
	t.Helper()
	sealed, err := Seal(to, s)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	idFile, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := ParseIdentities(idFile)
	if err != nil {
		t.Fatal(err)
	}
	to := ids.Recipients()[0]
	other, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	both, err := ParseIdentities(append(other, idFile...))
	if err != nil {
		t.Fatal(err)
	}
	want := secretOf("hush-hush")
	sealed := sealTo(t, to, want)
	if again := sealTo(t, to, want); bytes.Equal(sealed, again) {
		t.Error("it is the same each time: whoever sees two knows whether they hold the same")
	}
	for _, word := range []string{"hush", "password", "prod", "git.example.com"} {
		if bytes.Contains(sealed, []byte(word)) {
			t.Errorf("%q can be read", word)
		}
	}
	for _, ids := range []Identities{ids, both} {
		got, err := ids.Open(sealed, name, remote)
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(got, want.Data) {
			t.Error("it holds something else")
		}
	}
}

// TestOpenRefuses: what is not this Secret, for this remote and this reader, whole, is
// nothing.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	ids, to := newKey(t)
	others, _ := newKey(t)
	sealed := sealTo(t, to, secretOf("hush-hush"))
	plain := func(text string) []byte {
		t.Helper()
		var b bytes.Buffer
		w, err := age.Encrypt(&b, to.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for what, tt := range map[string]struct {
		ids          Identities
		sealed       []byte
		name, remote string
		want         error
	}{
		"another key":                  {others, sealed, name, remote, ErrOtherKey},
		"another Secret's place":       {ids, sealed, "prod/billing/git", remote, ErrOtherSecret},
		"another cluster's place":      {ids, sealed, "dev/shop/git", remote, ErrOtherSecret},
		"another remote":               {ids, sealed, name, "https://evil.example.com/shop/state.git", ErrOtherRemote},
		"the beginning of a remote":    {ids, sealed, name, "https://git.example.com/", ErrOtherRemote},
		"nothing":                      {ids, nil, name, remote, ErrDamaged},
		"cut":                          {ids, sealed[:len(sealed)-1], name, remote, ErrDamaged},
		"cut within its header":        {ids, sealed[:20], name, remote, ErrDamaged},
		"something behind it":          {ids, append(bytes.Clone(sealed), 'x'), name, remote, ErrDamaged},
		"no JSON":                      {ids, plain("hush-hush"), name, remote, ErrDamaged},
		"JSON of something else":       {ids, plain("{}"), name, remote, ErrOtherSecret},
		"more than anybody has sealed": {ids, plain(strings.Repeat(" ", maxSealed+1)), name, remote, ErrDamaged},
	} {
		got, err := tt.ids.Open(tt.sealed, tt.name, tt.remote)
		if !errors.Is(err, tt.want) || got != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTampered: no byte can be changed.
func TestTampered(t *testing.T) {
	t.Parallel()
	ids, to := newKey(t)
	sealed := sealTo(t, to, secretOf("hush-hush"))
	for i := range sealed {
		other := bytes.Clone(sealed)
		other[i] ^= 1
		if got, err := ids.Open(other, name, remote); err == nil || got != nil {
			t.Errorf("byte %d of %d can be changed", i, len(sealed))
		}
	}
}

func TestSealBound(t *testing.T) {
	t.Parallel()
	ids, to := newKey(t)
	s := Secret{Name: name, Remotes: []string{remote}, Data: map[string][]byte{"ca.crt": make([]byte, MaxBytes-len("ca.crt"))}}
	if got, err := ids.Open(sealTo(t, to, s), name, remote); err != nil || len(got["ca.crt"]) != len(s.Data["ca.crt"]) {
		t.Errorf("the largest: %v", err)
	}
	s.Data["x"] = nil
	if _, err := Seal(to, s); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a larger one: %v", err)
	}
}

// FuzzOpen: whatever stands on the bus is opened or refused.
func FuzzOpen(f *testing.F) {
	ids, to := newKey(f)
	sealed := sealTo(f, to, secretOf("hush-hush"))
	f.Add(sealed)
	f.Add(sealed[:40])
	f.Add([]byte("age-encryption.org/v1\n-> X25519 x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := ids.Open(b, name, remote); (err == nil) != (got != nil) {
			t.Errorf("%v, %v", got, err)
		}
	})
}
