package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The apiVersion of every document, and the kinds there are.
const (
	APIVersion = "kubescribe.dev/v1alpha1"

	KindGitRemote        = "GitRemote"
	KindGitDestination   = "GitDestination"
	KindWatchRule        = "WatchRule"
	KindClusterWatchRule = "ClusterWatchRule"
)

// Documents is a whole configuration. Each list keeps the order of the documents it
// came from.
type Documents struct {
	GitRemotes        []GitRemote        `json:"gitRemotes,omitempty"`
	GitDestinations   []GitDestination   `json:"gitDestinations,omitempty"`
	WatchRules        []WatchRule        `json:"watchRules,omitempty"`
	ClusterWatchRules []ClusterWatchRule `json:"clusterWatchRules,omitempty"`
}

// GitRemote is a Git repository and how to reach it. Destinations of its own
// namespace may use it.
type GitRemote struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GitRemoteSpec `json:"spec"`
}

// GitRemoteSpec says which repository a GitRemote is.
type GitRemoteSpec struct {
	// URL of the repository: https://, http://, ssh:// or file://, git@host:path, or an
	// absolute path. It carries no credentials; a user name is allowed for SSH only.
	URL string `json:"url"`

	// SecretRef names the Secret of the GitRemote's own namespace that opens it. Without
	// one, it is opened by what the git-writer's environment knows; with one, by that
	// alone.
	// +optional
	SecretRef *SecretRef `json:"secretRef,omitempty"`

	// Committer of every commit that is pushed to this remote.
	// +optional
	Committer Committer `json:"committer,omitzero"`

	// MinPushInterval is the least time from one push to this remote to the next; what
	// changes meanwhile is pushed together, as one commit each. By default it is 10s for
	// github.com, gitlab.com, dev.azure.com and bitbucket.org, which ask for few pushes, and
	// 0s for others: then a push begins as soon as the last one has ended. The longest is 1h.
	// +optional
	MinPushInterval *metav1.Duration `json:"minPushInterval,omitempty"`
}

// SecretRef names a Secret of the referrer's own namespace.
type SecretRef struct {
	// Name of the Secret.
	Name string `json:"name"`
}

// Committer is the identity in the committer line of a commit.
type Committer struct {
	// Name of the committer.
	// +optional
	// +kubebuilder:default=kubescribe
	Name string `json:"name,omitempty"`

	// Email of the committer. The default belongs to nobody, so that no forge
	// attributes the commits to one of its users.
	// +optional
	// +kubebuilder:default=kubescribe@localhost
	Email string `json:"email,omitempty"`
}

// GitDestination is a folder on a branch of a remote that is kept equal to what its
// rules select. Where it points (remote, branch, folder) is immutable: another place
// is another destination.
type GitDestination struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GitDestinationSpec `json:"spec"`
}

// GitDestinationSpec says where a GitDestination points.
type GitDestinationSpec struct {
	// RemoteRef names a GitRemote of the destination's own namespace.
	RemoteRef RemoteRef `json:"remoteRef"`

	// Branch that is written to, without refs/heads/.
	// +optional
	// +kubebuilder:default=main
	Branch string `json:"branch,omitempty"`

	// BaseFolder is the only folder of the repository that is read as state or touched,
	// with forward slashes; "." is the root of the repository. No two destinations of
	// one remote and branch may have overlapping folders.
	// +optional
	// +kubebuilder:default=live
	BaseFolder string `json:"baseFolder,omitempty"`

	// Adopt takes over a base folder that already holds resources and no marker of
	// kubescribe. Without it such a folder is refused.
	// +optional
	Adopt bool `json:"adopt,omitempty"`

	// Interval is the time from one comparison of cluster and folder to the next. What
	// somebody else changed in the folder is found and put right by then. 0s turns these
	// comparisons off; the shortest is 10s.
	// +optional
	// +kubebuilder:default="10m"
	Interval *metav1.Duration `json:"interval,omitempty"`

	// AllowedNamespaces are those whose WatchRules may use the destination beside those of
	// its own namespace: names, in which * stands for any characters.
	// +optional
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`

	// WithoutExclusions names default exclusions that do not hold for the destination, as
	// kubescribe explain exclusions lists them.
	// +optional
	WithoutExclusions []string `json:"withoutExclusions,omitempty"`

	// Prune says what may remove files.
	// +optional
	Prune Prune `json:"prune,omitzero"`

	// Commit says what becomes a commit, whose it is, and how it is worded.
	// +optional
	Commit Commit `json:"commit,omitzero"`
}

// Commit says what becomes a commit of a destination, and how it looks.
type Commit struct {
	// Window is for how long changes join the commit that one of them begins; it is pushed
	// when that time is over. An object that changes again begins the next one, so that no
	// version is left out, and so does a change for another destination of the branch: it
	// does not wait. By default it is 0s: each change is a commit of its own, and pushed at
	// once. The longest is 1h.
	// +optional
	// +kubebuilder:default="0s"
	Window *metav1.Duration `json:"window,omitempty"`

	// MaxCommitsPerObjectPerMinute is how many commits an object's changes may have within a
	// minute. Of the versions beyond that, deletions among them, the newest alone is kept, and
	// committed as soon as the object may have another commit: within a minute, or when the
	// window or minPushInterval lets it. Other objects do not wait for it. Before a folder is
	// compared with its cluster all that is kept is committed, and what a comparison finds is
	// not limited; a git-writer that begins knows of no commits before. Versions of 100 objects
	// of a branch can wait at a time; what changes beside those is committed at once. By default it is 0: each
	// version is committed. The most is 600.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=600
	MaxCommitsPerObjectPerMinute int32 `json:"maxCommitsPerObjectPerMinute,omitempty"`

	// Author of every commit. What is left out is the remote's committer's.
	// +optional
	Author Author `json:"author,omitzero"`

	// Message words the commits.
	// +optional
	Message Message `json:"message,omitzero"`
}

// Author is the identity in the author line of a commit.
type Author struct {
	// Name of the author.
	// +optional
	Name string `json:"name,omitempty"`

	// Email of the author.
	// +optional
	Email string `json:"email,omitempty"`
}

// Message is the templates of a commit's message: Go's (text/template), with if, with,
// range .Changes, and the functions and, or, not, eq, ne, lt, le, gt, ge and len. What
// they see is a commit: .Cluster, .Destination, .Run (the run that found the changes,
// empty for a live change), .Created, .Updated, .Deleted (how many files), .Changes (the
// first 200) and .More (how many others). A change has .Action (Create, Update, Delete),
// .Object (deployments.apps shop/web), .Resource (deployments.apps), .Namespace and .Name;
// so has a commit of only one. The trailers follow in any case.
type Message struct {
	// Subject is the first line, by default "Update deployments.apps shop/web", or
	// "Reconcile live: 4 created, 2 updated" for a run that changes several objects, and
	// "Change live: 2 updated" for several live changes. What
	// is beyond 200 bytes is cut.
	// +optional
	Subject string `json:"subject,omitempty"`

	// Body stands between the subject and the trailers, by default the list of changes
	// where there are several. What is beyond 32 KiB is cut.
	// +optional
	Body string `json:"body,omitempty"`
}

// Prune says what may remove the files of resources that are no longer there.
type Prune struct {
	// Mode: Always, or OnEvent for deletions that are seen to happen in the cluster
	// alone, so that a comparison removes nothing, or Never.
	// +optional
	// +kubebuilder:default=Always
	// +kubebuilder:validation:Enum=Always;OnEvent;Never
	Mode PruneMode `json:"mode,omitempty"`

	// MaxDeletions is how many files one comparison may remove without being asked
	// about: a number, or a percentage of all resources that the cluster or the folder
	// has, of which ten are always allowed. The deletions of one that finds more wait until they are
	// approved, and what else it found is written.
	// +optional
	// +kubebuilder:default="30%"
	MaxDeletions *intstr.IntOrString `json:"maxDeletions,omitempty"`
}

// PruneMode is a word for what may remove files.
type PruneMode string

// The modes of pruning.
const (
	PruneAlways  PruneMode = "Always"
	PruneOnEvent PruneMode = "OnEvent"
	PruneNever   PruneMode = "Never"
)

// RemoteRef names a GitRemote of the referrer's own namespace.
type RemoteRef struct {
	// Name of the GitRemote.
	Name string `json:"name"`
}

// WatchRule selects resources of its own namespace for a destination.
type WatchRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec WatchRuleSpec `json:"spec"`
}

// WatchRuleSpec says what a WatchRule selects, and for which destination.
type WatchRuleSpec struct {
	// DestinationRef names the destination that receives what the rules select. Its
	// namespace defaults to the WatchRule's own; one of another namespace has to admit the
	// WatchRule's (spec.allowedNamespaces).
	DestinationRef DestinationRef `json:"destinationRef"`

	// Rules select a resource if any one of them does.
	Rules []Rule `json:"rules"`

	// Exclude names what is not selected, although the rules do. A type that is excluded
	// whole is not watched.
	// +optional
	Exclude []Rule `json:"exclude,omitempty"`

	// Sanitize says what stands in Git of what is selected.
	// +optional
	Sanitize Sanitize `json:"sanitize,omitzero"`
}

// ClusterWatchRule selects resources of any namespace, and those that have none, for
// a destination. It is cluster-scoped.
type ClusterWatchRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ClusterWatchRuleSpec `json:"spec"`
}

// ClusterWatchRuleSpec says what a ClusterWatchRule selects, and for which
// destination.
type ClusterWatchRuleSpec struct {
	// DestinationRef names the destination that receives what the rules select. Its
	// namespace is required.
	DestinationRef DestinationRef `json:"destinationRef"`

	// Rules select a resource if any one of them does.
	Rules []Rule `json:"rules"`

	// Exclude names what is not selected, although the rules do. A type that is excluded
	// whole is not watched.
	// +optional
	Exclude []Rule `json:"exclude,omitempty"`

	// Sanitize says what stands in Git of what is selected.
	// +optional
	Sanitize Sanitize `json:"sanitize,omitzero"`

	// Namespaces narrows the rules to resources of these namespaces, without
	// cluster-scoped ones. Empty means all namespaces and cluster-scoped resources.
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`
}

// DestinationRef names a GitDestination.
type DestinationRef struct {
	// Name of the GitDestination.
	Name string `json:"name"`

	// Namespace of the GitDestination.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// Sanitize says what stands in Git of a resource where people differ. Status and bookkeeping
// are removed in any case. Of several rules of a destination that select a resource the
// first one's counts, those of WatchRules before those of ClusterWatchRules.
type Sanitize struct {
	// Finalizers: Keep, or Remove.
	// +optional
	// +kubebuilder:default=Keep
	// +kubebuilder:validation:Enum=Keep;Remove
	Finalizers Keep `json:"finalizers,omitempty"`

	// OwnerReferences: Remove, or Keep. Owners are named by uid, which an object that is
	// made again does not have.
	// +optional
	// +kubebuilder:default=Remove
	// +kubebuilder:validation:Enum=Keep;Remove
	OwnerReferences Keep `json:"ownerReferences,omitempty"`

	// TrackingMarks: Remove, or Keep the labels and annotations by which Argo CD, Flux,
	// Helm's controller and kubectl's apply sets know their objects. Left in Git, they hand
	// what is made of it to such a tool's pruning.
	// +optional
	// +kubebuilder:default=Remove
	// +kubebuilder:validation:Enum=Keep;Remove
	TrackingMarks Keep `json:"trackingMarks,omitempty"`

	// Fields are further ones to remove, as JSON pointers (RFC 6901) such as /spec/replicas or
	// /metadata/annotations/example.com~1note.
	// +optional
	Fields []string `json:"fields,omitempty"`
}

// Keep is a word for whether something stands in Git.
type Keep string

// Whether something stands in Git.
const (
	KeepIt   Keep = "Keep"
	RemoveIt Keep = "Remove"
)

// Rule selects the resource types that match all three of its lists, as the rules of
// an admission webhook do, and of them what its selectors match. A list that is only "*"
// matches everything; a selector that is left out, too.
type Rule struct {
	// APIGroups such as "apps"; "" is the core group.
	APIGroups []string `json:"apiGroups"`

	// APIVersions such as "v1". An object is mirrored in the one version that the API
	// server prefers: a list without it selects nothing of that resource, which the
	// watcher says in its log.
	// +optional
	// +kubebuilder:default={"*"}
	APIVersions []string `json:"apiVersions,omitempty"`

	// Resources in the plural, such as "deployments". Subresources cannot be selected.
	Resources []string `json:"resources"`

	// ObjectSelector selects resources by their labels. One that begins to match enters Git,
	// and one that stops leaves it.
	// +optional
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`

	// Names selects resources whose name one of these matches, in which * stands for any
	// characters and ? for any one.
	// +optional
	Names []string `json:"names,omitempty"`

	// Owners selects resources with an owner that one of these matches: its kind, a dot and
	// its group unless that is the core group, a slash and its name, such as
	// Application.argoproj.io/shop-* or ConfigMap/*.
	// +optional
	Owners []string `json:"owners,omitempty"`
}
