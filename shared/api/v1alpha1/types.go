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
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=gr,categories=kubescribe
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GitRemote struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GitRemoteSpec `json:"spec"`

	// Status is what is known of the remote. kubescribe writes it; in a file it is ignored.
	// +optional
	Status GitRemoteStatus `json:"status,omitzero"`
}

// GitRemoteList is GitRemotes as the API server lists them.
//
// +kubebuilder:object:root=true
type GitRemoteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []GitRemote `json:"items"`
}

// The rules on a URL are the spec's, because the API server's answer repeats the value that
// a rule refuses unless that is an object: it could hold a password.

// GitRemoteSpec says which repository a GitRemote is.
//
// +kubebuilder:validation:XValidation:rule=`self.url.matches(r'^(/|(?i:https?|ssh|file)://|[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9._-]*:[^:])') && !self.url.matches(r'[\s\\]')`,fieldPath=`.url`,message="write https://, http://, ssh:// or file://, git@host:path, or an absolute path, without spaces and backslashes"
// +kubebuilder:validation:XValidation:rule=`!self.url.matches(r'^(?i:https?|file)://[^/?#]*@|^[A-Za-z]+://([^/?#]*:[^/?#]*@|.*[?#])|^[^/@]*:[^/@]*@')`,fieldPath=`.url`,message="must carry no credentials, query or fragment; name a Secret in secretRef"
// +kubebuilder:validation:XValidation:rule=`!has(self.secretRef) || !self.url.matches(r'^(/|(?i:file)://)')`,fieldPath=`.secretRef`,reason=FieldValueForbidden,message="names credentials, and a path is opened without any; remove it"
type GitRemoteSpec struct {
	// URL of the repository: https://, http://, ssh:// or file://, git@host:path, or an
	// absolute path. It carries no credentials; a user name is allowed for SSH only.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url"`

	// SecretRef names the Secret of the GitRemote's own namespace that opens it. Without
	// one, it is opened by what the git-writer's environment knows; with one, by that
	// alone.
	// +optional
	SecretRef *SecretRef `json:"secretRef,omitempty"`

	// Committer of every commit that is pushed to this remote.
	// +optional
	// +kubebuilder:default={}
	Committer Committer `json:"committer,omitzero"`

	// MinPushInterval is the least time from one push to this remote to the next; what
	// changes meanwhile is pushed together, as one commit each. By default it is 10s for
	// github.com, gitlab.com, dev.azure.com and bitbucket.org, which ask for few pushes, and
	// 0s for others: then a push begins as soon as the last one has ended. The longest is 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="must not be longer than 1h; write a duration such as 10s, or 0s for none"
	MinPushInterval *metav1.Duration `json:"minPushInterval,omitempty"`
}

// SecretRef names a Secret of the referrer's own namespace.
type SecretRef struct {
	// Name of the Secret.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// Committer is the identity in the committer line of a commit.
type Committer struct {
	// Name of the committer.
	// +optional
	// +kubebuilder:default=kubescribe
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[^<>\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$`
	Name string `json:"name,omitempty"`

	// Email of the committer. The default belongs to nobody, so that no forge
	// attributes the commits to one of its users.
	// +optional
	// +kubebuilder:default=kubescribe@localhost
	// +kubebuilder:validation:MaxLength=320
	// +kubebuilder:validation:Pattern=`^[^@<>\s\p{Cc}\p{Cf}]+@[^@<>\s\p{Cc}\p{Cf}]+$`
	Email string `json:"email,omitempty"`
}

// GitDestination is a folder on a branch of a remote that is kept equal to what its
// rules select. Where it points (remote, branch, folder) is immutable: another place
// is another destination.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=gd,categories=kubescribe
// +kubebuilder:printcolumn:name="Remote",type=string,JSONPath=`.spec.remoteRef.name`
// +kubebuilder:printcolumn:name="Branch",type=string,JSONPath=`.spec.branch`
// +kubebuilder:printcolumn:name="Folder",type=string,JSONPath=`.spec.baseFolder`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Commit",type=string,JSONPath=`.status.lastCommit`
// +kubebuilder:printcolumn:name="Pushed",type=date,priority=1,JSONPath=`.status.lastPushTime`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GitDestination struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GitDestinationSpec `json:"spec"`

	// Status is how the destination stands. kubescribe writes it; in a file it is ignored.
	// +optional
	Status GitDestinationStatus `json:"status,omitzero"`
}

// GitDestinationList is GitDestinations as the API server lists them.
//
// +kubebuilder:object:root=true
type GitDestinationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []GitDestination `json:"items"`
}

// GitDestinationSpec says where a GitDestination points.
type GitDestinationSpec struct {
	// RemoteRef names a GitRemote of the destination's own namespace. It is immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: another remote is another destination"
	RemoteRef RemoteRef `json:"remoteRef"`

	// Branch that is written to, without refs/heads/. It is immutable.
	// +optional
	// +kubebuilder:default=main
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`self != '@' && self != 'HEAD' && !self.matches(r'^(refs/heads/|-)|(^|/)(\.|/|$)|\.lock(/|$)|\.$|\.\.|@\{|[\x00-\x20\x7f~^:?*\[\\]')`,message="is not a branch; use a name that git check-ref-format --branch accepts, without refs/heads/"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: another branch is another destination"
	Branch string `json:"branch,omitempty"`

	// BaseFolder is the only folder of the repository that is read as state or touched,
	// with forward slashes; "." is the root of the repository. No two destinations of
	// one remote and branch may have overlapping folders. It is immutable.
	// +optional
	// +kubebuilder:default=live
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule=`self == '.' || !self.matches(r'(^|/)([. /]|$|(?i:git~1)(/|$))|[. ](/|$)|[<>:"|?*\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]')`,message="is not a folder of a repository; write a path from its root that every file system can hold and that does not leave it, or . for the root"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: another folder is another destination"
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
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration('0s') || duration(self) >= duration('10s')",message="must not be shorter than 10s; write 10s or more, or 0s for no drift checks"
	Interval *metav1.Duration `json:"interval,omitempty"`

	// Mode: Write, or DryRun for a destination that does all but push: status.dryRun says
	// what it would have pushed, and kubescribe diff shows what Git lacks. Once it is Write, the
	// folder is compared with the cluster, and gets all that it lacks; once it is DryRun
	// again, nothing more is pushed.
	// +optional
	// +kubebuilder:default=Write
	// +kubebuilder:validation:Enum=Write;DryRun
	Mode Mode `json:"mode,omitempty"`

	// AllowedNamespaces are those whose WatchRules may use the destination beside those of
	// its own namespace: names, in which * stands for any characters.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[^/\\\[\]\s]{1,253}$`
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`

	// WithoutExclusions names default exclusions that do not hold for the destination, as
	// kubescribe explain exclusions lists them. Of a type that is left out whole, and was not
	// before, the files stay as they are.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Enum=api-server-service;api-services;bootstrapped;certificate-signing-requests;component-statuses;controlled;controller-revisions;csi-storage-capacities;default-service-accounts;endpoints;events;flow-control;helm-releases;ip-addresses;leases;nodes;root-certificates;service-account-tokens;volume-attachments
	WithoutExclusions []string `json:"withoutExclusions,omitempty"`

	// Prune says what may remove files.
	// +optional
	// +kubebuilder:default={}
	Prune Prune `json:"prune,omitzero"`

	// Commit says what becomes a commit, whose it is, and how it is worded.
	// +optional
	// +kubebuilder:default={}
	Commit Commit `json:"commit,omitzero"`

	// Encryption says who may read Secrets in Git, and what is encrypted beside them.
	// +optional
	Encryption Encryption `json:"encryption,omitzero"`
}

// Mode is a word for whether a destination is written to.
type Mode string

// The modes of a destination.
const (
	ModeWrite  Mode = "Write"
	ModeDryRun Mode = "DryRun"
)

// Encryption says who may read what stands encrypted in Git. Such files are SOPS's, whose name
// ends in .sops.yaml: sops -d FILE prints the resource to whoever has the private half of a
// recipient.
//
// +kubebuilder:validation:XValidation:rule="!has(self.recipients) || self.recipients.all(r, r.matches('^age1[0-9a-z]+$'))",fieldPath=".recipients",message="has what is no public key of age; give what age-keygen -y FILE prints, which begins with age1, and make a new key if this was a private one"
type Encryption struct {
	// Recipients are public keys of age, which age-keygen or kubescribe keygen reader makes:
	// age1…, or age1pq1… Each of their private halves decrypts all that is encrypted. Without
	// any, Secrets are not mirrored, and what of them is in Git stays as it is. Files are
	// encrypted anew where the list changes; nothing that was pushed before is taken back.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=4096
	Recipients []string `json:"recipients,omitempty"`

	// Types are further ones that are sensitive, beside Secrets.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Types []SensitiveType `json:"types,omitempty"`
}

// SensitiveType is a type whose resources are encrypted as Secrets are.
type SensitiveType struct {
	// APIGroup such as "external-secrets.io"; "" is the core group.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$`
	APIGroup string `json:"apiGroup,omitempty"`

	// Resource in the plural, such as "configmaps".
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Resource string `json:"resource"`

	// Fields are those whose values are encrypted, with all below them, wherever in a
	// resource they stand, such as "data". So are annotations, in which tools keep copies. The
	// rest can be read.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9]+$`
	// +kubebuilder:validation:XValidation:rule="!self.exists(f, f in ['apiVersion', 'kind', 'metadata', 'name', 'namespace', 'sops'])",message="a resource is known by apiVersion, kind, metadata, name and namespace, and sops is the tool's own; leave these out"
	Fields []string `json:"fields"`
}

// MirrorSecrets is a word for what becomes of Secrets.
type MirrorSecrets string

// What becomes of Secrets.
const (
	MirrorSecretsEncrypted MirrorSecrets = "Encrypted"
	MirrorSecretsNever     MirrorSecrets = "Never"
)

// Commit says what becomes a commit of a destination, and how it looks.
type Commit struct {
	// Window is for how long changes join the commit that one of them begins; it is pushed
	// when that time is over. An object that changes again begins the next one, so that no
	// version is left out, and so does a change for another destination of the branch: it
	// does not wait. By default it is 0s: each change is a commit of its own, and pushed at
	// once. The longest is 1h.
	// +optional
	// +kubebuilder:default="0s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('1h')",message="must not be longer than 1h; write a duration such as 30s, or 0s for a commit of each change"
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

	// Author of every commit, but for those of authors. What is left out is the remote's committer's.
	// +optional
	Author Author `json:"author,omitzero"`

	// Authors are those of changes, by the field managers that made them: the first one counts
	// whose pattern matches. A commit has the author that all of its changes have; else it has the
	// author of every commit, and names these (Co-authored-by). Who deleted an object no field
	// manager tells, and what a comparison puts right was not done by who wrote the object last:
	// both have the author of every commit.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Authors []ManagerAuthor `json:"authors,omitempty"`

	// Message words the commits.
	// +optional
	Message Message `json:"message,omitzero"`
}

// Author is the identity in the author line of a commit.
type Author struct {
	// Name of the author.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[^<>\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$`
	Name string `json:"name,omitempty"`

	// Email of the author.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	// +kubebuilder:validation:Pattern=`^[^@<>\s\p{Cc}\p{Cf}]+@[^@<>\s\p{Cc}\p{Cf}]+$`
	Email string `json:"email,omitempty"`
}

// ManagerAuthor is the author of what some field managers change.
type ManagerAuthor struct {
	// FieldManager is a pattern, in which * stands for any characters and ? for any one, such as
	// kubectl-*. The trailers Field-Manager of a commit name those whose changes it has, twenty at
	// most; that of several differences which a comparison found names none.
	// +required
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[^\\\[\]\s]{1,128}$`
	FieldManager string `json:"fieldManager"`

	// Name of the author.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[^<>\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$`
	Name string `json:"name"`

	// Email of the author, by default that of the author of every commit.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	// +kubebuilder:validation:Pattern=`^[^@<>\s\p{Cc}\p{Cf}]+@[^@<>\s\p{Cc}\p{Cf}]+$`
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
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Subject string `json:"subject,omitempty"`

	// Body stands between the subject and the trailers, by default the list of changes
	// where there are several. What is beyond 32 KiB is cut.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
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
	// +kubebuilder:validation:XValidation:rule=`type(self) == int ? self >= 0 && self <= 2147483647 : self.matches(r'^(0|[1-9][0-9]?|100)%$')`,message="is neither a number nor a percentage from 0% to 100%; write one such as 50, or 30%"
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
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// WatchRule selects resources of its own namespace for a destination.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=wr,categories=kubescribe
// +kubebuilder:printcolumn:name="Destination",type=string,JSONPath=`.spec.destinationRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type WatchRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec WatchRuleSpec `json:"spec"`

	// Status is whether the rule counts. kubescribe writes it; in a file it is ignored.
	// +optional
	Status RuleStatus `json:"status,omitzero"`
}

// WatchRuleList is WatchRules as the API server lists them.
//
// +kubebuilder:object:root=true
type WatchRuleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []WatchRule `json:"items"`
}

// WatchRuleSpec says what a WatchRule selects, and for which destination.
type WatchRuleSpec struct {
	// DestinationRef names the destination that receives what the rules select. Its
	// namespace defaults to the WatchRule's own; one of another namespace has to admit the
	// WatchRule's (spec.allowedNamespaces).
	// +required
	DestinationRef DestinationRef `json:"destinationRef"`

	// Rules select a resource if any one of them does.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Rules []Rule `json:"rules"`

	// Exclude names what is not selected, although the rules do. A type that is excluded
	// whole is not watched.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	Exclude []Rule `json:"exclude,omitempty"`

	// Sanitize says what stands in Git of what is selected.
	// +optional
	// +kubebuilder:default={}
	Sanitize Sanitize `json:"sanitize,omitzero"`

	// MirrorSecrets: Encrypted, or Never, which selects no Secrets, whatever the rules say.
	// +optional
	// +kubebuilder:default=Encrypted
	// +kubebuilder:validation:Enum=Encrypted;Never
	MirrorSecrets MirrorSecrets `json:"mirrorSecrets,omitempty"`
}

// ClusterWatchRule selects resources of any namespace, and those that have none, for
// a destination. It is cluster-scoped.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=cwr,categories=kubescribe
// +kubebuilder:printcolumn:name="Destination",type=string,JSONPath=`.spec.destinationRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterWatchRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ClusterWatchRuleSpec `json:"spec"`

	// Status is whether the rule counts. kubescribe writes it; in a file it is ignored.
	// +optional
	Status RuleStatus `json:"status,omitzero"`
}

// ClusterWatchRuleList is ClusterWatchRules as the API server lists them.
//
// +kubebuilder:object:root=true
type ClusterWatchRuleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ClusterWatchRule `json:"items"`
}

// ClusterWatchRuleSpec says what a ClusterWatchRule selects, and for which
// destination.
type ClusterWatchRuleSpec struct {
	// DestinationRef names the destination that receives what the rules select. Its
	// namespace is required.
	// +required
	// +kubebuilder:validation:XValidation:rule="has(self.__namespace__)",fieldPath=".namespace",reason=FieldValueRequired,message="a ClusterWatchRule has no namespace of its own; write the GitDestination's"
	DestinationRef DestinationRef `json:"destinationRef"`

	// Rules select a resource if any one of them does.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Rules []Rule `json:"rules"`

	// Exclude names what is not selected, although the rules do. A type that is excluded
	// whole is not watched.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	Exclude []Rule `json:"exclude,omitempty"`

	// Sanitize says what stands in Git of what is selected.
	// +optional
	// +kubebuilder:default={}
	Sanitize Sanitize `json:"sanitize,omitzero"`

	// MirrorSecrets: Encrypted, or Never, which selects no Secrets, whatever the rules say.
	// +optional
	// +kubebuilder:default=Encrypted
	// +kubebuilder:validation:Enum=Encrypted;Never
	MirrorSecrets MirrorSecrets `json:"mirrorSecrets,omitempty"`

	// Namespaces narrows the rules to resources of these namespaces, without
	// cluster-scoped ones. Empty means all namespaces and cluster-scoped resources.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces,omitempty"`
}

// DestinationRef names a GitDestination.
type DestinationRef struct {
	// Name of the GitDestination.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`

	// Namespace of the GitDestination.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
}

// Sanitize says what stands in Git of a resource where people differ. Status and bookkeeping
// are removed in any case. Of several rules of a destination that select a resource the
// first one's counts, those of WatchRules before those of ClusterWatchRules: of a cluster's
// documents in the order of their namespaces and names, whatever their age, and of a file's as
// they stand there.
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
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:Pattern=`^/([^~]|~[01])*$`
	// +kubebuilder:validation:XValidation:rule="!self.exists(f, f in ['/apiVersion', '/kind', '/metadata', '/metadata/name', '/metadata/namespace'])",message="an object is known by apiVersion, kind, metadata.name and metadata.namespace; leave these out"
	Fields []string `json:"fields,omitempty"`

	// IgnoreFieldManagers are those whose fields are left out, as kubectl get --show-managed-fields
	// names them: the caBundle that cert-manager-cainjector fills in, or, with the subresource
	// scale or status behind the name, what a manager owns through that alone: the replicas that
	// autoscalers set (kube-controller-manager/scale). Patterns, in which * stands for any
	// characters and ? for any one; of a manager that is itself named so, write /scal?. A field
	// goes where nobody else owns it, and with it what nobody owns in it; a field that nobody owns
	// stays. A resource of which nobody else owns anything that would stand in Git is not mirrored,
	// it leaves Git, or never enters: with kube-controller-manager alone, all that it makes, such as
	// the PersistentVolumeClaims of a StatefulSet.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[^/\\\[\]\s][^\\\[\]\s]{0,127}$`
	IgnoreFieldManagers []string `json:"ignoreFieldManagers,omitempty"`
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
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$`
	// +kubebuilder:validation:XValidation:rule="!('*' in self) || size(self) == 1",message="has * beside other entries; leave only *, or remove it"
	// +kubebuilder:validation:XValidation:rule="!('core' in self)",message="core is not how the API calls it; write \"\" for the core group"
	APIGroups []string `json:"apiGroups"`

	// APIVersions such as "v1". An object is mirrored in the one version that the API
	// server prefers: a list without it selects nothing of that resource, which the
	// watcher says in its log.
	// +optional
	// +kubebuilder:default={"*"}
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^(\*|[a-z]([-a-z0-9]*[a-z0-9])?)$`
	// +kubebuilder:validation:XValidation:rule="!('*' in self) || size(self) == 1",message="has * beside other entries; leave only *, or remove it"
	APIVersions []string `json:"apiVersions,omitempty"`

	// Resources in the plural, such as "deployments". Subresources cannot be selected.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$`
	// +kubebuilder:validation:XValidation:rule="!('*' in self) || size(self) == 1",message="has * beside other entries; leave only *, or remove it"
	Resources []string `json:"resources"`

	// ObjectSelector selects resources by their labels. One that begins to match enters Git,
	// and one that stops leaves it.
	// +optional
	// +kubebuilder:validation:XValidation:rule="has(self.matchLabels) && size(self.matchLabels) > 0 || has(self.matchExpressions) && size(self.matchExpressions) > 0",message="selects all; leave it out, or add matchLabels or matchExpressions"
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`

	// Names selects resources whose name one of these matches, in which * stands for any
	// characters and ? for any one.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[^/\\\[\]\s]{1,253}$`
	Names []string `json:"names,omitempty"`

	// Owners selects resources with an owner that one of these matches: its kind, a dot and
	// its group unless that is the core group, a slash and its name, such as
	// Application.argoproj.io/shop-* or ConfigMap/*.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9*?]+(\.[a-z0-9.*?-]+)?/[^/\\\[\]\s]{1,253}$`
	Owners []string `json:"owners,omitempty"`
}
