package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// DestinationKey names a GitDestination among all clusters of an install.
type DestinationKey struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String is cluster/namespace/name. None of the three may hold a slash, so it
// can be parsed back by [ParseDestinationKey].
func (k DestinationKey) String() string { return k.Cluster + "/" + k.Namespace + "/" + k.Name }

// ParseDestinationKey is the reverse of [DestinationKey.String].
func ParseDestinationKey(s string) (DestinationKey, error) {
	p := strings.Split(s, "/")
	if len(p) != 3 || p[0] == "" || p[1] == "" || p[2] == "" {
		return DestinationKey{}, fmt.Errorf("%w: destination %q is not cluster/namespace/name", ErrMalformed, s)
	}
	return DestinationKey{p[0], p[1], p[2]}, nil
}

// Destination is a destination as it stands in KS_DESTINATION: validated,
// defaulted, its references resolved. It holds no credential.
type Destination struct {
	V          int            `json:"v"`
	Key        DestinationKey `json:"key"`
	ClusterID  string         `json:"clusterID"`
	URL        string         `json:"url"`       // the remote, as configured
	BranchKey  string         `json:"branchKey"` // one writer exists for each
	Branch     string         `json:"branch"`
	BaseFolder string         `json:"baseFolder"` // "" for the root of the repository
	Adopt      bool           `json:"adopt,omitempty"`
	Committer  Person         `json:"committer"`
	Rules      []Rule         `json:"rules"`
}

// Person signs commits.
type Person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Rule selects objects. "*" stands for any value.
type Rule struct {
	Groups    []string `json:"groups"`
	Versions  []string `json:"versions,omitempty"` // empty: any
	Resources []string `json:"resources"`
	// Namespaces limits the rule; empty selects every namespace and the
	// cluster-scoped objects too.
	Namespaces []string `json:"namespaces,omitempty"`
}

// Phase is what a destination is doing.
type Phase string

// The phases.
const (
	StartupReconcile Phase = "STARTUP_RECONCILE"
	LiveProcessing   Phase = "LIVE_PROCESSING"
	Parked           Phase = "PARKED"
)

// PhaseRecord is a destination's entry in KS_PHASE, for everyone to see. The
// checkpoint in KS_WRITE is what decides.
type PhaseRecord struct {
	V       int    `json:"v"`
	Phase   Phase  `json:"phase"`
	Run     string `json:"run"`
	Attempt uint64 `json:"attempt"`
	Reason  string `json:"reason"`
	// Registered is the revision of the destination that the run covers: it
	// differs for a changed one, and for one that was removed and made again.
	Registered uint64    `json:"registered"`
	Cursor     uint64    `json:"cursor,omitempty"`
	Counts     Counts    `json:"counts"`
	Owner      string    `json:"owner,omitempty"`
	Since      time.Time `json:"since"`
	// Incomplete names the types the run could not list.
	Incomplete []string `json:"incomplete,omitempty"`
}

// Counts says what a destination stream did with what reached it.
type Counts struct {
	Forwarded  uint64 `json:"forwarded"`
	Suppressed uint64 `json:"suppressed"`
}

// Status is a destination's entry in KS_STATUS, written by the git-writer.
type Status struct {
	V        int       `json:"v"`
	Commit   string    `json:"commit,omitempty"`  // the newest commit of this destination on the remote
	Subject  string    `json:"subject,omitempty"` // that commit's first line
	Pushed   time.Time `json:"pushed,omitzero"`   // when that was known
	Position uint64    `json:"position"`          // everything in KS_WRITE up to here is on the remote
	Stalled  *Stalled  `json:"stalled,omitempty"` // set only while true
}

// Stalled says what keeps a destination from moving, and what a person can do.
type Stalled struct {
	Reason  string    `json:"reason"` // one word, CamelCase
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
}

// StalledFolderNotOurs is the reason of a destination whose base folder belongs
// to somebody else: it is not retried until somebody changes something.
const StalledFolderNotOurs = "FolderNotOurs"

// The control requests.
const (
	RequestClusterState = "REQUEST_CLUSTER_STATE" // reconciler → the lane's owner
	RequestRun          = "REQUEST_RUN"           // anyone → reconciler
)

// Why a run begins, in requests, phases and metrics.
const (
	ReasonNewDestination   = "NewDestination"
	ReasonSpecChanged      = "SpecChanged"
	ReasonAdmitted         = "Admitted"         // its folder was refused before
	ReasonHistoryRewritten = "HistoryRewritten" // the remote branch lost commits that were there
)

// Request is a message of KS_CTL.
type Request struct {
	V           int            `json:"v"`
	Kind        string         `json:"kind"`
	Destination DestinationKey `json:"destination"`
	Part        int            `json:"part"`
	Run         string         `json:"run,omitempty"`
	Attempt     uint64         `json:"attempt,omitempty"`
	Registered  uint64         `json:"registered,omitempty"` // the revision of the destination that the run covers
	Reason      string         `json:"reason"`
}

// Bookmark is a type's entry in KS_CURSOR: everything the API server of that
// cluster delivered up to ResourceVersion is on the bus.
type Bookmark struct {
	V               int    `json:"v"`
	ClusterID       string `json:"clusterID"` // names are given again: versions of another cluster mean nothing
	ResourceVersion string `json:"resourceVersion"`
}

// Hint is a branch's entry in KS_CURSOR: Commit was on the remote branch and
// everything in KS_WRITE up to Position was in it. It bounds the search for
// positions in the branch's history; it decides nothing by itself.
type Hint struct {
	V        int    `json:"v"`
	Commit   string `json:"commit,omitempty"`
	Position uint64 `json:"position"`
}

// Record is any of the JSON records of this package.
type Record interface {
	Destination | PhaseRecord | Status | Request | Bookmark | Hint
}

// Encode writes a record. V is the writer's to set to [Version].
func Encode[R Record](r R) []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // the records are plain data: cannot happen
	}
	return b
}

// Decode reads a record: a newer version is ErrNewerVersion, anything that is
// not such a record ErrMalformed.
func Decode[R Record](b []byte) (R, error) {
	var r R
	var head struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return r, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case head.V > Version:
		return r, fmt.Errorf("%w: it has %d, this program reads up to %d", ErrNewerVersion, head.V, Version)
	case head.V < 1:
		return r, fmt.Errorf("%w: a record of version %d", ErrMalformed, head.V)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return r, nil
}
