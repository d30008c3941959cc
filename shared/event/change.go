package event

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Op is what happened to the object.
type Op string

// The operations.
const (
	Create Op = "CREATE"
	Update Op = "UPDATE"
	Delete Op = "DELETE"
)

// Origin tells why a change was published.
type Origin string

// The origins.
const (
	Live      Origin = "live"      // a watch delivered it
	Reconcile Origin = "reconcile" // a run found it
)

// Object names one Kubernetes object and the way it is served.
type Object struct {
	Group      string `json:"group,omitempty"`      // "" for the core group
	APIVersion string `json:"apiVersion,omitempty"` // version alone, "v1"
	Resource   string `json:"resource"`             // plural, "deployments"
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"` // "" for cluster-scoped objects
	Name       string `json:"name"`
}

// String is the object as people write it: deployments.apps shop/web.
func (o Object) String() string {
	res := o.Resource
	if o.Group != "" {
		res += "." + o.Group
	}
	if o.Namespace == "" {
		return res + " " + o.Name
	}
	return res + " " + o.Namespace + "/" + o.Name
}

// Key tells objects of one cluster apart, whatever version serves them.
func (o Object) Key() string {
	return o.Group + "/" + o.Resource + "/" + o.Namespace + "/" + o.Name
}

// Change is one version of one object's intent.
//
// Invariants, checked by [ParseChange]: Op is set; Hash and Manifest are set exactly
// when Op is not DELETE; Run is set exactly when Origin is Reconcile; To names destinations
// of the change's own cluster; ClusterID,
// Resource, Name, UID and ResourceVersion are set, but for a DELETE that a run
// found: the object is gone, so nothing is known but where its file stands. SealedTo is of
// a manifest whose file has a Path of its own.
type Change struct {
	Object
	Op              Op
	Cluster         string // the name people gave it
	ClusterID       string // uid of its kube-system namespace
	UID             string
	ResourceVersion string
	// Hash is the content hash: the Git blob id of Manifest. Of one that is sealed it is what
	// secretmark.Hash makes, and nobody can try guesses at the content against it.
	Hash         string
	Sanitizer    int       // generation of the rules that made Manifest
	Time         time.Time // when the change was made, as far as the object tells
	FieldManager string    // who made it, as far as the object tells
	Origin       Origin
	Run          string // the run that found it, if one did
	Attempt      uint64
	// Path is that of the file, below the base folder: set by a run, and where the file is
	// encrypted. Otherwise it is the object's.
	Path     string
	Replaces string // content hash of the file that a run found without an object: no other is removed
	More     bool   // the run has further results behind this one
	// To are the destinations that it is for, while it stands in KS_EVENTS: those whose rules
	// select this version, and have it look so, or, of a DELETE, those that selected the
	// version before. Who sent it knew all that were registered at Registry.
	To []DestinationKey
	// Registry is the revision of KS_DESTINATION its watcher had seen: a router
	// that holds an older one waits, so no change falls between the registering
	// of a destination and its first snapshot. A destination that was registered
	// behind it does not get it written. Of a result, it is that of the destination.
	Registry uint64
	// Retry is the sequence in KS_DLQ of the letter because of which an object is published once
	// more, as it is now; 0: it is a change that a watch delivered, or a run found. It may have
	// the content that went before it, and is not suppressed for that.
	Retry uint64
	// Resume is the version a watch of this type may resume from once this
	// message is stored. It is the change's own only when a watch delivered it;
	// while a list is being published it stays at what stood before the list.
	Resume string
	// SealedTo is the public key of the git-writer that Manifest is sealed to (see shared/seal),
	// of a sensitive object: its file is encrypted. "": Manifest is what is to stand there.
	SealedTo string
	Manifest []byte
}

// SealedAs is whose manifest it is, as what is sealed of it says it.
func (c Change) SealedAs() string { return c.Cluster + "/" + c.Object.Key() }

// Message encodes the change. ID and Cursor are the publisher's to add.
func (c Change) Message() (Header, []byte) {
	h := NewHeader(KindChange)
	put(h, HeaderOp, string(c.Op))
	put(h, HeaderCluster, c.Cluster)
	put(h, HeaderClusterID, c.ClusterID)
	put(h, HeaderGroup, c.Group)
	put(h, HeaderAPIVersion, c.APIVersion)
	put(h, HeaderResource, c.Resource)
	put(h, HeaderObjectKind, c.Kind)
	put(h, HeaderNamespace, c.Namespace)
	put(h, HeaderName, c.Name)
	put(h, HeaderUID, c.UID)
	put(h, HeaderRevision, c.ResourceVersion)
	put(h, HeaderHash, c.Hash)
	putUint(h, HeaderSanitizer, uint64(c.Sanitizer))
	putTime(h, HeaderTime, c.Time)
	put(h, HeaderFieldManager, c.FieldManager)
	put(h, HeaderOrigin, string(c.Origin))
	put(h, HeaderRun, c.Run)
	putUint(h, HeaderAttempt, c.Attempt)
	put(h, HeaderPath, c.Path)
	put(h, HeaderReplaces, c.Replaces)
	if c.More {
		SetMore(h)
	}
	put(h, HeaderTo, joinTo(c.To))
	putUint(h, HeaderRegistry, c.Registry)
	putUint(h, HeaderRetry, c.Retry)
	put(h, HeaderResume, c.Resume)
	put(h, HeaderSealedTo, c.SealedTo)
	return h, c.Manifest
}

// joinTo writes destinations of one cluster down, as namespace/name, with blanks between.
func joinTo(to []DestinationKey) string {
	names := make([]string, len(to))
	for i, k := range to {
		names[i] = k.Namespace + "/" + k.Name
	}
	return strings.Join(names, " ")
}

// splitTo is the reverse of joinTo.
func splitTo(cluster, names string) (to []DestinationKey, err error) {
	for name := range strings.FieldsSeq(names) {
		k, err := ParseDestinationKey(cluster + "/" + name)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", HeaderTo, err)
		}
		to = append(to, k)
	}
	return to, nil
}

// SetMore says in a result's headers that further ones are behind it.
func SetMore(h Header) { h[HeaderMore] = []string{"true"} }

// ParseChange decodes a message of KindChange. Its errors wrap ErrMalformed. Of one that only
// breaks an invariant, what it says comes beside the error: a dead letter may be such.
func ParseChange(h Header, body []byte) (Change, error) {
	c := Change{
		Object: Object{
			Group: get(h, HeaderGroup), APIVersion: get(h, HeaderAPIVersion), Resource: get(h, HeaderResource),
			Kind: get(h, HeaderObjectKind), Namespace: get(h, HeaderNamespace), Name: get(h, HeaderName),
		},
		Op: Op(get(h, HeaderOp)), Cluster: get(h, HeaderCluster), ClusterID: get(h, HeaderClusterID),
		UID: get(h, HeaderUID), ResourceVersion: get(h, HeaderRevision), Hash: get(h, HeaderHash),
		FieldManager: get(h, HeaderFieldManager), Origin: Origin(get(h, HeaderOrigin)),
		Run: get(h, HeaderRun), Path: get(h, HeaderPath), Replaces: get(h, HeaderReplaces), More: get(h, HeaderMore) == "true", Resume: get(h, HeaderResume),
		SealedTo: get(h, HeaderSealedTo),
	}
	if len(body) > 0 {
		c.Manifest = body
	}
	var err error
	if c.To, err = splitTo(c.Cluster, get(h, HeaderTo)); err != nil {
		return Change{}, err
	}
	var sanitizer uint64
	if sanitizer, err = getUint(h, HeaderSanitizer); err != nil {
		return Change{}, err
	}
	c.Sanitizer = int(sanitizer)
	if c.Attempt, err = getUint(h, HeaderAttempt); err != nil {
		return Change{}, err
	}
	if c.Registry, err = getUint(h, HeaderRegistry); err != nil {
		return Change{}, err
	}
	if c.Retry, err = getUint(h, HeaderRetry); err != nil {
		return Change{}, err
	}
	if c.Time, err = getTime(h, HeaderTime); err != nil {
		return Change{}, err
	}
	return c, c.check()
}

func (c Change) check() error {
	switch c.Op {
	case Create, Update, Delete:
	default:
		return fmt.Errorf("%w: header %s is %q", ErrMalformed, HeaderOp, c.Op)
	}
	if orphan := c.Op == Delete && c.Origin == Reconcile; !orphan {
		for name, v := range map[string]string{
			HeaderClusterID: c.ClusterID, HeaderResource: c.Resource, HeaderName: c.Name,
			HeaderUID: c.UID, HeaderRevision: c.ResourceVersion,
		} {
			if v == "" {
				return fmt.Errorf("%w: header %s is missing", ErrMalformed, name)
			}
		}
	} else if c.Path == "" {
		return fmt.Errorf("%w: header %s is missing", ErrMalformed, HeaderPath)
	}
	if due := c.Op != Delete; (c.Hash != "") != due || (len(c.Manifest) > 0) != due {
		return fmt.Errorf("%w: a %s with %d bytes of manifest and hash %q", ErrMalformed, c.Op, len(c.Manifest), c.Hash)
	}
	if c.SealedTo != "" && (c.Path == "" || len(c.Manifest) == 0) {
		return fmt.Errorf("%w: sealed to %q, with %d bytes of manifest, for the path %q", ErrMalformed, c.SealedTo, len(c.Manifest), c.Path)
	}
	if (c.Origin == Reconcile) != (c.Run != "") {
		return fmt.Errorf("%w: origin %q and run %q", ErrMalformed, c.Origin, c.Run)
	}
	return nil
}

// Mark says that the lane of Part was frozen here for a run: what the lane answers
// to it is exactly the sum of all changes before this message. A lane publishes
// one for an attempt at most.
//
// Invariants, checked by [ParseMark]: Cluster, Destination and Run are set.
type Mark struct {
	Cluster     string
	Part        int
	Destination string
	Run         string
	Attempt     uint64
	Registry    uint64 // as in Change: a router passes it on only once it holds that revision
}

// Message encodes the mark.
func (m Mark) Message() (Header, []byte) {
	h := NewHeader(KindMark)
	put(h, HeaderCluster, m.Cluster)
	h[HeaderPart] = []string{strconv.Itoa(m.Part)}
	put(h, HeaderDestination, m.Destination)
	put(h, HeaderRun, m.Run)
	putUint(h, HeaderAttempt, m.Attempt)
	putUint(h, HeaderRegistry, m.Registry)
	return h, nil
}

// ParseMark decodes a message of KindMark. Its errors wrap ErrMalformed.
func ParseMark(h Header) (Mark, error) {
	m := Mark{Cluster: get(h, HeaderCluster), Destination: get(h, HeaderDestination), Run: get(h, HeaderRun)}
	if m.Cluster == "" || m.Destination == "" || m.Run == "" {
		return Mark{}, fmt.Errorf("%w: a mark without cluster, destination or run", ErrMalformed)
	}
	part, err := strconv.Atoi(get(h, HeaderPart))
	if err != nil || part < 0 {
		return Mark{}, fmt.Errorf("%w: header %s is %q", ErrMalformed, HeaderPart, get(h, HeaderPart))
	}
	m.Part = part
	if m.Attempt, err = getUint(h, HeaderAttempt); err != nil {
		return Mark{}, err
	}
	m.Registry, err = getUint(h, HeaderRegistry)
	return m, err
}
