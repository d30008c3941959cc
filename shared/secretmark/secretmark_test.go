package secretmark

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var (
	object = Object{Cluster: "prod", Resource: "secrets", Namespace: "shop", Name: "db"}
	plain  = []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n")
)

// keyOf is a key whose bytes are all the same.
func keyOf(b byte) string { return keyPrefix + strings.Repeat(fmt.Sprintf("%02x", b), keySize) }

func parse(t testing.TB, lines ...string) Key {
	t.Helper()
	key, err := ParseKey([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	generated := string(Generate())
	if other := string(Generate()); other == generated {
		t.Fatal("two keys are the same")
	}
	for what, tt := range map[string]struct{ file, says string }{
		"as it is generated":         {generated, ""},
		"with comments":              {"# until Friday\n\n" + keyOf(1) + "\n# x", ""},
		"of Windows":                 {" " + keyOf(1) + " \r\n", ""},
		"nothing":                    {"", "it holds no key"},
		"comments":                   {"# " + keyOf(1) + "\n\n", "it holds no key"},
		"two":                        {keyOf(1) + "\n" + keyOf(2), "line 2 is a second key"},
		"one twice":                  {keyOf(1) + "\n" + keyOf(1), "line 2 is a second key"},
		"one short of a digit":       {keyOf(1)[:len(keyOf(1))-1], "line 1 is no key"},
		"one with a digit more":      {keyOf(1) + "0", "line 1 is no key"},
		"one with another letter":    {keyOf(1)[:len(keyOf(1))-1] + "g", "line 1 is no key"},
		"one without a prefix":       {strings.TrimPrefix(keyOf(1), keyPrefix), "line 1 is no key"},
		"a key of age":               {"# x\nAGE-SECRET-KEY-1HUSH", "line 2 is no key"},
		"bytes":                      {"\x00\xff\xfe", "line 1 is no key"},
		"a line that cannot be read": {keyOf(1) + "\nhush-hush", "line 2 is no key"},
	} {
		key, err := ParseKey([]byte(tt.file))
		if (err == nil) != (tt.says == "") {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if err != nil {
			if !strings.Contains(err.Error(), tt.says) || strings.Contains(strings.ToLower(err.Error()), "hush") || strings.Contains(err.Error(), "0101") {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		shown := fmt.Sprintf("%v %+v %#v", key, key, key)
		if strings.Contains(shown, fmt.Sprintf("%x", key.secret[:4])) || strings.Contains(shown, fmt.Sprintf("%d %d %d", key.secret[0], key.secret[1], key.secret[2])) {
			t.Errorf("%s: printing it shows the key", what)
		}
	}
}

// TestMark: a mark is made as it is written down, for ever: those in Git are compared with it.
func TestMark(t *testing.T) {
	t.Parallel()
	key := parse(t, keyOf(1))
	got := key.Mark(object, plain)
	id := fmt.Sprintf("%x", sha256.Sum256([]byte("kubescribe mark key\x00"+strings.Repeat("\x01", 32))))[:16]
	h := hmac.New(sha256.New, []byte(strings.Repeat("\x01", 32)))
	for _, s := range []string{
		"kubescribe mark 1\x00",
		"\x00\x00\x00\x00\x00\x00\x00\x04prod", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x07secrets",
		"\x00\x00\x00\x00\x00\x00\x00\x04shop", "\x00\x00\x00\x00\x00\x00\x00\x02db", string(plain),
	} {
		h.Write([]byte(s))
	}
	if want := fmt.Sprintf("hmac-sha256:%s:%x", id, h.Sum(nil)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if kid, ok := KeyID(got); !ok || kid != id || key.ID() != id {
		t.Errorf("its key is %q, %v", kid, ok)
	}
}

// TestMarkDepends: on the key, the manifest and whose it is, and on nothing else.
func TestMarkDepends(t *testing.T) {
	t.Parallel()
	keys := parse(t, keyOf(1))
	mark := keys.Mark(object, plain)
	if again := parse(t, keyOf(1)).Mark(object, slices.Clone(plain)); again != mark {
		t.Error("it is another in another process, with other keys behind the first")
	}
	seen := map[string]string{mark: "the first"}
	for what, other := range map[string]string{
		"another key":       parse(t, keyOf(2)).Mark(object, plain),
		"another manifest":  keys.Mark(object, append(slices.Clone(plain), '\n')),
		"no manifest":       keys.Mark(object, nil),
		"another cluster":   keys.Mark(Object{"dev", "", "secrets", "shop", "db"}, plain),
		"another group":     keys.Mark(Object{"prod", "x", "secrets", "shop", "db"}, plain),
		"another kind":      keys.Mark(Object{"prod", "", "configmaps", "shop", "db"}, plain),
		"another namespace": keys.Mark(Object{"prod", "", "secrets", "shop2", "db"}, plain),
		"another name":      keys.Mark(Object{"prod", "", "secrets", "shop", "db2"}, plain),
		"the same letters":  keys.Mark(Object{"prod", "", "secrets", "shopd", "b"}, plain),
	} {
		if seen[other] != "" {
			t.Errorf("%s: the mark is that of %s", what, seen[other])
		}
		seen[other] = what
	}
}

// TestKeyID: a mark says which key made it, and nothing else is a mark.
func TestKeyID(t *testing.T) {
	t.Parallel()
	key := parse(t, keyOf(1))
	mark := key.Mark(object, plain)
	for what, tt := range map[string]struct {
		mark string
		ok   bool
	}{
		"a mark":                   {mark, true},
		"none":                     {"", false},
		"one that is cut":          {mark[:len(mark)-1], false},
		"capital letters":          {strings.ToUpper(mark), false},
		"a digest without a key":   {markPrefix + mark[len(mark)-64:], false},
		"something else before it": {"x" + mark, false},
	} {
		if id, ok := KeyID(tt.mark); ok != tt.ok || ok && id != key.ID() {
			t.Errorf("%s: %q, %v", what, id, ok)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	mark := parse(t, keyOf(1)).Mark(object, plain)
	fields := []string{"data", "stringData"}
	hash := Hash(mark, []string{"age1a", "age1b"}, fields)
	if len(hash) != 40 || !isHex(hash) {
		t.Errorf("%q has not the form of a blob id", hash)
	}
	if Hash(mark, []string{"age1b", "age1a", "age1b"}, []string{"stringData", "data"}) != hash {
		t.Error("the order counts")
	}
	for what, other := range map[string]string{
		"another mark":            Hash(parse(t, keyOf(2)).Mark(object, plain), []string{"age1a", "age1b"}, fields),
		"a recipient less":        Hash(mark, []string{"age1a"}, fields),
		"another recipient":       Hash(mark, []string{"age1a", "age1c"}, fields),
		"a recipient more":        Hash(mark, []string{"age1a", "age1b", "age1c"}, fields),
		"one of both together":    Hash(mark, []string{"age1aage1b"}, fields),
		"other fields":            Hash(mark, []string{"age1a", "age1b"}, []string{"spec"}),
		"a field as a recipient":  Hash(mark, []string{"age1a", "age1b", "data"}, []string{"stringData"}),
		"a recipient as the mark": Hash("age1a", []string{"age1b", mark}, fields),
	} {
		if other == hash {
			t.Errorf("%s: the hash is the same", what)
		}
	}
}
