package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
)

func contentOf(value string) Content {
	return Content{
		Object: "prod//secrets/shop/db", Mark: "hmac-sha256:0123456789abcdef:00", Recipients: []string{"age1a", "age1b"},
		Fields: []string{"data"}, Manifest: []byte("kind: Secret\ndata:\n  password: " + value + "\n"),
	}
}

func TestSealContent(t *testing.T) {
	t.Parallel()
	ids, to := newKey(t)
	want := contentOf("hush-hush")
	sealed, err := SealContent(to, want)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"hush", "secrets", "hmac", "age1a"} {
		if bytes.Contains(sealed, []byte(word)) {
			t.Errorf("%q can be read", word)
		}
	}
	got, err := ids.OpenContent(sealed, want.Object)
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %s", err, cmp.Diff(want, got))
	}
	if again, err := SealContent(to, want); err != nil || bytes.Equal(again, sealed) {
		t.Errorf("it is the same each time, or %v", err)
	}
}

// TestOpenContentRefuses: what is not of this object, for this reader, whole, is nothing.
func TestOpenContentRefuses(t *testing.T) {
	t.Parallel()
	ids, to := newKey(t)
	others, _ := newKey(t)
	of := contentOf("hush-hush").Object
	sealed, err := SealContent(to, contentOf("hush-hush"))
	if err != nil {
		t.Fatal(err)
	}
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
		ids    Identities
		sealed []byte
		object string
		want   error
	}{
		"another key":                  {others, sealed, of, ErrOtherKey},
		"another object's place":       {ids, sealed, "prod//secrets/billing/db", ErrOtherObject},
		"another cluster's place":      {ids, sealed, "dev//secrets/shop/db", ErrOtherObject},
		"a Secret that opens a remote": {ids, sealTo(t, to, secretOf("hush-hush")), of, ErrDamaged},
		"nothing":                      {ids, nil, of, ErrDamaged},
		"cut":                          {ids, sealed[:len(sealed)-1], of, ErrDamaged},
		"something behind it":          {ids, append(bytes.Clone(sealed), 'x'), of, ErrDamaged},
		"one line":                     {ids, plain(`{"object":"` + of + `"}`), of, ErrDamaged},
		"no JSON":                      {ids, plain("hush-hush\nhush"), of, ErrDamaged},
		"of nothing":                   {ids, plain("{}\nhush"), of, ErrOtherObject},
		"more than anybody has sealed": {ids, plain("{}\n" + strings.Repeat(" ", maxContent)), of, ErrDamaged},
	} {
		got, err := tt.ids.OpenContent(tt.sealed, tt.object)
		if !errors.Is(err, tt.want) || got.Manifest != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := ids.Open(sealed, name, remote); err == nil || got != nil {
		t.Error("a content opens as the Secret of a remote")
	}
}

// FuzzOpenContent: whatever stands on the bus is opened or refused.
func FuzzOpenContent(f *testing.F) {
	ids, to := newKey(f)
	of := contentOf("hush-hush")
	sealed, err := SealContent(to, of)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:40])
	f.Add([]byte("age-encryption.org/v1\n-> X25519 x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := ids.OpenContent(b, of.Object); (err == nil) != (got.Object == of.Object) {
			t.Errorf("%v, %v", got.Object, err)
		}
	})
}
