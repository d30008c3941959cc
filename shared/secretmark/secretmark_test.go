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

func parse(t testing.TB, lines ...string) Keys {
	t.Helper()
	keys, err := ParseKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	generated := string(Generate())
	if other := string(Generate()); other == generated {
		t.Fatal("two keys are the same")
	}
	for what, tt := range map[string]struct {
		file string
		keys int
		says string
	}{
		"as it is generated":         {generated, 1, ""},
		"an old one behind it":       {generated + "\n# until Friday\n" + keyOf(1), 2, ""},
		"of Windows":                 {" " + keyOf(1) + " \r\n" + keyOf(2) + "\r\n", 2, ""},
		"nothing":                    {"", 0, "it holds no key"},
		"comments":                   {"# " + keyOf(1) + "\n\n", 0, "it holds no key"},
		"one twice":                  {keyOf(1) + "\n" + keyOf(1), 0, "line 2 is a key that stands above"},
		"one short of a digit":       {keyOf(1)[:len(keyOf(1))-1], 0, "line 1 is no key"},
		"one with a digit more":      {keyOf(1) + "0", 0, "line 1 is no key"},
		"one with another letter":    {keyOf(1)[:len(keyOf(1))-1] + "g", 0, "line 1 is no key"},
		"one without a prefix":       {strings.TrimPrefix(keyOf(1), keyPrefix), 0, "line 1 is no key"},
		"a key of age":               {"# x\nAGE-SECRET-KEY-1HUSH", 0, "line 2 is no key"},
		"more than anybody rotates":  {manyKeys(maxKeys + 1), 0, "more than 32"},
		"as many as there may be":    {manyKeys(maxKeys), maxKeys, ""},
		"bytes":                      {"\x00\xff\xfe", 0, "line 1 is no key"},
		"a line that cannot be read": {keyOf(1) + "\nhush-hush", 0, "line 2 is no key"},
	} {
		keys, err := ParseKeys([]byte(tt.file))
		if len(keys.IDs()) != tt.keys || (err == nil) != (tt.says == "") {
			t.Errorf("%s: %d keys, %v", what, len(keys.IDs()), err)
			continue
		}
		if err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(strings.ToLower(err.Error()), "hush") || strings.Contains(err.Error(), "0101")) {
			t.Errorf("%s: %v", what, err)
		}
		for _, k := range keys.all {
			shown := fmt.Sprintf("%v %+v %#v", keys, keys, keys)
			if strings.Contains(shown, fmt.Sprintf("%x", k.secret[:4])) || strings.Contains(shown, fmt.Sprintf("%d %d %d", k.secret[0], k.secret[1], k.secret[2])) {
				t.Errorf("%s: printing it shows a key", what)
			}
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(keyOf(byte(i)) + "\n")
	}
	return b.String()
}

// TestMark: a mark is made as it is written down, for ever: those in Git are compared with it.
func TestMark(t *testing.T) {
	t.Parallel()
	keys := parse(t, keyOf(1), keyOf(2))
	got := keys.Mark(object, plain)
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
	if kid, ok := KeyID(got); !ok || kid != id || !slices.Equal(keys.IDs()[:1], []string{id}) {
		t.Errorf("its key is %q, %v", kid, ok)
	}
}

// TestMarkDepends: on the key, the manifest and whose it is, and on nothing else.
func TestMarkDepends(t *testing.T) {
	t.Parallel()
	keys := parse(t, keyOf(1), keyOf(2))
	mark := keys.Mark(object, plain)
	if again := parse(t, keyOf(1)).Mark(object, slices.Clone(plain)); again != mark {
		t.Error("it is another in another process, with other keys behind the first")
	}
	seen := map[string]string{mark: "the first"}
	for what, other := range map[string]string{
		"another key":       parse(t, keyOf(2), keyOf(1)).Mark(object, plain),
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

func TestSame(t *testing.T) {
	t.Parallel()
	before := parse(t, keyOf(1))
	after := parse(t, keyOf(2), keyOf(1))
	mark := before.Mark(object, plain)
	other := Object{Cluster: "prod", Resource: "secrets", Namespace: "shop", Name: "web"}
	for what, tt := range map[string]struct {
		keys        Keys
		mark        string
		object      Object
		same, known bool
	}{
		"the current key":          {before, mark, object, true, true},
		"one that was replaced":    {after, mark, object, true, true},
		"another object's":         {after, mark, other, false, true},
		"a key that is gone":       {parse(t, keyOf(2)), mark, object, false, false},
		"one digit is another":     {before, mark[:len(mark)-1] + otherDigit(mark[len(mark)-1]), object, false, true},
		"none":                     {before, "", object, false, false},
		"one that is cut":          {before, mark[:len(mark)-1], object, false, false},
		"capital letters":          {before, strings.ToUpper(mark), object, false, false},
		"a digest without a key":   {before, markPrefix + mark[len(mark)-64:], object, false, false},
		"something else before it": {before, "x" + mark, object, false, false},
	} {
		if same, known := tt.keys.Same(tt.mark, tt.object, plain); same != tt.same || known != tt.known {
			t.Errorf("%s: same %v, known %v", what, same, known)
		}
	}
}

func otherDigit(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
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
