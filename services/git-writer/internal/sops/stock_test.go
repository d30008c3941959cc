package sops

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/recipient"
)

// stock is the stock sops as somebody with a private key uses it.
type stock struct {
	binary, dir string
	env         []string
}

// newStock needs the sops that make sops builds and names; it is skipped only where a
// developer runs the package's tests alone.
func newStock(t *testing.T, readers ...reader) *stock {
	t.Helper()
	binary := os.Getenv("KUBESCRIBE_SOPS")
	if binary == "" {
		t.Skip("KUBESCRIBE_SOPS names no stock sops: make sops builds it and runs this")
	}
	s := &stock{binary: binary, dir: t.TempDir()}
	var keys strings.Builder
	for _, r := range readers {
		keys.WriteString(r.private + "\n")
	}
	s.write(t, "keys.txt", []byte(keys.String()))
	s.env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "SOPS_AGE_KEY_FILE=" + filepath.Join(s.dir, "keys.txt")}
	return s
}

func (s *stock) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *stock) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *stock) try(t *testing.T, args ...string) (out []byte, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.binary, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err = cmd.Output()
	if err != nil {
		err = fmt.Errorf("sops %s: %w: %s", args[0], err, words.String())
	}
	return out, err
}

func (s *stock) run(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := s.try(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// edits has sops edit run a script of sed in the place of an editor.
func (s *stock) edits(script string) { s.env = append(s.env, "SOPS_EDITOR=sed -i -e '"+script+"'") }

// decrypt is what sops decrypts a file to.
func (s *stock) decrypt(t *testing.T, file []byte) ([]byte, error) {
	t.Helper()
	s.write(t, "x.sops.yaml", file)
	return s.try(t, "decrypt", "x.sops.yaml")
}

// check has sops decrypt what is made of a manifest, and compares the object that kubectl
// would apply with the one that there was: their canonical manifests are the same bytes.
func (s *stock) check(t *testing.T, what string, plain []byte, to recipient.List, fields ...string) {
	t.Helper()
	out, err := s.decrypt(t, encrypt(t, plain, to, fields...))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	obj, err := manifest.Decode(out)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if got := encode(t, obj); !bytes.Equal(got, plain) {
		t.Errorf("%s: it is another object: %s", what, cmp.Diff(string(plain), string(got)))
	}
}

var oddities = map[string]map[string]any{
	"none":            {},
	"an empty value":  {"a": ""},
	"a null":          {"a": nil, "b": "eA=="},
	"binary":          {"a": base64Of("\x00\xff\xfe\x80")},
	"long lines":      {"a": base64Of(strings.Repeat("x", 1<<20))},
	"Unicode":         {"Größe": base64Of("Größe 🔑"), "鍵": "eA=="},
	"dots":            {"tls.crt": "eA==", ".dockerconfigjson": "e30=", "..": "eA=="},
	"colons":          {"a:b": "eA==", "a": "eQ=="},
	"like words":      {"yes": "true", "null": "null", "123": "1234", "1.5": "1e10", "y": "Yes=", "2026-03-14": "2026"},
	"like encryption": {"a": "ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]"},
	"sops":            {"sops": "eA==", "data": "eQ==", "metadata": "eg=="},
	"a long name":     {strings.Repeat("k", 253): "eA=="},
	"the same twice":  {"a": "eA==", "b": "eA=="},
}

const kindManifest = `apiVersion: example.com/v1
kind: Login
metadata:
  name: db
  labels:
    data: hush-label
  annotations:
    data: hush-annotation
    x: |
      sops:
        # Kubescribe-Content: none
data: hush-text
spec:
  empty: {}
  float: 2.5
  large: 1.0e+300
  list:
  - hush-1
  - -42
  - true
  - null
  - []
  - - hush-2
    - ""
  max: 9223372036854775807
  "off": false
`

// TestStockDecrypts: the stock sops decrypts every file, finds the MAC right, and gives the
// object that was encrypted.
func TestStockDecrypts(t *testing.T) {
	t.Parallel()
	a := newReader(t)
	to := recipientsOf(t, a)
	t.Run("oddities", func(t *testing.T) {
		t.Parallel()
		s := newStock(t, a)
		for what, data := range oddities {
			s.check(t, what, secretOf(t, data), to)
		}
		s.check(t, "no data", []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ntype: Opaque\n"), to)
		s.check(t, "another kind", []byte(kindManifest), to, "data", "spec")
	})
	t.Run("readers", func(t *testing.T) {
		t.Parallel()
		b, hybrid := newReader(t), newHybridReader(t)
		all := recipientsOf(t, a, b, hybrid)
		for _, r := range []reader{a, b, hybrid} {
			newStock(t, r).check(t, r.public[:10], secretOf(t, map[string]any{"a": "eA=="}), all)
		}
		if _, err := newStock(t, b).decrypt(t, encrypt(t, secretOf(t, nil), to)); err == nil {
			t.Error("somebody else can read it")
		}
	})
	for part := range uint64(4) {
		t.Run(fmt.Sprintf("random %d", part), func(t *testing.T) {
			t.Parallel()
			s := newStock(t, a)
			for seed := range uint64(75) {
				s.check(t, fmt.Sprintf("seed %d", 75*part+seed), randomSecret(t, 75*part+seed), to)
			}
		})
	}
}

// TestStockRefuses: what is encrypted cannot be changed. What is not can be: that only Read
// sees.
func TestStockRefuses(t *testing.T) {
	t.Parallel()
	a := newReader(t)
	s := newStock(t, a)
	file := encrypt(t, secretOf(t, map[string]any{"password": base64Of("hush-hush"), "user": base64Of("me"), "z": "eA=="}), recipientsOf(t, a))
	password, user := lineOf(t, file, "password:"), lineOf(t, file, "user:")
	swapped := replaceOnce(t, file, password, "password:"+strings.TrimPrefix(user, "user:"))
	swapped = replaceOnce(t, swapped, "\n  "+user, "\n  user:"+strings.TrimPrefix(password, "password:"))
	list := encrypt(t, []byte("apiVersion: v1\nkind: X\nmetadata:\n  name: x\nspec:\n- a\n- b\n"), recipientsOf(t, a), "spec")
	items := regexp.MustCompile(`(?m)^- (ENC\[.*)\n- (ENC\[.*)$`)
	other := encrypt(t, secretOf(t, map[string]any{"password": base64Of("hush-hush"), "user": base64Of("me"), "z": "eA=="}), recipientsOf(t, a))
	for what, changed := range map[string][]byte{
		"a letter of a value":   replaceOnce(t, file, password, flip(password, "data:")),
		"a letter of an iv":     replaceOnce(t, file, password, flip(password, "iv:")),
		"a letter of a tag":     replaceOnce(t, file, password, flip(password, "tag:")),
		"two values swapped":    swapped,
		"two items swapped":     items.ReplaceAll(list, []byte("- $2\n- $1")),
		"a value removed":       replaceOnce(t, file, "  "+user+"\n", ""),
		"a value emptied":       replaceOnce(t, file, user, `user: ""`),
		"a value in clear":      replaceOnce(t, file, user, "user: bWU="),
		"a value of another":    replaceOnce(t, file, user, lineOf(t, other, "user:")),
		"a name":                replaceOnce(t, file, user, "name:"+strings.TrimPrefix(user, "user:")),
		"when it was encrypted": replaceOnce(t, file, "2026-03-14T15", "2026-03-14T16"),
		"the MAC of another":    replaceOnce(t, file, lineOf(t, file, "mac:"), lineOf(t, other, "mac:")),
		"the kind of MAC":       replaceOnce(t, file, "mac_only_encrypted: true", "mac_only_encrypted: false"),
		"the rule":              replaceOnce(t, file, "^(data|stringData)$", "^(data|type)$"),
	} {
		if bytes.Equal(changed, file) || bytes.Equal(changed, list) {
			t.Errorf("%s: it is not changed", what)
		}
		if out, err := s.decrypt(t, changed); err == nil {
			t.Errorf("%s was changed and sops takes it:\n%s", what, out)
		}
		if !read(t, changed).Changed {
			t.Errorf("%s was changed and Read does not see it", what)
		}
	}
	for what, changed := range map[string][]byte{
		"a label":        replaceOnce(t, file, "app: db", "app: web"),
		"a label more":   replaceOnce(t, file, "app: db\n", "app: db\n    by: me\n"),
		"an empty value": replaceOnce(t, file, "data:\n", "data:\n  a: \"\"\n"),
	} {
		if _, err := s.decrypt(t, changed); err != nil {
			t.Errorf("%s was changed: %v", what, err)
		}
		if !read(t, changed).Changed {
			t.Errorf("%s was changed and Read does not see it", what)
		}
	}
}

// flip changes a letter of what stands behind a word.
func flip(line, word string) string {
	i := strings.Index(line, word) + len(word)
	c := "A"
	if line[i] == 'A' {
		c = "B"
	}
	return line[:i] + c + line[i+1:]
}

// TestStockRewrites: what people do with sops leaves a file that is read, with its mark and
// its recipients, and shows that it was changed.
func TestStockRewrites(t *testing.T) {
	t.Parallel()
	a, b := newReader(t), newReader(t)
	s := newStock(t, a, b)
	plain := secretOf(t, map[string]any{"password": base64Of("hush-hush"), "empty": ""})
	original := encrypt(t, plain, recipientsOf(t, a))
	s.write(t, "updated.yaml", []byte("creation_rules:\n- age: "+a.public+","+b.public+"\n"))
	s.write(t, "groups.yaml", []byte("creation_rules:\n- key_groups:\n  - age: ["+a.public+"]\n  - age: ["+b.public+"]\n  shamir_threshold: 1\n"))
	for what, tt := range map[string]struct {
		args       []string
		editor     string // a script of sed
		recipients recipient.List
		password   string
	}{
		"updatekeys":           {args: []string{"--config", "updated.yaml", "updatekeys", "--yes", "f.sops.yaml"}, recipients: recipientsOf(t, a, b)},
		"updatekeys to groups": {args: []string{"--config", "groups.yaml", "updatekeys", "--yes", "f.sops.yaml"}, recipients: recipientsOf(t, a, b)},
		"rotate":               {args: []string{"rotate", "--in-place", "f.sops.yaml"}, recipients: recipientsOf(t, a)},
		"rotate to others":     {args: []string{"rotate", "--in-place", "--add-age", b.public, "--rm-age", a.public, "f.sops.yaml"}, recipients: recipientsOf(t, b)},
		"set":                  {args: []string{"set", "f.sops.yaml", `["data"]["password"]`, `"` + base64Of("other") + `"`}, recipients: recipientsOf(t, a), password: base64Of("other")},
		"edit":                 {args: []string{"edit", "f.sops.yaml"}, editor: "s/password: .*/password: " + base64Of("mine") + "/", recipients: recipientsOf(t, a), password: base64Of("mine")},
	} {
		s.write(t, "f.sops.yaml", original)
		s.edits(tt.editor)
		s.run(t, tt.args...)
		file := s.read(t, "f.sops.yaml")
		got := read(t, file)
		if got.Mark != markOf(plain) || !cmp.Equal(got.Recipients, tt.recipients.Strings()) || !cmp.Equal(got.Fields, secretFields) || !got.Changed {
			t.Errorf("%s: it reads as %+v\n%s", what, got, file)
		}
		if got.Hash() == read(t, original).Hash() {
			t.Errorf("%s: its hash is that of what we wrote", what)
		}
		out, err := s.decrypt(t, file)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		want := plain
		if tt.password != "" {
			want = secretOf(t, map[string]any{"password": tt.password, "empty": ""})
		}
		if obj, err := manifest.Decode(out); err != nil || !bytes.Equal(encode(t, obj), want) {
			t.Errorf("%s: it decrypts to\n%s", what, out)
		}
	}
}

// TestStockKeeps is why the mark is a comment: sops keeps that, and annotations, wherever it
// writes a file; within its own field it keeps nothing that it does not know; and a comment is
// no part of the object.
func TestStockKeeps(t *testing.T) {
	t.Parallel()
	a, b := newReader(t), newReader(t)
	s := newStock(t, a)
	plain := []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  annotations:\n    example.com/mark: annotated\ndata:\n  password: eA==\n")
	file := append(encrypt(t, plain, recipientsOf(t, a)), "  kubescribe: within\n# behind\n"...)
	file = replaceOnce(t, file, "\ndata:\n", "\nkubescribe: field\ndata:\n")
	s.write(t, "updated.yaml", []byte("creation_rules:\n- age: "+a.public+","+b.public+"\n"))
	s.edits("s/password: .*/password: eQ==/")
	for what, args := range map[string][]string{
		"decrypt":    {"decrypt", "--in-place", "f.sops.yaml"},
		"updatekeys": {"--config", "updated.yaml", "updatekeys", "--yes", "f.sops.yaml"},
		"rotate":     {"rotate", "--in-place", "f.sops.yaml"},
		"set":        {"set", "f.sops.yaml", `["data"]["password"]`, `"eQ=="`},
		"edit":       {"edit", "f.sops.yaml"},
	} {
		s.write(t, "f.sops.yaml", file)
		s.run(t, args...)
		got := s.read(t, "f.sops.yaml")
		for _, text := range []string{contentPrefix + markOf(plain) + "\n", "example.com/mark: annotated\n", "\nkubescribe: field\n", "# behind"} {
			if !bytes.Contains(got, []byte(text)) {
				t.Errorf("%s: it has not kept %q:\n%s", what, text, got)
			}
		}
		if !bytes.HasPrefix(got, []byte(contentPrefix)) {
			t.Errorf("%s: the mark is not at its head:\n%s", what, got)
		}
		if bytes.Contains(got, []byte("within")) {
			t.Errorf("%s: it has kept a field of the metadata that it does not know", what)
		}
	}
}
