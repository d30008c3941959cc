package v1alpha1_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestLoadGolden(t *testing.T) {
	got := toJSON(t, load(t, filepath.Join("testdata", "full.yaml")))
	golden := filepath.Join("testdata", "full.golden.json")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("decoded documents differ from %s (-update rewrites it):\n%s", golden, got)
	}
}

func TestLoadExample(t *testing.T) {
	docs := load(t, filepath.Join("testdata", "example.yaml"))
	if len(docs.GitRemotes) != 2 || len(docs.GitDestinations) != 2 || len(docs.WatchRules) != 1 || len(docs.ClusterWatchRules) != 1 {
		t.Errorf("unexpected documents: %+v", docs)
	}
}

func load(t *testing.T, path string) *v1alpha1.Documents {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	docs, err := v1alpha1.Load(file, path)
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// TestLoadExported: what kubectl get -o yaml writes means what was applied, whether of one
// object or of several: a List.
func TestLoadExported(t *testing.T) {
	want := toJSON(t, load(t, filepath.Join("testdata", "exported.plain.yaml")))
	for _, name := range []string{"exported.list.yaml", "exported.yaml"} {
		if got := toJSON(t, load(t, filepath.Join("testdata", name))); got != want {
			t.Errorf("%s is read as\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestLoadWrongList(t *testing.T) {
	list := "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\n"
	checkErrors(t, []errorCase{
		{"no items", list, []string{"f.yaml:1: has no GitDestination, so nothing would be written; add one"}},
		{"items are no list", list + "items: {}\n", []string{"f.yaml:4 (document 1): items: must be a list, not a mapping; correct it"}},
		{"unknown field", list + "item: []\n", []string{"f.yaml:4 (document 1): item: unknown field; known here: apiVersion, kind, metadata, items"}},
		{"no objects in it", list + "items:\n- a\n- {apiVersion: v1, kind: List}\n", []string{
			"f.yaml:5 (document 1): is a string and not a mapping; write apiVersion, kind, metadata and spec",
			"f.yaml:6 (document 1): apiVersion: \"v1\" is not known; write kubescribe.dev/v1alpha1",
			"f.yaml:6 (document 1): kind: \"List\" is not known; write one of GitRemote, GitDestination, WatchRule, ClusterWatchRule",
		}},
		{"a wrong object in it", list + "items:\n- apiVersion: kubescribe.dev/v1alpha1\n  kind: GitRemote\n  metadata: {name: a}\n  spec:\n    url: x\n    x: 1\n", []string{
			"f.yaml:1: has no GitDestination, so nothing would be written; add one",
			"f.yaml:9 (document 1, GitRemote default/a): spec.url: is neither a URL nor an absolute path; write https://, http://, ssh:// or file://, git@host:path, or an absolute path",
			"f.yaml:10 (document 1, GitRemote default/a): spec.x: unknown field; known here: url, secretRef, committer, minPushInterval",
		}},
	})
	item := "- {apiVersion: kubescribe.dev/v1alpha1, kind: GitRemote, metadata: {name: a}, spec: {url: /a}}\n"
	_, err := v1alpha1.Load(strings.NewReader(list+"items:\n"+strings.Repeat(item, v1alpha1.MaxDocuments)), "f.yaml")
	var problems v1alpha1.Problems
	if !errors.As(err, &problems) || !strings.Contains(problems[len(problems)-1].Text, "has more than 10000 documents") {
		t.Errorf("of too many items: %v", err)
	}
}

// Documents of a sound file, for cases to spoil one of.
const (
	remoteDoc = `apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: origin}
spec: {url: "https://git.example.com/a/b.git"}
`
	destinationDoc = `---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: live}
spec: {remoteRef: {name: origin}}
`
	ruleDoc = `---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: all}
spec:
  destinationRef: {name: live, namespace: default}
  rules: [{apiGroups: ["*"], resources: ["*"]}]
`
)

// errorCase is an input, and every line of the error that it must give.
type errorCase struct {
	name  string
	input string
	want  []string
}

func checkErrors(t *testing.T, cases []errorCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			docs, err := v1alpha1.Load(strings.NewReader(c.input), "f.yaml")
			var got string
			if err != nil {
				got = err.Error()
			}
			if want := strings.Join(c.want, "\n"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if err != nil && docs != nil {
				t.Error("documents beside an error")
			}
			var problems v1alpha1.Problems
			if err != nil && !errors.As(err, &problems) {
				t.Errorf("the error is %T", err)
			}
		})
	}
}

func TestLoadWrongFile(t *testing.T) {
	checkErrors(t, []errorCase{
		{"empty", "", []string{
			"f.yaml:1: is empty; write at least a GitRemote, a GitDestination and a WatchRule or ClusterWatchRule",
		}},
		{"only comments", "# a\n---\n# b\n---\n", []string{
			"f.yaml:1: is empty; write at least a GitRemote, a GitDestination and a WatchRule or ClusterWatchRule",
		}},
		{"too large", strings.Repeat("#", v1alpha1.MaxSize+1), []string{
			"f.yaml:1: is larger than 4 MiB; a configuration is much smaller, so check that this is one",
		}},
		{"too many documents", strings.Repeat("---\n", v1alpha1.MaxDocuments+1), []string{
			"f.yaml:10001: has more than 10000 documents; a configuration has far fewer, so check that this is one",
		}},
		{"too many documents in lines of old Macs", strings.Repeat("---\r", v1alpha1.MaxDocuments+1), []string{
			"f.yaml:10001: has more than 10000 documents; a configuration has far fewer, so check that this is one",
		}},
		{"syntax", remoteDoc + "---\nkind: [a\nb: c\n" + destinationDoc + "  x: 1\n", []string{
			"f.yaml:6 (document 2): is not valid YAML: did not find expected ',' or ']'; check quotes and indentation here and just before",
			"f.yaml:9 (document 3): is not valid YAML: did not find expected key; check quotes and indentation here and just before",
		}},
		{"misindented", "apiVersion: kubescribe.dev/v1alpha1\nkind: GitRemote\nmetadata:\n  name: a\n name: b\n", []string{
			"f.yaml:5 (document 1): is not valid YAML: did not find expected key; check quotes and indentation here and just before",
		}},
		{"quote left open", remoteDoc + "---\na: \"b\n", []string{
			"f.yaml:6 (document 2): is not valid YAML: found unexpected end of stream; check quotes and indentation here and just before",
		}},
		{"tab", "apiVersion: kubescribe.dev/v1alpha1\nkind: GitRemote\nmetadata:\n\tname: a\n", []string{
			"f.yaml:4 (document 1): is indented with a tab, which YAML does not allow; use spaces",
		}},
		{"tab after spaces", "kind: GitRemote\nmetadata:\n  name: a\n  \tnamespace: a\n", []string{
			"f.yaml:4 (document 1): is indented with a tab, which YAML does not allow; use spaces",
		}},
		{"anchor", "a: *secret\n", []string{
			"f.yaml:1 (document 1): is not valid YAML: unknown anchor; aliases are not supported, so put a text that begins with * in quotes",
		}},
		{"two JSON documents without a separator", "{}\n{}\n", []string{
			"f.yaml:1 (document 1): apiVersion: is required; write kubescribe.dev/v1alpha1",
			"f.yaml:1 (document 1): kind: is required; write one of GitRemote, GitDestination, WatchRule, ClusterWatchRule",
			"f.yaml:2 (document 2): is not valid YAML: did not find expected <document start>; put a line of --- between documents",
		}},
		{"not UTF-8", "a: \xff\n", []string{
			"f.yaml:1 (document 1): is not valid YAML: invalid leading UTF-8 octet; save the file as plain UTF-8 text",
		}},
		{"list", "- a\n", []string{
			"f.yaml:1 (document 1): is a list and not a mapping; write apiVersion, kind, metadata and spec",
		}},
		{"text", "hello\n", []string{
			"f.yaml:1 (document 1): is a string and not a mapping; write apiVersion, kind, metadata and spec",
		}},
		{"null", "~\n", []string{
			"f.yaml:1 (document 1): is nothing and not a mapping; write apiVersion, kind, metadata and spec",
		}},
		{"no kind", "{}\n", []string{
			"f.yaml:1 (document 1): apiVersion: is required; write kubescribe.dev/v1alpha1",
			"f.yaml:1 (document 1): kind: is required; write one of GitRemote, GitDestination, WatchRule, ClusterWatchRule",
		}},
		{"unknown kind", remoteDoc + destinationDoc + strings.Replace(ruleDoc, "ClusterWatchRule", "ClusterRule", 1), []string{
			`f.yaml:12 (document 3): kind: "ClusterRule" is not known; write one of GitRemote, GitDestination, WatchRule, ClusterWatchRule`,
		}},
		{"unknown apiVersion", strings.Replace(remoteDoc, "v1alpha1", "v1", 1) + destinationDoc + ruleDoc, []string{
			`f.yaml:1 (document 1): apiVersion: "kubescribe.dev/v1" is not known; write kubescribe.dev/v1alpha1`,
		}},
		{"no destination", remoteDoc, []string{
			"f.yaml:1: has no GitDestination, so nothing would be written; add one",
		}},
		{"end markers", remoteDoc + "...\n" + destinationDoc + ruleDoc + "...\n---\n", nil},
		{"CRLF and BOM", "\ufeff" + strings.ReplaceAll(remoteDoc+destinationDoc+ruleDoc, "\n", "\r\n"), nil},
	})
}

func TestLoadWrongField(t *testing.T) {
	head := "apiVersion: kubescribe.dev/v1alpha1\nkind: GitDestination\nmetadata: {name: live}\n"
	checkErrors(t, []errorCase{
		{"unknown field", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  suspend: true\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.suspend: unknown field; known here: remoteRef, branch, baseFolder, adopt, interval, mode, allowedNamespaces, withoutExclusions, prune, commit, encryption",
		}},
		{"misspelled field", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  basefolder: a\n  brnach: b\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.basefolder: unknown field; did you mean baseFolder?",
			"f.yaml:12 (document 2, GitDestination default/live): spec.brnach: unknown field; did you mean branch?",
		}},
		{"misspelled required field", remoteDoc + "---\n" + head + "spec:\n  remotRef: {name: origin}\n" + ruleDoc, []string{
			"f.yaml:10 (document 2, GitDestination default/live): spec.remotRef: unknown field; did you mean remoteRef?",
		}},
		{"misspelled spec", remoteDoc + "---\n" + head + "sepc:\n  remoteRef: {name: origin}\n" + ruleDoc, []string{
			"f.yaml:9 (document 2, GitDestination default/live): sepc: unknown field; did you mean spec?",
		}},
		{"misspelled metadata", remoteDoc + destinationDoc + strings.Replace(ruleDoc, "metadata", "metdata", 1), []string{
			"f.yaml:13 (document 3, ClusterWatchRule): metdata: unknown field; did you mean metadata?",
		}},
		{"metadata that nobody writes into a file", remoteDoc + strings.Replace(destinationDoc, "{name: live}", "{name: live, generateName: a, uid: a}", 1) + ruleDoc, []string{
			"f.yaml:8 (document 2, GitDestination default/live): metadata.generateName: unknown field; known here: name, namespace, labels, annotations",
		}},
		{"a status that is none", remoteDoc + strings.Replace(destinationDoc, "spec:", "statu: {}\nspec:", 1) + ruleDoc, []string{
			"f.yaml:9 (document 2, GitDestination default/live): statu: unknown field; known here: apiVersion, kind, metadata, spec",
		}},
		{"the cluster's fields elsewhere", remoteDoc + strings.Replace(destinationDoc, "{name: origin}}", "{name: origin, uid: a}, status: {}}\nmetadata.uid: a\nuid: a", 1) + ruleDoc, []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.remoteRef.uid: unknown field; known here: name",
			"f.yaml:9 (document 2, GitDestination default/live): spec.status: unknown field; known here: remoteRef, branch, baseFolder, adopt, interval, mode, allowedNamespaces, withoutExclusions, prune, commit, encryption",
			"f.yaml:10 (document 2, GitDestination default/live): metadata.uid: unknown field; known here: apiVersion, kind, metadata, spec",
			"f.yaml:11 (document 2, GitDestination default/live): uid: unknown field; did you mean kind?",
		}},
		{"status twice", remoteDoc + destinationDoc + "status: {}\nstatus: {}\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): status: is written twice, first on line 10; remove one",
		}},
		{"unprintable key", remoteDoc + "---\n" + head + "spec: {remoteRef: {name: origin}, \"https://u:p@h\": 1, branch: a..b}\n" + ruleDoc, []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec: unknown field; known here: remoteRef, branch, baseFolder, adopt, interval, mode, allowedNamespaces, withoutExclusions, prune, commit, encryption",
			`f.yaml:9 (document 2, GitDestination default/live): spec.branch: "a..b" contains ".."; use a name that git check-ref-format --branch accepts`,
		}},
		{"key of another type", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  ? [a]\n  : b\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec: has a key that is a list; write a name before the colon",
		}},
		{"alias as key", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: &a origin}\n  *a : b\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec: has a key that is an alias; write a name before the colon",
		}},
		{"mapping for a list", remoteDoc + destinationDoc + strings.Replace(ruleDoc, `apiGroups: ["*"]`, "apiGroups: {a: b}", 1), []string{
			"f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiGroups: must be a list, not a mapping; correct it",
		}},
		{"long unknown field", remoteDoc + strings.Replace(destinationDoc, "spec: {", "spec: {"+strings.Repeat("a", 70)+": b, ", 1) + ruleDoc, []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec." + strings.Repeat("a", 70) + ": unknown field; known here: remoteRef, branch, baseFolder, adopt, interval, mode, allowedNamespaces, withoutExclusions, prune, commit, encryption",
		}},
		{"duplicate key", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  branch: a\n  branch: b\n" + ruleDoc, []string{
			"f.yaml:12 (document 2, GitDestination default/live): spec.branch: is written twice, first on line 11; remove one",
		}},
		{"duplicate annotation", remoteDoc + strings.Replace(destinationDoc, "{name: live}", "{name: live, annotations: {a.b/c: d, a.b/c: e}}", 1) + ruleDoc, []string{
			"f.yaml:8 (document 2, GitDestination default/live): metadata.annotations[a.b/c]: is written twice, first on line 8; remove one",
		}},
		{"no value", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  branch:\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.branch: has no value; give it one or leave the field out",
		}},
		{"empty value", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  baseFolder: \"\"\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.baseFolder: is empty; give it a value or leave the field out",
		}},
		{"no spec", remoteDoc + "---\n" + head + "spec:\n" + ruleDoc, []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec: has no value; give it one or leave the field out",
		}},
		{"types", remoteDoc + "---\n" + head + "spec:\n  remoteRef: origin\n  branch: 1.0\n  baseFolder: [a]\n  adopt: yes\n" + ruleDoc, []string{
			"f.yaml:10 (document 2, GitDestination default/live): spec.remoteRef: must be a mapping, not a string; correct it",
			"f.yaml:11 (document 2, GitDestination default/live): spec.branch: must be a string, not a number; put it in quotes if it is meant as one",
			"f.yaml:12 (document 2, GitDestination default/live): spec.baseFolder: must be a string, not a list; correct it",
			"f.yaml:13 (document 2, GitDestination default/live): spec.adopt: must be true or false, not a YAML 1.1 boolean; write one of the two",
		}},
		{"boolean as string", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  branch: on\n  baseFolder: true\n  adopt: \"true\"\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.branch: must be a string, not a YAML 1.1 boolean; put it in quotes if it is meant as one",
			"f.yaml:12 (document 2, GitDestination default/live): spec.baseFolder: must be a string, not a boolean; put it in quotes if it is meant as one",
			"f.yaml:13 (document 2, GitDestination default/live): spec.adopt: must be true or false, not a string; write one of the two",
		}},
		{"duration without a unit", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  interval: 0\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.interval: must be a duration such as 10m, not a number; write a number with its unit, and 0s for none",
		}},
		{"no duration", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  interval: soon\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.interval: is not a duration; write one such as 90s, 10m or 1h30m",
		}},
		{"durations of other kinds", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  interval: [10m]\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.interval: must be a duration such as 10m, not a list; write a number with its unit, and 0s for none",
		}},
		{"empty duration", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  interval: \"\"\n  prune: {mode: , maxDeletions: \"\"}\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.interval: is empty; give it a value or leave the field out",
			"f.yaml:12 (document 2, GitDestination default/live): spec.prune.mode: has no value; give it one or leave the field out",
			"f.yaml:12 (document 2, GitDestination default/live): spec.prune.maxDeletions: is empty; give it a value or leave the field out",
		}},
		{"prune of other kinds", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  prune:\n    mode: no\n    maxDeletions: true\n    maxdeletions: 1\n" + ruleDoc, []string{
			"f.yaml:12 (document 2, GitDestination default/live): spec.prune.mode: must be a string, not a YAML 1.1 boolean; put it in quotes if it is meant as one",
			"f.yaml:13 (document 2, GitDestination default/live): spec.prune.maxDeletions: must be a number or a percentage, not a boolean; write one such as 50, or \"30%\"",
			"f.yaml:14 (document 2, GitDestination default/live): spec.prune.maxdeletions: unknown field; did you mean maxDeletions?",
		}},
		{"prune is a word", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  prune: Always\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.prune: must be a mapping, not a string; correct it",
		}},
		{"quoted and date", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  branch: \"on\"\n  baseFolder: 2026-01-01\n" + ruleDoc, nil},
		{"tags", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: origin}\n  branch: !secret a\n  adopt: !!bool maybe\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.branch: must be a string, not a value with a YAML tag; put it in quotes if it is meant as one",
			"f.yaml:12 (document 2, GitDestination default/live): spec.adopt: must be true or false, not a value with a YAML tag; write one of the two",
		}},
		{"alias", remoteDoc + "---\n" + head + "spec:\n  remoteRef: {name: &a origin}\n  branch: *a\n" + ruleDoc, []string{
			"f.yaml:11 (document 2, GitDestination default/live): spec.branch: is a YAML alias, and those are not supported; write the value out here",
		}},
		{"rule types", remoteDoc + destinationDoc + strings.Replace(ruleDoc, `{apiGroups: ["*"], resources: ["*"]}`, `{apiGroups: apps, resources: [pods, 1, null]}, a`, 1), []string{
			"f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiGroups: must be a list, not a string; correct it",
			"f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].resources[1]: must be a string, not a number; put it in quotes if it is meant as one",
			"f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].resources[2]: has no value; give it one or leave the field out",
			"f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[1]: must be a mapping, not a string; correct it",
		}},
		{"reading and validation at once", "kind: GitRemote\n---\n" + remoteDoc + "---\n" + head + "spec:\n  x: 1\n  branch: a..b\n" + ruleDoc, []string{
			"f.yaml:1 (document 1): apiVersion: is required; write kubescribe.dev/v1alpha1",
			"f.yaml:11 (document 3, GitDestination default/live): spec.remoteRef.name: is required; give it a name",
			"f.yaml:12 (document 3, GitDestination default/live): spec.x: unknown field; known here: remoteRef, branch, baseFolder, adopt, interval, mode, allowedNamespaces, withoutExclusions, prune, commit, encryption",
			`f.yaml:13 (document 3, GitDestination default/live): spec.branch: "a..b" contains ".."; use a name that git check-ref-format --branch accepts`,
		}},
	})
}

// TestLoadMaxDeletions: a number is read as YAML of both versions reads it, or refused.
func TestLoadMaxDeletions(t *testing.T) {
	for value, want := range map[string]string{
		"0": "0", "50": "50", "2147483647": "2147483647", `"30%"`: "30%", "30%": "30%", "0%": "0%", "100%": "100%",
		"-1": "is negative", "010": "plainly", "0x10": "plainly", "1_000": "plainly", "1.5": "plainly", "2147483648": "plainly", "+5": "plainly",
		`"50"`: "is neither", "101%": "is neither", "30 %": "is neither", "-3%": "is neither", "1.5%": "is neither", "many": "is neither", "007%": "is neither",
		"[1]": "not a list", "on": "not a YAML 1.1 boolean", "!!int a": "plainly", "!secret a": "not a value with a YAML tag",
	} {
		input := remoteDoc + strings.Replace(destinationDoc, "{name: origin}", "{name: origin}, prune: {maxDeletions: "+value+"}", 1) + ruleDoc
		docs, err := v1alpha1.Load(strings.NewReader(input), "f.yaml")
		switch {
		case err != nil:
			if text := err.Error(); !strings.Contains(text, ": spec.prune.maxDeletions: ") || !strings.Contains(text, want) || strings.Contains(text, "\n") {
				t.Errorf("%s: %v, want %s", value, err, want)
			}
		case docs.GitDestinations[0].Spec.Prune.MaxDeletions.String() != want:
			t.Errorf("%s was read as %v", value, docs.GitDestinations[0].Spec.Prune.MaxDeletions)
		}
	}
}

func TestLoadReadError(t *testing.T) {
	failure := errors.New("disk on fire")
	docs, err := v1alpha1.Load(iotest.ErrReader(failure), "f.yaml")
	if docs != nil || !errors.Is(err, failure) || err.Error() != "reading f.yaml: disk on fire" {
		t.Errorf("got %v, %v", docs, err)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	head := strings.Replace(ruleDoc, `[{apiGroups: ["*"], resources: ["*"]}]`, "", 1)
	for name, input := range map[string]string{
		"of documents":  strings.Repeat("a\n---\n", 1500),
		"of decoding":   head + strings.Repeat("  - a\n", 1500),
		"of validation": head + strings.Repeat("  - {}\n", 1500),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v1alpha1.Load(strings.NewReader(input), "f.yaml")
			var problems v1alpha1.Problems
			if !errors.As(err, &problems) || len(problems) != 1000 {
				t.Fatalf("%d problems", len(problems))
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != 101 || lines[100] != "and more problems; correct these first" {
				t.Errorf("%d lines, the last: %s", len(lines), lines[len(lines)-1])
			}
		})
	}
}
