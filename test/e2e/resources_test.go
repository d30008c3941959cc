package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

// TestCustomResources: an API server takes and refuses, as custom resources, what kubescribe
// takes and refuses in files, fills in the same, and shows an operator how they stand.
func TestCustomResources(t *testing.T) {
	w := newWorld(t, cluster)
	crds := filepath.Join("..", "..", "deploy", "crds")
	w.mustKubectl(t, "apply", "-f", crds)
	w.finally(t, "delete", "-f", crds) // and all that is made of them: other tests look at the whole cluster
	if out := w.mustKubectl(t, "wait", "--for=condition=Established", "--timeout=30s", "-f", crds); strings.Count(out, "condition met") != 4 {
		t.Fatal(out)
	}
	ns := w.namespace(t, "resources")

	for _, name := range []string{"example.yaml", "full.yaml"} {
		t.Run(name+" is taken, filled in, and can be exported", func(t *testing.T) {
			w.takes(t, filepath.Join("..", "..", "shared", "api", "v1alpha1", "testdata", name))
		})
	}
	t.Run("what is odd and right is taken", func(t *testing.T) {
		for kind, specs := range rightSpecs {
			for _, spec := range specs {
				w.accepts(t, document(kind, ns, "right", spec))
			}
		}
	})
	for _, tt := range wrongSpecs {
		t.Run(tt.kind+" "+tt.spec[:min(len(tt.spec), 120)], func(t *testing.T) { w.refuses(t, ns, tt) })
	}
	t.Run("an unknown field is refused", func(t *testing.T) {
		manifest := w.file(t, "unknown.yaml", document("GitRemote", ns, "unknown", "{url: /srv/git/a.git, uri: /a}"))
		out, err := w.kubectl(within(t, stepLimit), "apply", "-f", manifest)
		if err == nil || !strings.Contains(out, `unknown field "spec.uri"`) {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("where a destination points cannot change", func(t *testing.T) { w.immutable(t, ns) })
	t.Run("kubectl shows how they stand", func(t *testing.T) { w.shows(t, ns) })
	t.Run("kubectl explains them", func(t *testing.T) {
		for field, want := range map[string][]string{
			"gitdestination.spec":     {"remoteRef", "-required-", "Branch that is written to", "allowedNamespaces"},
			"gr.spec.minPushInterval": {"The longest is 1h"},
			"watchrule.spec.rules":    {"objectSelector", "Subresources cannot be selected"},
			"cwr.status":              {"conditions", "observedGeneration"},
		} {
			out := w.mustKubectl(t, "explain", field)
			for _, words := range want {
				if !strings.Contains(strings.Join(strings.Fields(out), " "), words) {
					t.Errorf("kubectl explain %s does not say %q:\n%s", field, words, out)
				}
			}
		}
	})
}

// mustKubectl is kubectl where it has to succeed.
func (w *world) mustKubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.kubectl(within(t, stepLimit), args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// finally runs kubectl when the test has ended.
func (w *world) finally(t *testing.T, args ...string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
		defer cancel()
		if out, err := w.kubectl(ctx, args...); err != nil {
			t.Errorf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
		}
	})
}

// document is a manifest of one custom resource.
func document(kind, ns, name, spec string) string {
	if kind == "ClusterWatchRule" {
		ns = `""`
	}
	return fmt.Sprintf("apiVersion: kubescribe.dev/v1alpha1\nkind: %s\nmetadata: {namespace: %s, name: %s}\nspec: %s\n", kind, ns, name, spec)
}

// takes applies a sound file, and compares what the server has made of it.
func (w *world) takes(t *testing.T, path string) {
	want := loadFile(t, path)
	namespaces := map[string]bool{}
	for _, o := range want.GitDestinations {
		namespaces[o.Namespace] = true
	}
	for _, o := range want.WatchRules {
		namespaces[o.Namespace] = true
	}
	delete(namespaces, "default") // it is there, and stays
	for namespace := range namespaces {
		w.mustKubectl(t, "create", "namespace", namespace)
		w.finally(t, "delete", "namespace", namespace)
	}
	w.mustKubectl(t, "apply", "--server-side", "-f", path)
	w.finally(t, "delete", "-f", path)

	var served v1alpha1.Documents
	for plural, list := range map[string]any{
		"gitremotes": &served.GitRemotes, "gitdestinations": &served.GitDestinations, "watchrules": &served.WatchRules, "clusterwatchrules": &served.ClusterWatchRules,
	} {
		items := struct {
			Items any `json:"items"`
		}{list}
		must(t, json.Unmarshal([]byte(w.mustKubectl(t, "get", plural, "-A", "-o", "json")), &items))
	}
	inFiles := served.DeepCopy()
	v1alpha1.SetDefaults(inFiles)
	// What follows from other fields is left to kubescribe, and all else is there.
	for i := range served.GitRemotes {
		if o := &served.GitRemotes[i].Spec; o.MinPushInterval == nil {
			o.MinPushInterval = inFiles.GitRemotes[i].Spec.MinPushInterval
		}
	}
	for i := range served.WatchRules {
		if o := &served.WatchRules[i]; o.Spec.DestinationRef.Namespace == "" {
			o.Spec.DestinationRef.Namespace = o.Namespace
		}
	}
	compare(t, "filled in by the server", &served, inFiles)
	compare(t, "served", &served, want)
	exported := w.mustKubectl(t, "get", "gitremotes,gitdestinations,watchrules,clusterwatchrules", "-A", "-o", "yaml")
	compare(t, "exported", loadFile(t, w.file(t, "exported-"+filepath.Base(path), exported)), want)
}

// loadFile is what kubescribe reads of a file.
func loadFile(t *testing.T, path string) *v1alpha1.Documents {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	docs, err := v1alpha1.Load(strings.NewReader(string(data)), filepath.Base(path))
	must(t, err)
	return docs
}

// compare fails the test where documents do not mean the same, in whatever order.
func compare(t *testing.T, what string, got, want *v1alpha1.Documents) {
	t.Helper()
	have, wanted := meanings(t, got), meanings(t, want)
	for name := range wanted {
		if have[name] != wanted[name] {
			t.Errorf("%s: %s is\n%s\nwant\n%s", what, name, have[name], wanted[name])
		}
		delete(have, name)
	}
	for name := range have {
		t.Errorf("%s: there is %s", what, name)
	}
}

// meanings is what people say in documents, by their names.
func meanings(t *testing.T, docs *v1alpha1.Documents) map[string]string {
	t.Helper()
	all := map[string]string{}
	add := func(kind string, m metav1.ObjectMeta, spec any) {
		data, err := json.MarshalIndent(map[string]any{"labels": m.Labels, "annotations": m.Annotations, "spec": spec}, "", " ")
		must(t, err)
		all[kind+" "+m.Namespace+"/"+m.Name] = string(data)
	}
	for _, o := range docs.GitRemotes {
		add(v1alpha1.KindGitRemote, o.ObjectMeta, o.Spec)
	}
	for _, o := range docs.GitDestinations {
		add(v1alpha1.KindGitDestination, o.ObjectMeta, o.Spec)
	}
	for _, o := range docs.WatchRules {
		add(v1alpha1.KindWatchRule, o.ObjectMeta, o.Spec)
	}
	for _, o := range docs.ClusterWatchRules {
		add(v1alpha1.KindClusterWatchRule, o.ObjectMeta, o.Spec)
	}
	return all
}

// rightSpecs are at the edges of what is right, by their kinds.
var rightSpecs = map[string][]string{
	"GitRemote": {
		`{url: /srv/git/state.git, minPushInterval: "0"}`,
		`{url: "/srv/a:b@c?d#e", minPushInterval: 1h}`,
		`{url: "file:///srv/git/state.git", minPushInterval: 0s}`,
		`{url: "HTTPS://git.example.com:8443/a%20b/state.git", secretRef: {name: a.b-c}, minPushInterval: 59m60s}`,
		`{url: "ssh://git@[::1]:2222/~git/state.git", minPushInterval: 1.5s}`,
		`{url: "ssh://git.example.com/a@b:c", committer: {name: "Ä. Person, Esq.", email: a@b}}`,
		`{url: "git@git.example.com:a:b@c/state.git", minPushInterval: 1µs}`,
	},
	"GitDestination": {
		`{remoteRef: {name: a.b}, branch: "feature/a.b@c{d}", baseFolder: ., interval: 0s}`,
		`{remoteRef: {name: a}, branch: "ä", baseFolder: "a b/c.d/ä-1", interval: 10s}`,
		`{remoteRef: {name: a}, branch: a.locked, baseFolder: git~10, interval: "0"}`,
		`{remoteRef: {name: a}, branch: head, baseFolder: "a..b", interval: 2562047h}`,
		`{remoteRef: {name: a}, prune: {maxDeletions: 0}, commit: {window: 1h, maxCommitsPerObjectPerMinute: 600}}`,
		`{remoteRef: {name: a}, prune: {maxDeletions: 2147483647}, allowedNamespaces: ["*", "team-?"]}`,
		`{remoteRef: {name: a}, prune: {maxDeletions: 0%}, commit: {author: {name: a}}}`,
		`{remoteRef: {name: a}, prune: {maxDeletions: 100%}, withoutExclusions: []}`,
		`{remoteRef: {name: a}, encryption: {recipients: [age1gklgqt3xk5q5smrkfhp7hwg5rsx5wpy67ldh8vrs5q92myeqa37q27gtyh], types: [{resource: configmaps, fields: [data, binaryData]}, {apiGroup: a.b, resource: c, fields: [d]}]}}`,
	},
	"WatchRule": {
		`{destinationRef: {name: a, namespace: b}, rules: [{apiGroups: ["", a.b], apiVersions: [], resources: [pods, 1s]}]}`,
		rule(`objectSelector: {matchExpressions: [{key: a, operator: Exists}]}, names: [], owners: ["*/*", "A*.b.c/d?"]`),
		rule(`objectSelector: {matchLabels: {a: b}}, names: ["*", "?:a"]`),
		`{destinationRef: {name: a}, rules: ` + everything + `, exclude: [], sanitize: {fields: [/a~0b/~1, /, /metadata/names]}}`,
	},
	"ClusterWatchRule": {
		`{destinationRef: {name: a, namespace: b}, rules: ` + everything + `, namespaces: [1a, a-b]}`,
	},
}

// accepts tries a document on the server, and in a file, where what it refers to is missing.
func (w *world) accepts(t *testing.T, manifest string) {
	t.Helper()
	if _, err := w.objects.Apply(within(t, stepLimit), manifest); err != nil {
		t.Errorf("%s\nis refused: %v", manifest, err)
	} else {
		w.remove(t, manifest)
	}
	_, err := v1alpha1.Load(strings.NewReader(manifest), "f.yaml")
	for line := range strings.Lines(fmt.Sprint(err)) {
		if strings.Contains(line, ": spec.") && !strings.Contains(line, "does not exist") {
			t.Errorf("%s\nis refused in a file: %s", manifest, line)
		}
	}
}

// wrongSpec is one that is refused, with the field and words that the answer has.
type wrongSpec struct {
	kind, spec, field, words string
	// served says that files may have more, which nobody needs.
	served bool
}

const everything = `[{apiGroups: ["*"], resources: ["*"]}]`

func rule(fields string) string {
	return `{destinationRef: {name: a}, rules: [{apiGroups: ["*"], resources: ["*"], ` + fields + `}]}`
}

var wrongSpecs = []wrongSpec{
	{kind: "GitRemote", spec: `{}`, field: "spec.url", words: "Required"},
	{kind: "GitRemote", spec: `{url: ""}`, field: "spec.url", words: "at least 1 chars"},
	{kind: "GitRemote", spec: `{url: shop/state.git}`, field: "spec.url", words: "write https://"},
	{kind: "GitRemote", spec: `{url: "ftp://git.example.com/a.git"}`, field: "spec.url", words: "write https://"},
	{kind: "GitRemote", spec: `{url: "https://git.example.com/a b.git"}`, field: "spec.url", words: "without spaces"},
	{kind: "GitRemote", spec: `{url: "/srv\\git"}`, field: "spec.url", words: "backslashes"},
	{kind: "GitRemote", spec: `{url: "https://u:` + password + `@git.example.com/a.git"}`, field: "spec.url", words: "no credentials"},
	{kind: "GitRemote", spec: `{url: "HTTPS://` + password + `@git.example.com/a.git"}`, field: "spec.url", words: "no credentials"},
	{kind: "GitRemote", spec: `{url: "ssh://git:` + password + `@git.example.com/a.git"}`, field: "spec.url", words: "no credentials"},
	{kind: "GitRemote", spec: `{url: "git:` + password + `@git.example.com:a.git"}`, field: "spec.url", words: "no credentials"},
	{kind: "GitRemote", spec: `{url: "https://git.example.com/a.git?token=` + password + `"}`, field: "spec.url", words: "no credentials"},
	{kind: "GitRemote", spec: `{url: "/` + strings.Repeat("a", 2048) + `"}`, field: "spec.url", words: "Too long", served: true},
	{kind: "GitRemote", spec: `{url: /srv/git/a.git, secretRef: {name: key}}`, field: "spec.secretRef", words: "a path is opened without any"},
	{kind: "GitRemote", spec: `{url: "FILE:///srv/git/a.git", secretRef: {name: key}}`, field: "spec.secretRef", words: "a path is opened without any"},
	{kind: "GitRemote", spec: `{url: "git@git.example.com:a.git", secretRef: {}}`, field: "spec.secretRef.name", words: "Required"},
	{kind: "GitRemote", spec: `{url: "git@git.example.com:a.git", secretRef: {name: Key}}`, field: "spec.secretRef.name", words: "should match"},
	{kind: "GitRemote", spec: `{url: /a, committer: {name: "a <b>"}}`, field: "spec.committer.name", words: "should match"},
	{kind: "GitRemote", spec: `{url: /a, committer: {email: nobody}}`, field: "spec.committer.email", words: "should match"},
	{kind: "GitRemote", spec: `{url: /a, minPushInterval: 2h}`, field: "spec.minPushInterval", words: "must not be longer than 1h"},
	{kind: "GitRemote", spec: `{url: /a, minPushInterval: -1s}`, field: "spec.minPushInterval", words: "should match"},
	{kind: "GitRemote", spec: `{url: /a, minPushInterval: soon}`, field: "spec.minPushInterval", words: "should match"},
	{kind: "GitRemote", spec: `{url: /a, minPushInterval: 10}`, field: "spec.minPushInterval", words: "expected string"},

	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {authors: [{name: Ada}]}}`, field: "spec.commit.authors[0].fieldManager", words: "Required"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {authors: [{fieldManager: "a b", name: Ada}]}}`, field: "spec.commit.authors[0].fieldManager", words: "should match"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {authors: [{fieldManager: "a/*"}]}}`, field: "spec.commit.authors[0].name", words: "Required"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {authors: [{fieldManager: "*", name: "a <b>"}]}}`, field: "spec.commit.authors[0].name", words: "should match"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {authors: [{fieldManager: "*", name: Ada, email: nobody}]}}`, field: "spec.commit.authors[0].email", words: "should match"},
	{kind: "GitDestination", spec: `{}`, field: "spec.remoteRef", words: "Required"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a/b}}`, field: "spec.remoteRef.name", words: "should match"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, branch: ""}`, field: "spec.branch", words: "at least 1 chars"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, branch: refs/heads/main}`, field: "spec.branch", words: "git check-ref-format"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, branch: a..b}`, field: "spec.branch", words: "git check-ref-format"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, branch: "a b"}`, field: "spec.branch", words: "git check-ref-format"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, branch: 'a\b'}`, field: "spec.branch", words: "git check-ref-format"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, branch: a//b}`, field: "spec.branch", words: "git check-ref-format"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, branch: a.lock/b}`, field: "spec.branch", words: "git check-ref-format"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, branch: HEAD}`, field: "spec.branch", words: "git check-ref-format"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, branch: "-a"}`, field: "spec.branch", words: "git check-ref-format"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, baseFolder: /live}`, field: "spec.baseFolder", words: "a path from its root"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, baseFolder: live/}`, field: "spec.baseFolder", words: "a path from its root"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, baseFolder: a//b}`, field: "spec.baseFolder", words: "a path from its root"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, baseFolder: a/../b}`, field: "spec.baseFolder", words: "a path from its root"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, baseFolder: .git/a}`, field: "spec.baseFolder", words: "a path from its root"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, baseFolder: a/GIT~1}`, field: "spec.baseFolder", words: "a path from its root"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, baseFolder: 'a\b'}`, field: "spec.baseFolder", words: "a path from its root"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, baseFolder: "a:b"}`, field: "spec.baseFolder", words: "a path from its root"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, baseFolder: "a\u200bb"}`, field: "spec.baseFolder", words: "a path from its root"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, interval: 9s}`, field: "spec.interval", words: "must not be shorter than 10s"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, interval: 99999999999h}`, field: "spec.interval", words: "Duration"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, allowedNamespaces: ["a/b"]}`, field: "spec.allowedNamespaces[0]", words: "should match"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, encryption: {recipients: [` + password + `]}}`, field: "spec.encryption.recipients", words: "no public key of age"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, encryption: {types: [{resource: b, fields: [name]}]}}`, field: "spec.encryption.types[0].fields", words: "leave these out"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, encryption: {types: [{resource: b, fields: []}]}}`, field: "spec.encryption.types[0].fields", words: "at least 1 items"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{apiGroups: [""], resources: ["*"]}], mirrorSecrets: never}`, field: "spec.mirrorSecrets", words: `"Never"`},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, withoutExclusions: [lease]}`, field: "spec.withoutExclusions[0]", words: `"leases"`},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, withoutExclusions: [secrets]}`, field: "spec.withoutExclusions[0]", words: "supported values"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, mode: dry-run}`, field: "spec.mode", words: `"DryRun"`},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, prune: {mode: Sometimes}}`, field: "spec.prune.mode", words: `"OnEvent"`},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, prune: {maxDeletions: -1}}`, field: "spec.prune.maxDeletions", words: "write one such as 50"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, prune: {maxDeletions: 2147483648}}`, field: "spec.prune.maxDeletions", words: "write one such as 50"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, prune: {maxDeletions: 101%}}`, field: "spec.prune.maxDeletions", words: "write one such as 50"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, prune: {maxDeletions: "50"}}`, field: "spec.prune.maxDeletions", words: "write one such as 50"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {window: 61m}}`, field: "spec.commit.window", words: "must not be longer than 1h"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {maxCommitsPerObjectPerMinute: 601}}`, field: "spec.commit.maxCommitsPerObjectPerMinute", words: "less than or equal to 600"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {maxCommitsPerObjectPerMinute: -1}}`, field: "spec.commit.maxCommitsPerObjectPerMinute", words: "greater than or equal to 0"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {author: {email: a@b@c}}}`, field: "spec.commit.author.email", words: "should match"},
	{kind: "GitDestination", spec: `{remoteRef: {name: a}, commit: {message: {subject: ` + strings.Repeat("a", 8193) + `}}}`, field: "spec.commit.message.subject", words: "Too long"},

	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{apiGroups: [""], resources: ["*"]}], sanitize: {ignoreFieldManagers: ["[a]"]}}`, field: "spec.sanitize.ignoreFieldManagers[0]", words: "should match"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{apiGroups: [""], resources: ["*"]}], sanitize: {ignoreFieldManagers: [/scale]}}`, field: "spec.sanitize.ignoreFieldManagers[0]", words: "should match"},
	{kind: "WatchRule", spec: `{rules: ` + everything + `}`, field: "spec.destinationRef", words: "Required"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a, namespace: A}, rules: ` + everything + `}`, field: "spec.destinationRef.namespace", words: "should match"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}}`, field: "spec.rules", words: "Required"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: []}`, field: "spec.rules", words: "at least 1 items"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [` + strings.Repeat(`{apiGroups: ["*"], resources: ["*"]}, `, 257) + `]}`, field: "spec.rules", words: "Too many", served: true},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{resources: [pods]}]}`, field: "spec.rules[0].apiGroups", words: "Required"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{apiGroups: [apps]}]}`, field: "spec.rules[0].resources", words: "Required"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{apiGroups: ["*", apps], resources: ["*"]}]}`, field: "spec.rules[0].apiGroups", words: "beside other entries"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{apiGroups: [core], resources: ["*"]}]}`, field: "spec.rules[0].apiGroups", words: "for the core group"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{apiGroups: [apps/v1], resources: ["*"]}]}`, field: "spec.rules[0].apiGroups[0]", words: "should match"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{apiGroups: [apps], resources: [pods, "*"]}]}`, field: "spec.rules[0].resources", words: "beside other entries"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: [{apiGroups: [""], resources: [pods/log]}]}`, field: "spec.rules[0].resources[0]", words: "should match"},
	{kind: "WatchRule", spec: rule(`apiVersions: ["*", v1]`), field: "spec.rules[0].apiVersions", words: "beside other entries"},
	{kind: "WatchRule", spec: rule(`apiVersions: [apps/v1]`), field: "spec.rules[0].apiVersions[0]", words: "should match"},
	{kind: "WatchRule", spec: rule(`objectSelector: {}`), field: "spec.rules[0].objectSelector", words: "selects all"},
	{kind: "WatchRule", spec: rule(`objectSelector: {matchLabels: {}}`), field: "spec.rules[0].objectSelector", words: "selects all"},
	{kind: "WatchRule", spec: rule(`names: ["a b"]`), field: "spec.rules[0].names[0]", words: "should match"},
	{kind: "WatchRule", spec: rule(`owners: [Application]`), field: "spec.rules[0].owners[0]", words: "should match"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: ` + everything + `, exclude: [{apiGroups: [core], resources: [pods]}]}`, field: "spec.exclude[0].apiGroups", words: "for the core group"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: ` + everything + `, sanitize: {finalizers: Drop}}`, field: "spec.sanitize.finalizers", words: `"Remove"`},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: ` + everything + `, sanitize: {fields: [spec/replicas]}}`, field: "spec.sanitize.fields[0]", words: "should match"},
	{kind: "WatchRule", spec: `{destinationRef: {name: a}, rules: ` + everything + `, sanitize: {fields: [/metadata/name]}}`, field: "spec.sanitize.fields", words: "an object is known by"},

	{kind: "ClusterWatchRule", spec: `{destinationRef: {name: a}, rules: ` + everything + `}`, field: "spec.destinationRef.namespace", words: "has no namespace of its own"},
	{kind: "ClusterWatchRule", spec: `{destinationRef: {namespace: a}, rules: ` + everything + `}`, field: "spec.destinationRef.name", words: "Required"},
	{kind: "ClusterWatchRule", spec: `{destinationRef: {name: a, namespace: a}, rules: ` + everything + `, namespaces: ["*"]}`, field: "spec.namespaces[0]", words: "should match"},
}

// refuses tries a wrong spec on the server, and in a file.
func (w *world) refuses(t *testing.T, ns string, wrong wrongSpec) {
	manifest := document(wrong.kind, ns, "wrong", wrong.spec)
	_, err := w.objects.Apply(within(t, stepLimit), manifest)
	if err == nil {
		w.remove(t, manifest)
		t.Fatal("it is taken")
	}
	text := err.Error()
	if !strings.Contains(text, wrong.field+": ") || !strings.Contains(text, wrong.words) {
		t.Errorf("it is refused with\n%s\nwant %s and %q", text, wrong.field, wrong.words)
	}
	checkNoPassword(t, "the answer", text)
	// What files may have the server must not refuse, but for what is out of all proportion.
	if _, err = v1alpha1.Load(strings.NewReader(manifest), "f.yaml"); !wrong.served && (err == nil || !strings.Contains(err.Error(), ": "+wrong.field)) {
		t.Errorf("in a file it is %v", err)
	}
}

// immutable tries to let a destination point elsewhere.
func (w *world) immutable(t *testing.T, ns string) {
	of := func(spec string) string { return document("GitDestination", ns, "fixed", spec) }
	w.apply(t, of(`{remoteRef: {name: a}, branch: prod, baseFolder: clusters/a}`))
	for _, tt := range []struct{ spec, field string }{
		{`{remoteRef: {name: b}, branch: prod, baseFolder: clusters/a}`, "spec.remoteRef"},
		{`{remoteRef: {name: a}, branch: main, baseFolder: clusters/a}`, "spec.branch"},
		{`{remoteRef: {name: a}, baseFolder: clusters/a}`, "spec.branch"}, // main, that is
		{`{remoteRef: {name: a}, branch: prod, baseFolder: clusters/b}`, "spec.baseFolder"},
		{`{remoteRef: {name: a}, branch: prod}`, "spec.baseFolder"},
	} {
		_, err := w.objects.Apply(within(t, stepLimit), of(tt.spec))
		if err == nil || !strings.Contains(err.Error(), tt.field+": ") || !strings.Contains(err.Error(), "is another destination") {
			t.Errorf("%s: %v", tt.spec, err)
		}
	}
	w.apply(t, of(`{remoteRef: {name: a}, branch: prod, baseFolder: clusters/a, interval: 1h, adopt: true}`))
}

// shows looks at the tables that kubectl prints.
func (w *world) shows(t *testing.T, ns string) {
	w.apply(t, document("GitRemote", ns, "origin", "{url: /srv/git/state.git}"))
	w.apply(t, document("GitDestination", ns, "live", "{remoteRef: {name: origin}, branch: prod}"))
	w.apply(t, document("WatchRule", ns, "apps", "{destinationRef: {name: live}, rules: "+everything+"}"))
	w.apply(t, document("ClusterWatchRule", ns, ns, "{destinationRef: {name: live, namespace: "+ns+"}, rules: "+everything+"}"))
	const (
		ready  = `"conditions":[{"type":"Ready","status":"True","reason":"Moves","message":"all is well","lastTransitionTime":"2026-01-01T00:00:00Z","observedGeneration":1}],"observedGeneration":1`
		commit = "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"
	)
	for resource, status := range map[string]string{
		"gr/origin": ready, "wr/apps": ready, "cwr/" + ns: ready,
		"gd/live": ready + `,"phase":"LIVE_PROCESSING","lastCommit":"` + commit + `","lastPushTime":"2026-01-01T00:00:00Z",` +
			`"lastRun":{"name":"r","created":1,"updated":2,"deleted":0,"equal":4}`,
	} {
		w.mustKubectl(t, "patch", resource, "-n", ns, "--subresource=status", "--type=merge", "-p", `{"status":{`+status+`}}`)
	}
	for _, tt := range []struct{ args, header, row string }{
		{"gr", "NAME URL READY AGE", "origin /srv/git/state.git True"},
		{"gd", "NAME REMOTE BRANCH FOLDER PHASE READY COMMIT AGE", "live origin prod live LIVE_PROCESSING True " + commit},
		{"gd -o wide", "NAME REMOTE BRANCH FOLDER PHASE READY COMMIT PUSHED MESSAGE AGE", "all is well"},
		{"wr", "NAME DESTINATION READY AGE", "apps live True"},
		{"cwr", "NAME DESTINATION READY AGE", ns + " live True"},
		{"kubescribe", "NAME URL READY AGE", "gitdestination.kubescribe.dev/live origin prod"},
	} {
		out := w.mustKubectl(t, append([]string{"get", "-n", ns}, strings.Fields(tt.args)...)...)
		if flat := strings.Join(strings.Fields(out), " "); !strings.Contains(flat, tt.header) || !strings.Contains(flat, tt.row) {
			t.Errorf("kubectl get %s:\n%s\nwant %s and %s", tt.args, out, tt.header, tt.row)
		}
	}
	w.mustKubectl(t, "wait", "--for=condition=Ready", "--timeout=30s", "-n", ns, "gd/live")

	// Who applies a document with a status, as it was exported, writes none.
	w.apply(t, document("GitDestination", ns, "live", "{remoteRef: {name: origin}, branch: prod}")+"status: {phase: PARKED}\n")
	if phase := w.mustKubectl(t, "get", "gd", "live", "-n", ns, "-o", "jsonpath={.status.phase}"); phase != "LIVE_PROCESSING" {
		t.Errorf("a document with a status made it %s", phase)
	}
}
