package capture

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

// keysOf are keys of a watcher, and what opens what it seals.
func keysOf(t *testing.T) (*Sealing, seal.Identities) {
	t.Helper()
	file, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := seal.ParseIdentities(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := secretmark.ParseKey(secretmark.Generate())
	if err != nil {
		t.Fatal(err)
	}
	return &Sealing{To: ids.Recipients()[0], Key: key}, ids
}

// vault is live, to which widgets are sensitive.
func vault(recipients ...string) event.Destination {
	d := destination("vault", "shop")
	d.Recipients, d.Sensitive = recipients, []event.Sensitive{{Group: "example.com", Resource: "widgets", Fields: []string{"spec"}}}
	return d
}

// TestSealed: what is sensitive is sealed to the git-writer, says who may read it in Git, and has a
// path of its own; for whom it is not, it is as any other. What is the same is not published again,
// and a run gets it sealed, too.
func TestSealed(t *testing.T) {
	const path, plainPath = "shop/example.com/widgets/a.sops.yaml", "shop/example.com/widgets/a.yaml"
	bubble(t, func(t *testing.T, s *server, l *lane) {
		keys, ids := keysOf(t)
		readers := vault("age1a", "age1b")
		r := beginWith(t, s, l, keys, live, readers)
		r.asked(t)
		open := func(c event.Change) seal.Content {
			t.Helper()
			got, err := ids.OpenContent(c.Manifest, "prod/example.com/widgets/shop/a")
			if err != nil {
				t.Fatal(err)
			}
			mark := keys.Key.Mark(secretmark.Object{Cluster: "prod", Group: "example.com", Resource: "widgets", Namespace: "shop", Name: "a"}, got.Manifest)
			if c.Path != path || c.SealedTo != keys.To.String() || got.Mark != mark || !slices.Equal(got.Recipients, readers.Recipients) ||
				!slices.Equal(got.Fields, []string{"annotations", "spec"}) || c.Hash != secretmark.Hash(mark, got.Recipients, got.Fields) {
				t.Errorf("it is %+v of %s, with the hash %s", got, c.Path, c.Hash)
			}
			return got
		}
		s.put(widget("a", 1))
		synctest.Wait()
		published := l.changes(t)
		if len(published) != 2 || published[0].To[0].Name != "live" || published[1].To[0].Name != "vault" {
			t.Fatalf("published: %+v", published)
		}
		plain := published[0]
		if plain.SealedTo != "" || plain.Path != "" || plain.Hash != manifest.Hash(plain.Manifest) {
			t.Errorf("for whom it is not sensitive: %+v", plain)
		}
		if got := open(published[1]); !bytes.Equal(got.Manifest, plain.Manifest) {
			t.Errorf("sealed is %s, and not %s", got.Manifest, plain.Manifest)
		}

		touched := widget("a", 1)
		touched.Object["status"] = map[string]any{"seen": true}
		s.put(touched)
		synctest.Wait()
		if again := l.changes(t); len(again) != 0 {
			t.Errorf("of a change that is none: %+v", again)
		}

		objects, _ := r.Freeze(readers.Key)
		if len(objects) != 1 || objects[0].Hash() != published[1].Hash {
			t.Fatalf("frozen: %+v", objects)
		}
		for _, tt := range []struct {
			of   event.Destination
			path string
			hash string
		}{{readers, path, published[1].Hash}, {live, plainPath, plain.Hash}} {
			fetched := 0
			q := Wanted{For: tt.of.Key, Hashes: map[string]string{tt.path: tt.hash}, Names: []manifest.Identity{{Group: "example.com", Resource: "widgets", Namespace: "shop", Name: "a"}}}
			if err := r.Fetch(t.Context(), q, func(c event.Change) error {
				fetched++
				if c.Path != tt.path || c.Hash != tt.hash {
					t.Errorf("fetched: %+v", c)
				}
				if tt.of.Key == readers.Key {
					open(c)
				}
				return nil
			}); err != nil || fetched != 1 {
				t.Errorf("%d of %s were fetched, %v", fetched, tt.path, err)
			}
		}

		s.remove("a")
		synctest.Wait()
		var gone []string
		for _, c := range l.changes(t) {
			gone = append(gone, strings.TrimSpace(string(c.Op)+" "+c.To[0].Name+" "+c.Path))
		}
		if slices.Sort(gone); !slices.Equal(gone, []string{"DELETE live", "DELETE vault " + path}) {
			t.Errorf("once it is gone: %q", gone)
		}
	})
}
