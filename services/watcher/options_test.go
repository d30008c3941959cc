package watcher

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/secretmark"
)

const configuration = `apiVersion: kubescribe.dev/v1alpha1
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
`

// TestRecipient: the public key comes by the flag, else from what was set before, and without
// one nothing is sealed.
func TestRecipient(t *testing.T) {
	dir := t.TempDir()
	config, file := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "kubeconfig")
	for path, text := range map[string]string{config: configuration, file: kubeconfig} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const one, other = "age1gklgqt3xk5q5smrkfhp7hwg5rsx5wpy67ldh8vrs5q92myeqa37q27gtyh", "age1lexzudskkv98wmqhk8qx9llgfpa3azzvdcpj0ql920n3nsf8438s2umqs9"
	for what, tt := range map[string]struct {
		before string
		args   []string
		want   string
	}{
		"none":    {"", nil, "<nil>"},
		"before":  {one, nil, one},
		"by flag": {other, []string{"--credentials-recipient", one}, one},
	} {
		o := Options{CredentialsRecipient: tt.before}
		fs := flag.NewFlagSet("watcher", flag.ContinueOnError)
		o.Flags(fs)
		if err := fs.Parse(append(tt.args, "--config", config, "--kubeconfig", file)); err != nil {
			t.Fatal(err)
		}
		if err := o.Load(); err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		got := "<nil>"
		if r := o.loaded.Recipient; r != nil {
			got = r.String()
		}
		if got != tt.want {
			t.Errorf("%s: it is sealed to %s, want %s", what, got, tt.want)
		}
	}
}

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
	config := write("config.yaml", configuration)
	open := write("open", string(secretmark.Generate()))
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
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
		"a public key that is none": {[]string{"--config", config, "--kubeconfig", file, "--credentials-recipient", "age1x"}, "", []string{"--credentials-recipient", "KUBESCRIBE_CREDENTIALS_RECIPIENT", "age-keygen -y"}},
		"a private key for it":      {[]string{"--config", config, "--kubeconfig", file, "--credentials-recipient", "AGE-SECRET-KEY-1X"}, "", []string{"--credentials-recipient", "that is a private key"}},
		"a mark key":                {[]string{"--config", config, "--kubeconfig", file, "--mark-key", write("marks", string(secretmark.Generate())), "--mirror-secrets", "Never"}, "prod", nil},
		"a mark key that is none":   {[]string{"--config", config, "--kubeconfig", file, "--mark-key", write("none", "hush-hush")}, "", []string{"the key that Secrets are marked with", "line 1 is no key", "keygen watcher"}},
		"no such mark key":          {[]string{"--config", config, "--kubeconfig", file, "--mark-key", file + "-none"}, "", []string{"the key that Secrets are marked with", file + "-none", "keygen watcher"}},
		"a mark key for all to see": {[]string{"--config", config, "--kubeconfig", file, "--mark-key", open}, "", []string{"others may read", "chmod 600"}},
		"a word for Secrets":        {[]string{"--config", config, "--kubeconfig", file, "--mirror-secrets", "never"}, "", []string{`--mirror-secrets "never"`, "Encrypted nor Never"}},
		"a name that is no key":     {[]string{"--config", config, "--kubeconfig", file, "--cluster", "a/b"}, "", []string{`"a/b"`, "--cluster"}},
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
				if named := strings.Contains(name, "mark key"); (o.loaded.MarkKey != nil) != named || o.loaded.NoSecrets != named {
					t.Errorf("it has the key of marks: %t; it mirrors no Secrets: %t", o.loaded.MarkKey != nil, o.loaded.NoSecrets)
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
