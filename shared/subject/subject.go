// Package subject is the one place that builds and parses what names things on
// the bus: streams, subjects, buckets, keys, consumers and message identities.
package subject

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/kubescribe/kubescribe/shared/event"
)

// The JetStream streams.
const (
	Events = "KS_EVENTS"
	Live   = "KS_LIVE"
	Write  = "KS_WRITE"
	Snap   = "KS_SNAP"
	Ctl    = "KS_CTL"
	DLQ    = "KS_DLQ"
)

// The key-value buckets.
const (
	BucketDestination = "KS_DESTINATION"
	BucketCredential  = "KS_CREDENTIAL"
	BucketPhase       = "KS_PHASE"
	BucketLease       = "KS_LEASE"
	BucketCursor      = "KS_CURSOR"
	BucketStatus      = "KS_STATUS"
	BucketLag         = "KS_LAG"
)

// Parts, LiveShards and WriteShards are fixed at install: they stand in each
// stream's metadata, and a service that finds others refuses to start.
const (
	Parts       = 8
	LiveShards  = 8
	WriteShards = 8
)

// What each stream stores.
const (
	AllEvents = "ks.ev.>"
	AllLive   = "ks.live.>"
	AllWrite  = "ks.write.>"
	AllSnap   = "ks.snap.>"
	AllCtl    = "ks.ctl.>"
	AllDLQ    = "ks.dlq.>"
)

// ErrSubject says that a subject is none that this package builds.
var ErrSubject = errors.New("not a kubescribe subject")

// Part is the lane, and the router's part, of a cluster's type.
func Part(cluster, group, resource string) int {
	return shard(Parts, cluster, group, resource)
}

// LiveShard is where a destination stands in KS_LIVE.
func LiveShard(k event.DestinationKey) int {
	return shard(LiveShards, k.Cluster, k.Namespace, k.Name)
}

// WriteShard is where a branch stands in KS_WRITE.
func WriteShard(branchKey string) int { return shard(WriteShards, branchKey) }

func shard(n int, parts ...string) int {
	h := fnv.New32a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // never fails: hash.Hash
		_, _ = h.Write([]byte{0})
	}
	return int(h.Sum32() % uint32(n))
}

// EventChange is where a lane stores the changes of one type in one namespace.
func EventChange(part int, cluster, group, resource, namespace string) string {
	return join("ks.ev.d", strconv.Itoa(part), Token(cluster), Token(group), Token(resource), Token(namespace))
}

// EventType selects all changes of one type of a cluster, in one namespace or
// (namespace "") in all of them.
func EventType(part int, cluster, group, resource, namespace string) string {
	if namespace == "" {
		return join("ks.ev.d", strconv.Itoa(part), Token(cluster), Token(group), Token(resource), "*")
	}
	return EventChange(part, cluster, group, resource, namespace)
}

// EventMark is where a lane stores its MARKs for a destination. No type has such a
// name: resource names hold no blank.
func EventMark(part int, cluster string, k event.DestinationKey) string {
	return join("ks.ev.d", strconv.Itoa(part), Token(cluster), "=20", Token(k.Namespace), Token(k.Name))
}

// EventMarks selects all MARKs of its cluster's lanes for a destination.
func EventMarks(k event.DestinationKey) string {
	return join("ks.ev.d.*", Token(k.Cluster), "=20", Token(k.Namespace), Token(k.Name))
}

// EventFence is where the owners of a cluster's lane announce themselves. Lanes
// of different clusters have different owners, so each has its own.
func EventFence(part int, cluster string) string {
	return join("ks.ev.fence", strconv.Itoa(part), Token(cluster))
}

// EventPart selects what the router reads of a part.
func EventPart(part int) string { return join("ks.ev.d", strconv.Itoa(part), ">") }

// PartsOf are the lanes that the rules of a destination touch, in order.
func PartsOf(d event.Destination) []int {
	var touched [Parts]bool
	for _, r := range d.Rules {
		for _, g := range r.Groups {
			for _, res := range r.Resources {
				if g == "*" || res == "*" {
					return every
				}
				touched[Part(d.Key.Cluster, g, res)] = true
			}
		}
	}
	parts := []int{}
	for p, is := range touched {
		if is {
			parts = append(parts, p)
		}
	}
	return parts
}

// every is all lanes; read only.
var every = []int{0, 1, 2, 3, 4, 5, 6, 7}

// ParseEventPart reads the part off a subject of KS_EVENTS.
func ParseEventPart(s string) (int, error) { return number(s, 3, Parts) }

// Event is what a subject of KS_EVENTS says of its messages: they are changes of a type in
// one namespace, or MARKs for a destination.
type Event struct {
	Part                                int
	Cluster, Group, Resource, Namespace string                // of changes
	Mark                                *event.DestinationKey // of MARKs
}

// ParseEvent is the reverse of [EventChange] and [EventMark].
func ParseEvent(s string) (Event, error) {
	t := strings.Split(s, ".")
	if len(t) != 8 {
		return Event{}, fmt.Errorf("%w: %q", ErrSubject, s)
	}
	part, err := ParseEventPart(s)
	if err != nil {
		return Event{}, err
	}
	var p [4]string
	for i := range p {
		if p[i], err = ParseToken(t[4+i]); err != nil {
			return Event{}, fmt.Errorf("%w: %q: %w", ErrSubject, s, err)
		}
	}
	if EventChange(part, p[0], p[1], p[2], p[3]) != s {
		return Event{}, fmt.Errorf("%w: %q", ErrSubject, s)
	}
	if p[1] == " " {
		return Event{Part: part, Cluster: p[0], Mark: &event.DestinationKey{Cluster: p[0], Namespace: p[2], Name: p[3]}}, nil
	}
	return Event{Part: part, Cluster: p[0], Group: p[1], Resource: p[2], Namespace: p[3]}, nil
}

// ParseEventFence is the reverse of [EventFence].
func ParseEventFence(s string) (part int, cluster string, err error) {
	if part, err = number(s, 3, Parts); err != nil {
		return 0, "", err
	}
	t := strings.Split(s, ".")
	if cluster, err = ParseToken(t[len(t)-1]); err == nil && EventFence(part, cluster) != s {
		err = fmt.Errorf("%w: %q", ErrSubject, s)
	}
	return part, cluster, err
}

// LiveData is where a destination's changes of one part stand.
func LiveData(part int, k event.DestinationKey) string {
	return join("ks.live.d", strconv.Itoa(part), strconv.Itoa(LiveShard(k)), destination(k))
}

// LiveCheckpoint is where the router of a part writes a cursor that has no
// output beside it.
func LiveCheckpoint(part int) string { return join("ks.live.ckpt", strconv.Itoa(part), "0") }

// ParseLiveCheckpoint is the reverse of [LiveCheckpoint].
func ParseLiveCheckpoint(s string) (int, error) { return number(s, 3, Parts) }

// LivePart selects all that the router of a part writes.
func LivePart(part int) string { return join("ks.live.*", strconv.Itoa(part), ">") }

// LiveShardData selects the changes of all destinations of a shard.
func LiveShardData(shard int) string { return join("ks.live.d.*", strconv.Itoa(shard), ">") }

// LiveDestination selects the changes of one destination.
func LiveDestination(k event.DestinationKey) string {
	return join("ks.live.d.*", strconv.Itoa(LiveShard(k)), destination(k))
}

// ParseLiveData is the reverse of [LiveData].
func ParseLiveData(s string) (part int, k event.DestinationKey, err error) {
	if part, err = number(s, 3, Parts); err != nil {
		return 0, k, err
	}
	k, err = parseDestination(s, 5)
	if err == nil && LiveData(part, k) != s {
		err = fmt.Errorf("%w: %q", ErrSubject, s)
	}
	return part, k, err
}

// WriteData is where a destination's writes to a branch stand.
func WriteData(branchKey string, k event.DestinationKey) string {
	return join("ks.write.d", strconv.Itoa(WriteShard(branchKey)), Token(branchKey), destination(k))
}

// WriteCheckpoint is where a destination's stream writes a cursor that has no
// output beside it.
func WriteCheckpoint(k event.DestinationKey) string {
	return join("ks.write.ckpt.0.0", destination(k))
}

// ParseWriteCheckpoint is the reverse of [WriteCheckpoint].
func ParseWriteCheckpoint(s string) (event.DestinationKey, error) {
	k, err := parseDestination(s, 5)
	if err == nil && WriteCheckpoint(k) != s {
		err = fmt.Errorf("%w: %q", ErrSubject, s)
	}
	return k, err
}

// WriteDestination selects all that a destination's stream writes.
func WriteDestination(k event.DestinationKey) string { return join("ks.write.*.*.*", destination(k)) }

// WriteBranch selects the writes to a branch, of whatever destination.
func WriteBranch(branchKey string) string {
	return join("ks.write.d", strconv.Itoa(WriteShard(branchKey)), Token(branchKey), ">")
}

// ParseWriteData is the reverse of [WriteData].
func ParseWriteData(s string) (branchKey string, k event.DestinationKey, err error) {
	if k, err = parseDestination(s, 5); err != nil {
		return "", k, err
	}
	if branchKey, err = ParseToken(strings.Split(s, ".")[4]); err == nil && WriteData(branchKey, k) != s {
		err = fmt.Errorf("%w: %q", ErrSubject, s)
	}
	return branchKey, k, err
}

// CtlClusterState is a request for the state of one lane.
func CtlClusterState(cluster string, part int, run string, attempt uint64) string {
	return join("ks.ctl", event.RequestClusterState, Token(cluster), strconv.Itoa(part), Token(run), strconv.FormatUint(attempt, 10))
}

// CtlClusterStates selects the requests to the owner of one lane.
func CtlClusterStates(cluster string, part int) string {
	return join("ks.ctl", event.RequestClusterState, Token(cluster), strconv.Itoa(part), ">")
}

// CtlResources is a request for the contents of one lane's results.
func CtlResources(cluster string, part int, run string, attempt uint64) string {
	return join("ks.ctl", event.RequestResources, Token(cluster), strconv.Itoa(part), Token(run), strconv.FormatUint(attempt, 10))
}

// CtlResourcesOf selects those requests to the owner of one lane.
func CtlResourcesOf(cluster string, part int) string {
	return join("ks.ctl", event.RequestResources, Token(cluster), strconv.Itoa(part), ">")
}

// CtlObject is a request for an object as it is now, because of one dead letter.
func CtlObject(part int, k event.DestinationKey, letter uint64) string {
	return join("ks.ctl", event.RequestObject, Token(k.Cluster), strconv.Itoa(part), Token(k.Namespace), Token(k.Name), strconv.FormatUint(letter, 10))
}

// CtlObjects selects those requests to the owner of one lane.
func CtlObjects(cluster string, part int) string {
	return join("ks.ctl", event.RequestObject, Token(cluster), strconv.Itoa(part), ">")
}

// CtlObjectsOf selects those requests for one destination.
func CtlObjectsOf(k event.DestinationKey) string {
	return join("ks.ctl", event.RequestObject, Token(k.Cluster), "*", Token(k.Namespace), Token(k.Name), "*")
}

// CtlRun is a request for a run of one destination.
func CtlRun(k event.DestinationKey) string { return join("ks.ctl", event.RequestRun, destination(k)) }

// CtlRunBehind is one of two places for a request because of a reason that finds
// another one at CtlRun.
func CtlRunBehind(k event.DestinationKey, reason string, n int) string {
	return join(CtlRun(k), Token(reason), strconv.Itoa(n))
}

// CtlRunsBehind selects them all.
func CtlRunsBehind(k event.DestinationKey) string { return join(CtlRun(k), ">") }

// CtlRuns selects the requests to the reconciler.
const CtlRuns = "ks.ctl." + event.RequestRun + ".>"

// ConsumerRuns is the reconciler's durable consumer.
const ConsumerRuns = "reconciler"

// ConsumerClusterState is the durable consumer of a lane's owner.
func ConsumerClusterState(cluster string, part int) string {
	return "cluster-state-" + Token(cluster) + "-" + strconv.Itoa(part)
}

// ConsumerResources is the durable consumer of a lane's owner for contents.
func ConsumerResources(cluster string, part int) string {
	return "resources-" + Token(cluster) + "-" + strconv.Itoa(part)
}

// ConsumerObjects is the durable consumer of a lane's owner for single objects.
func ConsumerObjects(cluster string, part int) string {
	return "objects-" + Token(cluster) + "-" + strconv.Itoa(part)
}

// DeadLetter is where a message that a stage could not process is kept:
// dead-lettering it twice is one record. The destination is "" where a stage
// comes before destinations.
func DeadLetter(stage string, k event.DestinationKey, stream string, seq uint64) string {
	return join("ks.dlq", Token(stage), destination(k), Token(stream), strconv.FormatUint(seq, 10))
}

// ParseDeadLetter is the reverse of [DeadLetter].
func ParseDeadLetter(s string) (stage string, k event.DestinationKey, stream string, seq uint64, err error) {
	bad := fmt.Errorf("%w: %q", ErrSubject, s)
	t := strings.Split(s, ".")
	if len(t) != 8 {
		return "", k, "", 0, bad
	}
	var errs [3]error
	stage, errs[0] = ParseToken(t[2])
	stream, errs[1] = ParseToken(t[6])
	seq, errs[2] = strconv.ParseUint(t[7], 10, 64)
	if k, err = parseDestination(strings.Join(t[3:6], "."), 0); err != nil || errors.Join(errs[:]...) != nil || DeadLetter(stage, k, stream, seq) != s {
		return "", event.DestinationKey{}, "", 0, bad
	}
	return stage, k, stream, seq, nil
}

// DestinationToken is a destination as a key of the buckets.
func DestinationToken(k event.DestinationKey) string { return destination(k) }

// ParseDestinationToken is the reverse of [DestinationToken].
func ParseDestinationToken(s string) (event.DestinationKey, error) { return parseDestination(s, 0) }

// CredentialKey is where a Secret, named cluster/namespace/name, stands in KS_CREDENTIAL.
func CredentialKey(secret string) (string, error) {
	k, err := event.ParseDestinationKey(secret)
	if err != nil {
		return "", fmt.Errorf("%w: %q is no cluster/namespace/name of a Secret", ErrSubject, secret)
	}
	return destination(k), nil
}

// ParseCredentialKey is the reverse of [CredentialKey].
func ParseCredentialKey(s string) (secret string, err error) {
	k, err := parseDestination(s, 0)
	if err != nil {
		return "", err
	}
	if key, err := CredentialKey(k.String()); err != nil || key != s {
		return "", fmt.Errorf("%w: %q", ErrSubject, s)
	}
	return k.String(), nil
}

// BookmarkKey is where a type's bookmark stands in KS_CURSOR.
func BookmarkKey(cluster, group, resource, namespace string) string {
	return join(Bookmarks, Token(cluster), Token(group), Token(resource), Token(namespace))
}

// Bookmarks is below what all bookmarks stand in KS_CURSOR.
const Bookmarks = "bookmark"

// BookmarksOf is below what those of a cluster stand.
func BookmarksOf(cluster string) string { return join(Bookmarks, Token(cluster)) }

// ParseBookmarkKey is the inverse of BookmarkKey.
func ParseBookmarkKey(s string) (cluster, group, resource, namespace string, err error) {
	tokens := strings.Split(s, ".")
	if len(tokens) != 5 || tokens[0] != Bookmarks {
		return "", "", "", "", fmt.Errorf("%w: %q", ErrSubject, s)
	}
	for n, into := range []*string{&cluster, &group, &resource, &namespace} {
		if *into, err = ParseToken(tokens[n+1]); err != nil {
			return "", "", "", "", fmt.Errorf("%w: %q: %w", ErrSubject, s, err)
		}
	}
	if BookmarkKey(cluster, group, resource, namespace) != s {
		return "", "", "", "", fmt.Errorf("%w: %q", ErrSubject, s)
	}
	return cluster, group, resource, namespace, nil
}

// HintKey is where a branch's hint stands in KS_CURSOR.
func HintKey(branchKey string) string { return join("hint", Token(branchKey)) }

func destination(k event.DestinationKey) string {
	return join(Token(k.Cluster), Token(k.Namespace), Token(k.Name))
}

// parseDestination reads the last three tokens of a subject whose first skip
// tokens are something else.
func parseDestination(s string, skip int) (event.DestinationKey, error) {
	t := strings.Split(s, ".")
	if len(t) != skip+3 {
		return event.DestinationKey{}, fmt.Errorf("%w: %q", ErrSubject, s)
	}
	var p [3]string
	for i := range p {
		var err error
		if p[i], err = ParseToken(t[skip+i]); err != nil {
			return event.DestinationKey{}, fmt.Errorf("%w: %q: %w", ErrSubject, s, err)
		}
	}
	return event.DestinationKey{Cluster: p[0], Namespace: p[1], Name: p[2]}, nil
}

// number reads token i of s as a number below limit.
func number(s string, i, limit int) (int, error) {
	t := strings.Split(s, ".")
	if i >= len(t) {
		return 0, fmt.Errorf("%w: %q", ErrSubject, s)
	}
	n, err := strconv.Atoi(t[i])
	if err != nil || n < 0 || n >= limit || strconv.Itoa(n) != t[i] {
		return 0, fmt.Errorf("%w: %q: token %d is not a number below %d", ErrSubject, s, i+1, limit)
	}
	return n, nil
}

func join(tokens ...string) string { return strings.Join(tokens, ".") }
