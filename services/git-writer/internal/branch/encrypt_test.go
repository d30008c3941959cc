package branch

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

var (
	came        = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	secretPlain = []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: shop\ndata:\n  password: aHVzaC1odXNo\ntype: Opaque\n")
	secretMark  = "hmac-sha256:0123456789abcdef:" + strings.Repeat("0a", 32)
)

// transport is a git-writer's key, and a session that has it.
func transport(t *testing.T) (*seal.Recipient, *session) {
	t.Helper()
	b, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := seal.ParseIdentities(b)
	if err != nil {
		t.Fatal(err)
	}
	return ids.Recipients()[0], &session{Worker: &Worker{Config: Config{Identities: func() (seal.Identities, error) { return ids, nil }}}}
}

func reader(t *testing.T) string {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.Recipient().String()
}

// sealedSecret is a Secret on its way, for readers.
func sealedSecret(t *testing.T, to *seal.Recipient, of seal.Content) event.Change {
	t.Helper()
	sealed, err := seal.SealContent(to, of)
	if err != nil {
		t.Fatal(err)
	}
	return event.Change{
		Object: event.Object{APIVersion: "v1", Resource: "secrets", Kind: "Secret", Namespace: "shop", Name: "db"},
		Op:     event.Update, Cluster: "prod", Path: "shop/secrets/db.sops.yaml", SealedTo: to.String(), Manifest: sealed,
		Hash: secretmark.Hash(of.Mark, of.Recipients, of.Fields),
	}
}

func contentFor(readers ...string) seal.Content {
	return seal.Content{Object: "prod//secrets/shop/db", Mark: secretMark, Recipients: readers, Fields: []string{"data", "stringData"}, Manifest: bytes.Clone(secretPlain)}
}

// TestEncrypt: what came sealed is a file for its readers, whose content hash is the one it came
// with; encrypted again, it is another blob and the same content.
func TestEncrypt(t *testing.T) {
	t.Parallel()
	to, s := transport(t)
	a, b := reader(t), reader(t)
	sealed := sealedSecret(t, to, contentFor(a, b))
	var writes []write
	for range 2 {
		c := sealed
		if err := s.encrypt(&c, came); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"recipient: " + a, "recipient: " + b, "password: ENC[", "name: db", "lastmodified: \"2026-03-14T15:09:26Z\""} {
			if !strings.Contains(string(c.Manifest), want) {
				t.Errorf("there is no %s in\n%s", want, c.Manifest)
			}
		}
		if strings.Contains(string(c.Manifest), "aHVzaC1odXNo") {
			t.Error("the value can be read")
		}
		if got := file.Parse(c.Manifest); got.Encrypted.String() != c.Hash || got.Resources != 1 {
			t.Errorf("the file is %+v, and came as %s", got, c.Hash)
		}
		w := write{Change: c, blob: plumbing.ComputeHash(plumbing.BlobObject, c.Manifest)}
		if w.holds() != file.Parse(c.Manifest) {
			t.Errorf("what is remembered of it is %+v", w.holds())
		}
		writes = append(writes, w)
	}
	first, again := writes[0], writes[1]
	holds := map[plumbing.Hash]file.Contents{first.blob: first.holds()}
	if again.stood = first.blob; again.blob == first.blob || !again.leaves(holds) {
		t.Error("the same content is written again")
	}
	other := sealedSecret(t, to, contentFor(a))
	if err := s.encrypt(&other, came); err != nil {
		t.Fatal(err)
	}
	if w := (write{Change: other, stood: first.blob}); w.leaves(holds) {
		t.Error("for other readers it is not written")
	}
	for why, stood := range map[string]file.Contents{
		"the same content, encrypted anew": first.holds(), "": {Resources: 1},
	} {
		if got := anew(stood, file.Parse(other.Manifest)); got != why {
			t.Errorf("of %+v it says %q, want %q", stood, got, why)
		}
	}
	marked := contentFor(a, b)
	marked.Mark = strings.Replace(secretMark, "0123456789abcdef", "fedcba9876543210", 1)
	rekeyed := sealedSecret(t, to, marked)
	if err := s.encrypt(&rekeyed, came); err != nil {
		t.Fatal(err)
	}
	if got := anew(first.holds(), file.Parse(rekeyed.Manifest)); got != "encrypted anew, marked with another key" {
		t.Errorf("of another key it says %q", got)
	}
	marked.Mark = strings.Replace(secretMark, "0a", "0b", 1)
	changed := sealedSecret(t, to, marked)
	if err := s.encrypt(&changed, came); err != nil {
		t.Fatal(err)
	}
	if got := anew(first.holds(), file.Parse(changed.Manifest)); got != "" {
		t.Errorf("of other content it says %q", got)
	}
	if removal := (write{Change: event.Change{Op: event.Delete, Replaces: first.Hash}, stood: first.blob}); removal.outdated(holds) || !(write{Change: event.Change{Replaces: first.blob.String()}, stood: first.blob}).outdated(holds) {
		t.Error("a run names an encrypted file by something else than its content")
	}
}

// TestNeverWritten: nothing sensitive is written in clear, nor for others than the watcher
// sealed it for, nor in another's place; a missing key is no reason to lose anything.
func TestNeverWritten(t *testing.T) {
	t.Parallel()
	to, s := transport(t)
	others, _ := transport(t)
	a := reader(t)
	with := func(change func(c *event.Change)) event.Change {
		c := sealedSecret(t, to, contentFor(a))
		change(&c)
		return c
	}
	sealing := func(change func(c *seal.Content)) event.Change {
		of := contentFor(a)
		change(&of)
		return sealedSecret(t, to, of)
	}
	for what, tt := range map[string]struct {
		c    event.Change
		want error
	}{
		"a Secret in clear": {with(func(c *event.Change) {
			c.SealedTo, c.Path, c.Manifest = "", "", secretPlain
			c.Hash = manifest.Hash(secretPlain)
		}), errNeverWritten},
		"in clear, where encrypted files stand": {event.Change{
			Object: event.Object{APIVersion: "v1", Resource: "configmaps", Namespace: "shop", Name: "db"}, Path: "shop/configmaps/db.sops.yaml", Manifest: []byte("kind: ConfigMap\n"),
		}, errNeverWritten},
		"at another path":       {with(func(c *event.Change) { c.Path = "shop/secrets/web.sops.yaml" }), errNeverWritten},
		"as a file in clear":    {with(func(c *event.Change) { c.Path = "shop/secrets/db.yaml" }), errNeverWritten},
		"as another tenant's":   {with(func(c *event.Change) { c.Namespace, c.Path = "billing", "billing/secrets/db.sops.yaml" }), errNeverWritten},
		"as another cluster's":  {with(func(c *event.Change) { c.Cluster = "dev" }), errNeverWritten},
		"with another hash":     {with(func(c *event.Change) { c.Hash = strings.Repeat("0", 40) }), errNeverWritten},
		"damaged":               {with(func(c *event.Change) { c.Manifest = c.Manifest[:len(c.Manifest)-1] }), errNeverWritten},
		"for nobody":            {sealing(func(c *seal.Content) { c.Recipients = nil }), errNeverWritten},
		"for no recipient":      {sealing(func(c *seal.Content) { c.Recipients = []string{"age1x"} }), errNeverWritten},
		"without fields":        {sealing(func(c *seal.Content) { c.Fields = nil }), errNeverWritten},
		"without a mark":        {sealing(func(c *seal.Content) { c.Mark = "none" }), errNeverWritten},
		"no manifest":           {sealing(func(c *seal.Content) { c.Manifest = []byte("hush-hush") }), errNeverWritten},
		"sealed to another key": {sealedSecret(t, others, contentFor(a)), ErrNoKey},
		"sealed to what is no key": {with(func(c *event.Change) {
			c.SealedTo = "hush-hush"
			c.Manifest = sealedSecret(t, others, contentFor(a)).Manifest
		}), ErrNoKey},
		"a deletion":                 {event.Change{Op: event.Delete, Object: event.Object{Resource: "secrets", Name: "db"}}, nil},
		"what is not sensitive":      {event.Change{Object: event.Object{Resource: "configmaps", Name: "db"}, Manifest: []byte("kind: ConfigMap\n")}, nil},
		"as it should be, once more": {with(func(*event.Change) {}), nil},
	} {
		before := tt.c
		err := s.encrypt(&tt.c, came)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			continue
		}
		if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "aHVza") {
			t.Errorf("%s: the error repeats it: %v", what, err)
		}
		if !bytes.Equal(tt.c.Manifest, before.Manifest) {
			t.Errorf("%s: it is another manifest now", what)
		}
	}
	s = &session{Worker: &Worker{Config: Config{Identities: func() (seal.Identities, error) { return seal.Identities{}, errors.New("there is no file") }}}}
	c := with(func(*event.Change) {})
	if err := s.encrypt(&c, came); !errors.Is(err, ErrNoKey) || reason(err) != ReasonNoKey || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("without a key: %v", err)
	}
}
