package v1alpha1

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ZeroConfigOptions are the flags of kubescribe run that stand for documents.
//
// +kubebuilder:object:generate=false
type ZeroConfigOptions struct {
	Repo       string   // --repo: a remote's URL, or an absolute path
	Branch     string   // --branch, by default DefaultBranch
	BaseFolder string   // --base-folder, by default DefaultBaseFolder
	Namespaces []string // --namespace, repeated: if any, only resources of these
	Adopt      bool     // --adopt
	Recipients []string // --recipient, repeated: who may read Secrets
}

// ZeroConfig is the configuration that flags alone mean: everything, or everything in
// some namespaces, into one destination. Defaults are set, but the flags may be wrong:
// validate it as any other.
//
// All three documents have one name, made from where the destination points. The same
// target has the same name in every release, however its URL is spelled; another
// target has another name, because where a destination points is immutable.
func ZeroConfig(opts ZeroConfigOptions) *Documents {
	setDefault(&opts.Branch, DefaultBranch)
	setDefault(&opts.BaseFolder, DefaultBaseFolder)
	name := targetName(opts.Repo, opts.Branch, opts.BaseFolder)
	meta := metav1.ObjectMeta{Namespace: DefaultNamespace, Name: name}

	d := &Documents{
		GitRemotes: []GitRemote{{
			TypeMeta:   metav1.TypeMeta{APIVersion: APIVersion, Kind: KindGitRemote},
			ObjectMeta: meta,
			Spec:       GitRemoteSpec{URL: opts.Repo},
		}},
		GitDestinations: []GitDestination{{
			TypeMeta:   metav1.TypeMeta{APIVersion: APIVersion, Kind: KindGitDestination},
			ObjectMeta: meta,
			Spec: GitDestinationSpec{
				RemoteRef:  RemoteRef{Name: name},
				Branch:     opts.Branch,
				BaseFolder: opts.BaseFolder,
				Adopt:      opts.Adopt,
				Encryption: Encryption{Recipients: slices.Clone(opts.Recipients)},
			},
		}},
		ClusterWatchRules: []ClusterWatchRule{{
			TypeMeta:   metav1.TypeMeta{APIVersion: APIVersion, Kind: KindClusterWatchRule},
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: ClusterWatchRuleSpec{
				DestinationRef: DestinationRef{Namespace: DefaultNamespace, Name: name},
				Rules:          []Rule{{APIGroups: []string{"*"}, Resources: []string{"*"}}},
				Namespaces:     slices.Clone(opts.Namespaces),
			},
		}},
	}
	SetDefaults(d)
	return d
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// maxSlug keeps names readable; what it cuts off is still in the hash.
const maxSlug = 40

// targetName is a slug of the folder for people, and a hash of the target to tell
// targets apart. No part of a valid target contains the newline that separates them.
func targetName(repo, branch, folder string) string {
	slug := notInNames.ReplaceAllString(strings.ToLower(folder), "-")
	slug = strings.Trim(slug[:min(len(slug), maxSlug)], "-")
	switch {
	case folder == rootFolder:
		slug = "root"
	case slug == "":
		slug = "folder"
	}
	canonical, _ := parseURL(repo) // empty if it is wrong: a hash would let guesses at a password be checked
	hash := sha256.Sum256([]byte(canonical + "\n" + branch + "\n" + folder))
	return fmt.Sprintf("%s-%x", slug, hash[:4])
}
