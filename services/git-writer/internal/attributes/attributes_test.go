package attributes

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// standard is what git lfs track writes.
const standard = " filter=lfs diff=lfs merge=lfs -text\n"

// checkAttr is what stock git says of paths in a repository with those files.
func checkAttr(t *testing.T, files map[string]string, paths []string, args ...string) []string {
	t.Helper()
	dir := t.TempDir()
	if _, err := gittest.Git(dir, "init", "--quiet", "."); err != nil {
		t.Fatal(err)
	}
	for folder, content := range files {
		name := filepath.Join(dir, filepath.FromSlash(folder), Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	args = append([]string{"check-attr", "--stdin", "-z"}, args...)
	out, err := gittest.GitInput(dir, strings.Join(paths, "\x00")+"\x00", args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
}

// byGit is the filter that stock git finds for each path.
func byGit(t *testing.T, files map[string]string, paths []string) map[string]string {
	t.Helper()
	out := checkAttr(t, files, paths, filter)
	found := map[string]string{}
	for i := 0; i+2 < len(out); i += 3 {
		found[out[i]] = out[i+2]
	}
	return found
}

// byUs is the same, found here.
func byUs(files map[string]string, paths []string) map[string]string {
	r := parse(files)
	found := map[string]string{}
	for _, p := range paths {
		_, value := r.filterOf(p)
		found[p] = map[state]string{unspecified: "unspecified", unset: "unset", set: "set", valued: value.value}[value.state]
	}
	return found
}

func parse(files map[string]string) Rules {
	contents := map[string][]byte{}
	for folder, content := range files {
		contents[folder] = []byte(content)
	}
	return Parse(contents)
}

var paths = []string{
	"live/.kubescribe.yaml", "live/shop/configmaps/web.yaml", "live/shop/apps/deployments/web.yaml",
	"live/_cluster/namespaces/shop.yaml", "live/_cluster/rbac.authorization.k8s.io/clusterroles/system%3Anode.yaml",
	"live/shop/configmaps/a.sops.yaml", "live2/shop/configmaps/web.yaml", "my folder/shop/configmaps/web.yaml",
	"x/live/shop/configmaps/web.yaml", "é/[a]/web.yaml", "web.yaml", "#web.yaml", "!web.yaml",
}

// TestAgainstGit: whatever files say, git check-attr says the same.
func TestAgainstGit(t *testing.T) {
	root := func(lines ...string) map[string]string {
		return map[string]string{"": strings.Join(lines, "\n") + "\n"}
	}
	for name, files := range map[string]map[string]string{
		"nothing":              {},
		"other attributes":     root("*.yaml text eol=lf", "*.md diff"),
		"all of a kind":        root("*.yaml" + standard),
		"other files":          root("*.png"+standard, "*.psd filter=lfs"),
		"another filter":       root("*.yaml filter=git-crypt diff=git-crypt"),
		"no value":             root("*.yaml filter"),
		"comments and blanks":  root("", "  # *.yaml filter=lfs", "\t*.yaml \t filter=lfs \r"),
		"no line end":          {"": "*.yaml filter=lfs"},
		"a BOM":                {"": "\ufeff*.yaml filter=lfs\n"},
		"later wins":           root("*.yaml filter=lfs", "web.yaml -filter"),
		"earlier loses":        root("*.yaml -filter", "*.yaml filter=lfs diff=lfs", "*.md filter=x"),
		"taken back":           root("* filter=lfs", "*.yaml !filter"),
		"taken back, then set": root("*.yaml !filter", "*.yaml filter=lfs"),
		"twice in a line":      root("*.yaml filter=lfs -filter", "*.sops.yaml -filter filter=lfs"),
		"deeper wins":          {"": "*.yaml filter=lfs\n", "live": "*.yaml -filter\n", "live/shop": "web.yaml filter=lfs\n"},
		"deeper wins, the other way": {
			"": "*.yaml -filter\n", "live": "/shop/** filter=lfs\n", "live/shop/configmaps": "a.* !filter\n", "x": "*.yaml filter=lfs\n",
		},
		"a macro":              root("[attr]big filter=lfs -text", "*.yaml big"),
		"a macro afterwards":   root("*.yaml big", "[attr]big filter=lfs"),
		"a macro, twice":       root("[attr]big filter=lfs", "[attr]big -filter", "*.yaml big"),
		"a macro of macros":    root("[attr]big filter=lfs", "[attr]huge big", "[attr]self self filter=lfs", "*.yaml huge", "web.yaml self"),
		"a macro taken back":   root("[attr]big filter=lfs", "*.yaml big", "web.yaml -big", "a.sops.yaml big=no"),
		"a macro and a value":  root("[attr]big filter=lfs", "*.yaml big -filter", "web.yaml -filter big"),
		"a macro deeper":       {"": "*.yaml big\n", "live": "[attr]big filter=lfs\nweb.yaml filter=lfs\n"},
		"a macro used deeper":  {"": "[attr]big filter=lfs\n", "live": "*.yaml big\n"},
		"macros that are none": root("[attr]", "[attr] big filter=lfs", "[attr]bi/g filter=lfs", "*.yaml bi/g", "web.yaml big"),
		"bad names":            root("*.yaml filter=lfs a/b", "web.yaml filter=lfs --x", "a.* filter=lfs =x", "* -filter=lfs"),
		"a negative pattern":   root("!web.yaml filter=lfs", `\!web.yaml filter=lfs`),
		"a hash":               root("#web.yaml filter=lfs", `\#web.yaml filter=lfs`),
		"a directory":          root("live filter=lfs", "live/ filter=lfs", "/live/ filter=lfs", "/ filter=lfs", "// filter=lfs"),
		"anchored":             root("/live/**/*.yaml filter=lfs"),
		"from anywhere":        root("**/live/** filter=lfs"),
		"in the middle":        root("live/**/web.yaml filter=lfs"),
		"one level":            root("live/*/*/*.yaml filter=lfs"),
		"asterisks in a name":  root("live/sh**/web.yaml filter=lfs", "live/shop**/a.* filter=lfs"),
		"no path":              root("live/*.yaml filter=lfs", "*/web.yaml filter=lfs"),
		"classes":              root("[a-w]eb.yaml filter=lfs", "[^.]*.sops.yaml filter=lfs", "live/[[:alpha:]_]*/n*/*.yaml filter=lfs"),
		"odd classes":          root("[]w]eb.yaml filter=lfs", "[w filter=lfs", "web[.-]yaml filter=lfs", `web[\.]yaml filter=lfs`, "[[:bad:]]* filter=lfs", "[[:w]eb.yaml filter=lfs", "live[!a]shop/*/* filter=lfs"),
		"question marks":       root("we?.yaml filter=lfs", "live?shop/*/* filter=lfs"),
		"escapes":              root(`we\b.yaml filter=lfs`, `web.yaml\ filter=lfs`, `live/*\/configmaps/*.yaml filter=x`, `\`),
		"quoted":               root(`"my folder/**" filter=lfs`, `"we\142.yaml" filter=lfs`, `"\303\251/*/*" filter=lfs`, `"*.yml filter=lfs`, `""`, `"" filter=lfs`, `"a\q" filter=lfs`),
		"case":                 root("*.YAML filter=lfs", "LIVE/** filter=lfs"),
		"a long line":          root("*.yaml filter=lfs " + strings.Repeat("a", 2030)), // 2048 and more
		"a line just so long":  root("*.yaml filter=lfs " + strings.Repeat("a", 2029)),
		"a NUL":                {"": "*.yaml filter=lfs\x00\nweb.yaml -filter\n"},
		"values":               root("*.yaml filter=LFS", "web.yaml filter=", "a.* filter=lfs=x"),
	} {
		t.Run(name, func(t *testing.T) {
			want := byGit(t, files, paths)
			for p, got := range byUs(files, paths) {
				if got != want[p] {
					t.Errorf("%s: filter is %s, and git says %s", p, got, want[p])
				}
				if _, through := parse(files).LFS(p); through != (want[p] == lfs) {
					t.Errorf("%s goes through LFS: %v", p, through)
				}
			}
		})
	}
}

// TestPatternsAgainstGit: so do patterns that nobody would write.
func TestPatternsAgainstGit(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	pick := func(from []string, n int) string {
		var b strings.Builder
		for range 1 + rnd.IntN(n) {
			b.WriteString(from[rnd.IntN(len(from))])
		}
		return b.String()
	}
	const n = 3000
	files, patterns := map[string]string{}, []string{}
	var b strings.Builder
	for i := range n {
		p := pick([]string{"a", "b", "/", "*", "**", "**/", "/**", "?", "[ab]", "[!a]", "[^/-b]", `\`, "]", "[", "[]a]", "[a-", "-", "[[:alpha:]]", `\*`, "é"}, 7)
		patterns = append(patterns, p)
		_, _ = fmt.Fprintf(&b, "%s n%d\n", p, i)
	}
	files[""] = b.String()
	seen := map[string]bool{}
	var ps []string
	for len(ps) < 60 {
		p := strings.Trim(pick([]string{"a", "b", "/", "ab", "-", "é", "]", "*"}, 6), "/")
		if p = path.Clean(p); p != "." && !seen[p] {
			seen[p] = true
			ps = append(ps, p)
		}
	}
	out := checkAttr(t, files, ps, "--all")
	matched := map[string]bool{}
	for i := 0; i+2 < len(out); i += 3 {
		matched[out[i]+" "+out[i+1]] = true
	}
	if len(matched) < n {
		t.Errorf("%d matches only", len(matched))
	}
	for i, s := range patterns {
		if strings.HasPrefix(s, "#") || strings.HasPrefix(s, `"`) {
			continue
		}
		compiled := compile(s)
		for _, p := range ps {
			if got, want := compiled.match(p), matched[fmt.Sprintf("%s n%d", p, i)]; got != want {
				t.Errorf("pattern %s matches %s: %v, and git says %v", s, p, got, want)
			}
		}
	}
}

// TestWhere: the line that decides is named.
func TestWhere(t *testing.T) {
	r := parse(map[string]string{
		"":     "# big\n[attr]big filter=lfs\n*.yaml -filter\n\n  *.yaml big\n",
		"live": "web.yaml filter=lfs diff=lfs\n",
	})
	for p, want := range map[string]Where{
		"live/a.yaml":   {".gitattributes", 5, "*.yaml big"},
		"live/web.yaml": {"live/.gitattributes", 1, "web.yaml filter=lfs diff=lfs"},
	} {
		if by, through := r.LFS(p); !through || by != want {
			t.Errorf("%s: %+v, %v", p, by, through)
		}
	}
	if r.None() || !parse(map[string]string{"": "[attr]big -text\n*.yaml big text\n"}).None() {
		t.Error("what has a say in it is not told from what has none")
	}
}

func TestAbove(t *testing.T) {
	for p, want := range map[string]string{"x": "[]", "a/x": "[ a]", "a/b/x": "[ a a/b]"} {
		if got := fmt.Sprint(Above(p)); got != want {
			t.Errorf("%s: %s", p, got)
		}
	}
}

// TestExempt: the line that is proposed does it, for git.
func TestExempt(t *testing.T) {
	for _, test := range []struct{ folder, file, path string }{
		{"live", "", "live/shop/configmaps/web.yaml"},
		{"live", "live", "live/shop/configmaps/web.yaml"},
		{"live", "live/shop", "live/shop/configmaps/web.yaml"},
		{"a/b", "a", "a/b/.kubescribe.yaml"},
		{"a/b", "", "a/b/shop/configmaps/web.yaml"},
		{"", "", "shop/configmaps/web.yaml"},
		{"", "shop", "shop/configmaps/web.yaml"},
		{"my [old] folder", "", "my [old] folder/shop/configmaps/web.yaml"},
		{"é#!", "", "é#!/shop/configmaps/web.yaml"},
	} {
		other := path.Join(test.file, "other.yaml")
		files := map[string]string{test.file: "*.yaml" + standard}
		if got := byGit(t, files, []string{test.path}); got[test.path] != lfs {
			t.Fatalf("%+v: without the line it is %v", test, got)
		}
		files[test.file] += Exempt(test.folder, path.Join(test.file, Name)) + "\n"
		got := byGit(t, files, []string{test.path, other})
		if got[test.path] != "unspecified" {
			t.Errorf("%+v: with %q it is %v", test, files[test.file], got)
		}
		if inside := test.file == test.folder || strings.HasPrefix(test.file+"/", test.folder+"/") || test.folder == ""; !inside && got[other] != lfs {
			t.Errorf("%+v: %q is for other files, too", test, files[test.file])
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"*.yaml filter=lfs\n", "[attr]a filter=lfs\n* a -b !c d=e\n", "\"a\\303\\251\" filter=lfs\n", "[[:alpha:]]/**/x[!a-\\z]? filter=lfs\n", "\"\" filter\n"} {
		f.Add(s, "a/b.yaml")
	}
	f.Fuzz(func(_ *testing.T, content, p string) {
		r := Parse(map[string][]byte{"": []byte(content), "a": bytes.ToUpper([]byte(content))})
		_, _ = r.LFS(p)
	})
}
