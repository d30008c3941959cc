package watcher

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOptions: what was typed is checked before anything is connected to, and each
// message names the flag that helps.
func TestOptions(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// A context whose cluster is none, beside those of the other tests.
	file := write("kubeconfig", strings.Replace(kubeconfig, "contexts:\n", "contexts:\n- {name: none, context: {user: me}}\n", 1))
	config := write("config.yaml", `apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: git, namespace: shop}
spec: {url: /srv/live.git}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: live, namespace: shop}
spec: {remoteRef: {name: git}}
---
apiVersion: kubescribe.dev/v1alpha1
kind: WatchRule
metadata: {name: all, namespace: shop}
spec: {destinationRef: {name: live}, rules: [{apiGroups: ["*"], resources: ["*"]}]}
`)
	invalid := write("invalid.yaml", "apiVersion: kubescribe.dev/v1alpha1\nkind: GitRemote\nmetadata: {name: git, namespace: shop}\nspec: {url: nonsense}\n")
	for name, tt := range map[string]struct {
		args    []string
		cluster string   // what it is called, if all is well
		says    []string // if not
	}{
		"as the kubeconfig says": {[]string{"--config", config, "--kubeconfig", file}, "prod", nil},
		"as it was called":       {[]string{"--config", config, "--kubeconfig", file, "--cluster", "mine"}, "mine", nil},
		"no configuration":       {[]string{"--kubeconfig", file}, "", []string{"--config"}},
		"none there":             {[]string{"--config", config + "-none", "--kubeconfig", file}, "", []string{config + "-none"}},
		"an invalid one":         {[]string{"--config", invalid, "--kubeconfig", file}, "", []string{invalid, "spec.url"}},
		"no kubeconfig":          {[]string{"--config", config, "--kubeconfig", file + "-none"}, "", []string{file + "-none", "--kubeconfig"}},
		"no such context":        {[]string{"--config", config, "--kubeconfig", file, "--context", "three"}, "", []string{`"three"`}},
		"a context of no cluster": {
			[]string{"--config", config, "--kubeconfig", file, "--context", "none"}, "", []string{"kubeconfig", "cluster"},
		},
		"a name that is no key": {[]string{"--config", config, "--kubeconfig", file, "--cluster", "a/b"}, "", []string{`"a/b"`, "--cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			var o Options
			fs := flag.NewFlagSet("watcher", flag.ContinueOnError)
			o.Flags(fs)
			if err := fs.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			err := o.Load()
			if tt.says == nil {
				if err != nil || o.loaded.Cluster != tt.cluster || o.loaded.REST.Host != "https://prod.example.com" || len(o.loaded.Documents.GitDestinations) != 1 {
					t.Errorf("it watches %s, %v", o.loaded.Cluster, err)
				}
				return
			}
			if err == nil {
				t.Fatalf("it watches %s", o.loaded.Cluster)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %s", err, want)
				}
			}
		})
	}
}
