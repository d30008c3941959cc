package sops

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/recipient"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

var (
	now    = time.Date(2026, 3, 14, 16, 9, 26, 535, time.FixedZone("", 3600))
	object = secretmark.Object{Cluster: "prod", Resource: "secrets", Namespace: "shop", Name: "db"}
	marks  = func() secretmark.Key {
		keys, err := secretmark.ParseKey(secretmark.Generate())
		if err != nil {
			panic(err)
		}
		return keys
	}()
)

// secretFields are those of a Secret.
var secretFields = []string{"data", "stringData"}

func markOf(plain []byte) string { return marks.Mark(object, plain) }

// identity of a reader.
type reader struct {
	identity age.Identity
	public   string
	private  string
}

func newReader(t testing.TB) reader {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return reader{id, id.Recipient().String(), id.String()}
}

func newHybridReader(t testing.TB) reader {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return reader{id, id.Recipient().String(), id.String()}
}

func recipientsOf(t testing.TB, readers ...reader) recipient.List {
	t.Helper()
	var keys []string
	for _, r := range readers {
		keys = append(keys, r.public)
	}
	to, err := recipient.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func encode(t testing.TB, obj map[string]any) []byte {
	t.Helper()
	b, err := manifest.Encode(obj)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// secretOf is the manifest of a Secret.
func secretOf(t testing.TB, data map[string]any) []byte {
	t.Helper()
	return encode(t, map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
		"metadata": map[string]any{"name": "db", "namespace": "shop", "labels": map[string]any{"app": "db"}},
	})
}

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func encrypt(t testing.TB, plain []byte, to recipient.List, fields ...string) []byte {
	t.Helper()
	if len(fields) == 0 {
		fields = secretFields
	}
	file, err := Encrypt(plain, to, markOf(plain), now, fields)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t testing.TB, file []byte) State {
	t.Helper()
	s, err := Read(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	return s
}

// decrypt is what a reader of sops' format makes of a file, written anew for these tests.
func decrypt(t testing.TB, file []byte, r reader) map[string]any {
	t.Helper()
	obj, err := manifest.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	meta := obj["sops"].(map[string]any)
	delete(obj, "sops")
	var key []byte
	for _, stanza := range meta["age"].([]any) {
		stanza := stanza.(map[string]any)
		if stanza["recipient"] != r.public {
			continue
		}
		plain, err := age.Decrypt(armor.NewReader(strings.NewReader(stanza["enc"].(string))), r.identity)
		if err != nil {
			t.Fatal(err)
		}
		if key, err = io.ReadAll(plain); err != nil || len(key) != 32 {
			t.Fatalf("a data key of %d bytes, %v", len(key), err)
		}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(meta["encrypted_regex"].(string))
	mac := sha512.New()
	mac.Write(macStart)
	var walk func(v any, path []string) any
	walk = func(v any, path []string) any {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range fileOrder(v, path) {
				v[k] = walk(v[k], append(path, k))
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i], path)
			}
		case string:
			if !slices.ContainsFunc(path, rule.MatchString) || v == "" {
				return v
			}
			text := open(t, block, v, strings.Join(path, ":")+":")
			mac.Write([]byte(text))
			return text
		}
		return v
	}
	walk(obj, nil)
	if got := open(t, block, meta["mac"].(string), meta["lastmodified"].(string)); got != fmt.Sprintf("%X", mac.Sum(nil)) {
		t.Error("the MAC is wrong")
	}
	return obj
}

// fileOrder is the order of the keys of a mapping in a manifest.
func fileOrder(m map[string]any, path []string) []string {
	order := slices.Sorted(maps.Keys(m))
	first := map[string][]string{"": {"metadata", "kind", "apiVersion"}, "metadata": {"annotations", "labels", "namespace", "name"}}[strings.Join(path, "/")]
	for _, f := range first {
		if i := slices.Index(order, f); i >= 0 {
			order = slices.Insert(slices.Delete(order, i, i+1), 0, f)
		}
	}
	return order
}

var encrypted = regexp.MustCompile(`^ENC\[AES256_GCM,data:(.+),iv:(.{44}),tag:(.{24}),type:(.+)\]$`)

func open(t testing.TB, block cipher.Block, value, place string) string {
	t.Helper()
	parts := encrypted.FindStringSubmatch(value)
	if parts == nil {
		t.Fatalf("%s is not encrypted", place)
	}
	var data, iv, tag []byte
	for i, b := range []*[]byte{&data, &iv, &tag} {
		var err error
		if *b, err = base64.StdEncoding.DecodeString(parts[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(iv))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, iv, append(data, tag...), []byte(place))
	if err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	return string(plain)
}

// randomSecret is some Secret, by its seed.
func randomSecret(t testing.TB, seed uint64) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	key := func() string {
		return pick([]string{"password", "tls.crt", ".dockerconfigjson", "data", "a_b-c.D", "123", "yes", "null", "1e3", "0x1F", "0777", "12:30:45", "2026-03-14", "y", "-", "..", "~x", "Größe", "a b", "sops", "metadata", "stringData"}) + pick([]string{"", "", "1", ".", "-", "_"})
	}
	text := func() string {
		b := make([]byte, r.IntN(1<<r.IntN(14)))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return pick([]string{string(b), "", "hush-hush", "true", "123", "null", "~", " lead", "trail ", "two\nlines\n", "\n\n", "a: b # c", "\ttab\r\n", "---\n- x", "Größe 🔑", "\x00\x01\x7f", "'\"\\", "-----BEGIN X-----\nabc\n-----END X-----\n", "{\"a\": [1]}", strings.Repeat("x", 5000)})
	}
	values := func(encode func(string) string) map[string]any {
		m := map[string]any{}
		for range r.IntN(6) {
			m[key()] = encode(text())
		}
		return m
	}
	obj := map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": pick([]string{"Opaque", "kubernetes.io/tls", "yes", "1.0"}),
		"metadata": map[string]any{"name": key(), "namespace": "shop"},
	}
	meta := obj["metadata"].(map[string]any)
	if r.IntN(4) > 0 {
		obj["data"] = values(base64Of)
	}
	if r.IntN(4) == 0 {
		obj["stringData"] = values(func(s string) string { return strings.ToValidUTF8(s, "�") })
	}
	if r.IntN(4) == 0 {
		obj["immutable"] = true
	}
	if r.IntN(3) == 0 {
		meta["labels"] = values(func(s string) string { return strings.ToValidUTF8(s, "") })
		meta["annotations"] = values(func(s string) string { return strings.ToValidUTF8(s, "") })
	}
	if r.IntN(8) == 0 {
		meta["finalizers"] = []any{"x/y", key()}
	}
	return encode(t, obj)
}

// replaceOnce changes a file.
func replaceOnce(t testing.TB, file []byte, old, with string) []byte {
	t.Helper()
	if !bytes.Contains(file, []byte(old)) {
		t.Fatalf("%q is not in it", old)
	}
	return bytes.Replace(file, []byte(old), []byte(with), 1)
}

// lineOf is the line that begins with a key, without its indentation.
func lineOf(t testing.TB, file []byte, key string) string {
	t.Helper()
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(strings.TrimSpace(line), key) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no line of %s in\n%s", key, file)
	return ""
}
