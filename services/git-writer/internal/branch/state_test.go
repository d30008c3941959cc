package branch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
	"github.com/kubescribe/kubescribe/shared/event"
)

func TestKindOf(t *testing.T) {
	long := strings.Repeat("x", 300)
	for p, want := range map[string]kind{
		"shop/configmaps/web.yaml":                              resource,
		"shop/apps/deployments/web.yaml":                        resource,
		"_cluster/namespaces/shop.yaml":                         resource,
		"shop/secrets/web.sops.yaml":                            resource,
		"shop/configmaps/" + long[:204] + "~" + sum40 + ".yaml": resource, // shortened
		"shop/configmaps/Web.yaml":                              suspect,  // upper case is escaped
		"shop/configmaps/web.yml":                               suspect,
		"shop/configmaps/web.json":                              suspect,
		"web.YAML":                                              suspect,
		"shop/web.yaml":                                         suspect,
		"a/b/c/d/web.yaml":                                      suspect,
		"kustomization.yaml":                                    suspect,
		"shop/configmaps/.sops.yaml":                            suspect,
		"README.md":                                             other,
		"shop/configmaps/web":                                   other,
		".kubescribe.yaml":                                      folder,
		"sub/.kubescribe.yaml":                                  suspect,
		"shop/roles/.kubescribe.yaml":                           suspect, // an object of that name stands elsewhere
	} {
		if got := kindOf(p, true); got != want {
			t.Errorf("%s is %d, want %d", p, got, want)
		}
		if got := kindOf(p, false); got != other {
			t.Errorf("%s that is no file is %d", p, got)
		}
	}
}

const sum40 = "0123456789abcdef0123456789abcdef01234567"

func TestDescribe(t *testing.T) {
	holds := map[plumbing.Hash]file.Contents{}
	var files []listed
	add := func(p string, c file.Contents) {
		blob := plumbing.ComputeHash(plumbing.BlobObject, []byte(p))
		holds[blob] = c
		files = append(files, listed{p, blob, kindOf(p, true)})
	}
	add(".kubescribe.yaml", file.Contents{Marker: true})
	add("README.md", file.Contents{})
	add("all.yaml", file.Contents{Resources: 3})
	add("other/.kubescribe.yaml", file.Contents{Marker: true})
	add("other/all.yaml", file.Contents{Resources: 2})
	add("other/shop/configmaps/web.yaml", file.Contents{Resources: 1})
	add("others/configmaps/web.yaml", file.Contents{Resources: 1})
	add("shop/rbac/roles/.kubescribe.yaml", file.Contents{Resources: 1}) // no marker
	add("shop/rbac/roles/web.yaml", file.Contents{Resources: 1})
	add("values.yaml", file.Contents{})
	encrypted := plumbing.NewHash("00112233445566778899aabbccddeeff00112233")
	add("vault/secrets/db.sops.yaml", file.Contents{Resources: 1, Encrypted: &file.Encrypted{Hash: encrypted}})
	add("vault/secrets/more.sops.yaml", file.Contents{Resources: 2})
	add("vault/secrets/other.sops.yaml", file.Contents{Resources: 1}) // somebody else's
	st := describe(files, holds)
	var got []string
	for _, e := range st.entries {
		if want := plumbing.ComputeHash(plumbing.BlobObject, []byte(e.Path)).String(); e.Path == "vault/secrets/db.sops.yaml" {
			if e.Hash != encrypted.String() {
				t.Errorf("%s has the hash %s", e.Path, e.Hash)
			}
		} else if e.Hash != want {
			t.Errorf("%s has the hash %s", e.Path, e.Hash)
		}
		got = append(got, fmt.Sprint(e.What, " ", e.Path))
	}
	want := []string{
		"FOREIGN all.yaml", "RESOURCE others/configmaps/web.yaml",
		"FOREIGN shop/rbac/roles/.kubescribe.yaml", "RESOURCE shop/rbac/roles/web.yaml",
		"RESOURCE vault/secrets/db.sops.yaml", "FOREIGN vault/secrets/more.sops.yaml", "RESOURCE vault/secrets/other.sops.yaml",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || st.others != 5 {
		t.Errorf("%q and %d others", got, st.others)
	}
}

// TestSeenForgets: what was asked for stays, the rest goes.
func TestSeenForgets(t *testing.T) {
	var s seen
	blob := func(n int) plumbing.Hash { return plumbing.Hash{byte(n), byte(n >> 8), byte(n >> 16)} }
	for n := range 3*seenFiles + 1 {
		s.put(blob(n), file.Contents{Resources: 1})
		if _, ok := s.get(blob(0)); !ok {
			t.Fatalf("forgotten after %d others", n)
		}
		if len(s.young)+len(s.old) > 2*seenFiles {
			t.Fatalf("%d are remembered", len(s.young)+len(s.old))
		}
	}
	if _, ok := s.get(blob(1)); ok {
		t.Error("what nobody asked for is remembered")
	}
}

// TestSeenSeveral: what holds several resources stays, as long as it is asked for, and
// asking for what does not takes nothing's place.
func TestSeenSeveral(t *testing.T) {
	var s seen
	blob := func(n int) plumbing.Hash { return plumbing.Hash{byte(n), byte(n >> 8), byte(n >> 16)} }
	s.put(blob(0), file.Contents{Resources: 2})
	for n := range 2*seenFiles - 1 {
		s.put(blob(n+1), file.Contents{Resources: 1})
	}
	if !s.several(blob(0)) || s.several(blob(2*seenFiles)) {
		t.Error("what holds several resources is not known")
	}
	young, old := len(s.young), len(s.old)
	for n := range 2 * seenFiles {
		if s.several(blob(n + 1)) {
			t.Fatalf("%d holds several", n+1)
		}
	}
	if len(s.young) != young || len(s.old) != old || !s.several(blob(0)) {
		t.Error("asking takes the place of others")
	}
}

// BenchmarkState is what there is to do for a state of 100,000 files beside listing
// them: target 2 s, all in all.
func BenchmarkState(b *testing.B) {
	const n = 100_000
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("cluster/namespace-%03d/resource-%d/object-%d.yaml", i/100, i/10%10, i%10)
	}
	for b.Loop() {
		files := make([]listed, n)
		for i, p := range paths {
			p = below("cluster", p)
			files[i] = listed{p, plumbing.Hash{byte(i), byte(i >> 8), byte(i >> 16)}, kindOf(p, true)}
		}
		var chunk event.Chunk
		for _, e := range describe(files, nil).entries {
			if err := chunk.Add(e); err != nil {
				b.Fatal(err)
			}
		}
	}
}
