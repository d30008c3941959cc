package v1alpha1_test

import (
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

func TestZeroConfigMeansAFile(t *testing.T) {
	got := v1alpha1.ZeroConfig(v1alpha1.ZeroConfigOptions{
		Repo:       "https://git.example.com/a/b.git",
		Branch:     "prod",
		BaseFolder: "clusters/prod",
		Namespaces: []string{"a", "b"},
		Adopt:      true,
	})
	if err := got.Validate(); err != nil {
		t.Fatal(err)
	}
	name := got.GitDestinations[0].Name
	want, err := v1alpha1.Load(strings.NewReader(strings.ReplaceAll(`
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: NAME}
spec: {url: https://git.example.com/a/b.git}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: NAME}
spec: {remoteRef: {name: NAME}, branch: prod, baseFolder: clusters/prod, adopt: true}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: NAME}
spec:
  destinationRef: {name: NAME, namespace: default}
  rules: [{apiGroups: ["*"], apiVersions: ["*"], resources: ["*"]}]
  namespaces: [a, b]
`, "NAME", name)), "f.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if g, w := toJSON(t, got), toJSON(t, want); g != w {
		t.Errorf("got:\n%s\nwant:\n%s", g, w)
	}
}

// The names are pinned: another name is another destination to a running install.
func TestZeroConfigName(t *testing.T) {
	for _, c := range []struct {
		repo, branch, folder string
		want                 string
	}{
		{"https://git.example.com/a/b.git", "", "", "live-d83dd20c"},
		{"https://GIT.example.com:443/a/b/", "main", "live", "live-d83dd20c"},
		{"https://git.example.com/a/c.git", "", "", "live-99f271a1"},
		{"https://git.example.com/a/b.git", "prod", "", "live-74a2c303"},
		{"https://git.example.com/a/b.git", "", "live2", "live2-1948738c"},
		{"https://git.example.com/a/b.git", "", ".", "root-ed68f316"},
		{"git@git.example.com:a/b", "", "Clusters/Prod 1", "clusters-prod-1-aecaaadf"},
		{"/srv/git/a.git", "", "日本", "folder-d9b7c8d9"},
		{"/srv/git/a.git", "", strings.Repeat("a", 39) + "/" + strings.Repeat("b", 100), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-8c1ff991"},
	} {
		docs := v1alpha1.ZeroConfig(v1alpha1.ZeroConfigOptions{Repo: c.repo, Branch: c.branch, BaseFolder: c.folder})
		if err := docs.Validate(); err != nil {
			t.Error(err)
		}
		if got := docs.GitDestinations[0].Name; got != c.want {
			t.Errorf("%s %s %s: got %s, want %s", c.repo, c.branch, c.folder, got, c.want)
		}
	}
}

func TestZeroConfigDoesNotKeepTheFlags(t *testing.T) {
	namespaces := []string{"a"}
	docs := v1alpha1.ZeroConfig(v1alpha1.ZeroConfigOptions{Repo: "/srv/git", Namespaces: namespaces})
	namespaces[0] = "b"
	if got := docs.ClusterWatchRules[0].Spec.Namespaces[0]; got != "a" {
		t.Errorf("namespace became %s", got)
	}
}

func TestZeroConfigWrongFlags(t *testing.T) {
	docs := v1alpha1.ZeroConfig(v1alpha1.ZeroConfigOptions{
		Repo: "https://user:hunter2@host/a", Branch: "a..b", BaseFolder: "../a", Namespaces: []string{"A"},
	})
	name := docs.GitDestinations[0].Name
	want := strings.ReplaceAll(`GitRemote default/<name>: spec.url: contains credentials; credentials in a URL would end up in logs and on the bus; remove them and set KUBESCRIBE_GIT_USERNAME and KUBESCRIBE_GIT_PASSWORD_FILE
GitDestination default/<name>: spec.branch: "a..b" contains ".."; use a name that git check-ref-format --branch accepts
GitDestination default/<name>: spec.baseFolder: "../a" contains ".."; the folder must lie inside the repository
ClusterWatchRule <name>: spec.namespaces[0]: "A" is not a namespace; use at most 63 lower-case letters, digits and dashes, with a letter or digit first and last`, "<name>", name)
	if got := text(docs.Validate()); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
