package gitwriter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/seal"
)

// writeSecret puts a Secret into a directory of Secrets, in pairs of keys and values.
func writeSecret(t *testing.T, dir, name string, pairs ...string) {
	t.Helper()
	at := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.RemoveAll(at); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := os.WriteFile(filepath.Join(at, pairs[i]), []byte(pairs[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeSecret(t, dir, "prod/shop/git.token", "username", "me\n", "password", "hush", ".hidden", "x")
	at := filepath.Join(dir, "prod", "shop", "git.token")
	if err := os.Mkdir(filepath.Join(at, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(at, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readSecret(dir, "prod/shop/git.token")
	if err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{".hidden", "password", "username"}) || string(got["username"]) != "me\n" {
		t.Errorf("keys %v", keys)
	}
}

// mount puts a version of a Secret where Kubernetes would: all keys are links into a
// link that is replaced.
func mount(t *testing.T, dir, name, version string, data map[string]string) {
	t.Helper()
	at := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Join(at, version), 0o700); err != nil {
		t.Fatal(err)
	}
	for key, content := range data {
		if err := os.WriteFile(filepath.Join(at, version, key), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", key), filepath.Join(at, key)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(version, filepath.Join(at, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(at, "..data_tmp"), filepath.Join(at, "..data")); err != nil {
		t.Fatal(err)
	}
}

// TestReadMountedSecret: what is read is the newest version of what Kubernetes mounts, and
// nothing of another one, which stays for a moment.
func TestReadMountedSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, data := range []map[string]string{{"username": "me", "password": "old"}, {"bearerToken": "new"}} {
		mount(t, dir, "prod/shop/git", fmt.Sprintf("..version_%d", i), data)
		got, err := readSecret(dir, "prod/shop/git")
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(data) {
			t.Errorf("%d keys of %d", len(got), len(data))
		}
		for key, content := range data {
			if string(got[key]) != content {
				t.Errorf("%s is %q", key, got[key])
			}
		}
	}
}

func TestReadSecretErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeSecret(t, dir, "prod/shop/git", "password", "hush")
	writeSecret(t, dir, "prod/shop/large", "password", strings.Repeat("x", maxSecret+1))
	writeSecret(t, filepath.Dir(dir), "outside", "password", "hush")
	writeSecret(t, dir, "prod/shop/broken", "password", "hush")
	if err := os.Symlink("nowhere", filepath.Join(dir, "prod", "shop", "broken", "username")); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{
		"prod/shop/none":     "there is no directory " + filepath.Join(dir, "prod", "shop", "none"),
		"prod/none/git":      "there is no directory",
		"dev/shop/git":       "there is no directory",
		"prod/shop/large":    "larger than 1 MiB",
		"prod/shop/broken":   "no such file",
		"":                   "no cluster/namespace/name",
		"git":                "no cluster/namespace/name",
		"shop/git":           "no cluster/namespace/name",
		"prod/shop/..":       "no cluster/namespace/name",
		"../shop/git":        "no cluster/namespace/name",
		"./shop/git":         "no cluster/namespace/name",
		"prod/../outside":    "no cluster/namespace/name",
		"prod/shop/git/x":    "no cluster/namespace/name",
		"prod/shop/../git":   "no cluster/namespace/name",
		"prod/shop/Git":      "no cluster/namespace/name",
		"/prod/shop/git":     "no cluster/namespace/name",
		"prod/shop/git\n":    "no cluster/namespace/name",
		"prod/shop/git\x00x": "no cluster/namespace/name",
	} {
		o := opener{Config: Config{Credentials: Credentials{Dir: dir}}}
		if got, err := o.secretData(t.Context(), gitURL, name); err == nil || !strings.Contains(err.Error(), says) || got != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// records is a KS_CREDENTIAL.
type records map[string]event.Credential

func (r records) Newest(_ context.Context, key string) (event.Credential, uint64, error) {
	c, ok := r[key]
	switch {
	case !ok:
		return c, 0, bus.ErrNoMessage
	case c.V == 0:
		return c, 0, event.ErrMalformed
	}
	return c, 1, nil
}

// newIdentity writes a private key to a file, and returns the public half.
func newIdentity(t *testing.T, file string) *seal.Recipient {
	t.Helper()
	b, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ids, err := seal.ParseIdentities(b)
	if err != nil {
		t.Fatal(err)
	}
	return ids.Recipients()[0]
}

const gitURL = "https://git.example.com/live.git"

// sealedFor is a record of a Secret as a watcher makes it.
func sealedFor(t *testing.T, to *seal.Recipient, name, password string) event.Credential {
	t.Helper()
	b, err := seal.Seal(to, seal.Secret{Name: name, Remotes: []string{gitURL}, Data: map[string][]byte{"password": []byte(password)}})
	if err != nil {
		t.Fatal(err)
	}
	return event.Credential{V: event.Version, Sealed: b, Recipient: to.String()}
}

// TestSecretData: a Secret's directory counts alone, and where there is none what the
// watcher has sealed.
func TestSecretData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	identity := filepath.Join(dir, "identity")
	to := newIdentity(t, identity)
	writeSecret(t, dir, "prod/shop/both", "password", "file")
	writeSecret(t, dir, "prod/shop/empty")
	writeSecret(t, dir, "prod/shop/file", "password", "file")
	bucket := records{}
	for _, name := range []string{"both", "empty", "sealed"} {
		bucket["prod.shop."+name] = sealedFor(t, to, "prod/shop/"+name, "sealed")
	}
	for what, tt := range map[string]struct {
		dir, identity, name string
		want                string // the password
		says                []string
	}{
		"both":                      {dir, identity, "prod/shop/both", "file", nil},
		"a directory with nothing":  {dir, identity, "prod/shop/empty", "", nil},
		"a directory alone":         {dir, identity, "prod/shop/file", "file", nil},
		"sealed alone":              {dir, identity, "prod/shop/sealed", "sealed", nil},
		"neither":                   {dir, identity, "prod/shop/none", "", []string{"there is no directory", "; and no watcher has sealed it", to.String()}},
		"no key, both":              {dir, "", "prod/shop/both", "file", nil},
		"no key, sealed alone":      {dir, "", "prod/shop/sealed", "", []string{"there is no directory"}},
		"no directories, both":      {"", identity, "prod/shop/both", "sealed", nil},
		"no directories, none":      {"", identity, "prod/shop/file", "", []string{"no watcher has sealed it", "--credentials-recipient " + to.String()}},
		"no directories and no key": {"", "", "prod/shop/both", "", []string{"--git-credentials", "KUBESCRIBE_GIT_CREDENTIALS_DIR", "--credentials-recipient", "--credentials-identity", "KUBESCRIBE_CREDENTIALS_IDENTITY_FILE"}},
		"a name that is none":       {"", identity, "git", "", []string{"no cluster/namespace/name"}},
		"one for a shell":           {"", identity, "prod/shop/x;reboot", "", []string{"no cluster/namespace/name"}},
		"one that leads elsewhere":  {dir, identity, "prod/shop/../x", "", []string{"no cluster/namespace/name"}},
	} {
		data, err := opener{Config{Credentials: Credentials{Dir: tt.dir, Identity: tt.identity}}, bucket, 0}.secretData(t.Context(), gitURL, tt.name)
		if tt.says == nil {
			if err != nil || string(data["password"]) != tt.want {
				t.Errorf("%s: %q, %v", what, data["password"], err)
			}
			continue
		}
		if err == nil || data != nil {
			t.Errorf("%s: no error", what)
			continue
		}
		for _, want := range tt.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in: %v", what, want, err)
			}
		}
	}
}

// TestUnsealErrors: each says what to do, and nothing of what is sealed.
func TestUnsealErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	identity, former := filepath.Join(dir, "identity"), filepath.Join(dir, "former")
	to, before := newIdentity(t, identity), newIdentity(t, former)
	right := sealedFor(t, to, "prod/shop/git", "hush-hush")
	cut := right
	cut.Sealed = right.Sealed[:len(right.Sealed)-1]
	old, strange := sealedFor(t, before, "prod/shop/git", "hush-hush"), sealedFor(t, before, "prod/shop/git", "hush-hush")
	strange.Recipient = "\x1b[31mhush"
	for what, tt := range map[string]struct {
		record event.Credential
		remote string
		says   []string
	}{
		"a former key":     {old, gitURL, []string{"sealed to another key, " + before.String(), identity + " opens " + to.String(), "--credentials-recipient"}},
		"a key of no name": {strange, gitURL, []string{"sealed to another key, an unknown one"}},
		"cut":              {cut, gitURL, []string{"damaged", "kubectl -n shop annotate --overwrite secret git"}},
		"no record":        {event.Credential{}, gitURL, []string{"KS_CREDENTIAL is of no use", "kubectl -n shop annotate"}},
		"a copy":           {sealedFor(t, to, "prod/billing/git", "hush-hush"), gitURL, []string{"sealed as another Secret", "kubectl -n shop annotate"}},
		"another remote":   {right, "https://evil.example.com/live.git", []string{"not sealed for this remote"}},
	} {
		o := opener{Config{Credentials: Credentials{Identity: identity}}, records{"prod.shop.git": tt.record}, 0}
		_, err := o.access(t.Context(), nil, tt.remote, "prod/shop/git")
		if err == nil {
			t.Errorf("%s: no error", what)
			continue
		}
		for _, want := range append(tt.says, "Secret prod/shop/git: ") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in: %v", what, want, err)
			}
		}
		if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "SECRET-KEY") {
			t.Errorf("%s: %v", what, err)
		}
	}

	// The former key is put beside the new one, and both count at once.
	b, err := os.ReadFile(former)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(identity, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, record := range []event.Credential{right, old} {
		o := opener{Config{Credentials: Credentials{Identity: identity}}, records{"prod.shop.git": record}, 0}
		if _, err := o.access(t.Context(), nil, gitURL, "prod/shop/git"); err != nil {
			t.Error(err)
		}
	}
}

// TestReadIdentities: the key is one that others cannot read.
func TestReadIdentities(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "identity")
	newIdentity(t, file)
	for mode, says := range map[os.FileMode]string{0o600: "", 0o400: "", 0o440: "", 0o640: "", 0o644: "others may read", 0o604: "chmod 600", 0o602: "others may read"} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, err := readIdentities(file)
		verr := Credentials{Identity: file}.Validate()
		if (err == nil) != (says == "") || (verr == nil) != (says == "") || (err != nil && !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, %v", mode, err, verr)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "none"), []byte("hush-hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{dir: "is no file", file + "-none": "age-keygen -o", filepath.Join(dir, "none"): "holds no private key"} {
		if _, err := readIdentities(path); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// late is a bucket in which nothing stands the first times that it is looked at.
type late struct {
	records
	looks int
}

func (l *late) Newest(ctx context.Context, key string) (event.Credential, uint64, error) {
	if l.looks--; l.looks >= 0 {
		return event.Credential{}, 0, bus.ErrNoMessage
	}
	return l.records.Newest(ctx, key)
}

// TestSealedLate: what the watcher has not sealed yet is waited for, for a while.
func TestSealedLate(t *testing.T) {
	t.Parallel()
	identity := filepath.Join(t.TempDir(), "identity")
	to := newIdentity(t, identity)
	synctest.Test(t, func(t *testing.T) {
		bucket := &late{records{"prod.shop.git": sealedFor(t, to, "prod/shop/git", "hush-hush")}, 5}
		o := opener{Config{Credentials: Credentials{Identity: identity}}, bucket, sealedWait}
		if data, err := o.secretData(t.Context(), gitURL, "prod/shop/git"); err != nil || string(data["password"]) != "hush-hush" {
			t.Errorf("%q, %v", data["password"], err)
		}
		begun := time.Now()
		if _, err := o.secretData(t.Context(), gitURL, "prod/shop/none"); !errors.Is(err, errNotSealed) || time.Since(begun) < sealedWait {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

// TestHasFiles: only a directory of a Secret's own counts for it.
func TestHasFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "prod", "shop", "git"), 0o700); err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[string]bool{"prod/shop/git": true, "prod/shop/other": false, "prod/shop": false, "prod/shop/../shop/git": false} {
		if got := (Credentials{Dir: dir}).HasFiles(secret); got != want {
			t.Errorf("%s: %t", secret, got)
		}
	}
	if (Credentials{}).HasFiles("prod/shop/git") {
		t.Error("without a directory there are files")
	}
}
