package v1alpha1_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

// spoil replaces text of a sound file that must be there.
func spoil(t *testing.T, replacements ...string) string {
	t.Helper()
	file := remoteDoc + destinationDoc + ruleDoc
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(file, replacements[i]) {
			t.Fatalf("%q is not in the file", replacements[i])
		}
		file = strings.Replace(file, replacements[i], replacements[i+1], 1)
	}
	return file
}

// reader is a public key of age.
const reader = "age1gklgqt3xk5q5smrkfhp7hwg5rsx5wpy67ldh8vrs5q92myeqa37q27gtyh"

func TestValidateObjects(t *testing.T) {
	const email, name = "spec: {url: /srv/git, committer: {email: %q}}", "spec: {url: /srv/git, committer: {name: %q}}"
	remote := `spec: {url: "https://git.example.com/a/b.git"}`
	checkErrors(t, []errorCase{
		{"sound", spoil(t), nil},
		{"name", spoil(t, "{name: live}", "{name: Live_1}", "name: live,", "name: Live_1,"), []string{
			`f.yaml:8 (document 2, GitDestination default/Live_1): metadata.name: "Live_1" is not a name; use at most 253 lower-case letters, digits, dashes and dots, with a letter or digit first and last`,
			`f.yaml:15 (document 3, ClusterWatchRule all): spec.destinationRef.name: "Live_1" is not a name; use at most 253 lower-case letters, digits, dashes and dots, with a letter or digit first and last`,
		}},
		{"name not echoed", spoil(t, "{name: all}", `{name: "https://u:p@h"}`), []string{
			"f.yaml:13 (document 3, ClusterWatchRule): metadata.name: is not a name; use at most 253 lower-case letters, digits, dashes and dots, with a letter or digit first and last",
		}},
		{"no name", spoil(t, "{name: live}", "{labels: {a: b}}"), []string{
			"f.yaml:8 (document 2, GitDestination): metadata.name: is required; give it a name",
		}},
		{"no metadata", spoil(t, "metadata: {name: origin}\n", ""), []string{
			"f.yaml:1 (document 1, GitRemote): metadata.name: is required; give it a name",
		}},
		{"namespace", spoil(t, "{name: all}", "{name: all, namespace: default}", "{name: live}", "{name: live, namespace: a.b}"), []string{
			"f.yaml:6 (document 2, GitDestination a.b/live): selects nothing, because no rule refers to it; add a WatchRule or ClusterWatchRule, or remove it",
			`f.yaml:8 (document 2, GitDestination a.b/live): metadata.namespace: "a.b" is not a namespace; use at most 63 lower-case letters, digits and dashes, with a letter or digit first and last`,
			"f.yaml:9 (document 2, GitDestination a.b/live): spec.remoteRef.name: GitRemote a.b/origin does not exist; add that document or correct the reference",
			"f.yaml:13 (document 3, ClusterWatchRule all): metadata.namespace: is set, but a ClusterWatchRule has no namespace; remove it",
			"f.yaml:15 (document 3, ClusterWatchRule all): spec.destinationRef.name: GitDestination default/live does not exist; add that document or correct the reference",
		}},
		{"no url", spoil(t, remote, "spec: {}"), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.url: is required; write https://, http://, ssh:// or file://, git@host:path, or an absolute path",
		}},
		{"committer name", spoil(t, remote, fmt.Sprintf(name, "a<b")), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.committer.name: is not a name that git can write down; use letters, without < > and control characters",
		}},
		{"committer name of punctuation", spoil(t, remote, fmt.Sprintf(name, " .,")), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.committer.name: is not a name that git can write down; use letters, without < > and control characters",
		}},
		{"committer name of two lines", spoil(t, remote, fmt.Sprintf(name, "a\nb")), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.committer.name: is not a name that git can write down; use letters, without < > and control characters",
		}},
		{"secret", spoil(t, remote, `spec: {url: "https://git.example.com/a/b.git", secretRef: {name: origin.git}}`), nil},
		{"secret's name", spoil(t, remote, `spec: {url: "git@git.example.com:a/b.git", secretRef: {name: ../origin}}`), []string{
			`f.yaml:4 (document 1, GitRemote default/origin): spec.secretRef.name: "../origin" is not a name; use at most 253 lower-case letters, digits, dashes and dots, with a letter or digit first and last`,
		}},
		{"secret without a name", spoil(t, remote, `spec: {url: "https://git.example.com/a/b.git", secretRef: {}}`), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.secretRef.name: is required; give it a name",
		}},
		{"secret that is no reference", spoil(t, remote, `spec: {url: "https://git.example.com/a/b.git", secretRef: origin}`), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.secretRef: must be a mapping, not a string; correct it",
		}},
		{"secret of another namespace", spoil(t, remote, `spec: {url: "https://git.example.com/a/b.git", secretRef: {name: origin, namespace: git}}`), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.secretRef.namespace: unknown field; known here: name",
		}},
		{"secret of a path", spoil(t, remote, "spec: {url: file:///srv/git, secretRef: {name: origin}}"), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.secretRef: names credentials, and a path is opened without any; remove it",
		}},
		{"push interval", spoil(t, remote, "spec: {url: /srv/git, minPushInterval: -1s}"), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.minPushInterval: is negative or longer than 1h0m0s; write a duration such as 10s, or 0s for none",
		}},
		{"long push interval", spoil(t, remote, "spec: {url: /srv/git, minPushInterval: 2h}"), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.minPushInterval: is negative or longer than 1h0m0s; write a duration such as 10s, or 0s for none",
		}},
		{"committer email", spoil(t, remote, fmt.Sprintf(email, "kubescribe")), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.committer.email: is not an email address; write one such as kubescribe@localhost",
		}},
		{"committer email with a space", spoil(t, remote, fmt.Sprintf(email, "a b@c")), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.committer.email: is not an email address; write one such as kubescribe@localhost",
		}},
		{"committer email in brackets", spoil(t, remote, fmt.Sprintf(email, "<a@b>")), []string{
			"f.yaml:4 (document 1, GitRemote default/origin): spec.committer.email: is not an email address; write one such as kubescribe@localhost",
		}},
		{"allowed namespaces", spoil(t, "{remoteRef: {name: origin}}", `{remoteRef: {name: origin}, allowedNamespaces: ["team-*", "a/b"]}`), []string{
			`f.yaml:9 (document 2, GitDestination default/live): spec.allowedNamespaces[1]: "a/b" matches no name; write one, with * for any characters and ? for any one, such as "web-*"`,
		}},
		{"sound encryption", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, encryption: {recipients: ["+reader+"], types: [{apiGroup: example.com, resource: vaults, fields: [token]}, {resource: configmaps, fields: [data]}]}}"), nil},
		{"recipients", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, encryption: {recipients: ["+reader+", AGE-SECRET-KEY-1HUSH, ssh-rsa]}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.encryption.recipients[1]: is wrong: that is a private key, which only those may have who are to read it: give the public one, which age-keygen -y FILE prints, and make a new key if others have seen this one",
			"f.yaml:9 (document 2, GitDestination default/live): spec.encryption.recipients[2]: is wrong: that is an SSH key, which age can encrypt to, but kubescribe does not: make a key with age-keygen and give its public half, which begins with age1",
		}},
		{"too many recipients", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, encryption: {recipients: ["+strings.Repeat(reader+", ", 33)+"]}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.encryption.recipients: are 33, and 32 are taken",
		}},
		{"sensitive types", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, encryption: {types: [{resource: secrets, fields: [data]}, {apiGroup: core, resource: Vaults, fields: []}, {apiGroup: a, resource: b, fields: [spec.token, name]}, {apiGroup: a, resource: b, fields: [c]}]}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.encryption.types[0]: is Secrets, which are encrypted anyway; remove it",
			`f.yaml:9 (document 2, GitDestination default/live): spec.encryption.types[1].apiGroup: "core" is not how the API calls it; write "" for the core group`,
			`f.yaml:9 (document 2, GitDestination default/live): spec.encryption.types[1].resource: "Vaults" is not a resource; write the lower-case plural that kubectl api-resources shows, such as "deployments"`,
			`f.yaml:9 (document 2, GitDestination default/live): spec.encryption.types[1].fields: is required; name those that are to be encrypted, such as ["data"]`,
			`f.yaml:9 (document 2, GitDestination default/live): spec.encryption.types[2].fields[0]: "spec.token" is no name of a field; write one such as data, without a path`,
			`f.yaml:9 (document 2, GitDestination default/live): spec.encryption.types[2].fields[1]: "name" has to be readable; leave it out`,
			"f.yaml:9 (document 2, GitDestination default/live): spec.encryption.types[3]: is a type that stands above, too; write all of its fields there",
		}},
		{"mirrored Secrets", spoil(t, `  rules:`, "  mirrorSecrets: never\n  rules:"), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.mirrorSecrets: "never" is not known; write Encrypted or Never`,
		}},
		{"exclusions", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, withoutExclusions: [leases, secrets, lease, workloads]}"), []string{
			`f.yaml:9 (document 2, GitDestination default/live): spec.withoutExclusions[1]: "secrets" is no default exclusion; kubescribe explain exclusions lists them`,
			`f.yaml:9 (document 2, GitDestination default/live): spec.withoutExclusions[2]: "lease" is no default exclusion; did you mean leases?`,
			`f.yaml:9 (document 2, GitDestination default/live): spec.withoutExclusions[3]: "workloads" is no default exclusion; kubescribe explain exclusions lists them`,
		}},
		{"branch", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, branch: a..b}"), []string{
			`f.yaml:9 (document 2, GitDestination default/live): spec.branch: "a..b" contains ".."; use a name that git check-ref-format --branch accepts`,
		}},
		{"base folder", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, baseFolder: a/../b}"), []string{
			`f.yaml:9 (document 2, GitDestination default/live): spec.baseFolder: "a/../b" contains ".."; the folder must lie inside the repository`,
		}},
		{"window", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, commit: {window: -1s}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.window: is negative or longer than 1h0m0s; write a duration such as 30s, or 0s for a commit of each change",
		}},
		{"long window", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, commit: {window: 61m}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.window: is negative or longer than 1h0m0s; write a duration such as 30s, or 0s for a commit of each change",
		}},
		{"commits", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, commit: {maxCommitsPerObjectPerMinute: -1}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.maxCommitsPerObjectPerMinute: is negative or more than 600; write a number such as 10, or 0 for a commit of each version",
		}},
		{"many commits", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, commit: {maxCommitsPerObjectPerMinute: 601}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.maxCommitsPerObjectPerMinute: is negative or more than 600; write a number such as 10, or 0 for a commit of each version",
		}},
		{"no number of commits", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, commit: {maxCommitsPerObjectPerMinute: ten}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.maxCommitsPerObjectPerMinute: must be a number, not a string; write one such as 10",
		}},
		{"half a commit", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, commit: {maxCommitsPerObjectPerMinute: 0.5}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.maxCommitsPerObjectPerMinute: is not a whole number that is written plainly; write one such as 10",
		}},
		{"most commits", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, commit: {maxCommitsPerObjectPerMinute: 600}}"), nil},
		{"interval", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, interval: 9999ms}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.interval: is shorter than 10s; write 10s or more, or 0s for no drift checks",
		}},
		{"negative interval", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, interval: -10m}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.interval: is shorter than 10s; write 10s or more, or 0s for no drift checks",
		}},
		{"shortest interval", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, interval: 10s}"), nil},
		{"no interval", spoil(t, "{remoteRef: {name: origin}}", `{remoteRef: {name: origin}, interval: "0"}`), nil},
		{"mode", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, mode: dry-run}"), []string{
			`f.yaml:9 (document 2, GitDestination default/live): spec.mode: "dry-run" is not known; write one of Write, DryRun`,
		}},
		{"prune", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, prune: {mode: always, maxDeletions: -5}}"), []string{
			`f.yaml:9 (document 2, GitDestination default/live): spec.prune.mode: "always" is not known; write one of Always, OnEvent, Never`,
			`f.yaml:9 (document 2, GitDestination default/live): spec.prune.maxDeletions: is negative; write a number such as 50, or a percentage such as "30%"`,
		}},
		{"share of deletions", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, prune: {mode: Never, maxDeletions: 130%}}"), []string{
			`f.yaml:9 (document 2, GitDestination default/live): spec.prune.maxDeletions: is neither a number nor a percentage from 0% to 100%; write a number such as 50, or a percentage such as "30%"`,
		}},
		{"author", spoil(t, "{remoteRef: {name: origin}}", `{remoteRef: {name: origin}, commit: {author: {name: "a<b", email: nobody}}}`), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.author.name: is not a name that git can write down; use letters, without < > and control characters",
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.author.email: is not an email address; write one such as kubescribe@localhost",
		}},
		{"authors", spoil(t, "{remoteRef: {name: origin}}", `{remoteRef: {name: origin}, commit: {authors: [{fieldManager: "kubectl-*", name: Ada}, {fieldManager: "a b", name: "a<b", email: nobody}, {}]}}`), []string{
			`f.yaml:9 (document 2, GitDestination default/live): spec.commit.authors[1].fieldManager: matches no field manager; write one, with * for any characters and ? for any one, such as "kubectl-*"`,
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.authors[1].name: is not a name that git can write down; use letters, without < > and control characters",
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.authors[1].email: is not an email address; write one such as kubescribe@localhost",
			`f.yaml:9 (document 2, GitDestination default/live): spec.commit.authors[2].fieldManager: matches no field manager; write one, with * for any characters and ? for any one, such as "kubectl-*"`,
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.authors[2].name: is not a name that git can write down; use letters, without < > and control characters",
		}},
		{"half an author", spoil(t, "{remoteRef: {name: origin}}", `{remoteRef: {name: origin}, commit: {author: {name: Platform Team}}}`), nil},
		{"message", spoil(t, "{remoteRef: {name: origin}}", `{remoteRef: {name: origin}, commit: {message: {subject: "{{.Action}}\n{{.Object}}", body: "{{.Kind}}"}}}`), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.message.subject: gives several lines, for a live creation; write a subject of one line, with {{- and -}} where it is long",
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.message.body: uses .Kind, which is not there; there are .Action, .Object, .Resource, .Namespace, .Name, .Cluster, .Destination, .Run, .Created, .Updated, .Deleted, .Changes, .More",
		}},
		{"sound message", spoil(t, "{remoteRef: {name: origin}}", `{remoteRef: {name: origin}, commit: {message: {subject: "{{len .Changes}} changes", body: "{{range .Changes}}{{.}}\n{{end}}"}}}`), nil},
		{"empty subject", spoil(t, "{remoteRef: {name: origin}}", `{remoteRef: {name: origin}, commit: {message: {subject: ""}}}`), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.commit.message.subject: is empty; give it a value or leave the field out",
		}},
		{"value not echoed", spoil(t, "{remoteRef: {name: origin}}", `{remoteRef: {name: origin}, branch: "https://u:p@h", baseFolder: "https://u:p@h"}`), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.branch: has an empty part between slashes; use a name that git check-ref-format --branch accepts",
			`f.yaml:9 (document 2, GitDestination default/live): spec.baseFolder: contains one of < > : " | ? * which not every file system can hold; use other characters`,
		}},
		{"no remote reference", spoil(t, "{remoteRef: {name: origin}}", "{branch: a}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.remoteRef.name: is required; give it a name",
		}},
		{"no destination reference", spoil(t, "  destinationRef: {name: live, namespace: default}\n", ""), []string{
			"f.yaml:14 (document 3, ClusterWatchRule all): spec.destinationRef.name: is required; give it a name",
			"f.yaml:14 (document 3, ClusterWatchRule all): spec.destinationRef.namespace: is required, because a ClusterWatchRule has no namespace of its own; write the GitDestination's, which is default unless it says otherwise",
		}},
		{"no namespace in the reference", spoil(t, ", namespace: default", ""), []string{
			"f.yaml:15 (document 3, ClusterWatchRule all): spec.destinationRef.namespace: is required, because a ClusterWatchRule has no namespace of its own; write the GitDestination's, which is default unless it says otherwise",
		}},
		{"WatchRule elsewhere", spoil(t, "ClusterWatchRule", "WatchRule", "{name: all}", "{name: all, namespace: shop}"), []string{
			"f.yaml:15 (document 3, WatchRule shop/all): spec.destinationRef: names a destination that does not admit WatchRules of the namespace shop; add it to spec.allowedNamespaces there, or use one of its own namespace",
		}},
		{"no rules", spoil(t, `  rules: [{apiGroups: ["*"], resources: ["*"]}]`, ""), []string{
			`f.yaml:14 (document 3, ClusterWatchRule all): spec.rules: is required; add a rule such as {apiGroups: ["*"], resources: ["*"]}`,
		}},
		{"empty rule", spoil(t, `{apiGroups: ["*"], resources: ["*"]}`, `{apiGroups: []}`), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiGroups: is required; list groups, "" for the core group, or ["*"] for all`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].resources: is required; list resources, or ["*"] for all`,
		}},
		{"groups", spoil(t, `apiGroups: ["*"]`, `apiGroups: [core, v1, apps/v1, Apps, "", apps, "*"]`), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiGroups[0]: "core" is not how the API calls it; write "" for the core group`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiGroups[1]: "v1" is a version and not a group; write "" for the core group, and the version in apiVersions`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiGroups[2]: "apps/v1" has a version in it; write the group alone, and the version in apiVersions`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiGroups[3]: "Apps" is not an API group; write one such as "apps", "" for the core group, or "*" alone`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiGroups: has "*" beside other entries; leave only "*", or remove it`,
		}},
		{"versions", spoil(t, `apiGroups: ["*"]`, `apiGroups: ["*"], apiVersions: [apps/v1, V1, v1, v2beta1]`), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiVersions[0]: "apps/v1" has a group in it; write the version alone, and the group in apiGroups`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].apiVersions[1]: "V1" is not an API version; write one such as "v1", or "*" alone`,
		}},
		{"resources", spoil(t, `resources: ["*"]`, `resources: [pods/status, Deployment, "", pods]`), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].resources[0]: "pods/status" names a subresource, and those are not written to Git; write the resource alone`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].resources[1]: "Deployment" is not a resource; write the lower-case plural that kubectl api-resources shows, such as "deployments"`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].resources[2]: is not a resource; write the lower-case plural that kubectl api-resources shows, such as "deployments"`,
		}},
		{"selectors", spoil(t, `resources: ["*"]`, `resources: ["*"], objectSelector: {matchLabels: {team: shop}}, names: ["web-*", "a b"], owners: ["Application.argoproj.io/*", Application]`), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].names[1]: matches no name; write one, with * for any characters and ? for any one, such as "web-*"`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].owners[1]: "Application" is not an owner; write its kind, a dot and its group unless that is the core group, a slash and its name, such as "Application.argoproj.io/*"`,
		}},
		{"object selector", spoil(t, `resources: ["*"]`, `resources: ["*"], objectSelector: {matchExpressions: [{key: team, operator: Is, values: [shop]}]}`), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].objectSelector: is not a label selector: "Is" is not a valid label selector operator`,
		}},
		{"empty object selector", spoil(t, `resources: ["*"]`, `resources: ["*"], objectSelector: {}`), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.rules[0].objectSelector: selects all; leave it out, or add matchLabels or matchExpressions`,
		}},
		{"exclude", spoil(t, `  rules:`, `  exclude: [{apiGroups: [core], resources: []}]`+"\n  rules:"), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.exclude[0].apiGroups[0]: "core" is not how the API calls it; write "" for the core group`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.exclude[0].resources: is required; list resources, or ["*"] for all`,
		}},
		{"sanitize", spoil(t, `  rules:`, `  sanitize: {finalizers: remove, fields: [/spec/replicas, spec, /metadata/name, /a~b], ignoreFieldManagers: [helm, "a b", "", "[ab]*", "x/*", "x/scale", /scale]}`+"\n  rules:"), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.sanitize.finalizers: "remove" is not known; write Keep or Remove`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.sanitize.ignoreFieldManagers[1]: matches no field manager; write one, with * for any characters and ? for any one, and /scale or /status behind it for what it owns through that subresource, such as "kube-controller-manager/scale"`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.sanitize.ignoreFieldManagers[2]: matches no field manager; write one, with * for any characters and ? for any one, and /scale or /status behind it for what it owns through that subresource, such as "kube-controller-manager/scale"`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.sanitize.ignoreFieldManagers[3]: matches no field manager; write one, with * for any characters and ? for any one, and /scale or /status behind it for what it owns through that subresource, such as "kube-controller-manager/scale"`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.sanitize.ignoreFieldManagers[6]: "/scale" matches no field manager; write one, with * for any characters and ? for any one, and /scale or /status behind it for what it owns through that subresource, such as "kube-controller-manager/scale"`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.sanitize.fields[1]: "spec" is not a JSON pointer to what may be left out: it does not begin with /; write one such as /spec/replicas`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.sanitize.fields[2]: "/metadata/name" is not a JSON pointer to what may be left out: an object is known by that; write one such as /spec/replicas`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.sanitize.fields[3]: is not a JSON pointer to what may be left out: a ~ is written ~0, and a / within a name ~1; write one such as /spec/replicas`,
		}},
		{"namespaces", spoil(t, `  rules:`, `  namespaces: [shop, "*", Shop, ""]`+"\n  rules:"), []string{
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.namespaces[1]: "*" is not a namespace; leave namespaces out to select all of them`,
			`f.yaml:16 (document 3, ClusterWatchRule all): spec.namespaces[2]: "Shop" is not a namespace; use at most 63 lower-case letters, digits and dashes, with a letter or digit first and last`,
			"f.yaml:16 (document 3, ClusterWatchRule all): spec.namespaces[3]: is empty; write a namespace",
		}},
	})
}

func TestValidateReferences(t *testing.T) {
	second := strings.Replace(destinationDoc, "live", "second", 1)
	secondRule := strings.NewReplacer("all", "second", "live", "second").Replace(ruleDoc)
	at := func(folder string) string {
		return strings.Replace(second, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, baseFolder: "+folder+"}", 1) + secondRule
	}
	checkErrors(t, []errorCase{
		{"no such remote", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: upstream}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.remoteRef.name: GitRemote default/upstream does not exist; add that document or correct the reference",
		}},
		{"misspelled remote", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: orign}}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.remoteRef.name: GitRemote default/orign does not exist; did you mean default/origin?",
		}},
		{"remote of another namespace", spoil(t, "{name: origin}", "{name: origin, namespace: git}"), []string{
			"f.yaml:9 (document 2, GitDestination default/live): spec.remoteRef.name: GitRemote default/origin does not exist; add that document or correct the reference",
		}},
		{"no such destination", spoil(t) + secondRule, []string{
			"f.yaml:22 (document 4, ClusterWatchRule second): spec.destinationRef.name: GitDestination default/second does not exist; add that document or correct the reference",
		}},
		{"misspelled destination", spoil(t, "name: live,", "name: liv,"), []string{
			"f.yaml:6 (document 2, GitDestination default/live): selects nothing, because no rule refers to it; add a WatchRule or ClusterWatchRule, or remove it",
			"f.yaml:15 (document 3, ClusterWatchRule all): spec.destinationRef.name: GitDestination default/liv does not exist; did you mean default/live?",
		}},
		{"destination without a rule", spoil(t) + strings.Replace(second, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, branch: b}", 1), []string{
			"f.yaml:18 (document 4, GitDestination default/second): selects nothing, because no rule refers to it; add a WatchRule or ClusterWatchRule, or remove it",
		}},
		{"duplicate", spoil(t) + destinationDoc, []string{
			"f.yaml:20 (document 4, GitDestination default/live): metadata.name: another GitDestination has this name already; rename or remove one",
		}},
		{"same name, other kind or namespace", spoil(t, "{name: all}", "{name: live}") + strings.Replace(destinationDoc, "{name: live}", "{name: live, namespace: shop}", 1), []string{
			"f.yaml:18 (document 4, GitDestination shop/live): selects nothing, because no rule refers to it; add a WatchRule or ClusterWatchRule, or remove it",
			"f.yaml:21 (document 4, GitDestination shop/live): spec.remoteRef.name: GitRemote shop/origin does not exist; add that document or correct the reference",
		}},
		{"same folder", spoil(t) + second + secondRule, []string{
			"f.yaml:21 (document 4, GitDestination default/second): spec.baseFolder: is the folder of GitDestination default/live, on the same remote and branch; give each a folder outside the other's",
		}},
		{"same folder but for case", spoil(t) + at("Live"), []string{
			"f.yaml:21 (document 4, GitDestination default/second): spec.baseFolder: differs only in case from the folder of GitDestination default/live, on the same remote and branch; give each a folder outside the other's",
		}},
		{"folder inside", spoil(t) + at("live/a/b"), []string{
			"f.yaml:21 (document 4, GitDestination default/second): spec.baseFolder: lies inside the folder of GitDestination default/live, on the same remote and branch; give each a folder outside the other's",
		}},
		{"folder around", spoil(t) + at("."), []string{
			"f.yaml:21 (document 4, GitDestination default/second): spec.baseFolder: contains the folder of GitDestination default/live, on the same remote and branch; give each a folder outside the other's",
		}},
		{"root twice", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, baseFolder: .}") + at("."), []string{
			"f.yaml:21 (document 4, GitDestination default/second): spec.baseFolder: is the folder of GitDestination default/live, on the same remote and branch; give each a folder outside the other's",
		}},
		{"root first", spoil(t, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, baseFolder: .}") + at("a/b"), []string{
			"f.yaml:21 (document 4, GitDestination default/second): spec.baseFolder: lies inside the folder of GitDestination default/live, which is the root of the repository, on the same remote and branch; give each a folder outside the other's",
		}},
		{"folder beside", spoil(t) + at("live2/live"), nil},
		{"same folder on another branch", spoil(t) + strings.Replace(second, "{remoteRef: {name: origin}}", "{remoteRef: {name: origin}, branch: b}", 1) + secondRule, nil},
		{
			"folder inside, on the same remote spelled otherwise",
			spoil(t, `"https://git.example.com/a/b.git"`, "git@git.example.com:a/b.git") + "---\n" +
				strings.NewReplacer("origin", "other", "https://git.example.com/a/b.git", "ssh://git@GIT.example.com:22/a/b").Replace(remoteDoc) +
				strings.Replace(at("."), "origin", "other", 1),
			[]string{
				"f.yaml:26 (document 5, GitDestination default/second): spec.baseFolder: contains the folder of GitDestination default/live, on the same remote and branch; give each a folder outside the other's",
			},
		},
		{
			"same remote by another name and spelling",
			spoil(t) + "---\n" + strings.NewReplacer("origin", "other", "git.example.com/a/b.git", "GIT.example.com:443/a/b/").Replace(remoteDoc) +
				strings.Replace(second, "origin", "other", 1) + secondRule,
			[]string{
				"f.yaml:26 (document 5, GitDestination default/second): spec.baseFolder: is the folder of GitDestination default/live, on the same remote and branch; give each a folder outside the other's",
			},
		},
	})
}

func TestRemoteURL(t *testing.T) {
	const (
		credentials = "contains credentials; credentials in a URL would end up in logs and on the bus; remove them and set KUBESCRIBE_GIT_USERNAME and KUBESCRIBE_GIT_PASSWORD_FILE"
		forms       = "; write https://, http://, ssh:// or file://, git@host:path, or an absolute path"
		relative    = "is neither a URL nor an absolute path" + forms
	)
	for _, c := range []struct{ url, canonical, problem string }{
		{url: "https://git.example.com/a/b", canonical: "https://git.example.com/a/b"},
		{url: "HTTPS://Git.Example.com:443/a//b.git/", canonical: "https://git.example.com/a/b"},
		{url: "https://git.example.com:8443/a/b.git", canonical: "https://git.example.com:8443/a/b"},
		{url: "https://git.example.com:/a", canonical: "https://git.example.com/a"},
		{url: "https://git.example.com/a%20b", canonical: "https://git.example.com/a b"},
		{url: "http://git:80/A", canonical: "http://git/A"},
		{url: "http://127.0.0.1:3000/a", canonical: "http://127.0.0.1:3000/a"},
		{url: "http://[::1]:80/a", canonical: "http://[::1]/a"},
		{url: "ssh://git@host:22/a/b.git", canonical: "ssh://git@host/a/b"},
		{url: "ssh://host/a", canonical: "ssh://host/a"},
		{url: "git@host:a/b.git", canonical: "ssh://git@host/a/b"},
		{url: "git@HOST:/a/b", canonical: "ssh://git@host/a/b"},
		{url: "/srv/git/a.git/", canonical: "/srv/git/a.git"},
		{url: "file:///srv/git/a.git", canonical: "/srv/git/a.git"},
		{url: "file://localhost/srv/git/./a.git", canonical: "/srv/git/a.git"},

		{url: "https://user:hunter2@host/a", problem: credentials},
		{url: "https://hunter2@host/a", problem: credentials},
		{url: "http://:hunter2@host/a", problem: credentials},
		{url: "HTTPS://user:hunt%zz@host/a", problem: credentials},
		{url: "https://user:hun@ter2@host/a", problem: credentials},
		{url: "ssh://git:hunter2@host/a", problem: credentials},
		{url: "ssh://git%3Ahunter2@host/a", problem: credentials},
		{url: "file://u:hunter2@host/a", problem: credentials},
		{url: "ftp://u:hunter2@host/a", problem: credentials},
		{url: "user:hunter2@host:a", problem: credentials},
		{url: "https://host/a?private_token=hunter2", problem: "has a query or fragment, which a repository's URL does not need and which can carry credentials; remove everything from ? or # on"},
		{url: "https://host/a#b", problem: "has a query or fragment, which a repository's URL does not need and which can carry credentials; remove everything from ? or # on"},

		{url: "git://host/a", problem: "has a scheme that is not supported" + forms},
		{url: "ext::sh -c x", problem: "contains a space or an invisible character; remove it, or in a URL write a space as %20"},
		{url: "ext::sh", problem: relative},
		{url: "../a", problem: relative},
		{url: "a/b", problem: relative},
		{url: "-uhost", problem: relative},
		{url: "~/a", problem: relative},
		{url: "git@-oProxyCommand=x:a", problem: relative},
		{url: "git@host:", problem: relative},
		{url: "git@host:-a", problem: "has a path that begins with a dash; correct it"},
		{url: "ssh://-o@host/a", problem: "has a user that begins with a dash; correct it"},
		{url: "ssh://-oProxyCommand=x/a", problem: "has no valid host name; write one after ://"},
		{url: "https:///a", problem: "has no valid host name; write one after ://"},
		{url: "file://", problem: "names no repository; add its path"},
		{url: "https://host", problem: "names no repository; add its path"},
		{url: "https://host/", problem: "names no repository; add its path"},
		{url: "/", problem: "names no repository; add its path"},
		{url: "https://host:0/a", problem: "has no valid port; use one from 1 to 65535"},
		{url: "https://host:99999/a", problem: "has no valid port; use one from 1 to 65535"},
		{url: "https://host:x/a", problem: "is not a valid URL; check host, port and percent-encoding"},
		{url: "https://host/%zz", problem: "is not a valid URL; check host, port and percent-encoding"},
		{url: "https://host/a/../b", problem: `contains ".."; write the path without it`},
		{url: "https://host/%2e%2e/b", problem: `contains ".."; write the path without it`},
		{url: "https://host/a%0ab", problem: "contains an invisible character; remove it"},
		{url: "/srv/../a", problem: `contains ".."; write the path without it`},
		{url: "file://host/a", problem: "names a host, and file:// reaches only this one; write three slashes before the path"},
		{url: "file://a", problem: "names a host, and file:// reaches only this one; write three slashes before the path"},
		{url: `C:\a`, problem: `contains a backslash; separate folders by /`},
		{url: "https://host/a\u200b", problem: "contains a space or an invisible character; remove it, or in a URL write a space as %20"},
	} {
		docs := v1alpha1.ZeroConfig(v1alpha1.ZeroConfigOptions{Repo: c.url})
		want := ""
		if c.problem != "" {
			want = "GitRemote default/" + docs.GitRemotes[0].Name + ": spec.url: " + c.problem
			c.canonical = c.url
		}
		if got := text(docs.Validate()); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.url, got, want)
		}
		if got := v1alpha1.CanonicalURL(c.url); got != c.canonical {
			t.Errorf("%s: canonical %s, want %s", c.url, got, c.canonical)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestBranch(t *testing.T) {
	const advice = "; use a name that git check-ref-format --branch accepts"
	git, lookErr := exec.LookPath("git")
	for _, c := range []struct{ branch, problem string }{
		{"main", ""},
		{"clusters/prod", ""},
		{"a-b_c.d+e", ""},
		{"ärger", ""},
		{"a@b", ""},
		{"2026-01-01", ""},
		{"-a", "begins with a dash"},
		{"/a", "has an empty part between slashes"},
		{"a/", "has an empty part between slashes"},
		{"a//b", "has an empty part between slashes"},
		{"a.", "ends with a dot"},
		{"a..b", `contains ".."`},
		{"a@{b", `contains "@{"`},
		{"a\x01b", "contains a control character"},
		{"a\x7f", "contains a control character"},
		{"a b", `contains a space or one of ~ ^ : ? * [ \`},
		{"a~b", `contains a space or one of ~ ^ : ? * [ \`},
		{"a^b", `contains a space or one of ~ ^ : ? * [ \`},
		{"a:b", `contains a space or one of ~ ^ : ? * [ \`},
		{"a?b", `contains a space or one of ~ ^ : ? * [ \`},
		{"a*b", `contains a space or one of ~ ^ : ? * [ \`},
		{"a[b", `contains a space or one of ~ ^ : ? * [ \`},
		{`a\b`, `contains a space or one of ~ ^ : ? * [ \`},
		{".a", "has a part that begins with a dot"},
		{"a/.b", "has a part that begins with a dot"},
		{"a.lock", "has a part that ends with .lock"},
		{"a.lock/b", "has a part that ends with .lock"},
	} {
		if c.problem != "" {
			c.problem += advice
		}
		checkDestination(t, v1alpha1.ZeroConfigOptions{Repo: "/srv/git", Branch: c.branch}, "spec.branch", c.branch, c.problem)
		if lookErr == nil {
			accepts := exec.CommandContext(t.Context(), git, "check-ref-format", "--branch", c.branch).Run() == nil
			if accepts != (c.problem == "") {
				t.Errorf("%q: git accepts: %v", c.branch, accepts)
			}
		}
	}
	// git accepts these, but they are not what anyone means.
	for branch, problem := range map[string]string{
		"refs/heads/main": "begins with refs/heads/; leave that out",
		"@":               "means the current commit to git, not a branch" + advice,
		"HEAD":            "means the current commit to git, not a branch" + advice,
		"a\xff":           "is not valid UTF-8" + advice,
	} {
		checkDestination(t, v1alpha1.ZeroConfigOptions{Repo: "/srv/git", Branch: branch}, "spec.branch", branch, problem)
	}
}

func TestBaseFolder(t *testing.T) {
	const (
		dotGit  = "contains a folder that means .git to some file system; use another name"
		strange = `contains one of < > : " | ? * which not every file system can hold; use other characters`
		unseen  = "contains a control or invisible character; remove it"
		edges   = "has a part that begins or ends with a dot or space; use another name"
		slashes = "has a slash at its end or two in a row; remove one"
	)
	for _, c := range []struct{ folder, problem string }{
		{".", ""},
		{"live", ""},
		{"clusters/prod/v1.2", ""},
		{"Größe/a b", ""},
		{"git", ""},
		{"a..b", ""},
		{"/", "begins with a slash; write the path from the root of the repository, which itself is ."},
		{"/live", "begins with a slash; write the path from the root of the repository, which itself is ."},
		{"..", `contains ".."; the folder must lie inside the repository`},
		{"a/../b", `contains ".."; the folder must lie inside the repository`},
		{"live/", slashes},
		{"a//b", slashes},
		{"./live", edges},
		{"live/.", edges},
		{".hidden", edges},
		{"live.", edges},
		{" live", edges},
		{"live /a", edges},
		{".git", dotGit},
		{"a/.GIT", dotGit},
		{"a/.git./b", dotGit},
		{"GIT~1", dotGit},
		{".g\u200cit", unseen},
		{"a\nb", unseen},
		{"a\x00", unseen},
		{`a\b`, "contains a backslash; separate folders by /"},
		{"a:b", strange},
		{"a*b", strange},
		{"a\xff", "is not valid UTF-8; use a path of plain characters"},
	} {
		checkDestination(t, v1alpha1.ZeroConfigOptions{Repo: "/srv/git", BaseFolder: c.folder}, "spec.baseFolder", c.folder, c.problem)
	}
}

// checkDestination wants the one problem, with the value before it where the value is
// one to be echoed.
func checkDestination(t *testing.T, opts v1alpha1.ZeroConfigOptions, path, value, problem string) {
	t.Helper()
	docs := v1alpha1.ZeroConfig(opts)
	got := text(docs.Validate())
	prefix := "GitDestination default/" + docs.GitDestinations[0].Name + ": " + path + ": "
	echoed := fmt.Sprintf("%s%q %s", prefix, value, problem)
	if problem == "" && got != "" || problem != "" && got != prefix+problem && got != echoed {
		t.Errorf("%q:\n got %s\nwant %s", value, got, prefix+problem)
	}
}

func TestValidateWithoutDefaults(t *testing.T) {
	docs := v1alpha1.ZeroConfig(v1alpha1.ZeroConfigOptions{Repo: "/srv/git"})
	name := docs.GitDestinations[0].Name
	docs.GitDestinations[0].Spec.Branch, docs.GitDestinations[0].Spec.BaseFolder = "", ""
	docs.GitDestinations[0].Spec.Interval, docs.GitDestinations[0].Spec.Prune = nil, v1alpha1.Prune{}
	docs.GitDestinations[0].Spec.Mode = ""
	want := strings.ReplaceAll(`<name>: spec.branch: is empty; use a name that git check-ref-format --branch accepts
<name>: spec.baseFolder: is empty; write . for the root of the repository
<name>: spec.interval: is empty; write a duration such as 10m, or 0s for no drift checks
<name>: spec.mode: is required; write one of Write, DryRun
<name>: spec.prune.mode: is required; write one of Always, OnEvent, Never
<name>: spec.prune.maxDeletions: is empty; write a number such as 50, or a percentage such as "30%"`, "<name>", "GitDestination default/"+name)
	if got := text(docs.Validate()); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
