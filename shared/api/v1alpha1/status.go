package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The types of conditions, as kubectl wait and kstatus know the first three.
const (
	// ConditionReady is True where the object does what its spec says.
	ConditionReady = "Ready"
	// ConditionReconciling is True while what its spec says is under way.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True where it does not move until a person does something: the
	// message says what.
	ConditionStalled = "Stalled"
	// ConditionPrunePending is True, of a GitDestination, while deletions wait to be
	// approved: the message has the run to name in kubescribe approve.
	ConditionPrunePending = "PrunePending"
	// ConditionSecretsWithheld is True, of a GitDestination, where its rules select Secrets, or
	// others that are sensitive, which are not mirrored because nobody could read them, or because
	// the watcher has no keys for them.
	ConditionSecretsWithheld = "SecretsWithheld"
	// ConditionIncomplete is True, of a GitDestination, while the newest comparison of cluster and
	// folder could not see all that its rules select. The message names the types; nothing of
	// theirs was taken for absent.
	ConditionIncomplete = "Incomplete"
	// ConditionHistoryGap is True, of a GitDestination, while its phase is PARKED: changes were
	// lost before they were taken, and the next comparison brings what has become of them.
	ConditionHistoryGap = "HistoryGap"
	// ConditionUnmatched is True, of a rule, while a part of it selects nothing: a type that is
	// not served, or a pattern that no object matches. The message says which. All else goes on,
	// and so does that part once there is something.
	ConditionUnmatched = "Unmatched"
)

// Phase is what a GitDestination is doing.
type Phase string

// The phases.
const (
	// The folder is made equal to the cluster, and changes wait until that is done.
	PhaseStartupReconcile Phase = "STARTUP_RECONCILE"
	// Each change is written as it comes.
	PhaseLiveProcessing Phase = "LIVE_PROCESSING"
	// A part of the changes was lost before it was taken: the next comparison mends that.
	PhaseParked Phase = "PARKED"
)

// GitRemoteStatus is what is known of a GitRemote.
type GitRemoteStatus struct {
	// ObservedGeneration is the generation of the spec that the status is of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, and where they hold Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// GitDestinationStatus is how a GitDestination stands.
type GitDestinationStatus struct {
	// ObservedGeneration is the generation of the spec that the status is of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, and where they hold Reconciling, Stalled, PrunePending,
	// SecretsWithheld, Incomplete and HistoryGap.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Phase: STARTUP_RECONCILE, LIVE_PROCESSING or PARKED.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// LastCommit is the newest commit of the destination on the remote.
	// +optional
	LastCommit string `json:"lastCommit,omitempty"`

	// LastPushTime is when that commit was known to be there.
	// +optional
	LastPushTime *metav1.Time `json:"lastPushTime,omitempty"`

	// Waiting is how many changes have been on their way to the remote for longer than a
	// minute, those among them that are held back until a comparison is over. It is there only
	// while there are some.
	// +optional
	Waiting int64 `json:"waiting,omitempty"`

	// WaitingSince is when the oldest of them came.
	// +optional
	WaitingSince *metav1.Time `json:"waitingSince,omitempty"`

	// LastRun is what the newest comparison of cluster and folder has found.
	// +optional
	LastRun *RunStatus `json:"lastRun,omitempty"`

	// DryRun is what would have been pushed, of a destination whose mode is DryRun.
	// +optional
	DryRun *DryRunStatus `json:"dryRun,omitempty"`
}

// DryRunStatus is what a GitDestination would have pushed if its mode were Write. What was
// counted may be counted once more after a restart of the git-writer.
type DryRunStatus struct {
	// Since is when the destination was found to be in this mode.
	// +required
	Since metav1.Time `json:"since"`

	// Commits is how many would have been pushed since.
	// +optional
	Commits int64 `json:"commits"`

	// Files is how many files these would have created, updated and deleted, each as often as
	// a commit would have changed it.
	// +optional
	Files int64 `json:"files"`

	// Newest are the newest ten of these commits, the newest one first.
	// +optional
	// +listType=atomic
	Newest []DryRunCommit `json:"newest,omitempty"`
}

// DryRunCommit is a commit that would have been pushed.
type DryRunCommit struct {
	// Time is when it would have been made.
	// +required
	Time metav1.Time `json:"time"`

	// Subject is the first line of its message.
	// +required
	Subject string `json:"subject"`

	// Files is how many files it would have changed.
	// +optional
	Files int64 `json:"files"`

	// Changes are the first five of these, such as "Update live/shop/configmaps/web.yaml".
	// +optional
	// +listType=atomic
	Changes []string `json:"changes,omitempty"`
}

// RunStatus is what a comparison of a cluster and a folder has found.
type RunStatus struct {
	// Name of the run, as kubescribe get shows it.
	// +required
	Name string `json:"name"`

	// CompletionTime is when its results were handed to the git-writer.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// Created is how many files it added, for objects that were missing in Git.
	// +optional
	Created int64 `json:"created"`

	// Updated is how many files it wrote anew, because they differed from the cluster.
	// +optional
	Updated int64 `json:"updated"`

	// Deleted is how many files it removed, of objects that were gone.
	// +optional
	Deleted int64 `json:"deleted"`

	// Equal is how many files were as they should be.
	// +optional
	Equal int64 `json:"equal"`
}

// RuleStatus is whether a WatchRule or ClusterWatchRule counts.
type RuleStatus struct {
	// ObservedGeneration is the generation of the spec that the status is of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, and where they hold Reconciling, Stalled and Unmatched.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
