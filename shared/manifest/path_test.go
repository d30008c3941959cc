package manifest

import (
	"errors"
	"strings"
	"testing"
)

func TestPath(t *testing.T) {
	tests := []struct {
		id   Identity
		want string
	}{
		{Identity{"", "configmaps", "shop", "web"}, "shop/configmaps/web.yaml"},
		{Identity{"apps", "deployments", "shop", "web"}, "shop/apps/deployments/web.yaml"},
		{Identity{"", "nodes", "", "n1"}, "_cluster/nodes/n1.yaml"},
		{Identity{"rbac.authorization.k8s.io", "clusterroles", "", "system:node"}, "_cluster/rbac.authorization.k8s.io/clusterroles/system%3Anode.yaml"},
		{Identity{"", "x", "_cluster", "a"}, "%5Fcluster/x/a.yaml"},
		{Identity{"", "x", "n", "Admin"}, "n/x/%41dmin.yaml"},
		{Identity{"", "x", "n", "a%41"}, "n/x/a%2541.yaml"},
		{Identity{"", "x", "con", "nul"}, "%63on/x/%6Eul.yaml"},
		{Identity{"", "x", "n", "aux.tar.gz"}, "n/x/%61ux.tar.gz.yaml"},
		{Identity{"", "x", "n", "lpt1 .x"}, "n/x/%6Cpt1 .x.yaml"},
		{Identity{"", "x", "n", "CON"}, "n/x/%43%4F%4E.yaml"},
		{Identity{"", "x", "n", "console"}, "n/x/console.yaml"},
		{Identity{"", "x", "n", ".git"}, "n/x/%2Egit.yaml"},
		{Identity{"", "x", "git~1", ".."}, "git%7E1/x/%2E%2E.yaml"},
		{Identity{"", "x", "n", "a.sops"}, "n/x/a%2Esops.yaml"},
		{Identity{"", "x", "n", ".g\u200cit"}, "n/x/%2Eg%E2%80%8Cit.yaml"},
		{Identity{"", "x", "n", " a "}, "n/x/%20a%20.yaml"},
		{Identity{"", "x", "n", `<>:"/\|?*`}, "n/x/%3C%3E%3A%22%2F%5C%7C%3F%2A.yaml"},
		{Identity{"", "x", "n", "a\x00\x7f\xff"}, "n/x/a%00%7F%FF.yaml"},
		{Identity{"g", "web.yaml", "n", "a"}, "n/g/web%2Eyaml/a.yaml"},
		{Identity{"", "x", "n", strings.Repeat("a", 245)}, "n/x/" + strings.Repeat("a", 245) + ".yaml"},
		{Identity{"", "x", "n", strings.Repeat("a", 253)}, "n/x/" + strings.Repeat("a", 204) + "~32859a3ab65ac52932e16fad6060653636d6746f.yaml"},
	}
	for _, test := range tests {
		if got := test.id.Path(); got != test.want {
			t.Errorf("%+v has path\n%s, want\n%s", test.id, got, test.want)
		}
		checkPath(t, test.id)
	}
}

func TestShortenedPath(t *testing.T) {
	long := strings.Repeat("system:", 36) + "a"
	id := Identity{"rbac.authorization.k8s.io", "roles", "shop", long}
	other := id
	other.Name = long[:len(long)-1] + "b"
	if id.Path() == other.Path() {
		t.Error("two names share a path")
	}
	got, err := ParsePath(id.SealedPath())
	if want := (Identity{"rbac.authorization.k8s.io", "roles", "shop", ""}); !errors.Is(err, ErrShortened) || got != want {
		t.Errorf("ParsePath: %+v, %v", got, err)
	}
}

func TestForeignPaths(t *testing.T) {
	for _, p := range []string{
		"", "a", "README.md", "a/b.yaml", "a/b/c/d/e.yaml", "a/b/c.yml", "a/b/.yaml", "/b/c.yaml", "a//c.yaml", "a//b/c.yaml",
		"a/b/%41.yml", "a/b/%61.yaml", "a/b/%3a.yaml", "a/b/A.yaml", "a/b/%.yaml", "a/b/%4.yaml", "a/b/%zz.yaml", "a/b/.git.yaml",
		"../b/c.yaml", "a/./c.yaml", "con/b/c.yaml", "a/b/nul.yaml", "a/b/x:y.yaml", "a/b.c/d.yaml", "a/b/c~d.yaml", "a/b/ü.yaml",
		"_cluster/_cluster%/a.yaml", "a/b/c.sops.sops.yaml", "a/b/" + strings.Repeat("a", 246) + ".yaml",
		"a/b/" + strings.Repeat("a", 10) + "~" + strings.Repeat("0", 40) + ".yaml",
		"a/b/" + strings.Repeat("a", 204) + "~" + strings.Repeat("g", 40) + ".yaml",
		"a/b/" + strings.Repeat(":", 204) + "~" + strings.Repeat("0", 40) + ".yaml",
	} {
		if id, err := ParsePath(p); !errors.Is(err, ErrNotCanonical) || id != (Identity{}) {
			t.Errorf("%q: %+v, %v", p, id, err)
		}
	}
}

// checkPath asserts what Path promises of one identity, by rules that are
// written down anew here.
func checkPath(t *testing.T, id Identity) {
	t.Helper()
	for _, p := range []string{id.Path(), id.SealedPath()} {
		got, err := ParsePath(p)
		if !errors.Is(err, ErrShortened) && (err != nil || got != id) {
			t.Fatalf("%q reads as %+v, %v; want %+v", p, got, err, id)
		}
		if errors.Is(err, ErrShortened) && len(id.Name)*3 <= maxStem && len(id.Group)*3 <= maxStem && len(id.Namespace)*3 <= maxStem && len(id.Resource)*3 <= maxStem {
			t.Fatalf("%q is shortened without need", p)
		}
		for part := range strings.SplitSeq(p, "/") {
			base := strings.TrimRight(strings.SplitN(part, ".", 2)[0], " ")
			switch {
			case part == "" || len(part) > 255,
				strings.Trim(part, ". ") != part,
				strings.ContainsAny(part, "<>:\"\\|?*"),
				strings.HasPrefix(part, "git~"),
				base == "con" || base == "prn" || base == "aux" || base == "nul",
				len(base) == 4 && (strings.HasPrefix(base, "com") || strings.HasPrefix(base, "lpt")) && strings.Contains("123456789", base[3:]):
				t.Fatalf("%q holds the component %q", p, part)
			}
			for _, r := range part {
				if r < ' ' || r >= 0x7f {
					t.Fatalf("%q holds %q", p, r)
				}
			}
		}
	}
}

func FuzzPath(f *testing.F) {
	f.Add("apps", "deployments", "shop", "web", "", "deployments", "apps", "web")
	f.Add("", "configmaps", "", "A", "", "configmaps", "_cluster", "a")
	f.Add("", "x", "con", "nul", "x", "web.yaml", "git~1", ".git")
	f.Add("", "x", "n", "a.sops", "", "x", "n", strings.Repeat("A", 250))
	f.Add("", "x", "n", "%41", "n", "x", "~", strings.Repeat("é", 60)+"~")
	f.Fuzz(func(t *testing.T, g1, r1, ns1, n1, g2, r2, ns2, n2 string) {
		a, b := Identity{g1, r1, ns1, n1}, Identity{g2, r2, ns2, n2}
		if r1 == "" || n1 == "" || r2 == "" || n2 == "" {
			return
		}
		checkPath(t, a)
		checkPath(t, b)
		for _, pa := range []string{a.Path(), a.SealedPath()} {
			for _, pb := range []string{b.Path(), b.SealedPath()} {
				if a != b && strings.EqualFold(pa, pb) {
					t.Fatalf("%+v and %+v share %q", a, b, pa)
				}
				if strings.HasPrefix(strings.ToLower(pb), strings.ToLower(pa)+"/") {
					t.Fatalf("%q is a folder of %q", pa, pb)
				}
			}
		}
		// Anything that reads as an identity is written back as it was.
		for _, p := range []string{ns1 + "/" + g1 + "/" + r1 + "/" + n1, n1, n1 + "/" + r1 + "/" + n2 + ".yaml"} {
			if id, err := ParsePath(p); err == nil && id.Path() != p && id.SealedPath() != p {
				t.Fatalf("%q reads as %+v, whose path is %q", p, id, id.Path())
			}
		}
	})
}
