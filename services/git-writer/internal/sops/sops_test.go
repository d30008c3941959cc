package sops

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/recipient"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

// TestLayout: a file is readable but for values, and differs by nothing but what is random.
func TestLayout(t *testing.T) {
	t.Parallel()
	a, b := newReader(t), newReader(t)
	to := recipientsOf(t, b, a)
	plain := secretOf(t, map[string]any{"password": base64Of("hush-hush"), "empty": "", "user": base64Of("me")})
	names := to.Strings()
	armored := "      -----BEGIN AGE ENCRYPTED FILE-----\n      B64\n      -----END AGE ENCRYPTED FILE-----\n"
	want := "# Kubescribe-Content: " + markOf(plain) + "\n# Kubescribe-File: sha256:HEX\n" + `apiVersion: v1
kind: Secret
metadata:
  name: db
  namespace: shop
  labels:
    app: db
data:
  empty: ""
  password: ENC[AES256_GCM,data:B64,iv:B64,tag:B64,type:str]
  user: ENC[AES256_GCM,data:B64,iv:B64,tag:B64,type:str]
type: Opaque
sops:
  age:
  - enc: |
` + armored + `    recipient: ` + names[0] + `
  - enc: |
` + armored + `    recipient: ` + names[1] + `
  encrypted_regex: ^(data|stringData)$
  lastmodified: "2026-03-14T15:09:26Z"
  mac: ENC[AES256_GCM,data:B64,iv:B64,tag:B64,type:str]
  mac_only_encrypted: true
  version: "3.9.0"
`
	file := encrypt(t, plain, to)
	if got := withoutRandom(file); got != want {
		t.Error(cmp.Diff(want, got))
	}
	again := encrypt(t, plain, to)
	if bytes.Equal(file, again) || lineOf(t, file, "password:") == lineOf(t, again, "password:") {
		t.Error("it is the same each time: who sees two knows whether they hold the same")
	}
}

// withoutRandom is a file without what differs from one encryption to the next.
func withoutRandom(file []byte) string {
	text := string(file)
	for _, r := range [][2]string{
		{`(data|iv|tag):[A-Za-z0-9+/]+=*`, "$1:B64"},
		{`File: sha256:[0-9a-f]{64}`, "File: sha256:HEX"},
		{`(FILE-----\n)( +)[A-Za-z0-9+/=\n ]+\n( +-----END)`, "$1${2}B64\n$3"},
	} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	return text
}

func TestEncrypt(t *testing.T) {
	t.Parallel()
	a, b, hybrid := newReader(t), newReader(t), newHybridReader(t)
	check := func(what string, plain []byte, fields ...string) {
		t.Helper()
		readers := []reader{a, b, hybrid}
		file := encrypt(t, plain, recipientsOf(t, readers...), fields...)
		for _, r := range readers {
			if got := string(encode(t, decrypt(t, file, r))); got != string(plain) {
				t.Errorf("%s: %s", what, cmp.Diff(string(plain), got))
			}
		}
		s := read(t, file)
		if len(fields) == 0 {
			fields = secretFields
		}
		if s.Changed || s.Mark != markOf(plain) || s.Hash() != secretmark.Hash(s.Mark, recipientsOf(t, readers...).Strings(), fields) {
			t.Errorf("%s: it reads as %+v", what, s)
		}
	}
	for what, data := range map[string]map[string]any{
		"none":       {},
		"an empty":   {"a": ""},
		"a null":     {"a": nil},
		"binary":     {"a": base64Of("\x00\xff\xfe")},
		"the file":   {"a": base64Of(string(encrypt(t, secretOf(t, nil), recipientsOf(t, a))))},
		"large":      {"a": base64Of(strings.Repeat("x", 1<<20))},
		"names":      {"tls.crt": "eA==", "..data": "eQ==", "sops": "eg==", "yes": "MQ==", "x:y": "Mg=="},
		"like words": {"a": "true", "b": "null", "c": "1234", "d": "1e10"},
	} {
		check(what, secretOf(t, data))
	}
	check("no data at all", []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ntype: Opaque\n"))
	check("a label called data", []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  labels:\n    data: x\n  annotations:\n    data: w\n  data: z\ndata:\n  a: eA==\n"))
	check("a text in lines", []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  annotations:\n    x: |\n      sops:\n        recipient: age1x\nstringData:\n  a: |\n    sops:\n      # Kubescribe-Content: x\n"))
	for seed := range uint64(100) {
		check("a random one", randomSecret(t, seed))
	}
}

// TestOtherKinds: of another kind, the fields that are named are encrypted as a whole.
func TestOtherKinds(t *testing.T) {
	t.Parallel()
	a := newReader(t)
	plain := []byte(`apiVersion: example.com/v1
kind: Login
metadata:
  name: db
  labels:
    token: hush-label
data:
  readable: hush-not
spec:
  list:
  - hush-1
  - 42
  - -7
  - true
  - null
  - 2.5
  - - hush-2
  map:
    a.b: hush-3
    off: false
token: hush-4
`)
	file := encrypt(t, plain, recipientsOf(t, a), "token", "spec")
	for _, word := range []string{"hush-label", "hush-1", "hush-2", "hush-3", "hush-4", "- 42", "off: false", "- 2.5"} {
		if strings.Contains(strings.SplitAfter(string(file), "\nsops:\n")[0], word+"\n") {
			t.Errorf("%s can be read", word)
		}
	}
	if !bytes.Contains(file, []byte("readable: hush-not\n")) || !bytes.Contains(file, []byte("encrypted_regex: ^(spec|token)$\n")) {
		t.Errorf("more is encrypted:\n%s", file)
	}
	for text, kind := range map[string]string{"  - ENC": ",type:bool]\n", "list:": ",type:int]\n", "map:": ",type:float]\n"} {
		if !strings.Contains(string(file), text) || !strings.Contains(string(file), kind) {
			t.Errorf("no value of %s", kind)
		}
	}
	s := read(t, file)
	if got := s.Hash(); got != secretmark.Hash(s.Mark, s.Recipients, []string{"spec", "token"}) || got == secretmark.Hash(s.Mark, s.Recipients, secretFields) {
		t.Errorf("its fields do not count: %+v", s)
	}
}

func TestEncryptRefuses(t *testing.T) {
	t.Parallel()
	to := recipientsOf(t, newReader(t))
	plain := secretOf(t, map[string]any{"password": "hush-hush"})
	for what, tt := range map[string]struct {
		plain  []byte
		to     recipient.List
		mark   string
		fields []string
		want   error
	}{
		"no recipient":         {plain, recipient.List{}, markOf(plain), secretFields, ErrNoRecipient},
		"no mark":              {plain, to, "", secretFields, ErrNotAMark},
		"a mark in two lines":  {plain, to, markOf(plain) + "\nhush-hush: x", secretFields, ErrNotAMark},
		"no manifest":          {nil, to, markOf(plain), secretFields, ErrNotAnObject},
		"an empty one":         {[]byte("{}\n"), to, markOf(plain), secretFields, ErrNotAnObject},
		"a text":               {[]byte("hush-hush"), to, markOf(plain), secretFields, ErrNotAnObject},
		"no YAML":              {[]byte("hush: [hush-hush"), to, markOf(plain), secretFields, ErrNotAnObject},
		"encrypted already":    {encrypt(t, plain, to), to, markOf(plain), secretFields, ErrReserved},
		"too large a value":    {secretOf(t, map[string]any{"a": strings.Repeat("x", 13<<20)}), to, markOf(plain), secretFields, ErrTooLarge},
		"the name of a field":  {plain, to, markOf(plain), []string{"spec", "metadata"}, ErrNotAField},
		"the field of sops":    {plain, to, markOf(plain), []string{"sops"}, ErrNotAField},
		"an expression":        {plain, to, markOf(plain), []string{".*"}, ErrNotAField},
		"no field":             {plain, to, markOf(plain), nil, ErrNotAField},
		"a field without name": {plain, to, markOf(plain), []string{""}, ErrNotAField},
	} {
		file, err := Encrypt(tt.plain, tt.to, tt.mark, now, tt.fields)
		if !errors.Is(err, tt.want) || file != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: it shows a value: %v", what, err)
		}
	}
}

// TestRead: what the repository's state is made of.
func TestRead(t *testing.T) {
	t.Parallel()
	a, b := newReader(t), newReader(t)
	plain := secretOf(t, map[string]any{"password": base64Of("hush-hush")})
	file := encrypt(t, plain, recipientsOf(t, b, a))
	whole := read(t, file)
	want := State{Mark: markOf(plain), Recipients: recipientsOf(t, a, b).Strings(), Fields: []string{"data", "stringData"}}
	if !cmp.Equal(whole, want, cmp.AllowUnexported(State{})) {
		t.Errorf("%+v, want %+v", whole, want)
	}
	hashes := map[string]string{whole.Hash(): "the file"}
	for what, changed := range map[string][]byte{
		"a label":           replaceOnce(t, file, "app: db", "app: web"),
		"a comment above":   append([]byte("# by me\n"), file...),
		"a comment below":   append(bytes.Clone(file), "# by me\n"...),
		"a line end":        file[:len(file)-1],
		"the ends of lines": bytes.ReplaceAll(file, []byte("\ntype: Opaque\n"), []byte("\r\ntype: Opaque\r\n")),
		"a value":           replaceOnce(t, file, lineOf(t, file, "password:"), lineOf(t, encrypt(t, plain, recipientsOf(t, a)), "password:")),
		"a recipient":       replaceOnce(t, file, "recipient: "+a.public, "recipient: "+newReader(t).public),
		"the mark":          replaceOnce(t, file, markOf(plain), markOf(nil)),
		"the digest":        replaceOnce(t, file, "File: sha256:", "File: sha257:"),
		"no digest":         replaceOnce(t, file, "# Kubescribe-File: ", "# "),
		"the lines swapped": append([]byte(strings.Split(string(file), "\n")[1]+"\n"+strings.Split(string(file), "\n")[0]+"\n"), bytes.SplitN(file, []byte("\n"), 3)[2]...),
		"the rule":          replaceOnce(t, file, "^(data|stringData)$", "^(nothing|.*)$"),
		"a field behind it": append(bytes.Clone(file), "recipient: age1x\n"...),
	} {
		s := read(t, changed)
		if !s.Changed || len(s.Recipients) != 2 || s.Mark == "" {
			t.Errorf("%s was changed: %+v", what, s)
		}
		if other := hashes[s.Hash()]; other != "" {
			t.Errorf("%s was changed: it has the hash of %s", what, other)
		}
		hashes[s.Hash()] = what
	}
	for what, other := range map[string][]byte{
		"nothing":          nil,
		"a plain manifest": plain,
		"no sops":          file[:bytes.Index(file, []byte("\nsops:\n"))],
		"no mark":          replaceOnce(t, file, "# Kubescribe-Content: ", "# "),
		"another mark":     replaceOnce(t, file, "hmac-sha256:", "hmac-sha512:"),
		"a mark below":     append(bytes.SplitN(file, []byte("\n"), 2)[1], bytes.SplitAfterN(file, []byte("\n"), 2)[0]...),
		"no recipients":    bytes.ReplaceAll(file, []byte("recipient: "), []byte("fp: ")),
		"too large":        append(bytes.Clone(file), make([]byte, maxFile)...),
		"a head alone":     []byte(head(markOf(plain), "")),
		"bytes":            []byte("\x00\xff"),
	} {
		if s, err := Read(other); !errors.Is(err, ErrNotOurs) || !cmp.Equal(s, State{}, cmp.AllowUnexported(State{})) {
			t.Errorf("%s: %+v, %v", what, s, err)
		}
	}
}

// TestHash: the same content for the same readers is the same, however it is encrypted.
func TestHash(t *testing.T) {
	t.Parallel()
	a, b := newReader(t), newReader(t)
	plain := secretOf(t, map[string]any{"password": base64Of("hush-hush")})
	hash := read(t, encrypt(t, plain, recipientsOf(t, a, b))).Hash()
	if got := read(t, encrypt(t, plain, recipientsOf(t, b, a))).Hash(); got != hash {
		t.Error("encrypted again, it has another hash")
	}
	if got := secretmark.Hash(markOf(plain), []string{b.public, a.public}, secretFields); got != hash {
		t.Error("what should be there has another hash than what is")
	}
	other := secretOf(t, map[string]any{"password": base64Of("hush-hash")})
	for what, file := range map[string][]byte{
		"another value":     encrypt(t, other, recipientsOf(t, a, b)),
		"a recipient less":  encrypt(t, plain, recipientsOf(t, a)),
		"another recipient": encrypt(t, plain, recipientsOf(t, a, newReader(t))),
		"other fields":      encrypt(t, plain, recipientsOf(t, a, b), "data"),
	} {
		if read(t, file).Hash() == hash {
			t.Errorf("%s: the hash is the same", what)
		}
	}
}

// FuzzRead: whatever stands in a repository is read or refused, and nothing but what Encrypt
// wrote, to the byte, is taken for unchanged.
func FuzzRead(f *testing.F) {
	plain := secretOf(f, map[string]any{"password": base64Of("hush-hush")})
	file := encrypt(f, plain, recipientsOf(f, newReader(f), newReader(f)))
	f.Add(file)
	f.Add(replaceOnce(f, file, "  age:\n", "    age:\n"))
	f.Add(file[:len(file)/2])
	f.Add([]byte(head(markOf(plain), "sha256:") + "sops:\n  recipient: age1\n"))
	f.Add([]byte(head(markOf(plain), digest(markOf(plain), []byte("\nsops:\n recipient: x\n"))) + "\nsops:\n recipient: x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Read(b)
		if err != nil {
			return
		}
		if len(s.Hash()) != 40 || len(s.Recipients) == 0 {
			t.Errorf("%+v", s)
		}
		body := bytes.SplitN(b, []byte("\n"), 3)[2]
		if !s.Changed && !bytes.Equal(withHead(s.Mark, body), b) {
			t.Errorf("it was changed: %q", b)
		}
	})
}

// FuzzEncrypt: every manifest is refused, or is the same when it is decrypted.
func FuzzEncrypt(f *testing.F) {
	a := newReader(f)
	to := recipientsOf(f, a)
	for seed := range uint64(20) {
		f.Add(randomSecret(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		obj, err := manifest.Decode(b)
		if err != nil {
			return
		}
		plain, err := manifest.Encode(obj)
		if err != nil {
			return
		}
		file, err := Encrypt(plain, to, markOf(plain), now, secretFields)
		if err != nil {
			return
		}
		if got := decrypt(t, file, a); !onlyTexts(obj, false) || cmp.Equal(got, obj) {
			return
		}
		t.Errorf("%q", plain)
	})
}

// onlyTexts says whether nothing but texts is encrypted: the types of others are lost on
// the decryption of these tests.
func onlyTexts(v any, below bool) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if !onlyTexts(item, below || k == "data" || k == "stringData") {
				return false
			}
		}
	case []any:
		for _, item := range v {
			if !onlyTexts(item, below) {
				return false
			}
		}
	case bool, int64, float64:
		return !below
	}
	return true
}
