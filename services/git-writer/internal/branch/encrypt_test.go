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
	"github.com/kubescribe/kubescribe/shared/bus"
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
		if err := s.encrypt(&c, bus.Registered{}, came); err != nil {
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
		if got := file.Parse(c.Manifest); got.Encrypted.Hash.String() != c.Hash || got.Resources != 1 {
			t.Errorf("the file is %+v, and came as %s", got, c.Hash)
		}
		w := write{Change: c, blob: plumbing.ComputeHash(plumbing.BlobObject, c.Manifest)}
		if *w.holds().Encrypted != *file.Parse(c.Manifest).Encrypted {
			t.Errorf("what is remembered of it is %+v", w.holds())
		}
		writes = append(writes, w)
	}
	first, again := writes[0], writes[1]
	holds := map[plumbing.Hash]file.Contents{first.blob: first.holds()}
	first.path, again.path = sealed.Path, sealed.Path
	if again.stood = first.blob; again.blob == first.blob || !again.leaves(holds) {
		t.Error("the same content is written again")
	}
	other := sealedSecret(t, to, contentFor(a))
	if err := s.encrypt(&other, bus.Registered{}, came); err != nil {
		t.Fatal(err)
	}
	if w := (write{Change: other, path: sealed.Path, stood: first.blob}); w.leaves(holds) {
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
	if err := s.encrypt(&rekeyed, bus.Registered{}, came); err != nil {
		t.Fatal(err)
	}
	if got := anew(first.holds(), file.Parse(rekeyed.Manifest)); got != "encrypted anew, marked with another key" {
		t.Errorf("of another key it says %q", got)
	}
	marked.Mark = strings.Replace(secretMark, "0a", "0b", 1)
	changed := sealedSecret(t, to, marked)
	if err := s.encrypt(&changed, bus.Registered{}, came); err != nil {
		t.Fatal(err)
	}
	if got := anew(first.holds(), file.Parse(changed.Manifest)); got != "" {
		t.Errorf("of other content it says %q", got)
	}
	if removal := (write{Change: event.Change{Op: event.Delete, Replaces: first.Hash}, path: sealed.Path, stood: first.blob}); removal.outdated(holds) || !(write{Change: event.Change{Replaces: first.blob.String()}, path: sealed.Path, stood: first.blob}).outdated(holds) {
		t.Error("a run names an encrypted file by something else than its content")
	}
	if moved := (write{Change: event.Change{Op: event.Delete, Replaces: first.blob.String()}, path: "shop/secrets/db.yaml", stood: first.blob}); moved.outdated(holds) {
		t.Error("one at a path in clear is not removed")
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
	// now is what is registered: another key, and another type that is sensitive, since revision 9.
	now := bus.Registered{Revision: 9, Destination: event.Destination{
		SealedTo: to.String(), Sensitive: []event.Sensitive{{Group: "example.com", Resource: "vaults", Fields: []string{"token"}}},
	}}
	vault := func(registry uint64) event.Change {
		return event.Change{Object: event.Object{Group: "example.com", Resource: "vaults", Namespace: "shop", Name: "a"}, Registry: registry, Manifest: []byte("token: hush-hush\n")}
	}
	late := func(c event.Change) event.Change {
		c.Registry = 9
		return c
	}
	for what, tt := range map[string]struct {
		c    event.Change
		want error
	}{
		"in clear, before its type was sensitive": {vault(8), errOverrun},
		"in clear, though its type is sensitive":  {vault(9), errNeverWritten},
		"sealed to a key that was replaced since": {sealedSecret(t, others, contentFor(a)), errOverrun},
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
		"sealed to another key": {late(sealedSecret(t, others, contentFor(a))), ErrNoKey},
		"sealed to what is no key": {with(func(c *event.Change) {
			c.SealedTo, c.Registry = "hush-hush", 9
			c.Manifest = sealedSecret(t, others, contentFor(a)).Manifest
		}), ErrNoKey},
		"a deletion":                 {event.Change{Op: event.Delete, Object: event.Object{Resource: "secrets", Name: "db"}}, nil},
		"what is not sensitive":      {event.Change{Object: event.Object{Resource: "configmaps", Name: "db"}, Manifest: []byte("kind: ConfigMap\n")}, nil},
		"as it should be, once more": {with(func(*event.Change) {}), nil},
	} {
		before := tt.c
		err := s.encrypt(&tt.c, now, came)
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
	if err := s.encrypt(&c, bus.Registered{}, came); !errors.Is(err, ErrNoKey) || reason(err) != ReasonNoKey || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("without a key: %v", err)
	}
}

// TestKeyComes: a key that was put into the file while a session lasts is found.
func TestKeyComes(t *testing.T) {
	t.Parallel()
	to, old := transport(t)
	_, other := transport(t)
	reads, have := 0, other.Identities
	s := &session{Worker: &Worker{Config: Config{Identities: func() (seal.Identities, error) {
		reads++
		return have()
	}}}}
	c := sealedSecret(t, to, contentFor(reader(t)))
	for range 2 {
		if _, err := s.unseal(&c); !errors.Is(err, ErrNoKey) {
			t.Fatalf("without the key: %v", err)
		}
	}
	s.keys = nil
	if _, err := s.unseal(&c); !errors.Is(err, ErrNoKey) {
		t.Fatal(err)
	}
	have = old.Identities
	for range 2 {
		if _, err := s.unseal(&c); err != nil {
			t.Fatalf("with it: %v", err)
		}
	}
	if reads > 6 {
		t.Errorf("the file was read %d times", reads)
	}
}

// TestTwin: an encrypted file takes the place of the one in clear, and another file's not.
func TestTwin(t *testing.T) {
	t.Parallel()
	blob := func(n byte) plumbing.Hash { return plumbing.Hash{n} }
	holds := map[plumbing.Hash]file.Contents{blob(1): {Resources: 1}, blob(2): {Resources: 2}, blob(3): {}}
	c := event.Change{Object: event.Object{Resource: "secrets", Namespace: "shop", Name: "db"}, Path: "shop/secrets/db.sops.yaml", SealedTo: "age1", Hash: "x", Manifest: []byte("x")}
	plain := c
	plain.Path, plain.SealedTo = "", ""
	for what, tt := range map[string]struct {
		c     event.Change
		stand map[string]plumbing.Hash
		want  string // what is removed
	}{
		"it stands in clear":        {c, map[string]plumbing.Hash{"live/shop/secrets/db.yaml": blob(1)}, "live/shop/secrets/db.yaml"},
		"as something else":         {c, map[string]plumbing.Hash{"live/shop/secrets/db.yaml": blob(3)}, "live/shop/secrets/db.yaml"},
		"with others in one file":   {c, map[string]plumbing.Hash{"live/shop/secrets/db.yaml": blob(2)}, ""},
		"nothing stands":            {c, nil, ""},
		"what is written in clear":  {plain, map[string]plumbing.Hash{"live/shop/secrets/db.sops.yaml": blob(1)}, ""},
		"what else has such a name": {c, map[string]plumbing.Hash{"live/shop/secrets/db.sops.sops.yaml": blob(1)}, ""},
	} {
		w := newWrite(tt.c, bus.Message{}, event.Destination{BaseFolder: "live"})
		w.found(tt.stand, holds)
		got := ""
		for _, op := range w.ops()[1:] {
			if !op.Delete || op.Replaces != tt.stand[op.Path] {
				t.Errorf("%s: %+v", what, op)
			}
			got += op.Path
		}
		if got != tt.want {
			t.Errorf("%s: %q is removed, want %q", what, got, tt.want)
		}
	}
}
