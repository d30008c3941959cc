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
	Author     Person         `json:"author,omitzero"` // of commits; nobody: the committer
	// Authors are those of live changes, by their field managers: the first one counts that
	// matches. Who matches none is Author.
	Authors []ManagerAuthor `json:"authors,omitempty"`
	Wording Wording         `json:"wording,omitzero"`
	Rules   []Rule          `json:"rules"`
	// Without names the default exclusions that do not hold for it.
	Without []string `json:"without,omitempty"`
	// Recipients are the public keys that its sensitive objects are encrypted to, sorted.
	Recipients []string `json:"recipients,omitempty"`
	// Sensitive are the types whose objects are written encrypted, beside Secrets.
	Sensitive []Sensitive `json:"sensitive,omitempty"`
	// Withheld is why its rules select sensitive objects that are neither watched nor
	// written: their files stay as they are. "": they are written, or it selects none.
	Withheld Withheld `json:"withheld,omitempty"`
	// SealedTo is the git-writer's public key that its sensitive objects are sealed to, and
	// MarkedBy the id of the key that they are marked with: with another one, all are to be written
	// anew.
	SealedTo string `json:"sealedTo,omitempty"`
	MarkedBy string `json:"markedBy,omitempty"`
	// Credentials names the Secret that opens the remote, as cluster/namespace/name; empty: what
	// the git-writer's environment knows does.
	Credentials string `json:"credentials,omitempty"`
	// First is the revision at which it was registered, where it was written again since.
	First uint64 `json:"first,omitempty"`
	// MinPushInterval is the least time from one push to the remote to the next.
	MinPushInterval time.Duration `json:"minPushInterval,omitempty"`
	// Window is for how long live changes join one commit; 0: each is its own.
	Window time.Duration `json:"window,omitempty"`
	// MaxCommits is how many commits the live changes of an object may have within a
	// minute; 0: as many as come.
	MaxCommits int `json:"maxCommitsPerObjectPerMinute,omitempty"`
	// Interval is the time from one drift check to the next; 0: none.
	Interval time.Duration `json:"interval,omitempty"`
	Prune    Prune         `json:"prune"`
	// DryRun says that all is done for it but the push.
	DryRun bool `json:"dryRun,omitempty"`
}

// Prune says what may remove files.
type Prune struct {
	Mode PruneMode `json:"mode"`
	// A run withholds its deletions when they are more than MaxPercent of all
	// resources that the cluster or the folder has, and more than MaxFiles.
	MaxPercent int `json:"maxPercent"`
	MaxFiles   int `json:"maxFiles"`
}

// PruneMode says what may remove files.
type PruneMode string

// The modes of pruning.
const (
	PruneAlways  PruneMode = "Always"  // runs remove orphans, and deletions in the cluster remove files
	PruneOnEvent PruneMode = "OnEvent" // deletions in the cluster alone
	PruneNever   PruneMode = "Never"   // nothing
)

// Person signs commits.
type Person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// ManagerAuthor signs what field managers change.
type ManagerAuthor struct {
	FieldManager string `json:"fieldManager"` // a pattern, in which * stands for any characters and ? for any one
	Person
}

// Wording is the templates of commit messages, which were found right; "" stands for
// the words that kubescribe has itself.
type Wording struct {
	Subject string `json:"subject,omitempty"`
	Body    string `json:"body,omitempty"`
}

// Credential is a Secret's entry in KS_CREDENTIAL: what of it opens a Git remote, for the
// git-writer alone to read (see shared/seal).
type Credential struct {
	V         int    `json:"v"`
	Sealed    []byte `json:"sealed"`
	Recipient string `json:"recipient"` // the public key that it is sealed to
	// Source differs where what is sealed may: it is a digest of which version of the Secret
	// that is, for which remotes and to which key. No value of the Secret goes into it, which
	// could be guessed from one.
	Source string `json:"source"`
}

// Phase is what a destination is doing.
type Phase string

// The phases.
const (
	StartupReconcile Phase = "STARTUP_RECONCILE"
	LiveProcessing   Phase = "LIVE_PROCESSING"
	Parked           Phase = "PARKED"
)

// PhaseRecord is a destination's entry in KS_PHASE, for everyone to see: its phase,
// and the newest of its runs. The checkpoint in KS_WRITE is what decides. Of a run
// that holds nothing back, the phase stays LIVE_PROCESSING.
type PhaseRecord struct {
	V       int    `json:"v"`
	Phase   Phase  `json:"phase"`
	Run     string `json:"run"`
	Attempt uint64 `json:"attempt"`
	Reason  string `json:"reason"`
	// Registered is the revision of the destination that the run covers: it
	// differs for a changed one, and for one that was removed and made again.
	Registered uint64 `json:"registered"`
	// Parts are the lanes that the run asks.
	Parts []int `json:"parts"`
	// Approved is the digest of the deletions that a person has approved for this run.
	Approved string `json:"approved,omitempty"`
	// Since is when the phase began, or the attempt; Closed when the run's results
	// were in KS_WRITE, zero while it is under way.
	Since  time.Time `json:"since"`
	Closed time.Time `json:"closed,omitzero"`
	// Settled is when the newest run closed that was no comparison for a person, and
	// that no other continues.
	Settled time.Time `json:"settled,omitzero"`
	// Next is why another run begins once this one has closed.
	Next   string `json:"next,omitempty"`
	Cursor uint64 `json:"cursor,omitempty"` // of KS_LIVE
	// From is the run's first MARK in KS_LIVE, from which on a stream that begins anew reads
	// again while the run is under way; 0 until there is one.
	From    uint64   `json:"from,omitempty"`
	Counts  Counts   `json:"counts"`
	Owner   string   `json:"owner,omitempty"`
	Outcome *Outcome `json:"outcome,omitempty"` // of the newest run that closed, and was no comparison for a person
	Overrun uint64   `json:"overrun,omitempty"` // of its results, how many came too late: something newer had passed
	// Gap is the newest part of the backlog that was removed before it was taken: its
	// versions are not in Git, but for what the run found that came after it.
	Gap *Gap `json:"gap,omitempty"`
}

// Gap is a part of a stream that was removed before a destination got what was for it.
type Gap struct {
	Stream  string    `json:"stream"`
	After   uint64    `json:"after,omitempty"`   // the last sequence that was taken before it
	Until   uint64    `json:"until,omitempty"`   // nothing behind this one is missing
	Missing uint64    `json:"missing,omitempty"` // how many messages of the destination; 0: it is not known
	Found   time.Time `json:"found"`
}

// Running reports whether a run is under way.
func (p PhaseRecord) Running() bool { return p.Run != "" && p.Closed.IsZero() }

// Continues reports whether another run is to bring what the newest one that closed has
// left.
func (p PhaseRecord) Continues() bool { return p.Outcome != nil && p.Outcome.Continues }

// Counts says what a destination stream did with what reached it.
type Counts struct {
	Forwarded  uint64 `json:"forwarded"`
	Suppressed uint64 `json:"suppressed"`
	Pruned     uint64 `json:"pruned,omitempty"` // deletions that prune.mode Never dropped
	Held       uint64 `json:"held,omitempty"`   // waiting now, until the run closes
}

// Outcome says what a comparison found.
type Outcome struct {
	Run     string `json:"run"`
	Created int    `json:"created"`
	Updated int    `json:"updated"`
	Deleted int    `json:"deleted"`
	Equal   int    `json:"equal"`
	// Kept are orphans that prune.mode keeps, or whose type is not known wholly.
	Kept    int      `json:"kept,omitempty"`
	Foreign []string `json:"foreign,omitempty"` // a few of the files that hold resources elsewhere
	// ForeignCount is how many those are.
	ForeignCount int      `json:"foreignCount,omitempty"`
	Pending      *Pending `json:"pending,omitempty"`
	// Incomplete names the types that could not be listed, as resource.group; *.group
	// where a group did not answer, "resource.group in namespace" where it could not be
	// listed there; "resource.group other than version" where rules select it in other
	// versions than the one that is followed. Nothing of theirs was taken for absent.
	Incomplete []string `json:"incomplete,omitempty"`
	// Skipped names the types of which contents were skipped, because the object was not
	// any more what the run had found: what it has become comes by the watch.
	Skipped []string `json:"skipped,omitempty"`
	// Left are results beside the created and updated ones: the run had no room for
	// their contents. Continues says that another run follows at once and brings them,
	// or as many as it has room for; it does not where such runs have brought so much
	// in vain that they are given up.
	Left      Wanted `json:"left,omitzero"`
	Continues bool   `json:"continues,omitempty"`
	// Before is what the runs have brought that this one continues.
	Before Brought `json:"before,omitzero"`
}

// What stands, in Incomplete, between a type and the namespace, or the version.
const (
	InNamespace = " in "
	OtherThan   = " other than "
)

// Wanted counts results that want contents.
type Wanted struct {
	Created int `json:"created,omitempty"`
	Updated int `json:"updated,omitempty"`
}

// With is w with one more result, if that wants content.
func (w Wanted) With(what What) Wanted {
	switch what {
	case ResultCreate:
		w.Created++
	case ResultReconcile:
		w.Updated++
	case Resource, Foreign, ResultDelete:
	}
	return w
}

// Count is how many they are in all.
func (w Wanted) Count() int { return w.Created + w.Updated }

// Brought counts what some runs have brought.
type Brought struct {
	Runs    int `json:"runs,omitempty"`
	Created int `json:"created,omitempty"`
	Updated int `json:"updated,omitempty"`
	Deleted int `json:"deleted,omitempty"`
}

// Pending are deletions that wait for a person: the condition PrunePending.
type Pending struct {
	Run    string   `json:"run"` // the first that found exactly these
	Count  int      `json:"count"`
	Digest string   `json:"digest"` // of their paths
	Paths  []string `json:"paths"`  // a few of them
}

// Status is a destination's entry in KS_STATUS, written by the git-writer.
type Status struct {
	V        int       `json:"v"`
	Commit   string    `json:"commit,omitempty"`  // the newest commit of this destination on the remote
	Subject  string    `json:"subject,omitempty"` // that commit's first line
	Pushed   time.Time `json:"pushed,omitzero"`   // when that was known
	Position uint64    `json:"position"`          // everything in KS_WRITE up to here is on the remote, or in DryRun
	Stalled  *Stalled  `json:"stalled,omitempty"` // set only while true
	DryRun   *DryRun   `json:"dryRun,omitempty"`  // of a destination that is in this mode
}

// DryRun is what a destination would have pushed.
type DryRun struct {
	Since   time.Time `json:"since"`
	Commits int       `json:"commits"`
	Files   int       `json:"files"` // each as often as a commit would have changed it
	// Newest are the newest commits, the newest one first: a few.
	Newest []WouldBe `json:"newest,omitempty"`
}

// WouldBe is a commit that would have been pushed.
type WouldBe struct {
	Time    time.Time `json:"time"` // when it would have been made
	Subject string    `json:"subject"`
	Files   int       `json:"files"`
	Changes []string  `json:"changes"` // a few of them: what, and the file's path
}

// Lag is a destination's entry in KS_LAG: what waits for it on its way.
type Lag struct {
	V      int     `json:"v"`
	Stream Waiting `json:"stream,omitzero"` // in KS_LIVE, for its destination stream
	Writer Waiting `json:"writer,omitzero"` // in KS_WRITE, to be brought to the remote
}

// Waiting is all of it.
func (l Lag) Waiting() Waiting {
	all := l.Stream
	if w := l.Writer; w.Messages > 0 && (all.Messages == 0 || w.Since.Before(all.Since)) {
		all.Since = w.Since
	}
	all.Messages += l.Writer.Messages
	return all
}

// Waiting is messages that wait, and since when the oldest of them does.
type Waiting struct {
	Messages uint64    `json:"messages"`
	Since    time.Time `json:"since"`
}

// Equal compares what waits, whatever zone its time is written in.
func (w Waiting) Equal(other Waiting) bool {
	return w.Messages == other.Messages && w.Since.Equal(other.Since)
}

// Stalled says what keeps a destination from moving, and what a person can do.
type Stalled struct {
	Reason  string    `json:"reason"` // one word, CamelCase
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
}

// Why a destination is refused its base folder, until somebody changes something.
const (
	StalledFolderNotOurs     = "FolderNotOurs"     // it belongs to somebody else
	StalledFolderOverlaps    = "FolderOverlaps"    // with that of a destination that was registered before
	StalledCredentialsDiffer = "CredentialsDiffer" // from those that its branch is opened with
	StalledFilesInLFS        = "FilesInLFS"        // a .gitattributes sends its files through Git LFS
)

// Refused reports whether a destination is refused its base folder: what is to be
// written there is dropped.
func (s *Stalled) Refused() bool {
	if s == nil {
		return false
	}
	switch s.Reason {
	case StalledFolderNotOurs, StalledFolderOverlaps, StalledCredentialsDiffer, StalledFilesInLFS:
		return true
	}
	return false
}

// The control requests.
const (
	RequestClusterState = "REQUEST_CLUSTER_STATE" // reconciler → the lane's owner
	RequestResources    = "REQUEST_RESOURCES"     // reconciler → the lane's owner: the contents of its results
	RequestObject       = "REQUEST_OBJECT"        // people → the lane's owner: an object as it is now, to a destination that lacks a version of it
	RequestRun          = "REQUEST_RUN"           // anyone → reconciler
)

// Why a run begins, in requests, phases and metrics.
const (
	ReasonNewDestination   = "NewDestination"
	ReasonSpecChanged      = "SpecChanged"
	ReasonAdmitted         = "Admitted"         // its folder was refused before
	ReasonHistoryRewritten = "HistoryRewritten" // the remote branch lost commits that were there
	ReasonWatchGap         = "WatchGap"         // the API server forgot what came since the watcher's last position
	ReasonTypeAppeared     = "TypeAppeared"     // a type is listed for the first time, and has objects
	ReasonContentsSkipped  = "ContentsSkipped"  // a run skipped objects that had changed, and a gap in the watch may hide what they were
	ReasonMayHaveLeft      = "MayHaveLeft"      // an object that is not selected changed while it was not known whether it had been
	ReasonSchemaChanged    = "SchemaChanged"    // the API server serves objects otherwise that nobody has written since
	ReasonCheckpointLost   = "CheckpointLost"   // what says how far a hop has come is gone, or its log is another one
	ReasonHistoryGap       = "HistoryGap"       // a part of the backlog was removed before it was taken
	ReasonOvertaken        = "Overtaken"        // more changed during a run than is remembered
	ReasonContinued        = "Continued"        // the run before had no room for all contents
	ReasonDriftCheck       = "DriftCheck"       // the interval is over
	ReasonRequested        = "Requested"        // a person asked
	ReasonApproved         = "Approved"         // a person approved deletions
	ReasonCompare          = "Comparison"       // a person wants to see what a run would do: it changes nothing
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
	Approved    string         `json:"approved,omitempty"` // the run whose pending deletions are approved
	Room        int            `json:"room,omitempty"`     // of RequestResources: how many bytes the contents may have; 0: any
	// Of RequestObject: what is asked for, the UID of the version that the destination lacks, and
	// the sequence in KS_DLQ of the letter that says so.
	Object Object `json:"object,omitzero"`
	UID    string `json:"uid,omitempty"`
	Letter uint64 `json:"letter,omitempty"`
}

// End closes a series of KS_SNAP: what one side of an attempt at a run says is
// Chunks messages under Nonce, no more and no less. Of several that answer, the
// first End stored is the one that counts.
type End struct {
	V      int    `json:"v"`
	Nonce  string `json:"nonce"`
	Chunks int    `json:"chunks"`
	Count  int    `json:"count"`  // of what is in them
	Digest string `json:"digest"` // SHA-256 of their bodies, one after the other
	// Failed says why this attempt gets no such answer: another one must begin.
	Failed string `json:"failed,omitempty"`
	// Incomplete, of a lane, are the types that could not be listed: see Outcome.
	// Unmirrored are those that are never mirrored: their files are not ours.
	Incomplete []string `json:"incomplete,omitempty"`
	Unmirrored []string `json:"unmirrored,omitempty"`
	// Wanted, of results, is how many of them want contents.
	Wanted int `json:"wanted,omitempty"`
	// Bytes, of contents, is how long the chunks are in all. Left are those of the wanted
	// ones for which there was no room; Skipped the types of others: see Outcome.
	Bytes   int      `json:"bytes,omitempty"`
	Left    Wanted   `json:"left,omitzero"`
	Skipped []string `json:"skipped,omitempty"`
	// Others, of a repository, is how many files hold no resource.
	Others int `json:"others,omitempty"`
	// Parts and Outcome, of a run, say which lanes have results, and what they are
	// in all.
	Parts   []int    `json:"parts,omitempty"`
	Outcome *Outcome `json:"outcome,omitempty"`
	// Dry, of a run, says that its results are for a person to see, and not to be
	// written.
	Dry bool `json:"dry,omitempty"`
}

// Bookmark is a type's entry in KS_CURSOR: everything the API server of that
// cluster delivered up to ResourceVersion is on the bus.
type Bookmark struct {
	V               int    `json:"v"`
	ClusterID       string `json:"clusterID"` // names are given again: versions of another cluster mean nothing
	ResourceVersion string `json:"resourceVersion"`
	// APIVersion is the one in which the type was followed; "" where that was not noted.
	APIVersion string `json:"apiVersion,omitempty"`
	// Generation is that of the type's definition by which what destinations have was made, or
	// a run that was asked for will bring; 0 where there is no definition, or it was not noted.
	Generation int64 `json:"generation,omitempty"`
	// Made is when KS_EVENTS was made, and Seq a sequence that it has reached: a log that
	// was made at another time, or ends before it, does not hold what was on the bus.
	Made time.Time `json:"made,omitzero"`
	Seq  uint64    `json:"seq,omitempty"`
}

// Hint is a branch's entry in KS_CURSOR: Commit was on the remote branch and
// everything in KS_WRITE up to Position was in it. It bounds the search for
// positions in the branch's history; it decides nothing by itself.
type Hint struct {
	V        int    `json:"v"`
	Commit   string `json:"commit,omitempty"`
	Position uint64 `json:"position"`
	// ID is that of the message at Position, by which its log is known again; "" where
	// none stood there any more.
	ID string `json:"id,omitempty"`
	// Stored is when it was: in another log it is another time, whatever its ID. Zero where it
	// was not noted.
	Stored time.Time `json:"stored,omitzero"`
	// Writer is the revision of the registry at which the destination that wrote it stood there:
	// as long as it does, nobody but the janitor removes the message, and the janitor leaves it. 0 where the message is no
	// destination's of the branch, or was not noted.
	Writer uint64 `json:"writer,omitempty"`
	// Held are the messages up to Position that were not in Commit: versions of objects that
	// had their commits of the minute, each of another object. They are committed later, and stay in
	// KS_WRITE until then.
	Held []uint64 `json:"held,omitempty"`
	// Cut is what of KS_WRITE before Position is not in Commit, because it was given up; until
	// runs that mend it were asked for.
	Cut *Cut `json:"cut,omitempty"`
}

// Cut is the part of a backlog that a branch has given up, because KS_WRITE had no room for
// it.
type Cut struct {
	After   uint64            `json:"after"` // everything up to here is on the remote
	Until   uint64            `json:"until"`
	Found   time.Time         `json:"found"`
	Missing map[string]uint64 `json:"missing"` // how many changes, by destination
}

// Gap is what one destination lacks of it.
func (c Cut) Gap(stream string, k DestinationKey) Gap {
	return Gap{Stream: stream, After: c.After, Until: c.Until, Missing: c.Missing[k.String()], Found: c.Found}
}

// Lease is an entry of KS_LEASE: Owner works on a shard, or, under a member's key, is
// there to work on some. It goes by itself where its owner does not renew it.
type Lease struct {
	V     int       `json:"v"`
	Owner string    `json:"owner"`
	Since time.Time `json:"since"` // by the owner's clock, for people
}

// Record is any of the JSON records of this package.
type Record interface {
	Destination | Credential | PhaseRecord | Status | Lag | Request | Bookmark | Hint | Lease | End
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
